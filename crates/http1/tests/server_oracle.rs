//! hyper's server as an oracle: whatever a client says, in whatever pieces it arrives, and however it is answered, the client
//! gets the same bytes as from hyper, the handler sees the same requests, and the connection is kept where hyper keeps it.

use std::{cell::RefCell, collections::VecDeque, convert::Infallible, io, pin::Pin, rc::Rc, task};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use http1::server::{MAX_BUFFER, Serving};
use hyper::{ext::ReasonPhrase, server::conn::http1 as oracle, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::{prelude::*, sample::select};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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

/// What a handler does with a request's body.
#[derive(Debug, Clone, Copy)]
enum Reads {
    All,
    /// Its first frame.
    Some,
    /// Nothing, and drops it at once.
    Nothing,
    /// Nothing, and holds it until the answer is made.
    Holds,
    /// All, on a task of its own. What comes behind an answer's end reaches it late from hyper, or never.
    Elsewhere,
}

/// What a handler answers.
#[derive(Debug, Clone)]
struct Answer {
    reads: Reads,
    /// How many turns of the runtime it takes.
    turns: usize,
    status: u16,
    reason: bool,
    version: http::Version,
    headers: Vec<(&'static str, &'static str)>,
    body: AnswerBody,
}

#[derive(Debug, Clone)]
enum AnswerBody {
    Empty,
    /// Its length is known.
    Whole(Vec<u8>),
    /// Frames, each after a turn of the runtime where it says so.
    Frames(Vec<(bool, Vec<u8>)>, Ending),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Trailers,
    Fails,
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
        log.borrow_mut().push(format!("{} {} {:?} {:?}", head.method, head.uri, head.version, head.headers));
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

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    got: String,
    seen: Vec<String>,
    /// The connection has ended; in order, or not.
    ended: Option<bool>,
}

#[derive(Debug, Clone)]
struct Script {
    pieces: Vec<Bytes>,
    closes: bool,
    /// The server is told to end before this piece.
    shuts_down: Option<usize>,
    takes: usize,
    answers: Vec<Answer>,
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
        });
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
        http.max_headers(http1::MAX_HEADERS).max_buf_size(MAX_BUFFER);
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

fn compare(script: &Script) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).expect("a runtime");
    let (mut ours, mut theirs) = runtime.block_on(async { (ours(script).await, hypers(script).await) });
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
    prop_assert_eq!(ours, theirs, "{:?}", script);
    Ok(())
}

