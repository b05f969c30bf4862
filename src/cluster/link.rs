//! One connection to a node, and the exchange of a request for an answer on it. Owns who drives the connection: the task of the
//! request that uses it, so that an exchange costs no task of its own and no word between two.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use net::connect::{self, Connector};

use super::{Node, error::UpstreamError, headers};

/// What a connection buffers at most on its way in and on its way out, in bytes; a head must fit. hyper's own is 400 KiB,
/// which a thousand clients that read nothing would make 400 MiB.
pub(crate) const MAX_BUFFER: usize = 128 * 1024;

/// A body that can be sent over a connection.
pub trait Sent:
    http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static
{
}

impl<B> Sent for B where B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static {}

/// One connection to a node, for requests with bodies of type `B`.
pub(super) struct Link<B: Sent> {
    sender: SendRequest<B>,
    connection: Pin<Box<http1::Connection<connect::Stream, B>>>,
}

/// Why a request has no answer.
pub(super) enum Unanswered<B> {
    /// The connection was closed before any of it was written: here it is.
    Unsent(Box<Request<B>>),
    /// The connection broke, or what came is no HTTP, or the request's body failed.
    Broken(hyper::Error),
}

impl<B: Sent> Link<B> {
    /// Connects to a node.
    pub(super) async fn connect(connector: &Connector, node: &Node) -> Result<Self, UpstreamError> {
        let unconnected = |source| UpstreamError::unconnected(source, &node.authority);
        let stream = connect::connect(connector, node.uri()).await.map_err(unconnected)?;
        let mut http = http1::Builder::new();
        http.max_headers(headers::MAX_HEADERS).max_buf_size(MAX_BUFFER);
        let (sender, connection) =
            http.handshake(stream).await.map_err(|source| UpstreamError::of(source, &node.authority))?;
        Ok(Self { sender, connection: Box::pin(connection) })
    }

    /// Sends a request and answers with the response once its head is there, and with the connection, which brings the body only
    /// as long as it is polled.
    pub(super) async fn exchange(mut self, request: Request<B>) -> Result<(Response<Incoming>, Self), Unanswered<B>> {
        let mut answered = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let response = poll_fn(|cx| {
            // Only what the connection does can bring the answer, so it alone has to wake this task.
            let ended = connection.as_mut().poll(cx).is_ready();
            match answered.as_mut().poll(&mut unwoken()) {
                Poll::Pending if ended => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
            }
        })
        .await;
        match response.expect("a connection that ends says what becomes of its request") {
            Ok(response) => Ok((response, self)),
            Err(mut failed) => Err(match failed.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request)),
                None => Unanswered::Broken(failed.into_error()),
            }),
        }
    }

    /// Lets the connection do what it can; ready when it is closed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.as_mut().poll(cx).map(drop)
    }

    /// Whether the next request can be sent at once.
    pub(super) fn is_ready(&mut self) -> bool {
        self.poll(&mut unwoken()).is_pending() && self.sender.is_ready()
    }

    /// Reads and writes what is left of an exchange whose answer came to its end before its request did. True where the next
    /// request can be sent after it.
    pub(super) async fn finish(&mut self) -> bool {
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending if self.sender.is_ready() => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl<B: Sent> fmt::Debug for Link<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// The context of a poll that nobody is woken for.
pub(super) fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
