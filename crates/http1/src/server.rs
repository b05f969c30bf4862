//! HTTP/1.1 towards clients (RFC 9112): requests in, answers out, in their order. One future drives a connection: there is no
//! task, no timer, no channel and no lock, so a connection and the bodies of its requests stay on one thread.
//!
//! What is read, refused and written, and when a connection is kept, is what hyper's server does: `tests/server_oracle.rs` holds
//! the two against each other.

mod body;
mod error;
mod input;
mod lists;
mod output;
mod request;
mod response;

use std::{
    cell::RefCell,
    error::Error as StdError,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

pub use body::Body;
pub use error::{BodyError, Error};
pub use input::MAX_BUFFER;
use input::{Input, Reading};
use output::Output;
use request::{Head, Heads, Length, behind_empty_lines};
use response::{Asked, Framing, Size};

use crate::sending::NEVER_TRAILERS;

/// What a client begins with that speaks HTTP/2 (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often a connection goes round before others have a turn.
const ROUNDS: usize = 16;

/// The body of an answer.
pub trait ResponseBody: http_body::Body<Data: Buf, Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin {}

impl<B> ResponseBody for B where B: http_body::Body<Data: Buf, Error: Into<Box<dyn StdError + Send + Sync>>> + Unpin {}

/// A client's connection: a future that ends with it. Dropping it closes the connection, and ends the request that is open.
pub struct Serving<S, H, F, B: ResponseBody> {
    stream: S,
    /// Makes the future of an answer.
    handler: H,
    heads: Heads,
    input: Rc<RefCell<Input>>,
    asked: Asked,
    in_flight: Pin<Box<Option<F>>>,
    writing: Writing<B>,
    output: Output<B::Data>,
    /// The connection may be used for another request.
    keeps_alive: bool,
    /// No answer can follow the one that is written.
    is_last: bool,
    /// A request was answered, and none has come since.
    is_idle: bool,
    /// A map whose room is used again.
    spare: HeaderMap,
    /// The client was told so, and is heard no further.
    refused: Option<StatusCode>,
}

/// What is written at the moment.
enum Writing<B> {
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

impl<S, H, F, B> Serving<S, H, F, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: FnMut(Request<Body>) -> F,
    F: Future<Output = Response<B>>,
    B: ResponseBody,
{
    /// Serves the connection of which `read` was read already. Requests are answered by `handler`, one at a time; its future is
    /// dropped when the client goes away.
    pub fn new(stream: S, read: BytesMut, handler: H) -> Self {
        Self {
            stream,
            handler,
            heads: Heads::default(),
            input: Rc::new(RefCell::new(Input::new(read))),
            asked: Asked::nothing(),
            in_flight: Box::pin(None),
            writing: Writing::Nothing,
            output: Output::new(),
            keeps_alive: true,
            is_last: false,
            is_idle: false,
            spare: HeaderMap::new(),
            refused: None,
        }
    }

    /// Ends the connection as soon as no request is open on it. It is to be polled after that.
    pub fn graceful_shutdown(&mut self) {
        self.keeps_alive = false;
        let has_begun = {
            let input = self.input.borrow();
            input.reading != Reading::Head || !input.bytes.is_empty()
        };
        if self.is_idle || !has_begun || matches!(self.writing, Writing::Closed) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.input.borrow_mut().reading = Reading::Closed;
        self.writing = Writing::Closed;
        self.keeps_alive = false;
    }

    fn reading(&self) -> Reading {
        self.input.borrow().reading
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        for _ in 0..ROUNDS {
            let has_no_more = self.poll_read(cx)?.is_pending();
            let was_full = self.poll_answer(cx);
            let is_written = self.output.poll_write(&mut self.stream, cx)?.is_ready();
            if is_written && matches!(self.writing, Writing::Failed(_)) {
                return Poll::Ready(self.failure());
            }
            let goes_on = is_written && self.end_exchange();
            if self.reading() == Reading::Closed && matches!(self.writing, Writing::Closed) {
                return if is_written { self.poll_end(cx) } else { Poll::Pending };
            }
            let has_work = self.input.borrow().has_work(has_no_more);
            if !(goes_on || (was_full && is_written) || has_work) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn failure(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.writing, Writing::Closed) {
            Writing::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(self.refused.take().map_or(Ok(()), |status| Err(Error::Refused(status))))
    }

    /// Reads what can be read. Pending where the stream has no more, ready where it is not asked for more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        loop {
            let reading = self.reading();
            let polled = match reading {
                Reading::Head => self.poll_head(cx)?,
                Reading::Body => {
                    let mut input = self.input.borrow_mut();
                    // What comes before an answer cannot come behind its head.
                    if input.take_continue() && matches!(self.writing, Writing::Nothing) {
                        self.output.copied().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    let polled = input.poll_ahead(&mut self.stream, cx);
                    self.keeps_alive &= !input.was_left_unread();
                    polled
                }
                Reading::Complete => return self.poll_gone(cx),
                Reading::Closed => return Ok(Poll::Ready(())),
            };
            if polled.is_pending() || self.reading() == reading {
                return Ok(polled);
            }
        }
    }

    /// Notices a client that goes away while its request is being answered. What else comes is the next request.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        let mut input = self.input.borrow_mut();
        if !input.bytes.is_empty() {
            return Ok(Poll::Ready(()));
        }
        Ok(match input.poll_read(&mut self.stream, cx)? {
            Poll::Ready(0) => return Err(Error::Gone),
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        })
    }

    /// Reads a request's head, and has the request answered.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        loop {
            let mut input = self.input.borrow_mut();
            let head = match self.heads.read(&mut input.bytes, &mut self.spare) {
                Ok(None) if input.bytes.len() >= MAX_BUFFER => Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
                head => head,
            };
            match head {
                Ok(Some(head)) => {
                    drop(input);
                    self.begin_exchange(head);
                    return Ok(Poll::Ready(()));
                }
                Ok(None) => {}
                Err(status) => {
                    drop(input);
                    self.refuse(status)?;
                    return Ok(Poll::Ready(()));
                }
            }
            let read = match input.poll_read(&mut self.stream, cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(read) => read,
            };
            if matches!(read, Ok(0) | Err(_)) {
                if !behind_empty_lines(&input.bytes).is_empty() {
                    return Err(read.map_or_else(Error::Io, |_| Error::Gone));
                }
                drop(input);
                self.close();
                return Ok(Poll::Ready(()));
            }
        }
    }

    fn begin_exchange(&mut self, head: Head) {
        let Head { request, length, expects_continue, keeps_alive } = head;
        self.asked = Asked::of(&request);
        self.keeps_alive &= keeps_alive;
        self.is_idle = false;
        if Rc::strong_count(&self.input) > 1 {
            let renewed = self.input.borrow_mut().renew();
            self.input = Rc::new(RefCell::new(renewed));
        }
        let body = if length == Length::Known(0) {
            self.input.borrow_mut().reading = Reading::Complete;
            Body::empty()
        } else {
            self.input.borrow_mut().begin_body(length, expects_continue);
            Body::new(self.input.clone(), length)
        };
        let future = (self.handler)(request.map(|()| body));
        self.in_flight.set(Some(future));
    }

    /// Tells the client that what it sent is no request, and hears no more of it.
    fn refuse(&mut self, status: StatusCode) -> Result<(), Error> {
        if behind_empty_lines(&self.input.borrow().bytes).starts_with(HTTP_2_PREFACE) {
            return Err(Error::Http2);
        }
        let mut head = Response::new(()).into_parts().0;
        head.status = status;
        self.keeps_alive = false;
        let asked = self.asked.of_no_request();
        response::write(asked, &mut head, Size::Nothing, &mut self.keeps_alive, self.output.copied())?;
        self.refused = Some(status);
        self.input.borrow_mut().reading = Reading::Closed;
        self.writing = Writing::Closed;
        Ok(())
    }

    /// Has the request answered, as far as there is room for the answer. Whether there was none.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> bool {
        while self.output.has_room() {
            match &mut self.writing {
                Writing::Nothing => {
                    let Some(future) = self.in_flight.as_mut().as_pin_mut() else { return false };
                    let Poll::Ready(response) = future.poll(cx) else { return false };
                    self.in_flight.set(None);
                    self.begin_answer(response);
                }
                Writing::Body(body, _) => match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => self.push(data),
                        Err(frame) => self.end_body(frame.into_trailers().ok()),
                    },
                    Poll::Ready(Some(Err(error))) => self.writing = Writing::Failed(Error::Body(error.into())),
                    Poll::Ready(None) => self.end_body(None),
                },
                Writing::Done | Writing::Failed(_) | Writing::Closed => return false,
            }
        }
        true
    }

    fn begin_answer(&mut self, response: Response<B>) {
        let (mut head, body) = response.into_parts();
        let size = match body.is_end_stream() {
            true => Size::Nothing,
            false => body.size_hint().exact().map_or(Size::Unknown, Size::Known),
        };
        let framing = response::write(self.asked, &mut head, size, &mut self.keeps_alive, self.output.copied());
        self.is_last = !self.keeps_alive;
        self.spare = head.headers;
        self.spare.clear();
        match framing {
            Ok(Framing::Length(0)) => self.end_answer(),
            Ok(framing) => self.writing = Writing::Body(body, framing),
            Err(error) => self.writing = Writing::Failed(error),
        }
    }

    /// Takes data of the answer's body.
    fn push(&mut self, data: B::Data) {
        let Writing::Body(body, framing) = &mut self.writing else { return };
        let (is_last, length) = (body.is_end_stream(), data.remaining());
        if length == 0 {
            if is_last {
                self.end_body(None);
            }
            return;
        }
        match framing {
            Framing::Length(left) => {
                // What is too much is no part of the answer.
                let length = usize::try_from(*left).map_or(length, |left| left.min(length));
                *left -= length as u64;
                let is_short = is_last && *left > 0;
                let is_complete = *left == 0;
                self.output.push(data, length, b"");
                self.is_last |= is_short;
                if is_complete || is_short {
                    self.end_answer();
                }
            }
            Framing::Chunked(_) => {
                response::write_chunk_size(length, self.output.copied());
                self.output.push(data, length, if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" });
                if is_last {
                    self.end_answer();
                }
            }
            Framing::UntilClose => {
                self.output.push(data, length, b"");
                if is_last {
                    self.end_answer();
                }
            }
        }
    }

    /// Ends the answer's body.
    fn end_body(&mut self, trailers: Option<HeaderMap>) {
        let Writing::Body(_, framing) = std::mem::replace(&mut self.writing, Writing::Done) else { return };
        self.end_answer();
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
    fn end_answer(&mut self) {
        self.writing = if self.is_last { Writing::Closed } else { Writing::Done };
    }

    /// Makes the connection ready for its next request where this one is at its end. Whether it is.
    fn end_exchange(&mut self) -> bool {
        match (self.reading(), &self.writing) {
            (Reading::Complete, Writing::Done) if self.keeps_alive => {
                self.input.borrow_mut().reading = Reading::Head;
                self.writing = Writing::Nothing;
                self.is_idle = true;
                true
            }
            (Reading::Complete | Reading::Closed, Writing::Done | Writing::Closed) => {
                self.close();
                false
            }
            _ => false,
        }
    }
}

impl<S, H, F, B> Future for Serving<S, H, F, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: FnMut(Request<Body>) -> F,
    F: Future<Output = Response<B>>,
    B: ResponseBody,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.input.borrow_mut().runs();
        let polled = this.poll_rounds(cx);
        this.input.borrow_mut().waits(cx);
        polled
    }
}

/// Nothing in it is pinned but the handler's future, in a box of its own.
impl<S, H, F, B: ResponseBody> Unpin for Serving<S, H, F, B> {}

impl<S, H, F, B: ResponseBody> Drop for Serving<S, H, F, B> {
    fn drop(&mut self) {
        self.input.borrow_mut().close();
    }
}
