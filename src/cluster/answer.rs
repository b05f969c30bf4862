//! The body of an answer of the cluster, as it arrives. Owns what becomes of its connection when it has come to its end: the
//! thread keeps it for a later request.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http1::{After, RequestBody};
use net::stream::Stream;
use tokio::time::timeout;

use super::kept::Kept;

/// How long a request may go on whose answer has come to its end. It counts among the open requests no more.
const REST_OF_A_REQUEST: Duration = Duration::from_secs(30);

/// The body of the answer to a request whose body is of type `B`. Asking for its next frame is what has it read; dropping it
/// before its end closes the connection, so that the cluster ends a search that nobody waits for.
#[derive(Debug)]
pub struct Answer<B> {
    body: http1::Answer<Stream, B>,
    kept: Rc<Kept>,
}

impl<B: RequestBody + 'static> Answer<B> {
    /// An answer of which the head is there. Its connection goes to `kept`.
    pub(super) fn new(body: http1::Answer<Stream, B>, kept: Rc<Kept>) -> Self {
        let mut answer = Self { body, kept };
        answer.release_connection();
        answer
    }

    /// Has the connection kept for a later request once this one is answered, and sent.
    fn release_connection(&mut self) {
        match self.body.take_connection() {
            Some(After::Ready(connection)) => self.kept.put(connection),
            Some(After::Sending(still)) => {
                let kept = self.kept.clone();
                tokio::task::spawn_local(async move {
                    if let Ok(Some(connection)) = timeout(REST_OF_A_REQUEST, still.finish()).await {
                        kept.put(connection);
                    }
                });
            }
            None => {}
        }
    }
}

impl<B: RequestBody + 'static> Body for Answer<B> {
    type Data = Bytes;
    type Error = http1::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, http1::Error>>> {
        let next = Pin::new(&mut self.body).poll_frame(cx);
        if self.body.is_complete() {
            self.release_connection();
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
