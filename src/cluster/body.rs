//! Bodies on their way through. Owns the one body type of both legs ([`Body`]): streamed as it arrives, held whole, or
//! held in part and then streamed on; and [`buffer`], which holds a body within its bounds and loses nothing beyond them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use crate::client_body::{ClientBody, ClientBodyError};
use crate::memory::{Filling, Held, Memory};

/// A request or response body.
#[derive(Debug)]
pub enum Body {
    /// From the other leg, as it arrives; only small frames are held, for a moment, to leave together.
    Streamed(Stream),
    /// All of it; nothing once it was passed on.
    Whole(Bytes),
    /// What was read before a bound was met, and the rest that is still to come.
    Replayed(VecDeque<Bytes>, Stream),
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body that is passed on as it arrives.
    pub fn streamed(source: impl Into<Source>) -> Self {
        Self::Streamed(Stream::new(source.into()))
    }

    /// The same, with what has arrived by now read already: it leaves in one write with the head.
    pub async fn gathered(answer: Answer<Body>) -> Self {
        let mut stream = Stream::new(answer.into());
        stream.gather().await;
        Self::Streamed(stream)
    }

    /// A body that is there in full.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(bytes.into())
    }

    /// What of it is held in memory.
    pub fn held(&mut self) -> impl Iterator<Item = &mut Bytes> {
        let (whole, read) = match self {
            Self::Streamed(_) => (None, None),
            Self::Whole(bytes) => (Some(bytes), None),
            Self::Replayed(read, _) => (None, Some(read)),
        };
        whole.into_iter().chain(read.into_iter().flatten())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        match self.get_mut() {
            Self::Streamed(stream) => stream.poll_frame(cx),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Replayed(read, rest) => match read.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => rest.poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed(stream) => stream.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Replayed(read, rest) => read.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed(stream) => stream.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Replayed(read, rest) => plus(rest.size_hint(), read.iter().map(Bytes::len).sum()),
        }
    }
}

type Polled = Result<Frame<Bytes>, BodyError>;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client's did.
    #[error(transparent)]
    Client(ClientBodyError),
    /// The cluster's did.
    #[error(transparent)]
    Cluster(http1::Error),
}

/// The leg that a body comes from.
#[derive(Debug)]
pub enum Source {
    /// A client, whose connection reads it when its own turn comes.
    Client(ClientBody),
    /// The cluster: asking for the next frame is what has it read.
    Cluster(Answer<Body>),
}

impl Source {
    /// The turns that it takes until what was received by now can be had.
    fn turns(&self) -> u8 {
        match self {
            Self::Client(_) => Stream::TURNS,
            Self::Cluster(_) => 0,
        }
    }
}

impl From<ClientBody> for Source {
    fn from(body: ClientBody) -> Self {
        Self::Client(body)
    }
}

impl From<Answer<Body>> for Source {
    fn from(body: Answer<Body>) -> Self {
        Self::Cluster(body)
    }
}

impl http_body::Body for Source {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        match self.get_mut() {
            Self::Client(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Client),
            Self::Cluster(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Cluster),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client(body) => body.is_end_stream(),
            Self::Cluster(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client(body) => body.size_hint(),
            Self::Cluster(body) => body.size_hint(),
        }
    }
}

/// A body on its way from one leg to the other.
///
/// Servers that send chunks hand over many small frames, and each would cost a write of its own on the other leg. So a
/// small frame is held for a few turns of the scheduler, in which the reading leg can add what it has already received;
/// what came by then leaves together. Nothing waits for bytes that are not there yet, and nothing for the cluster's, which are
/// read when they are asked for.
///
/// An error waits as long: a connection whose body fails drops what it has not written yet, head included, and the other
/// side shall have all that came before the error.
#[derive(Debug)]
pub struct Stream {
    source: Source,
    /// Small frames that were read and not passed on yet.
    held: BytesMut,
    /// How many turns `held` has waited since it last grew, or `error` since it was found.
    waited: u8,
    /// What was read already and is to be passed on next, in this order; nothing is held while something is in here.
    ready: VecDeque<Polled>,
    /// The error that the body ends with, once everything before it was passed on.
    error: Option<BodyError>,
}

impl Stream {
    /// Frames of this many bytes and more are passed on at once.
    const LARGE: usize = 16 * 1024;
    /// How much is held at most, in bytes.
    const MOST: usize = 64 * 1024;
    /// Turns that a small frame or an error waits. One is not enough: a connection may poll its body twice in a turn.
    const TURNS: u8 = 3;

    fn new(source: Source) -> Self {
        Self { source, held: BytesMut::new(), waited: 0, ready: VecDeque::new(), error: None }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        if self.error.is_none() {
            match ready!(self.poll_next(cx)) {
                Some(Err(error)) => self.error = Some(error),
                next => return Poll::Ready(next),
            }
            self.waited = 0;
        }
        if self.waited < Self::TURNS {
            self.waited += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.error.take().map(Err))
    }

