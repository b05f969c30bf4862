//! What a connection is doing: whether a request is open on it, whether a head has begun and is not all there, whether the
//! client takes what is written to it. Owns the telling: the stream tells what it reads and writes, each request when it begins and
//! when its answer is out of our hands. What follows from it is decided in `connection`.
//!
//! `http1` has no time-out for heads, and that of hyper knows nothing of HTTP/2. A connection that is kept alive may wait for its
//! next request for as long as it likes: no engine limits that.

use std::{
    cell::{RefCell, RefMut},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::frames::Frames;
use crate::telemetry::AccessLine;

/// What a client begins with that speaks HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What one connection is doing. Shared by its stream, its requests and its task, which run on one thread.
#[derive(Debug)]
pub(super) struct Activity(RefCell<State>);

#[derive(Debug)]
struct State {
    protocol: Protocol,
    open_requests: usize,
    head_since: Option<Instant>,
    untaken_since: Option<Instant>,
    moved: Instant,
    has_agreed_on_http2: bool,
    ends_between_requests: bool,
}

#[derive(Debug)]
enum Protocol {
    /// So many bytes have come, all of them the preface's.
    Unknown(usize),
    Http1,
    Http2(Frames),
}

impl Activity {
    /// Of a connection that was just accepted. Its first head counts from now on, so that one on which nothing ever comes
    /// ends as well.
    pub(super) fn new() -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self(RefCell::new(State {
            protocol: Protocol::Unknown(0),
            open_requests: 0,
            head_since: Some(now),
            untaken_since: None,
            moved: now,
            has_agreed_on_http2: false,
            ends_between_requests: false,
        })))
    }

    /// A request's head was read; it is open as long as what this gives is held.
    pub(super) fn request(self: &Rc<Self>) -> OpenRequest {
        let mut state = self.state();
        state.open_requests += 1;
        // HTTP/2's next head may have begun by now; its frames tell.
        if !state.is_http2() {
            state.head_since = None;
        }
        OpenRequest { activity: self.clone(), held: Held::default() }
    }

    /// Whether there is a request that has no whole answer yet, or an answer that is not all with the system.
    pub(super) fn is_busy(&self) -> bool {
        self.state().is_busy()
    }

    /// Since when there has been a request's head that is not all there, where no other request is open.
    pub(super) fn waits_for_head_since(&self) -> Option<Instant> {
        let state = self.state();
        state.head_since.filter(|_| !state.is_busy())
    }

    /// Since when the client has taken no byte of what is being written to it.
    pub(super) fn untaken_since(&self) -> Option<Instant> {
        self.state().untaken_since
    }

    /// When a byte was last read or written.
    pub(super) fn last_moved(&self) -> Instant {
        self.state().moved
    }

    pub(super) fn is_http2(&self) -> bool {
        self.state().is_http2()
    }

    /// Whether what came so far may be the beginning of either protocol.
    pub(super) fn is_of_unknown_protocol(&self) -> bool {
        matches!(self.state().protocol, Protocol::Unknown(_))
    }

    /// The client and we have agreed on what is spoken before any of it has come. A client that speaks HTTP/2 begins with its preface
    /// nonetheless.
    pub(super) fn agreed(&self, is_http2: bool) {
        let mut state = self.state();
        state.has_agreed_on_http2 = is_http2;
        if !is_http2 {
            state.protocol = Protocol::Http1;
        }
    }

    /// Whether the client has agreed on HTTP/2, and then spoken something else.
    pub(super) fn has_broken_its_word(&self) -> bool {
        let state = self.state();
        state.has_agreed_on_http2 && matches!(state.protocol, Protocol::Http1)
    }

    /// The connection is about to be dropped, and no answer is cut off by that.
    pub(super) fn end_between_requests(&self) {
        self.state().ends_between_requests = true;
    }

    /// These bytes have come.
    pub(super) fn read(&self, bytes: &[u8]) {
        self.state().read(bytes, Instant::now());
    }

    /// The system has taken something of what is written to the client, or nothing yet.
    pub(super) fn wrote(&self, taken: bool) {
        self.state().wrote(taken, Instant::now());
    }

    /// Whether the connection ends here, and no answer is cut off by that.
    pub(super) fn ends_between_requests(&self) -> bool {
        self.state().ends_between_requests
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.open_requests > 0 || self.untaken_since.is_some()
    }

    fn is_http2(&self) -> bool {
        matches!(self.protocol, Protocol::Http2(_))
    }

    fn read(&mut self, mut bytes: &[u8], now: Instant) {
        self.moved = now;
        if let Protocol::Unknown(seen) = self.protocol {
            let expected = &PREFACE[seen..];
            let length = expected.len().min(bytes.len());
            if bytes[..length] != expected[..length] {
                self.protocol = Protocol::Http1;
            } else if length < expected.len() {
                self.protocol = Protocol::Unknown(seen + length);
            } else {
                self.protocol = Protocol::Http2(Frames::default());
                self.head_since = None;
                bytes = &bytes[length..];
            }
        }
        match &mut self.protocol {
            Protocol::Unknown(_) => {}
            // While a request is open, this may be its body. A part of the next head that comes with it does not count
            // before one more byte does: until then the connection is as good as one that is kept alive.
            // Empty lines before a head are no part of it (RFC 9112, section 2.2): old clients end a body with one.
            Protocol::Http1 => {
                let begins = self.head_since.is_none() && self.open_requests == 0;
                if begins && bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
                    self.head_since = Some(now);
                }
            }
            Protocol::Http2(frames) => {
                let was_between = frames.read(bytes);
                if !frames.is_in_head() {
                    self.head_since = None;
                } else if was_between || self.head_since.is_none() {
                    self.head_since = Some(now);
                }
            }
        }
    }

    fn wrote(&mut self, taken: bool, now: Instant) {
        if taken {
            self.moved = now;
            self.untaken_since = None;
        } else {
            self.untaken_since.get_or_insert(now);
        }
    }
}

