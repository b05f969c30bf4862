//! A request on its way out: its head and the first of its body leave in one write, and so does what is at hand later.

use std::{
    error::Error as StdError,
    fmt::Write as _,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST,
        MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    request,
};
use http_body::Frame;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{Error, framing::content_length, head};

/// Frames of up to this many bytes are copied behind what is to be written before them.
const SMALL: usize = 4 * 1024;

/// No more is taken from the body while so many bytes wait to be written.
const MOST: usize = 64 * 1024;

/// What frames, addresses or vouches for a message, or says how to read it, cannot come behind it (RFC 9110, section 6.5.1).
pub(crate) static NEVER_TRAILERS: [HeaderName; 16] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A body that can be sent.
pub trait RequestBody: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin {}

impl<B> RequestBody for B where B: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin {}

/// How the server is told where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// After so many bytes more.
    Length(u64),
    Chunked,
}

/// A request that is being sent.
#[derive(Debug)]
pub(crate) struct Sending<B> {
    body: B,
    framing: Framing,
    /// The body was taken to its end.
    is_taken: bool,
    /// The line break behind a chunk's data is still to be written.
    owes_line_break: bool,
    /// What is to be written next, in this order.
    copied: BytesMut,
    large: Bytes,
    /// Something was written.
    pub(crate) has_begun: bool,
}

impl<B: RequestBody> Sending<B> {
    /// A request of which nothing is sent yet.
    pub(crate) fn new(head: &request::Parts, body: B) -> Self {
        let mut copied = BytesMut::with_capacity(1024);
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let said = content_length(&head.headers).ok().flatten();
        // A length that the client gave stays where it stands among the headers.
        let keeps_length = said.is_some_and(|said| said.is_plain && Some(said.length) == length);
        head::write(head, |name| *name != TRANSFER_ENCODING && (keeps_length || *name != CONTENT_LENGTH), &mut copied);
        let framing = match length {
            Some(length) => {
                if length > 0 && !keeps_length {
                    let _ = write!(copied, "content-length: {length}\r\n");
                }
                Framing::Length(length)
            }
            None => {
                copied.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Framing::Chunked
            }
        };
        copied.extend_from_slice(b"\r\n");
        let is_taken = framing == Framing::Length(0);
        Self { body, framing, is_taken, owes_line_break: false, copied, large: Bytes::new(), has_begun: false }
    }

    /// Sends what can be sent; ready when all is.
    pub(crate) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let waits = self.take(cx)?;
            if self.is_written() {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                return waits.map(Ok);
            }
            // `send` costs the system less than `writev`.
            let written = if self.large.is_empty() {
                let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.copied))?;
                self.copied.advance(written);
                written
            } else {
                let mut out = (&mut self.copied).chain(&mut self.large);
                ready!(pin!(stream.write_buf(&mut out)).poll(cx))?
            };
            if written == 0 {
                return Poll::Ready(Err(Error::Io(std::io::ErrorKind::WriteZero.into())));
            }
            self.has_begun = true;
        }
    }

    fn is_written(&self) -> bool {
        self.copied.is_empty() && self.large.is_empty()
    }

    /// Takes frames from the body as long as there is room for them; pending where it has none at hand, ready otherwise.
    fn take(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        while !self.is_taken && self.large.is_empty() && self.copied.len() < MOST {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(frame) => frame.transpose().map_err(|error| Error::RequestBody(error.into()))?,
            };
            match frame.map(Frame::into_data) {
                Some(Ok(data)) => self.push(data)?,
                Some(Err(frame)) => self.end(frame.into_trailers().ok())?,
                None => self.end(None)?,
            }
            if !self.is_taken && self.framing == Framing::Length(0) {
                self.end(None)?;
            }
        }
        Ok(Poll::Ready(()))
    }

    fn push(&mut self, data: Bytes) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => return Err(Error::RequestBody("the body is longer than its Content-Length".into())),
            },
            Framing::Chunked => {
                self.break_line();
                let _ = write!(self.copied, "{:x}\r\n", data.len());
                self.owes_line_break = true;
            }
        }
        match data.len() {
            0..=SMALL => self.copied.extend_from_slice(&data),
            _ => self.large = data,
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Error> {
        self.is_taken = true;
        match self.framing {
            Framing::Length(0) => return Ok(()),
            Framing::Length(_) => return Err(Error::RequestBody("the body is shorter than its Content-Length".into())),
            Framing::Chunked => {}
        }
        self.break_line();
        self.copied.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.iter().flatten() {
            if !NEVER_TRAILERS.contains(name) {
                head::write_header(name, value.as_bytes(), &mut self.copied);
            }
        }
        self.copied.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn break_line(&mut self) {
        if std::mem::take(&mut self.owes_line_break) {
            self.copied.extend_from_slice(b"\r\n");
        }
    }
}
