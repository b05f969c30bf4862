//! An answer on its way out: its head, its body frame by frame, and whether another one may follow on the connection.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::io::AsyncWrite;

use super::{
    error::Error,
    output::Output,
    response::{self, Asked, Framing, Size},
};
use crate::sending::NEVER_TRAILERS;

/// The body of an answer.
pub trait ResponseBody: http_body::Body<Data: Buf, Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin {}

impl<B> ResponseBody for B where B: http_body::Body<Data: Buf, Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin {}

/// The greatest map that is kept for the headers of the next request: an idle connection keeps it.
const KEPT_HEADERS: usize = 128;

/// What is written at the moment.
pub(super) enum Writing<B> {
    /// Nothing, before the answer's head.
    Nothing,
    Body(B, Framing),
    /// Nothing more of this answer; another may follow.
    Done,
    /// Nothing more, once what came before this is written.
    Failed(Error),
    /// Nothing ever again: the client was told so, or sees it by the end of the connection.
    Closed,
}

/// The answers of a connection, one after the other.
pub(super) struct Answering<B: ResponseBody> {
    pub(super) writing: Writing<B>,
    asked: Asked,
    output: Output<B::Data>,
    /// The connection may be used for another request.
    pub(super) keeps_alive: bool,
    /// No answer can follow the one that is written.
    is_last: bool,
    /// A map whose room is used again.
    pub(super) spare: HeaderMap,
}

impl<B: ResponseBody> Answering<B> {
    pub(super) fn new() -> Self {
        Self {
            writing: Writing::Nothing,
            asked: Asked::nothing(),
            output: Output::new(),
            keeps_alive: true,
            is_last: false,
            spare: HeaderMap::new(),
        }
    }

    /// A request has come.
    pub(super) fn asked(&mut self, request: &Request<()>, keeps_alive: bool) {
        self.asked = Asked::of(request);
        self.keeps_alive &= keeps_alive;
    }

    /// Whether more can be taken before some of it is written.
    pub(super) fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// Has the client send the body that it asks about. That cannot come behind the answer's head.
    pub(super) fn go_ahead(&mut self) {
        if matches!(self.writing, Writing::Nothing) {
            self.output.copied().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Tells the client that what it sent is no request.
    pub(super) fn refuse(&mut self, status: StatusCode) -> Result<(), Error> {
        let mut head = Response::new(()).into_parts().0;
        head.status = status;
        self.keeps_alive = false;
        let asked = self.asked.of_no_request();
        response::write(asked, &mut head, Size::Nothing, &mut self.keeps_alive, self.output.copied())?;
        self.writing = Writing::Closed;
        Ok(())
    }

    /// Takes an answer, whose body is to be taken next.
    pub(super) fn begin(&mut self, response: Response<B>) {
        let (mut head, body) = response.into_parts();
        let size = match body.is_end_stream() {
            true => Size::Nothing,
            false => body.size_hint().exact().map_or(Size::Unknown, Size::Known),
        };
        let framing = response::write(self.asked, &mut head, size, &mut self.keeps_alive, self.output.copied());
        self.is_last = !self.keeps_alive;
        if head.headers.capacity() <= KEPT_HEADERS {
            self.spare = head.headers;
            self.spare.clear();
        }
        match framing {
            Ok(Framing::Length(0)) => self.end(),
            Ok(framing) => self.writing = Writing::Body(body, framing),
            Err(error) => self.writing = Writing::Failed(error),
        }
    }

    /// Takes what is at hand of the body, as long as there is room. Pending where there is nothing to take.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.output.has_room() {
            let Writing::Body(body, _) = &mut self.writing else { return Poll::Pending };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.push(data),
                    Err(frame) => self.end_body(frame.into_trailers().ok()),
                },
                Some(Err(error)) => self.writing = Writing::Failed(Error::Body(error.into())),
                None => self.end_body(None),
            }
        }
        Poll::Ready(())
    }

    /// Takes data of the body.
    fn push(&mut self, data: B::Data) {
        let Writing::Body(body, framing) = &mut self.writing else { return };
        let (is_last, length) = (body.is_end_stream(), data.remaining());
        if length == 0 {
            if is_last {
                self.end_body(None);
            }
            return;
        }
        let mut is_complete = is_last;
        match framing {
            Framing::Length(left) => {
                // What is too much is no part of the answer.
                let length = usize::try_from(*left).map_or(length, |left| left.min(length));
                *left -= length as u64;
                self.output.push(data, length, b"");
                is_complete |= *left == 0;
                self.is_last |= *left > 0 && is_last;
            }
            Framing::Chunked(_) => {
                response::write_chunk_size(length, self.output.copied());
                self.output.push(data, length, if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" });
            }
            Framing::UntilClose => self.output.push(data, length, b""),
        }
        if is_complete {
            self.end();
        }
    }

    /// Ends the body.
    fn end_body(&mut self, trailers: Option<HeaderMap>) {
        let Writing::Body(_, framing) = std::mem::replace(&mut self.writing, Writing::Done) else { return };
        self.end();
        match framing {
            Framing::Length(0) | Framing::UntilClose => {}
            Framing::Length(left) => self.writing = Writing::Failed(Error::Short(left)),
            Framing::Chunked(announced) => {
                let out = self.output.copied();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().flatten() {
                    if announced.contains(name) && !NEVER_TRAILERS.contains(name) {
                        response::write_header(name, value, out);
                    }
                }
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// All of the answer was taken.
    fn end(&mut self) {
        self.writing = if self.is_last { Writing::Closed } else { Writing::Done };
    }

    /// The next request may come.
    pub(super) fn renew(&mut self) {
        self.writing = Writing::Nothing;
    }

    /// There is nothing more to say.
    pub(super) fn close(&mut self) {
        self.writing = Writing::Closed;
        self.keeps_alive = false;
    }

    /// Writes what can be written; ready when all is.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.output.poll_write(stream, cx))?;
        if matches!(self.writing, Writing::Failed(_))
            && let Writing::Failed(error) = std::mem::replace(&mut self.writing, Writing::Closed)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};
    use http_body_util::Empty;

    use super::*;

    #[test]
    fn an_idle_connection_keeps_no_room_for_a_great_many_headers() {
        let mut answering = Answering::new();
        for (headers, keeps) in [(90, true), (900, false)] {
            let mut response = Response::new(Empty::<Bytes>::new());
            for number in 0..headers {
                let name = HeaderName::from_bytes(format!("x-{number}").as_bytes()).expect("a name");
                response.headers_mut().append(name, HeaderValue::from_static("y"));
            }
            answering.spare = HeaderMap::new();
            answering.begin(response);
            assert!(answering.spare.is_empty());
            assert_eq!(answering.spare.capacity() > 0, keeps, "{headers}");
        }
    }
}