/// A request that has no whole answer yet.
#[derive(Debug)]
pub(super) struct OpenRequest {
    activity: Rc<Activity>,
    held: Held,
}

/// What a request holds on to until its answer is sent.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Its line for the access log, where it has one.
    pub(super) line: Option<Box<AccessLine>>,
    /// The permit to ask the cluster, where it needed one.
    #[allow(dead_code, reason = "it is there to be dropped")]
    pub(super) exchange: Option<OwnedSemaphorePermit>,
}

impl OpenRequest {
    /// The same request, which holds on to this for as long as it is open.
    pub(super) fn with(mut self, held: Held) -> Self {
        self.held = held;
        self
    }

    /// The answer's body: the request is open until the stream has all of it.
    pub(super) fn until_sent<B>(self, body: B) -> ObservedBody<B> {
        ObservedBody { body, open: Rc::new(self) }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.activity.state().open_requests -= 1;
    }
}

/// A body that keeps its request open.
#[derive(Debug)]
pub(super) struct ObservedBody<B> {
    body: B,
    open: Rc<OpenRequest>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for ObservedBody<B> {
    type Data = Unsent;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Unsent>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let unsent = |bytes: Bytes| {
            if let Some(line) = &self.open.held.line {
                line.sent(bytes.len());
            }
            Unsent { bytes, _open: self.open.clone() }
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(unsent))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer that the protocol has and the stream has not: of HTTP/2, those for which the client has opened no window yet.
/// It drops a body as soon as it has taken the last of it, which may be tens of megabytes before its client does.
#[derive(Debug)]
pub(super) struct Unsent {
    bytes: Bytes,
    _open: Rc<OpenRequest>,
}

impl Buf for Unsent {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.bytes.copy_to_bytes(count)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use http_body_util::{BodyExt, Full};

    use super::*;

    /// A connection that was accepted at `.1`.
    fn accepted() -> (Rc<Activity>, Instant) {
        let activity = Activity::new();
        let now = activity.last_moved();
        (activity, now)
    }

    fn second(began: Instant, second: u64) -> Instant {
        began + Duration::from_secs(second)
    }

    #[test]
    fn the_first_head_counts_from_the_beginning_and_a_later_one_from_its_first_byte() {
        let (activity, began) = accepted();
        assert_eq!(activity.waits_for_head_since(), Some(began));
        activity.state().read(b"GET / HTTP/1.1\r\n", second(began, 1));
        assert_eq!(activity.waits_for_head_since(), Some(began));
        activity.state().read(b"\r\n", second(began, 2));
        let request = activity.request();
        assert_eq!(activity.waits_for_head_since(), None);
        activity.state().read(b"a body", second(began, 3));
        assert_eq!(activity.waits_for_head_since(), None);
        drop(request);
        assert_eq!(activity.waits_for_head_since(), None, "kept alive");
        activity.state().read(b"\r\n", second(began, 4));
        assert_eq!(activity.waits_for_head_since(), None, "an empty line");
        activity.state().read(b"G", second(began, 5));
        activity.state().read(b"E", second(began, 6));
        assert_eq!(activity.waits_for_head_since(), Some(second(began, 5)));
    }

    #[test]
    fn a_head_of_http_2_counts_from_its_first_byte_and_a_connection_without_one_does_not_count() {
        let (activity, began) = accepted();
        activity.state().read(&PREFACE[..5], second(began, 1));
        assert_eq!(activity.waits_for_head_since(), Some(began), "half a preface");
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        activity.state().read(&[&PREFACE[5..], &settings].concat(), second(began, 2));
        assert!(activity.is_http2());
        assert_eq!(activity.waits_for_head_since(), None);
        // HEADERS without END_HEADERS.
        activity.state().read(&[0, 0, 0, 1, 0, 0, 0, 0, 1], second(began, 3));
        activity.state().read(&[0, 0, 0, 9, 0, 0, 0, 0, 1], second(began, 4));
        assert_eq!(activity.waits_for_head_since(), Some(second(began, 3)));
        // CONTINUATION with it, and the next one begins.
        activity.state().read(&[0, 0, 0, 9, 4, 0, 0, 0, 1, 0], second(began, 5));
        assert_eq!(activity.waits_for_head_since(), Some(second(began, 5)));
    }

    #[test]
    fn a_request_is_open_until_the_last_byte_of_its_answer_was_taken() {
        let (activity, _) = accepted();
        let mut body = activity.request().until_sent(Full::new(Bytes::from_static(b"answer")));
        let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert!(body.is_end_stream());
        drop(body);
        assert!(activity.is_busy());
        drop(frame);
        assert!(!activity.is_busy());
    }

    #[test]
    fn a_connection_is_busy_until_the_system_has_all_of_the_answer() {
        let (activity, began) = accepted();
        let request = activity.request();
        activity.state().wrote(false, began);
        drop(request);
        assert!(activity.is_busy());
        activity.state().wrote(true, second(began, 1));
        assert!(!activity.is_busy());
    }
}
