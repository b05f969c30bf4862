//! The answer of a server, as it arrives. Owns the connection until the body has come to its end; whoever drops it before that
//! closes the connection, which is how a server learns that nobody waits.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{
    Error,
    chunks::Chunks,
    connection::Connection,
    framing::Framing,
    sending::{RequestBody, Sending},
};

/// The room that is made for reads, in bytes.
const ROOM: usize = 64 * 1024;

/// The least room for a read, in bytes.
const LEAST_ROOM: usize = 16 * 1024;

/// The body of an answer. Where that came before the request was sent to its end, [`poll_sending`](Self::poll_sending) is what sends
/// the rest: an answer that nobody reads for a while does not hold it up, nor does the rest hold up the answer.
#[derive(Debug)]
pub struct Answer<S, B> {
    connection: Option<Connection<S>>,
    left: Left,
    /// The connection can be used again when the body was read.
    keeps_alive: bool,
    /// What was read and not passed on yet.
    rest: Bytes,
    input: BytesMut,
    /// Why there is no more of it, to be told once what came before was passed on.
    error: Option<Error>,
    /// What is still to be sent of the request; seldom anything.
    sending: Option<Box<Sending<B>>>,
}

/// What is left of a body.
#[derive(Debug)]
enum Left {
    Length(u64),
    Chunks(Chunks),
    /// They come behind the chunks.
    Trailers(Box<HeaderMap>),
    UntilClose,
    /// Nothing but to say so: how much there would be was not known beforehand, and whoever passes the body on frames it as it came.
    End,
    /// Nothing, as was known beforehand.
    Nothing,
}

impl Left {
    fn is_complete(&self) -> bool {
        matches!(self, Self::End | Self::Nothing)
    }
}

/// What can be done with a connection after its answer.
pub enum After<S, B> {
    /// It is ready for the next request.
    Ready(Connection<S>),
    /// The request has not been sent to its end.
    Sending(StillSending<S, B>),
}

/// A connection whose answer has come to its end before its request.
pub struct StillSending<S, B> {
    connection: Connection<S>,
    sending: Box<Sending<B>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, B: RequestBody> Answer<S, B> {
    pub(crate) fn new(
        connection: Connection<S>,
        framing: Framing,
        keeps_alive: bool,
        rest: Bytes,
        sending: Option<Sending<B>>,
    ) -> Self {
        let left = match framing {
            Framing::Length(0) => Left::Nothing,
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunks(Chunks::new()),
            Framing::UntilClose => Left::UntilClose,
        };
        Self {
            connection: Some(connection),
            left,
            keeps_alive,
            rest,
            input: BytesMut::new(),
            error: None,
            sending: sending.map(Box::new),
        }
    }

    /// Whether nothing more is to come, so that the connection can be taken.
    pub fn is_complete(&self) -> bool {
        self.left.is_complete()
    }

    /// The connection, once the answer has come to its end; `None` before that, after that, and where it cannot be used again.
    pub fn take_connection(&mut self) -> Option<After<S, B>> {
        if !self.left.is_complete() {
            return None;
        }
        let connection = self.connection.take()?;
        // What comes behind an answer belongs to none of ours.
        if !self.keeps_alive || !self.rest.is_empty() {
            return None;
        }
        Some(match self.sending.take() {
            Some(sending) => After::Sending(StillSending { connection, sending }),
            None => After::Ready(connection),
        })
    }

    /// Whether the request has not been sent to its end.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Goes on with the request; ready when nothing of it is left. One that fails now takes nothing from the answer.
    pub fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let (Some(sending), Some(connection)) = (&mut self.sending, &mut self.connection) {
            let sent = ready!(sending.poll(&mut connection.stream, cx));
            self.keeps_alive &= sent.is_ok();
        }
        self.sending = None;
        Poll::Ready(())
    }

    /// Reads what can be had; nothing at the end of the connection.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.rest)));
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(Bytes::new())) };
        if self.input.capacity() < LEAST_ROOM {
            // The memory of what has been passed on is used again where nobody holds it any more.
            self.input.reserve(ROOM);
        }
        ready!(pin!(connection.stream.read_buf(&mut self.input)).poll(cx))?;
        Poll::Ready(Ok(self.input.split().freeze()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(match &mut self.left {
            Left::Length(_) => Some(ready!(self.poll_length(cx))?),
            Left::Chunks(_) => return self.poll_chunks(cx),
            Left::Trailers(trailers) => {
                let trailers = std::mem::take(trailers);
                self.left = Left::End;
                Some(Frame::trailers(*trailers))
            }
            Left::UntilClose => {
                let data = ready!(self.poll_read(cx))?;
                if data.is_empty() {
                    self.left = Left::End;
                }
                Some(data).filter(|data| !data.is_empty()).map(Frame::data)
            }
            Left::End | Left::Nothing => None,
        }))
    }

    /// What can be had of a body whose length is known.
    fn poll_length(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Error>> {
        let mut data = ready!(self.poll_read(cx))?;
        if data.is_empty() {
            return Poll::Ready(Err(Error::EndedEarly));
        }
        if let Left::Length(left) = &mut self.left {
            let length = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
            self.rest = data.split_off(length);
            *left -= length as u64;
            if *left == 0 {
                self.left = Left::Nothing;
            }
        }
        Poll::Ready(Ok(Frame::data(data)))
    }

    /// The data of all chunks at hand as one, or the trailers, or the end.
    fn poll_chunks(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        let mut data = BytesMut::new();
        while data.len() < ROOM {
            match self.poll_read(cx) {
                Poll::Pending if data.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(read) => {
                    if let Err(error) = read.and_then(|input| self.take_apart(input, &mut data)) {
                        self.error = Some(error);
                        break;
                    }
                }
            }
            if !matches!(self.left, Left::Chunks(_)) {
                break;
            }
        }
        match data.is_empty() {
            true => self.poll_next(cx),
            false => Poll::Ready(Ok(Some(Frame::data(data.freeze())))),
        }
    }

    /// Moves the data of the chunks in `input` to `data`.
    fn take_apart(&mut self, input: Bytes, data: &mut BytesMut) -> Result<(), Error> {
        let Left::Chunks(chunks) = &mut self.left else { return Ok(()) };
        if input.is_empty() {
            return Err(Error::EndedEarly);
        }
        self.rest = input;
        data.reserve(self.rest.len());
        chunks.read(&mut self.rest, data)?;
        if chunks.is_end() {
            self.left = chunks.take_trailers()?.map_or(Left::End, |trailers| Left::Trailers(trailers.into()));
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, B: RequestBody> Body for Answer<S, B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        if next.is_err() {
            this.left = Left::End;
            this.keeps_alive = false;
            this.connection = None;
        }
        Poll::Ready(next.transpose())
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Length(left) => SizeHint::with_exact(left),
            Left::Nothing => SizeHint::with_exact(0),
            Left::Chunks(_) | Left::Trailers(_) | Left::UntilClose | Left::End => SizeHint::default(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, B: RequestBody> StillSending<S, B> {
    /// Sends the rest of the request; the connection, where it can be used again after that.
    pub async fn finish(mut self) -> Option<Connection<S>> {
        poll_fn(|cx| self.sending.poll(&mut self.connection.stream, cx)).await.ok()?;
        Some(self.connection)
    }
}
