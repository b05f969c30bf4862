//! Bodies on their way through. Owns the one body type of both legs ([`Body`]): streamed as it arrives, held whole, or
//! held in part and then streamed on; and [`buffer`], which holds a body up to a limit and loses nothing beyond it.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

/// A request or response body.
#[derive(Debug)]
pub enum Body {
    /// From the other leg, frame by frame; never held.
    Streamed(Incoming),
    /// All of it.
    Whole(Full<Bytes>),
    /// The frames that were read before a limit was hit, and the rest that is still to come.
    Replayed(VecDeque<Frame<Bytes>>, Incoming),
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body that is there in full.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Streamed(incoming) => Pin::new(incoming).poll_frame(cx),
            Self::Whole(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Replayed(held, incoming) => match held.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(incoming).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed(incoming) => incoming.is_end_stream(),
            Self::Whole(full) => full.is_end_stream(),
            Self::Replayed(held, incoming) => held.is_empty() && incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed(incoming) => incoming.size_hint(),
            Self::Whole(full) => full.size_hint(),
            Self::Replayed(held, incoming) => {
                let read: usize = held.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
                let mut hint = incoming.size_hint();
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper + read as u64);
                }
                hint.set_lower(hint.lower() + read as u64);
                hint
            }
        }
    }
}

/// What [`buffer`] made of a body.
#[derive(Debug)]
pub enum Buffered {
    /// All of it, within the limit.
    Whole(Bytes),
    /// It is larger than the limit: a body that replays what was read and streams the rest.
    Larger(Body),
}

/// Reads `body` whole if it holds at most `limit` bytes. Trailers of a body within the limit are dropped.
pub async fn buffer(mut body: Incoming, limit: usize) -> Result<Buffered, hyper::Error> {
    if body.size_hint().lower() > limit as u64 {
        return Ok(Buffered::Larger(Body::Streamed(body)));
    }
    let mut held = VecDeque::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        size += frame.data_ref().map_or(0, Bytes::len);
        held.push_back(frame);
        if size > limit {
            return Ok(Buffered::Larger(Body::Replayed(held, body)));
        }
    }
    let mut chunks = held.into_iter().filter_map(|frame| frame.into_data().ok());
    let Some(first) = chunks.next() else { return Ok(Buffered::Whole(Bytes::new())) };
    if first.len() == size {
        return Ok(Buffered::Whole(first));
    }
    let mut whole = BytesMut::with_capacity(size);
    whole.extend_from_slice(&first);
    chunks.for_each(|chunk| whole.extend_from_slice(&chunk));
    Ok(Buffered::Whole(whole.freeze()))
}
