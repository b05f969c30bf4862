//! The body of an answer of the cluster, as it arrives. Owns the connection that it comes on until the last byte of it was
//! read: reading the body is what drives the connection, and dropping it is what ends a search that nobody waits for.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    kept::Kept,
    link::{Link, Sent, unwoken},
};

/// The body of an answer, as it arrives.
#[derive(Debug)]
pub struct Answer<B: Sent> {
    body: Incoming,
    /// What it comes on; gone when it is complete.
    link: Option<Link<B>>,
    kept: Rc<Kept<B>>,
}

impl<B: Sent> Answer<B> {
    /// An answer of which the head has come on `link`.
    pub(super) fn new(body: Incoming, link: Link<B>, kept: Rc<Kept<B>>) -> Self {
        let mut answer = Self { body, link: Some(link), kept };
        if answer.body.is_end_stream() {
            answer.completed();
        }
        answer
    }

    /// Has the connection kept for a later request, after what is still to be sent of this one.
    fn completed(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        let kept = self.kept.clone();
        if link.is_ready() {
            return kept.put(link);
        }
        tokio::task::spawn_local(async move {
            if link.finish().await {
                kept.put(link);
            }
        });
    }
}

impl<B: Sent> http_body::Body for Answer<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        // Asked for before the connection reads, which is to know that somebody wants it. Only what the connection does can
        // bring a frame, so it alone has to wake this task.
        let mut next = Pin::new(&mut this.body).poll_frame(&mut unwoken());
        if next.is_pending()
            && let Some(link) = &mut this.link
        {
            if link.poll(cx).is_ready() {
                this.link = None;
            }
            next = Pin::new(&mut this.body).poll_frame(&mut unwoken());
        }
        match &next {
            Poll::Ready(Some(Err(_))) => this.link = None,
            Poll::Ready(None) => this.completed(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.completed(),
            _ => {}
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
