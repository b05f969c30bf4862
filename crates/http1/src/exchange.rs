//! The exchange of a request for an answer: what a connection does until the head of the answer is there.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode, request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{
    Error, MAX_HEAD,
    answer::Answer,
    connection::Connection,
    framing::{Framing, keeps_alive},
    head::{self, Read},
    sending::{RequestBody, Sending},
};

/// The room that is made for a head, and what comes right behind it, in bytes.
const ROOM: usize = 32 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sends a request, and answers with the response once its head is there. Of its URI path and query are sent; its headers
    /// are sent as they are, but for those that say where the body ends.
    ///
    /// The request may still be on its way then: reading the answer goes on with it.
    ///
    /// # Errors
    /// The connection broke, what came is no answer, or the request's body failed.
    pub fn exchange<B: RequestBody>(
        self,
        request: &request::Parts,
        body: B,
    ) -> impl Future<Output = Result<Response<Answer<S, B>>, Error>> {
        // Not within the future, which would carry room about for the body as such and for the body that is being sent.
        self.sent(&request.method, Some(Sending::new(request, body)))
    }

    async fn sent<B: RequestBody>(
        mut self,
        method: &Method,
        mut sending: Option<Sending<B>>,
    ) -> Result<Response<Answer<S, B>>, Error> {
        let mut input = BytesMut::new();
        let mut broken = None;
        let head = poll_fn(|cx| {
            if let Some(out) = &mut sending {
                match out.poll(&mut self.stream, cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => sending = None,
                    Poll::Ready(Err(Error::Io(error))) if !out.has_begun => {
                        return Poll::Ready(Err(Error::Unsent(error)));
                    }
                    Poll::Ready(Err(error @ Error::RequestBody(_))) => return Poll::Ready(Err(error)),
                    // A server that has heard enough may have answered before it closed.
                    Poll::Ready(Err(error)) => (sending, broken) = (None, Some(error)),
                }
            }
            poll_head(&mut self.stream, &mut input, cx)
        });
        let (head, rest) = match (head.await, broken.is_some()) {
            (Err(_), true) => return Err(broken.unwrap_or(Error::Closed)),
            (head, _) => head?,
        };
        self.answer(method, head, rest, sending, broken.is_none())
    }

    fn answer<B: RequestBody>(
        self,
        method: &Method,
        head: Response<()>,
        rest: Bytes,
        sending: Option<Sending<B>>,
        is_whole: bool,
    ) -> Result<Response<Answer<S, B>>, Error> {
        let framing = Framing::of(method, head.status(), head.version(), head.headers())?;
        let keeps_alive = is_whole
            && framing != Framing::UntilClose
            && head.status() != StatusCode::SWITCHING_PROTOCOLS
            && keeps_alive(head.version(), head.headers());
        Ok(head.map(|()| Answer::new(self, framing, keeps_alive, rest, sending)))
    }
}

/// Reads the head of a final answer, and what came right behind it.
fn poll_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<Result<(Response<()>, Bytes), Error>> {
    loop {
        let before = input.len();
        if input.capacity() == before {
            input.reserve(ROOM);
        }
        if ready!(pin!(stream.read_buf(input)).poll(cx))? == 0 {
            return Poll::Ready(Err(if before == 0 { Error::Closed } else { Error::EndedEarly }));
        }
        // A head that comes in many pieces is parsed with the first and with the last, not once for each of them.
        if before > 0 && !may_end_head(&input[before.saturating_sub(3)..]) {
            if input.len() > MAX_HEAD {
                return Poll::Ready(Err(Error::HeadTooLong));
            }
            continue;
        }
        loop {
            match head::read(std::mem::take(input))? {
                Read::Whole(head, rest) if is_interim(head.status()) => {
                    // It shares the memory of the rest, which would be copied.
                    drop(head);
                    *input = BytesMut::from(rest);
                }
                Read::Whole(head, rest) => return Poll::Ready(Ok((*head, rest))),
                Read::Part(part) => {
                    *input = part;
                    break;
                }
            }
            if input.is_empty() {
                break;
            }
        }
        if input.len() > MAX_HEAD {
            return Poll::Ready(Err(Error::HeadTooLong));
        }
    }
}

/// Whether an answer is only a word before the answer (RFC 9110, section 15.2).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Whether an empty line is among these bytes.
fn may_end_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}
