//! HTTP/1.1 towards clients (RFC 9112): requests in, answers out, in their order. One future drives a connection: there is no
//! task, no channel and no lock, and no timer but for the end of one that is cut off, so a connection and the bodies of its
//! requests stay on one thread.
//!
//! What is read, refused and written, and when a connection is kept, is what hyper's server does, but for little that
//! `server_oracle/differences.rs` names: `tests/server_oracle.rs` holds the two against each other.

mod answer;
mod body;
mod error;
mod input;
mod linger;
mod output;
mod request;
mod response;

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

pub use answer::ResponseBody;
use answer::{Answering, Writing};
pub use body::Body;
pub use error::{BodyError, Error};
pub use input::MAX_BUFFER;
use input::{Input, Reading};
use linger::{LINGER, Linger};
use request::{Head, Heads, Length};

use crate::head::behind_empty_lines;

/// What a client begins with that speaks HTTP/2 (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often a connection goes round before others have a turn.
const ROUNDS: usize = 16;

/// A client's connection: a future that ends with it. Dropping it closes the connection, and ends the request that is open.
pub struct Serving<S, H, F, B: ResponseBody> {
    stream: S,
    /// Makes the future of an answer.
    handler: H,
    heads: Heads,
    input: Rc<RefCell<Input>>,
    in_flight: Pin<Box<Option<F>>>,
    answer: Answering<B>,
    /// A request was answered, and none has come since.
    is_idle: bool,
    /// The longest head that is read, in bytes.
    max_head: usize,
    /// The client was told so, and is heard no further.
    refused: Option<StatusCode>,
    /// How long the end of a connection waits for a client that is still sending.
    linger: Duration,
    /// Set when nothing is written any more.
    lingers: Option<Linger>,
}

