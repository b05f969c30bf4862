//! The body of a client's request, for whoever answers it. Its connection reads it; dropping it before its end leaves the rest
//! unread.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    error::BodyError,
    input::{BodyFrame, Input},
    request::Length,
};

/// The body of a request. It belongs to the thread of its connection.
#[derive(Debug)]
pub struct Body {
    /// Where it comes from; `None` where nothing more is to come.
    input: Option<Rc<RefCell<Input>>>,
    /// How much of it is left, where that is known.
    left: Option<u64>,
}

impl Body {
    /// No body.
    pub(super) fn empty() -> Self {
        Self { input: None, left: Some(0) }
    }

    /// The body that `input` has begun.
    pub(super) fn new(input: Rc<RefCell<Input>>, length: Length) -> Self {
        let left = match length {
            Length::Known(length) => Some(length),
            Length::Chunked => None,
        };
        Self { input: Some(input), left }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(input) = &self.input else { return Poll::Ready(None) };
        // Who sends a body in chunks of a byte has much at hand, which takes no read: by those alone, others would have no turn.
        let turn = ready!(tokio::task::coop::poll_proceed(cx));
        let next = ready!(input.borrow_mut().poll_frame(cx));
        turn.made_progress();
        Poll::Ready(match next {
            Some(Ok(BodyFrame::Data(data))) => {
                if let Some(left) = &mut self.left {
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.input = None;
                    }
                }
                Some(Ok(Frame::data(data)))
            }
            Some(Ok(BodyFrame::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            end => {
                self.input = None;
                end.map(|failed| failed.map(|_| Frame::data(Bytes::new())))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        // Of chunks, only the end of them tells: a body without any is still one in chunks.
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(input) = &self.input {
            input.borrow_mut().abandon();
        }
    }
}
