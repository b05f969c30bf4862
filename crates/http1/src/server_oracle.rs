//! hyper's server as an oracle: whatever a client says, in whatever pieces it arrives, and however it is answered, the client
//! gets the same bytes as from hyper, the handler sees the same requests, and the connection is kept where hyper keeps it, but for
//! what [`differences`] names. The fuzz target `http1_request` and `tests/server_oracle.rs` call it; nothing that runs in
//! production does.

mod differences;
mod script;

use std::{cell::RefCell, collections::VecDeque, convert::Infallible, io, pin::Pin, rc::Rc, task, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{ext::ReasonPhrase, server::conn::http1 as oracle, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use self::script::{Answer, AnswerBody, Ending, Reads, Script};
use self::{
    differences::{BARE_HOST, assert_refused, is_bare_host, make_alike, plain},
    script::Outcome,
};
use crate::{
    MAX_HEADERS,
    server::{MAX_BUFFER, Serving},
};

/// How many cuts are made at most: each takes turns of the runtime.
const MOST_CUTS: usize = 8;

/// Any requests, behind a line that says how they come and are answered: where they are cut into pieces, in bytes; `closes` where
/// the client closes the connection behind them; `ends` where the server is told to end in between; what the handler reads
/// (`some`, `nothing`, `holds`, else all); and its answer (`404`, `204`; `old` for HTTP/1.0; `empty`, `frames`, `trailers`, `fails`,
/// else one whose length is known), such as `5 17 closes trailers`. Words that say nothing count for nothing.
///
/// # Panics
/// Panics where hyper does otherwise.
pub fn request(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (how, said) = (String::from_utf8_lossy(&input[..line]), input.get(line + 1..).unwrap_or_default());
    let words: Vec<&str> = how.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    let reads = match () {
        () if has("some") => Reads::Some,
        () if has("nothing") => Reads::Nothing,
        () if has("holds") => Reads::Holds,
        () => Reads::All,
    };
    let frames = |ending| AnswerBody::Frames(vec![(true, b"abc".to_vec()), (false, b"de".to_vec())], ending);
    let body = match () {
        () if has("empty") => AnswerBody::Empty,
        () if has("frames") => frames(Ending::Complete),
        () if has("trailers") => frames(Ending::Trailers),
        () if has("fails") => frames(Ending::Fails),
        () => AnswerBody::Whole(b"hello".to_vec()),
    };
    let answer = Answer {
        reads,
        turns: 1,
        status: [404, 204].into_iter().find(|status| has(&status.to_string())).unwrap_or(200),
        reason: false,
        version: if has("old") { http::Version::HTTP_10 } else { http::Version::HTTP_11 },
        headers: if has("trailers") { vec![("trailer", "x-sum")] } else { Vec::new() },
        body,
    };
    let cuts: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).take(MOST_CUTS).collect();
    let shuts_down = has("ends").then_some(1);
    let pieces = pieces(said, &cuts);
    compare(&Script { pieces, closes: has("closes"), shuts_down, takes: usize::MAX, answers: vec![answer] });
}

/// A client's end of a connection.
#[derive(Debug, Default)]
struct Wire {
    /// What the server can read.
    said: VecDeque<u8>,
    /// The client says no more.
    is_closed: bool,
    /// What the server has written.
    got: Vec<u8>,
    /// How much one write takes at most.
    takes: usize,
    reader: Option<task::Waker>,
}

#[derive(Debug, Clone)]
struct Scripted(Rc<RefCell<Wire>>);

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.said.is_empty() && !wire.is_closed {
            wire.reader = Some(cx.waker().clone());
            return task::Poll::Pending;
        }
        let length = wire.said.len().min(buf.remaining());
        let read: Vec<u8> = wire.said.drain(..length).collect();
        buf.put_slice(&read);
        task::Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut task::Context<'_>, data: &[u8]) -> task::Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        let length = data.len().min(wire.takes);
        wire.got.extend_from_slice(&data[..length]);
        task::Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }
}

/// What the handlers of a connection have seen.
type Log = Rc<RefCell<Vec<String>>>;

type BoxBody = UnsyncBoxBody<Bytes, io::Error>;

impl Answer {
    fn may_break_off(&self) -> bool {
        let has_length = self.headers.iter().any(|(name, _)| *name == "content-length");
        has_length || matches!(&self.body, AnswerBody::Frames(_, Ending::Fails))
    }