impl<S, H, F, B> Serving<S, H, F, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: FnMut(Request<Body>) -> F,
    F: Future<Output = Response<B>>,
    B: ResponseBody,
{
    /// Serves the connection of which `read` was read already. Requests are answered by `handler`, one at a time; its future is
    /// dropped when the client goes away.
    pub fn new(stream: S, read: BytesMut, handler: H) -> Self {
        Self {
            stream,
            handler,
            heads: Heads::default(),
            input: Rc::new(RefCell::new(Input::new(read))),
            in_flight: Box::pin(None),
            answer: Answering::new(),
            is_idle: false,
            max_head: MAX_BUFFER,
            refused: None,
            linger: LINGER,
            lingers: None,
        }
    }

    /// The same, which waits no longer than that for the end of what a client still sends when it was answered for the last time.
    #[must_use]
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The same, which reads no head of more bytes than that; it is [`MAX_BUFFER`] at most.
    #[must_use]
    pub fn with_max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes.min(MAX_BUFFER);
        self
    }

    /// Ends the connection as soon as no request is open on it. It is to be polled after that.
    pub fn graceful_shutdown(&mut self) {
        self.answer.keeps_alive = false;
        self.linger = Duration::ZERO;
        let has_begun = {
            let input = self.input.borrow();
            input.reading != Reading::Head || !input.bytes.is_empty()
        };
        if self.is_idle || !has_begun || matches!(self.answer.writing, Writing::Closed) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.input.borrow_mut().reading = Reading::Closed;
        self.answer.close();
    }

    fn reading(&self) -> Reading {
        self.input.borrow().reading
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        for _ in 0..ROUNDS {
            let has_no_more = self.poll_read(cx)?.is_pending();
            let was_full = self.poll_answer(cx);
            let is_written = self.answer.poll_write(&mut self.stream, cx)?.is_ready();
            let goes_on = is_written && self.end_exchange();
            if self.reading() == Reading::Closed && matches!(self.answer.writing, Writing::Closed) {
                return if is_written { self.poll_end(cx) } else { Poll::Pending };
            }
            let has_work = self.input.borrow().has_work(has_no_more);
            if !(goes_on || (was_full && is_written) || has_work) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.linger > Duration::ZERO && (self.refused.is_some() || self.input.borrow().was_cut) {
            ready!(self.lingers.get_or_insert_with(|| Linger::new(self.linger)).poll(&mut self.stream, cx));
        }
        Poll::Ready(self.refused.take().map_or(Ok(()), |status| Err(Error::Refused(status))))
    }

    /// Reads what can be read. Pending where the stream has no more, ready where it is not asked for more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        loop {
            let reading = self.reading();
            let polled = match reading {
                Reading::Head => self.poll_head(cx)?,
                Reading::Body => {
                    let mut input = self.input.borrow_mut();
                    if input.take_continue() {
                        self.answer.go_ahead();
                    }
                    let polled = input.poll_ahead(&mut self.stream, cx);
                    self.answer.keeps_alive &= !input.was_left_unread();
                    polled
                }
                Reading::Complete => return self.poll_gone(cx),
                Reading::Closed => return Ok(Poll::Ready(())),
            };
            if polled.is_pending() || self.reading() == reading {
                return Ok(polled);
            }
        }
    }

    /// Notices a client that goes away while its request is being answered. What else comes is the next request, of which no more
    /// is held than of a head: behind that, nobody looks for the client's end.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        let mut input = self.input.borrow_mut();
        while input.bytes.len() < self.max_head {
            match input.poll_read(&mut self.stream, cx)? {
                Poll::Ready(0) => return Err(Error::Gone),
                Poll::Ready(_) => {}
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Reads a request's head, and has the request answered.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        loop {
            let mut input = self.input.borrow_mut();
            let (at_hand, most) = (input.bytes.len(), self.max_head);
            let head = match self.heads.read(&mut input.bytes, &mut self.answer.spare) {
                Ok(None) if at_hand >= most => Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
                Ok(Some(_)) if at_hand - input.bytes.len() > most => Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
                head => head,
            };
            match head {
                Ok(Some(head)) => {
                    drop(input);
                    self.begin_exchange(head);
                    return Ok(Poll::Ready(()));
                }
                Ok(None) => {}
                Err(status) => {
                    drop(input);
                    self.refuse(status)?;
                    return Ok(Poll::Ready(()));
                }
            }
            let read = match input.poll_read(&mut self.stream, cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(read) => read,
            };
            if matches!(read, Ok(0) | Err(_)) {
                if !behind_empty_lines(&input.bytes).is_empty() {
                    return Err(read.map_or_else(Error::Io, |_| Error::Gone));
                }
                drop(input);
                self.close();
                return Ok(Poll::Ready(()));
            }
        }
    }

    fn begin_exchange(&mut self, head: Head) {
        let Head { request, length, expects_continue, keeps_alive } = head;
        self.answer.asked(&request, keeps_alive);
        self.is_idle = false;
        if Rc::strong_count(&self.input) > 1 {
            let renewed = self.input.borrow_mut().renew();
            self.input = Rc::new(RefCell::new(renewed));
        }
        let body = if length == Length::Known(0) {
            self.input.borrow_mut().reading = Reading::Complete;
            Body::empty()
        } else {
            self.input.borrow_mut().begin_body(length, expects_continue);
            Body::new(self.input.clone(), length)
        };
        let future = (self.handler)(request.map(|()| body));
        self.in_flight.set(Some(future));
    }

    /// Tells the client that what it sent is no request, and hears no more of it.
    fn refuse(&mut self, status: StatusCode) -> Result<(), Error> {
        if behind_empty_lines(&self.input.borrow().bytes).starts_with(HTTP_2_PREFACE) {
            return Err(Error::Http2);
        }
        self.answer.refuse(status)?;
        self.refused = Some(status);
        self.input.borrow_mut().reading = Reading::Closed;
        Ok(())
    }

    /// Has the request answered, as far as there is room for the answer. Whether there was none.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> bool {
        while self.answer.has_room() {
            if let Some(future) = self.in_flight.as_mut().as_pin_mut() {
                let Poll::Ready(response) = future.poll(cx) else { return false };
                self.in_flight.set(None);
                self.see_to_unread_body(cx);
                self.answer.begin(response);
            }
            if self.answer.poll_body(cx).is_pending() {
                return false;
            }
        }
        true
    }

    /// Reads what has come of a body that nobody has read, so that the answer's head can say whether the connection is kept.
    fn see_to_unread_body(&mut self, cx: &mut Context<'_>) {
        let mut input = self.input.borrow_mut();
        if input.is_unwanted() {
            let _ = input.poll_ahead(&mut self.stream, cx);
            self.answer.keeps_alive &= !input.was_left_unread();
        }
    }

    /// Makes the connection ready for its next request where this one is at its end. Whether it is.
    fn end_exchange(&mut self) -> bool {
        match (self.reading(), &self.answer.writing) {
            (Reading::Complete, Writing::Done) if self.answer.keeps_alive => {
                self.input.borrow_mut().reading = Reading::Head;
                self.answer.renew();
                self.is_idle = true;
                true
            }
            (Reading::Complete | Reading::Closed, Writing::Done | Writing::Closed) => {
                self.close();
                false
            }
            _ => false,
        }
    }
}

impl<S, H, F, B> Future for Serving<S, H, F, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: FnMut(Request<Body>) -> F,
    F: Future<Output = Response<B>>,
    B: ResponseBody,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.input.borrow_mut().runs();
        let polled = this.poll_rounds(cx);
        this.input.borrow_mut().waits(cx);
        polled
    }
}

/// Nothing in it is pinned but the handler's future, in a box of its own.
impl<S, H, F, B: ResponseBody> Unpin for Serving<S, H, F, B> {}

impl<S, H, F, B: ResponseBody> Drop for Serving<S, H, F, B> {
    fn drop(&mut self) {
        self.input.borrow_mut().close();
    }
}
