//! Streams that tell what comes and goes on them. What follows from that, [`Activity`] knows.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::activity::Activity;

/// How long the end of a connection of HTTP/2 waits for its client to end it, too. See [`ObservedStream`].
const LINGER: Duration = Duration::from_secs(1);

/// A stream that tells what goes. With TLS it lies below it, since that keeps some of what is written to it.
#[derive(Debug)]
pub(super) struct ObservedWrites<S> {
    stream: S,
    activity: Rc<Activity>,
}

impl<S> ObservedWrites<S> {
    pub(super) fn new(stream: S, activity: Rc<Activity>) -> Self {
        Self { stream, activity }
    }

    /// Whether the connection ends here, and no answer is cut off by that.
    pub(super) fn ends_between_requests(&self) -> bool {
        self.activity.ends_between_requests()
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(_)) => self.activity.wrote(true),
            Poll::Pending => self.activity.wrote(false),
            // The connection ends by this.
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedWrites<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ObservedWrites<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A client's stream, which tells what comes.
///
/// At the end of a connection of HTTP/2 it takes what still comes until the client ends it as well, for a while. A client goes on
/// opening windows while it reads the end of an answer; a system that is asked to close a connection with something unread on
/// it resets it, and drops what it has not sent of the answer.
#[derive(Debug)]
pub(super) struct ObservedStream<S> {
    stream: S,
    activity: Rc<Activity>,
    /// What was read before, and is to be read again.
    again: Bytes,
    /// Set when nothing is written any more.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl<S> ObservedStream<S> {
    pub(super) fn new(stream: S, activity: Rc<Activity>) -> Self {
        Self { stream, activity, again: Bytes::new(), lingers: None }
    }

    /// The same stream, from which `read` is read once more.
    pub(super) fn again(self, read: Bytes) -> Self {
        Self { again: read, ..self }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            let length = self.again.len().min(buffer.remaining());
            buffer.put_slice(&self.again.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            self.activity.read(read);
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ObservedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, activity, lingers, .. } = &mut *self;
        if lingers.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            if !activity.is_http2() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingers = lingers.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut unread = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut unread);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return lingers.as_mut().poll(cx).map(Ok),
            }
            // However much comes.
            if lingers.is_elapsed() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