    async fn respond<B>(self, request: Request<B>, log: Log) -> Response<BoxBody>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
    {
        let (head, body) = request.into_parts();
        if is_bare_host(&head) {
            log.borrow_mut().push(BARE_HOST.to_owned());
        }
        let headers = plain(head.headers);
        log.borrow_mut().push(format!("{} {} {:?} {headers:?}", head.method, head.uri, head.version));
        log.borrow_mut().push(format!("{} {:?}", body.is_end_stream(), body.size_hint().exact()));
        let held = match self.reads {
            Reads::Nothing => None,
            Reads::Holds => Some(body),
            Reads::Some => {
                read(body, 1, log).await;
                None
            }
            Reads::All => {
                read(body, usize::MAX, log).await;
                None
            }
            Reads::Elsewhere => {
                let seen = Log::default();
                drop(tokio::task::spawn_local(read(body, usize::MAX, seen.clone())));
                log.borrow_mut().push("elsewhere".to_owned());
                None
            }
        };
        for _ in 0..self.turns {
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut response = Response::new(self.body.boxed());
        *response.status_mut() = http::StatusCode::from_u16(self.status).expect("a status");
        *response.version_mut() = self.version;
        for (name, value) in self.headers {
            response.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if self.reason {
            response.extensions_mut().insert(ReasonPhrase::from_static(b"Nicht da"));
        }
        response
    }
}

async fn read<B: http_body::Body<Data = Bytes> + Unpin>(mut body: B, frames: usize, log: Log) {
    let (mut data, mut end) = (Vec::new(), "unread".to_owned());
    for _ in 0..frames {
        match body.frame().await {
            None => end = "complete".into(),
            Some(Err(_)) => end = "failed".into(),
            Some(Ok(frame)) => {
                match frame.into_data() {
                    Ok(more) => data.extend_from_slice(&more),
                    Err(frame) => end = format!("{:?}", frame.into_trailers().ok()),
                }
                continue;
            }
        }
        break;
    }
    log.borrow_mut().push(format!("{:?} {end}", String::from_utf8_lossy(&data)));
}

impl AnswerBody {
    fn boxed(self) -> BoxBody {
        match self {
            Self::Empty => http_body_util::Empty::new().map_err(never).boxed_unsync(),
            Self::Whole(data) => http_body_util::Full::from(data).map_err(never).boxed_unsync(),
            Self::Frames(frames, ending) => {
                let mut frames = VecDeque::from(frames);
                let (mut waited, mut end) = (false, Some(ending));
                let stream = futures_util::stream::poll_fn(move |cx| {
                    let waits = frames.front().map_or(end == Some(Ending::Fails), |(waits, _)| *waits);
                    if waits && !std::mem::replace(&mut waited, true) {
                        cx.waker().wake_by_ref();
                        return task::Poll::Pending;
                    }
                    waited = false;
                    let next = match frames.pop_front() {
                        Some((_, data)) => Some(Ok(Frame::data(Bytes::from(data)))),
                        None => match end.take() {
                            Some(Ending::Fails) => Some(Err(io::Error::other("broken off"))),
                            Some(Ending::Trailers) => {
                                let mut trailers = HeaderMap::new();
                                for name in ["x-sum", "x-other", "content-length"] {
                                    trailers.append(HeaderName::from_static(name), HeaderValue::from_static("7"));
                                }
                                Some(Ok(Frame::trailers(trailers)))
                            }
                            Some(Ending::Complete) | None => None,
                        },
                    };
                    task::Poll::Ready(next)
                });
                StreamBody::new(stream).boxed_unsync()
            }
        }
    }
}

fn never(error: Infallible) -> io::Error {
    match error {}
}

/// All that can happen does within these turns of the runtime, which has no clock here.
async fn settle() {
    for _ in 0..60 {
        tokio::task::yield_now().await;
    }
}

/// Plays a script to `serve`, which gives a future that serves a connection, and ends it in order when it is told to.
async fn play<F>(script: &Script, serve: impl FnOnce(Scripted, Log, Rc<RefCell<bool>>) -> F) -> Outcome
where
    F: Future<Output = bool> + 'static,
{
    let wire = Rc::new(RefCell::new(Wire { takes: script.takes, ..Wire::default() }));
    let (log, closing) = (Log::default(), Rc::new(RefCell::new(false)));
    let mut serving = tokio::task::spawn_local(serve(Scripted(wire.clone()), log.clone(), closing.clone()));
    let wake = || {
        if let Some(reader) = wire.borrow_mut().reader.take() {
            reader.wake();
        }
    };
    settle().await;
    for (place, piece) in script.pieces.iter().enumerate() {
        if script.shuts_down == Some(place) {
            *closing.borrow_mut() = true;
            wake();
            settle().await;
        }
        wire.borrow_mut().said.extend(piece);
        wake();
        settle().await;
    }
    if script.closes {
        wire.borrow_mut().is_closed = true;
        wake();
        settle().await;
    }
    let ended = match serving.is_finished() {
        true => Some((&mut serving).await.expect("no panic")),
        false => None,
    };
    serving.abort();
    settle().await;
    let got = String::from_utf8_lossy(&wire.borrow().got).into_owned();
    Outcome { got, seen: log.borrow().clone(), ended }
}

async fn ours(script: &Script) -> Outcome {
    let answers = script.answers.clone();
    play(script, |stream, log, closing| {
        let mut answers = answers.into_iter().cycle();
        let mut serving = Serving::new(stream, bytes::BytesMut::new(), move |request| {
            answers.next().expect("answers").respond(request, log.clone())
        })
        .with_linger(Duration::ZERO);
        async move {
            std::future::poll_fn(|cx| {
                if std::mem::take(&mut *closing.borrow_mut()) {
                    serving.graceful_shutdown();
                }
                Pin::new(&mut serving).poll(cx)
            })
            .await
            .is_ok()
        }
    })
    .await
}

async fn hypers(script: &Script) -> Outcome {
    let answers = script.answers.clone();
    play(script, |stream, log, closing| {
        let answers = RefCell::new(answers.into_iter().cycle());
        let service = service_fn(move |request| {
            let answer = answers.borrow_mut().next().expect("answers").respond(request, log.clone());
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut http = oracle::Builder::new();
        http.auto_date_header(false).header_read_timeout(None);
        http.max_headers(MAX_HEADERS).max_buf_size(MAX_BUFFER);
        let mut serving = http.serve_connection(TokioIo::new(stream), service);
        async move {
            std::future::poll_fn(|cx| {
                let mut serving = Pin::new(&mut serving);
                if std::mem::take(&mut *closing.borrow_mut()) {
                    serving.as_mut().graceful_shutdown();
                }
                serving.poll(cx)
            })
            .await
            .is_ok()
        }
    })
    .await
}

/// Has both play a script.
///
/// # Panics
/// Panics where they do not come to the same, but for what is said here.
pub fn compare(script: &Script) {
    let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).expect("a runtime");
    let (mut ours, mut theirs) = runtime.block_on(async { (ours(script).await, hypers(script).await) });
    make_alike(script, &mut ours);
    make_alike(script, &mut theirs);
    if let Some(place) = theirs.seen.iter().position(|seen| seen == BARE_HOST) {
        return assert_refused(script, &ours, &theirs, place);
    }
    // Of an answer whose body breaks off, hyper drops what it has not written yet; the client shall have all that came before. And
    // where an answer cannot be sent, hyper still waits for the rest of the request.
    let breaks_off = script.answers.iter().any(Answer::may_break_off) && ours.ended == Some(false);
    if breaks_off && theirs.ended != Some(true) && ours.got.starts_with(&theirs.got) {
        (theirs.got, theirs.ended) = (ours.got.clone(), ours.ended);
    }
    // Whether another task asks for the body before the answer begins is a matter of turns.
    if script.answers.iter().any(|answer| matches!(answer.reads, Reads::Elsewhere)) {
        for outcome in [&mut ours, &mut theirs] {
            outcome.got = outcome.got.replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        }
    }
    assert_eq!(ours, theirs, "{script:?}");
}

/// Cuts what a client says where `cuts` say.
pub fn pieces(said: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (said.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([said.len()]);
    let begins = [0].into_iter().chain(cuts.iter().copied());
    begins.zip(ends).map(|(from, to)| Bytes::copy_from_slice(&said[from..to])).collect()
}
