//! What has come from a client and was not made use of: the bytes, and how far the body is that lies in them. The connection and
//! the request's body share it; both run on one thread.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{error::BodyError, request::Length};
use crate::chunks::Chunks;

/// How many bytes of what came from a client are held at most, and so the longest head that is read.
pub const MAX_BUFFER: usize = 128 * 1024;

/// The least room for a read, in bytes.
const LEAST_ROOM: usize = 4 * 1024;

/// The room that is made for reads, in bytes: at first, and at most, where much comes at once.
const USUAL_ROOM: usize = 8 * 1024;
const MOST_ROOM: usize = 64 * 1024;

/// What is read at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A request's head, or nothing between two of them.
    Head,
    /// A request's body.
    Body,
    /// Nothing: the request is complete.
    Complete,
    /// Nothing ever again.
    Closed,
}

/// Whether the client may send the body, about which some ask (RFC 9110, section 10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoAhead {
    /// It may.
    Given,
    /// It asks, and nobody has asked for the body yet.
    Awaited,
    /// Somebody has.
    Wanted,
}

/// What is left of a body.
#[derive(Debug)]
enum Left {
    Length(u64),
    Chunks(Chunks),
}

#[derive(Debug)]
pub(super) struct Input {
    /// What was read and not taken apart.
    pub(super) bytes: BytesMut,
    /// The room to be made for the next read.
    room: usize,
    pub(super) reading: Reading,
    left: Left,
    /// What of the body is at hand: taken by the one who reads it before there is more.
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    error: Option<BodyError>,
    go_ahead: GoAhead,
    /// Nobody reads the body any more.
    is_abandoned: bool,
    /// A part of what the client sends is not read: it is not wanted, or cannot be read.
    pub(super) was_cut: bool,
    /// Who waits for more of the body.
    reader: Option<Waker>,
    /// The connection's task, which is told what becomes of the body while it does something else.
    connection: Option<Waker>,
    /// The connection's task runs, and looks at the body when its reader has had a turn.
    is_running: bool,
}

