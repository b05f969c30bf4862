//! The exchange of a request for an answer: what a connection does until the head of the answer is there.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Response, StatusCode, request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{
    Error, MAX_HEAD,
    answer::Answer,
    connection::Connection,
    framing::{Framing, keeps_alive},
    head::{self, Read, drop_empty_lines, may_end_head},
    sending::{RequestBody, Sending},
};

/// The room that is made for a head, and what comes right behind it, in bytes.
const ROOM: usize = 32 * 1024;

/// What comes first is copied out of that room where it is no longer than this, in bytes: it costs less than another room does.
const SMALL: usize = 4 * 1024;

thread_local! {
    /// The room that the next head is read into. All connections of a thread have one together, since requests that wait are many,
    /// and no account knows of their room.
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sends a request, and answers with the response once its head is there. Of its URI path and query are sent; its headers
    /// are sent as they are, but for those that say where the body ends.
    ///
    /// The request may still be on its way then: [`Answer::poll_sending`] goes on with it.
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
            poll_head(&mut self.stream, &mut input, cx, head::read)
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
        mut head: Response<()>,
        rest: Bytes,
        sending: Option<Sending<B>>,
        is_whole: bool,
    ) -> Result<Response<Answer<S, B>>, Error> {
        let framing = Framing::of(method, head.status(), head.version(), head.headers_mut())?;
        let keeps_alive = is_whole
            && framing != Framing::UntilClose
            && head.status() != StatusCode::SWITCHING_PROTOCOLS
            && keeps_alive(head.version(), head.headers());
        Ok(head.map(|()| Answer::new(self, framing, keeps_alive, rest, sending)))
    }
}

/// Reads the head of a final answer, and what came right behind it. `read_head` is [`head::read`], whose work a test counts.
fn poll_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
    mut read_head: impl FnMut(BytesMut) -> Result<Read, Error>,
) -> Poll<Result<(Response<()>, Bytes), Error>> {
    loop {
        let before = input.len();
        let read = if before == 0 {
            poll_first(stream, input, cx)
        } else {
            if input.capacity() == before {
                input.reserve(ROOM);
            }
            // The room grows by more than was asked for, and what lies in it would be read however long it is.
            pin!(stream.read_buf(&mut (&mut *input).limit(MAX_HEAD - before))).poll(cx)
        };
        if ready!(read)? == 0 {
            return Poll::Ready(Err(if before == 0 { Error::Closed } else { Error::EndedEarly }));
        }
        // A head that comes in many pieces is parsed with the first and with the last, not once for each of them.
        if before > 0 && !may_end_head(&input[before.saturating_sub(3)..]) {
            if input.len() >= MAX_HEAD {
                return Poll::Ready(Err(Error::HeadTooLong));
            }
            continue;
        }
        loop {
            match read_head(std::mem::take(input))? {
                Read::Whole(head, rest) if is_interim(head.status()) => {
                    // It shares the memory of the rest, which would be copied.
                    drop(head);
                    *input = BytesMut::from(rest);
                }
                Read::Whole(head, rest) => return Poll::Ready(Ok((head, rest))),
                Read::Part(part) => {
                    *input = part;
                    drop_empty_lines(input);
                    break;
                }
            }
            if input.is_empty() {
                break;
            }
        }
        if input.len() >= MAX_HEAD {
            return Poll::Ready(Err(Error::HeadTooLong));
        }
    }
}

/// Reads what comes first, into nothing.
fn poll_first<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = SPARE.take().unwrap_or_else(|| BytesMut::with_capacity(ROOM));
    let read = pin!(stream.read_buf(&mut room)).poll(cx);
    if room.len() > SMALL {
        *input = room;
    } else {
        *input = BytesMut::from(&*room);
        room.clear();
        SPARE.set(Some(room));
    }
    read
}

/// Whether an answer is only a word before the answer (RFC 9110, section 15.2).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::ReadBuf;

    use super::*;

    /// What a server has said, of which no more than so many bytes arrive at once.
    struct Pieces<'a>(&'a [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let (piece, rest) = self.0.split_at(self.1.min(self.0.len()).min(buf.remaining()));
            buf.put_slice(piece);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    /// How many bytes are parsed, again and again, of an answer that arrives in pieces of this length.
    fn parsed(said: &[u8], piece: usize) -> usize {
        let mut parsed = 0;
        let read_head = |input: BytesMut| {
            let length = input.len();
            let read = head::read(input);
            let behind = if let Ok(Read::Whole(_, rest)) = &read { rest.len() } else { 0 };
            parsed += length - behind;
            read
        };
        let (mut pieces, mut input) = (Pieces(said, piece), BytesMut::new());
        let read = poll_head(&mut pieces, &mut input, &mut Context::from_waker(Waker::noop()), read_head);
        let Poll::Ready(Ok((head, _))) = read else { panic!("no answer: {read:?}") };
        assert_eq!(head.status(), StatusCode::OK);
        parsed
    }

    #[test]
    fn a_head_beyond_the_limit_is_refused_however_much_of_it_arrives_at_once() {
        let (begin, end) = ("HTTP/1.1 200 OK\r\nx: ", "\r\n\r\n");
        let head = |length: usize| format!("{begin}{}{end}", "y".repeat(length - begin.len() - end.len()));
        for (length, is_read) in [(MAX_HEAD, true), (MAX_HEAD + 1, false), (200_000, false)] {
            for piece in [1000, ROOM, usize::MAX] {
                let said = head(length);
                let (mut pieces, mut input) = (Pieces(said.as_bytes(), piece), BytesMut::new());
                let read = poll_head(&mut pieces, &mut input, &mut Context::from_waker(Waker::noop()), head::read);
                match read {
                    Poll::Ready(Ok(_)) => assert!(is_read, "{length} in pieces of {piece}"),
                    Poll::Ready(Err(Error::HeadTooLong)) => assert!(!is_read, "{length} in pieces of {piece}"),
                    other => panic!("{length} in pieces of {piece}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_head_in_many_pieces_is_parsed_no_more_often_than_one_in_two() {
        let fields = "warning: 299 deprecated\r\n".repeat(900);
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n".repeat(500);
        for said in [
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
            format!("HTTP/1.1 200 OK\nx: {}\n\n", "y".repeat(100_000)),
            format!("{interim}HTTP/1.1 200 OK\r\n{fields}\r\n"),
            format!("{}HTTP/1.1 200 OK\r\n\r\n", "\r\n".repeat(20_000)),
            format!("{}HTTP/1.1 200 OK\r\n\r\n", "\n".repeat(20_000)),
        ] {
            for piece in [1, 2, 3, 4, 5, 1024] {
                let parsed = parsed(said.as_bytes(), piece);
                assert!(parsed <= 5 * said.len(), "{parsed} of {} bytes in pieces of {piece}", said.len());
            }
        }
    }
}