/// Cuts what a client says where `cuts` say.
fn pieces(said: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (said.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([said.len()]);
    let begins = [0].into_iter().chain(cuts.iter().copied());
    begins.zip(ends).map(|(from, to)| Bytes::copy_from_slice(&said[from..to])).collect()
}

/// A request's lines and its body, right and wrong.
fn request() -> impl Strategy<Value = String> {
    let line = select(vec![
        "GET / HTTP/1.1\r\n",
        "GET /a/_search?q=b HTTP/1.1\r\n",
        "POST /a%2Fb/./_search HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "PUT / HTTP/1.1\r\n",
        "HEAD / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "POST / HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "GET http://a:1/b?c HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
        "\r\nGET / HTTP/1.1\r\n",
        "\r\n\r\n\nGET / HTTP/1.1\r\n",
        "\rGET / HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "GET /\r\n",
        "G@T / HTTP/1.1\r\n",
        "GET a HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
    let line = prop_oneof![3 => Just("POST / HTTP/1.1\r\n"), 2 => Just("GET / HTTP/1.1\r\n"), 3 => line];
    let header = select(vec![
        "host: a\r\n",
        "content-length: 5\r\n",
        "content-length: 5\r\n",
        "Content-Length: 0\r\n",
        "content-length: 5, 5\r\n",
        "content-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: 18446744073709551614\r\n",
        "content-length:\r\n",
        "content-length : 5\r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding:\r\n",
        "transfer-encoding\r\n",
        "connection: close\r\n",
        "connection: keep-alive\r\n",
        "connection: Keep-Alive, x\r\n",
        "expect: 100-continue\r\n",
        "expect: 100-Continue\r\n",
        "expect: else\r\n",
        "te: trailers\r\n",
        "TE: gzip, Trailers\r\n",
        "upgrade: websocket\r\n",
        "x-a: 1\r\n",
        "x-a: \t2 \r\n",
        "x-b: \u{e9}\r\n",
        "X_c:\r\n",
        "bad header: 1\r\n",
        "folded: 1\r\n 2\r\n",
        "x-d : 1\r\n",
        "no colon\r\n",
        "x-e: 1\n",
        "x-f: 1\r2\r\n",
        "x-g: \0\r\n",
    ]);
    let framed = select(vec![
        "content-length: 5\r\n\r\nhello",
        "content-length: 5\r\n\r\nhello",
        "content-length: 5\r\nexpect: 100-continue\r\n\r\nhello",
        "te: trailers\r\n\r\n",
        "connection: keep-alive\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "\r\n",
        "\r\n",
    ]);
    let body = select(vec![
        "hello",
        "hel",
        "5\r\nhello\r\n",
        "A;name=value\r\n0123456789\r\n",
        "5 \t\r\nhello\r\n",
        "05\r\nhello\r\n",
        "5;a\nb\r\nhello\r\n",
        "5\nhello\n",
        "5\r\nhelloX",
        "g\r\n",
        "-5\r\n",
        ";\r\n",
        "fffffffffffffffff\r\n",
        "ffffffffffffffff\r\nhello",
        "0\r\n\r\n",
        "0\r\n\r\n",
        "0\r\nx-sum: 1\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nx-sum",
        "000\r\n\r\n",
        "\r\n",
    ]);
    let wild = (
        line.clone(),
        proptest::collection::vec(header.clone(), 0..4),
        select(vec!["\r\n", "\r\n", "\r\n", "\n", ""]),
        proptest::collection::vec(body, 0..3),
    )
        .prop_map(|(line, headers, end, bodies)| {
            [line].into_iter().chain(headers).chain([end]).chain(bodies).collect::<String>()
        });
    let tame = (line, proptest::collection::vec(header, 0..2), framed)
        .prop_map(|(line, headers, framed)| [line].into_iter().chain(headers).chain([framed]).collect::<String>());
    prop_oneof![wild, tame]
}

fn answer() -> impl Strategy<Value = Answer> {
    let data = || prop_oneof![4 => "[a-z]{0,12}".prop_map(String::into_bytes), 1 => (16_000usize..17_000).prop_map(|length| vec![b'x'; length])];
    let frames = (
        proptest::collection::vec((any::<bool>(), data()), 0..4),
        select(vec![Ending::Complete, Ending::Complete, Ending::Trailers, Ending::Fails]),
    );
    let body = prop_oneof![
        Just(AnswerBody::Empty),
        data().prop_map(AnswerBody::Whole),
        frames.prop_map(|(frames, ending)| AnswerBody::Frames(frames, ending)),
    ];
    let headers = select(vec![
        ("x-a", "1"),
        ("x-a", "2"),
        ("connection", "close"),
        ("connection", "keep-alive"),
        ("connection", "x"),
        ("trailer", "x-sum"),
        ("trailer", "X-Other, content-length"),
        ("date", "now"),
    ]);
    (
        select(vec![Reads::All, Reads::All, Reads::Some, Reads::Nothing, Reads::Holds, Reads::Elsewhere]),
        0usize..4,
        select(vec![200u16, 200, 200, 404, 204, 304, 599]),
        any::<bool>(),
        select(vec![http::Version::HTTP_11, http::Version::HTTP_11, http::Version::HTTP_11, http::Version::HTTP_10]),
        proptest::collection::vec(headers, 0..4),
        // A length that the handler gives; hyper trusts that it is that of a body whose length is known.
        select(vec![None, None, Some("5"), Some("0"), Some("12"), Some("x")]),
        body,
    )
        .prop_map(|(reads, turns, status, reason, version, mut headers, length, body)| {
            if let (Some(length), AnswerBody::Empty | AnswerBody::Frames(..)) = (length, &body) {
                headers.push(("content-length", length));
            }
            Answer { reads, turns, status, reason, version, headers, body }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_is_served_as_hyper_serves_it(
        said in proptest::collection::vec(request(), 1..4),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..2),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
        closes in any::<bool>(),
        shuts_down in proptest::option::weighted(0.2, 0usize..4),
        takes in select(vec![1, 100, usize::MAX, usize::MAX]),
        answers in proptest::collection::vec(answer(), 1..3),
    ) {
        let mut said = said.concat().into_bytes();
        for (place, byte) in damage {
            let place = place % said.len();
            said[place] = byte;
        }
        compare(&Script { pieces: pieces(&said, &cuts), closes, shuts_down, takes, answers })?;
    }
}
