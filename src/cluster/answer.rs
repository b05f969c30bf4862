//! The body of an answer of the cluster, as it arrives. Owns what becomes of its connection when it has come to its end: the
//! thread keeps it for a later request, and the node has one request less.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http1::{After, RequestBody};
use net::stream::Stream;
use tokio::{task::JoinSet, time::timeout};

use super::leg::InFlight;

/// How long a request may go on whose answer has come to its end. It counts among the open requests no more.
const REST_OF_A_REQUEST: Duration = Duration::from_secs(30);

/// The body of the answer to a request whose body is of type `B`. Asking for its next frame is what has it read; dropping it
/// before its end closes the connection, so that the cluster ends a search that nobody waits for.
#[derive(Debug)]
pub struct Answer<B> {
    body: Rc<RefCell<http1::Answer<Stream, B>>>,
    /// Until it has come to its end.
    in_flight: Option<InFlight>,
    /// The task that sends what is left of the request, seldom anything; it ends with this. Asking for frames would not do:
    /// there are clients that take nothing of an answer before they have sent everything.
    rest: Option<JoinSet<()>>,
}

impl<B: RequestBody + 'static> Answer<B> {
    /// An answer of which the head is there.
    pub(super) fn new(body: http1::Answer<Stream, B>, in_flight: InFlight) -> Self {
        let (is_complete, is_sending) = (body.is_complete(), body.is_sending());
        let mut answer = Self { body: Rc::new(RefCell::new(body)), in_flight: Some(in_flight), rest: None };
        if is_complete {
            answer.release_connection();
        } else if is_sending {
            let body = Rc::downgrade(&answer.body);
            let rest = poll_fn(move |cx| match body.upgrade() {
                Some(body) => body.borrow_mut().poll_sending(cx),
                None => Poll::Ready(()),
            });
            answer.rest.get_or_insert_default().spawn_local(rest);
        }
        answer
    }

    /// Has the connection kept for a later request once this one is answered, and sent.
    fn release_connection(&mut self) {
        let after = self.body.borrow_mut().take_connection();
        // At the node it is in flight no more.
        let Some(in_flight) = self.in_flight.take() else { return };
        match after {
            Some(After::Ready(connection)) => in_flight.keep(connection),
            Some(After::Sending(still)) => {
                self.rest = None;
                let (kept, born) = (in_flight.leg.kept.clone(), in_flight.born);
                tokio::task::spawn_local(async move {
                    if let Ok(Some(connection)) = timeout(REST_OF_A_REQUEST, still.finish()).await {
                        kept.put(born, connection);
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
        let mut body = self.body.borrow_mut();
        let next = Pin::new(&mut *body).poll_frame(cx);
        let is_complete = body.is_complete();
        drop(body);
        if is_complete {
            self.release_connection();
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.borrow().size_hint()
    }
}