impl Input {
    /// `bytes` were read already.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self {
            bytes,
            room: USUAL_ROOM,
            reading: Reading::Head,
            left: Left::Length(0),
            data: None,
            trailers: None,
            error: None,
            go_ahead: GoAhead::Given,
            is_abandoned: false,
            was_cut: false,
            reader: None,
            connection: None,
            is_running: false,
        }
    }

    /// Reads what can be had; 0 bytes at the end of what the client says. Never more than [`MAX_BUFFER`] are held.
    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < LEAST_ROOM {
            // The memory of what has been passed on is used again where nobody holds it any more.
            self.bytes.reserve(self.room);
        }
        let room = (self.bytes.capacity() - self.bytes.len()).min(MAX_BUFFER - self.bytes.len());
        let read = ready!(pin!(stream.read_buf(&mut (&mut self.bytes).limit(room))).poll(cx))?;
        match read {
            _ if read == room => self.room = (self.room * 2).min(MOST_ROOM),
            _ if read < self.room / 4 => self.room = (self.room / 2).max(USUAL_ROOM),
            _ => {}
        }
        Poll::Ready(Ok(read))
    }

    /// The connection's task begins to run.
    pub(super) fn runs(&mut self) {
        self.is_running = true;
    }

    /// The connection's task waits, and is to be told what becomes of an open body.
    pub(super) fn waits(&mut self, cx: &Context<'_>) {
        self.is_running = false;
        if self.reading == Reading::Body && !self.connection.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.connection = Some(cx.waker().clone());
        }
    }

    /// A request with a body begins.
    pub(super) fn begin_body(&mut self, length: Length, awaits_continue: bool) {
        self.reading = Reading::Body;
        self.left = match length {
            Length::Known(length) => Left::Length(length),
            Length::Chunked => Left::Chunks(Chunks::new()),
        };
        (self.data, self.trailers, self.error, self.reader) = (None, None, None, None);
        self.go_ahead = if awaits_continue { GoAhead::Awaited } else { GoAhead::Given };
        self.is_abandoned = false;
    }

    /// Whether the connection has to see to the body again before it waits: its reader is gone, or wants more. Where the stream
    /// `has_no_more`, it is waited for already.
    pub(super) fn has_work(&self, has_no_more: bool) -> bool {
        self.reading == Reading::Body
            && match self.go_ahead {
                _ if self.is_abandoned => true,
                GoAhead::Awaited => false,
                GoAhead::Wanted => true,
                GoAhead::Given => self.data.is_none() && !has_no_more,
            }
    }

    /// The same at the beginning of the next request, where the last one's body is still in somebody's hands.
    pub(super) fn renew(&mut self) -> Self {
        Self { room: self.room, ..Self::new(std::mem::take(&mut self.bytes)) }
    }

    /// Whether the client is to be told to send the body, which it waits for. Asks once.
    pub(super) fn take_continue(&mut self) -> bool {
        let is_wanted = self.go_ahead == GoAhead::Wanted;
        if is_wanted {
            self.go_ahead = GoAhead::Given;
        }
        is_wanted
    }

    /// Reads on in the body until some of it is at hand. Pending where that takes more from the stream; ready where it is up
    /// to the reader, or the body has come to an end.
    pub(super) fn poll_ahead<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_abandoned {
            self.drain(stream, cx);
            return Poll::Ready(());
        }
        while self.reading == Reading::Body && self.go_ahead == GoAhead::Given && self.data.is_none() {
            self.take_apart();
            if self.reading == Reading::Body && self.data.is_none() {
                ready!(self.poll_more(stream, cx));
            }
        }
        self.tell_reader(cx);
        Poll::Ready(())
    }

    /// Drops what has come of a body that nobody reads. That costs little, and keeps a connection whose client has sent all
    /// of it; no more is waited for.
    fn drain<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) {
        self.data = None;
        self.take_apart();
        if self.reading == Reading::Body && self.data.is_none() && self.poll_more(stream, cx).is_ready() {
            self.take_apart();
        }
        if self.reading == Reading::Body {
            (self.reading, self.was_cut) = (Reading::Closed, true);
        }
    }

    /// Whether nobody reads the open body any more.
    pub(super) fn is_unwanted(&self) -> bool {
        self.reading == Reading::Body && self.is_abandoned
    }

    /// Whether a part of the body is still to come that nobody wants.
    pub(super) fn was_left_unread(&self) -> bool {
        self.is_abandoned && self.reading == Reading::Closed
    }

    /// Reads more of the body. Its end is an error.
    fn poll_more<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_read(stream, cx)) {
            Ok(0) => self.fail(BodyError::EndedEarly),
            Ok(_) => {}
            Err(error) => self.fail(BodyError::Io(error)),
        }
        Poll::Ready(())
    }

    /// Takes the next of the body from the bytes, as far as they go.
    fn take_apart(&mut self) {
        if self.reading != Reading::Body || self.data.is_some() || self.bytes.is_empty() {
            return;
        }
        match &mut self.left {
            Left::Length(left) => {
                let length = usize::try_from(*left).map_or(self.bytes.len(), |left| left.min(self.bytes.len()));
                self.data = Some(self.bytes.split_to(length).freeze());
                *left -= length as u64;
                if *left == 0 {
                    self.reading = Reading::Complete;
                }
            }
            Left::Chunks(chunks) => match chunks.next_data(&mut self.bytes) {
                Ok(data) if data.is_some() => self.data = data,
                Ok(_) if chunks.is_end() => match chunks.take_trailers() {
                    Ok(trailers) => (self.trailers, self.reading) = (trailers, Reading::Complete),
                    Err(error) => self.fail(error.into()),
                },
                Ok(_) => {}
                Err(error) => self.fail(error.into()),
            },
        }
    }

    fn fail(&mut self, error: BodyError) {
        self.was_cut = matches!(error, BodyError::Framing(_));
        self.error = Some(error);
        self.reading = Reading::Closed;
    }

    /// Tells the reader that there is something for it. One that runs within the connection's task has its turn anyway.
    fn tell_reader(&mut self, cx: &Context<'_>) {
        if let Some(reader) = self.reader.take()
            && !reader.will_wake(cx.waker())
        {
            reader.wake();
        }
    }

    /// The connection is gone.
    pub(super) fn close(&mut self) {
        if self.reading == Reading::Body {
            self.fail(BodyError::EndedEarly);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// For the reader: the next data or the trailers, `None` at the end.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<BodyFrame, BodyError>>> {
        match self.go_ahead {
            GoAhead::Given => self.take_apart(),
            GoAhead::Awaited | GoAhead::Wanted => self.go_ahead = GoAhead::Wanted,
        }
        let next = if let Some(data) = self.data.take() {
            Some(Ok(BodyFrame::Data(data)))
        } else if let Some(error) = self.error.take() {
            Some(Err(error))
        } else if let Some(trailers) = self.trailers.take() {
            Some(Ok(BodyFrame::Trailers(trailers)))
        } else if self.reading == Reading::Body {
            if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                self.reader = Some(cx.waker().clone());
            }
            self.tell_connection();
            return Poll::Pending;
        } else {
            None
        };
        self.tell_connection();
        Poll::Ready(next)
    }

    /// For the reader: it wants no more.
    pub(super) fn abandon(&mut self) {
        self.is_abandoned = true;
        (self.data, self.reader) = (None, None);
        self.tell_connection();
    }

    fn tell_connection(&self) {
        if !self.is_running
            && let Some(connection) = &self.connection
        {
            connection.wake_by_ref();
        }
    }
}

/// A part of a body.
pub(super) enum BodyFrame {
    Data(Bytes),
    Trailers(HeaderMap),
}