    /// The next frame, or the error as soon as it is met.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Poll::Ready(Some(next));
            }
            match Pin::new(&mut self.source).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let small = frame.data_ref().filter(|data| data.len() < Self::LARGE);
                    let Some(data) = small else { return self.release_before(Ok(frame)) };
                    if self.held.is_empty() && self.source.is_end_stream() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    self.held.extend_from_slice(data);
                    self.waited = 0;
                    if self.held.len() >= Self::MOST || self.source.is_end_stream() {
                        return self.release();
                    }
                }
                // What was held arrived whole: it goes out, and the end or the error is met at the next call.
                Poll::Ready(end) if self.held.is_empty() => return Poll::Ready(end),
                Poll::Ready(None) => return self.release(),
                Poll::Ready(Some(Err(error))) => return self.release_before(Err(error)),
                Poll::Pending if self.held.is_empty() => return Poll::Pending,
                Poll::Pending if self.waited >= self.source.turns() => return self.release(),
                Poll::Pending => {
                    self.waited += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads what has been received by now, so that it can leave in one write with the head before it.
    async fn gather(&mut self) {
        std::future::poll_fn(|cx| {
            // Before what the same poll may have put there.
            if !self.is_end_stream()
                && let Poll::Ready(Some(next)) = self.poll_next(cx)
            {
                self.ready.push_front(next);
            }
            Poll::Ready(())
        })
        .await;
    }

    fn release(&mut self) -> Poll<Option<Polled>> {
        Poll::Ready(Some(Ok(Frame::data(self.held.split().freeze()))))
    }

    fn release_before(&mut self, next: Polled) -> Poll<Option<Polled>> {
        if self.held.is_empty() {
            return Poll::Ready(Some(next));
        }
        self.ready.push_back(next);
        self.release()
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.ready.is_empty() && self.error.is_none() && self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ready: usize = self.ready.iter().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum();
        plus(self.source.size_hint(), self.held.len() + ready)
    }
}

/// The hint of a body of which `read` bytes are already out of it.
fn plus(mut hint: SizeHint, read: usize) -> SizeHint {
    // The upper bound first: a lower bound may not pass it.
    if let Some(upper) = hint.upper() {
        hint.set_upper(upper + read as u64);
    }
    hint.set_lower(hint.lower() + read as u64);
    hint
}

/// Within which bounds a body is held.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// How many bytes it may have.
    pub bytes: usize,
    /// How many times its size is put on the account: once for itself, the rest for what is made of it later.
    pub copies: usize,
    /// How long it may take to come.
    pub patience: Patience,
    /// The account.
    pub memory: &'a Arc<Memory>,
}

/// How long a body may take to come.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// From now to its end: for a sender that may mean to be slow.
    InAll(Duration),
    /// From one frame to the next.
    ForEachFrame(Duration),
}

/// What [`buffer`] made of a body.
#[derive(Debug)]
pub enum Buffered {
    /// All of it, and what is on the account for what is made of it.
    Whole(Bytes, Held),
    /// It is not held, for this reason: a body that replays what was read and streams the rest.
    Unheld(Body, Unheld),
}

/// Why a body is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheld {
    /// It is larger than it may be.
    TooLarge,
    /// The memory budget is spent.
    NoMemory,
    /// It did not come in time.
    Slow,
}

/// Reads `body` whole, within its bounds. Trailers of a body that is held are dropped.
pub async fn buffer(body: impl Into<Source>, bounds: Bounds<'_>) -> Result<Buffered, BodyError> {
    let mut body = body.into();
    Ok(match fill(&mut body, bounds).await? {
        Filled::Whole(whole, copies) => Buffered::Whole(whole, copies),
        Filled::Short(read, why) => Buffered::Unheld(Body::Replayed(read, Stream::new(body)), why),
    })
}

/// What [`fill`] read of a body.
#[derive(Debug)]
pub enum Filled {
    /// As [`Buffered::Whole`].
    Whole(Bytes, Held),
    /// Its beginning, and why no more.
    Short(VecDeque<Bytes>, Unheld),
}

/// Reads what it may of `body`, into one buffer: a sender's small frames cost no more than their bytes.
pub async fn fill<B>(body: &mut B, bounds: Bounds<'_>) -> Result<Filled, B::Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let size = body.size_hint();
    if size.lower() > bounds.bytes as u64 {
        return Ok(Filled::Short(VecDeque::new(), Unheld::TooLarge));
    }
    let expected = size.exact().and_then(|size| usize::try_from(size).ok());
    let mut read = Filling::new(bounds.memory, bounds.copies, bounds.bytes);
    let began = Instant::now();
    let (next, why) = loop {
        let until = match bounds.patience {
            Patience::InAll(time) => began + time,
            Patience::ForEachFrame(time) => Instant::now() + time,
        };
        let data = match timeout_at(until, body.frame()).await {
            Ok(Some(frame)) => frame?.into_data().unwrap_or_default(),
            Ok(None) => {
                let (whole, copies) = read.finish();
                return Ok(Filled::Whole(whole, copies));
            }
            Err(_) => break (Bytes::new(), Unheld::Slow),
        };
        if read.len() + data.len() > bounds.bytes {
            break (data, Unheld::TooLarge);
        }
        if read.make_room(data.len(), expected).is_err() {
            break (data, Unheld::NoMemory);
        }
        read.buffer().extend_from_slice(&data);
    };
    Ok(Filled::Short([read.finish().0, next].into_iter().filter(|data| !data.is_empty()).collect(), why))
}
