//! hyper's client as an oracle: whatever a server says, in whatever pieces it arrives, is read as hyper reads it. Head, reason,
//! body and trailers are the same, one is an error where the other is, and a connection is kept where hyper keeps it. The fuzz
//! target `http1_answer` and `tests/oracle.rs` call it; nothing that runs in production does.

use std::{io, pin::Pin, task};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{client::conn::http1, ext::ReasonPhrase};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{After, Connection, MAX_HEAD, MAX_HEADERS, framing::one_content_length};

/// Any answer, behind a line that says how it comes: the method that it answers, where it is cut into pieces, in bytes, and
/// `closes` where the server closes the connection behind it, such as `HEAD 5 17 closes`. Words that say nothing count for
/// nothing.
///
/// # Panics
/// Panics where hyper reads it otherwise.
pub fn answer(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (how, said) = (String::from_utf8_lossy(&input[..line]), input.get(line + 1..).unwrap_or_default());
    let words: Vec<&str> = how.split_whitespace().collect();
    let method = [Method::HEAD, Method::POST].into_iter().find(|method| words.contains(&method.as_str()));
    let cuts: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).take(MOST_CUTS).collect();
    compare(&method.unwrap_or(Method::GET), said, &cuts, words.contains(&"closes"));
}

/// How many cuts are made at most: each takes turns of the runtime, and [`TURNS`] are all there are.
const MOST_CUTS: usize = 8;

/// How many turns of the runtime an exchange may take.
const TURNS: usize = 200;

/// A server that says its piece, in these pieces, once it was asked, and then either closes the connection or says nothing more.
struct Scripted {
    /// The last one first.
    pieces: Vec<Bytes>,
    closes: bool,
    /// It was sent something.
    is_asked: bool,
    reader: Option<task::Waker>,
}

impl Scripted {
    fn new(pieces: &[Bytes], closes: bool) -> Self {
        let pieces = pieces.iter().rev().filter(|piece| !piece.is_empty()).cloned().collect();
        Self { pieces, closes, is_asked: false, reader: None }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        self.reader = Some(cx.waker().clone());
        let (closes, is_asked) = (self.closes, self.is_asked);
        match self.pieces.last_mut() {
            _ if !is_asked => task::Poll::Pending,
            None if closes => task::Poll::Ready(Ok(())),
            None => task::Poll::Pending,
            Some(piece) => {
                let length = piece.len().min(buf.remaining());
                buf.put_slice(&piece.split_to(length));
                if piece.is_empty() {
                    self.pieces.pop();
                }
                task::Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut task::Context<'_>, data: &[u8]) -> task::Poll<io::Result<usize>> {
        self.is_asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        task::Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }
}

/// What became of an exchange.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// No head that could be read.
    NoAnswer,
    /// Nothing more comes, and the head is not complete.
    Waits,
    Answered(Box<Answered>),
}

#[derive(Debug, PartialEq, Eq)]
struct Answered {
    status: u16,
    version: http::Version,
    reason: Option<Vec<u8>>,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The body is complete; the connection is kept, or not.
    Complete {
        kept: bool,
    },
    Failed,
    /// Nothing more comes, and the body is not complete.
    Waits,
}

/// What has come by the time that nothing more happens.
async fn read<B>(response: Response<B>) -> (Answered, B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (mut head, mut body) = response.into_parts();
    // hyper leaves a length as it was said; one that is said twice, or with zeros before it, is passed on as one (RFC 9110, section 8.6).
    let _ = one_content_length(&mut head.headers);
    let mut answered = Answered {
        status: head.status.as_u16(),
        version: head.version,
        reason: head.extensions.get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec()),
        headers: head.headers,
        body: Vec::new(),
        trailers: None,
        end: End::Complete { kept: false },
    };
    loop {
        match settled(body.frame()).await {
            None => answered.end = End::Waits,
            Some(None) => {}
            Some(Some(Err(_))) => answered.end = End::Failed,
            Some(Some(Ok(frame))) => {
                match frame.into_data() {
                    Ok(data) => answered.body.extend_from_slice(&data),
                    Err(frame) => answered.trailers = frame.into_trailers().ok(),
                }
                continue;
            }
        }
        return (answered, body);
    }
}

/// What a future comes to; `None` where it waits for what nobody will say. All that can happen does within these turns of
/// the runtime, which has no clock here.
async fn settled<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..TURNS {
        if let task::Poll::Ready(output) = futures_util::poll!(future.as_mut()) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

fn request(method: &Method) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = method.clone();
    *request.uri_mut() = http::Uri::from_static("/a/_search?q=b");
    request.headers_mut().insert("host", http::HeaderValue::from_static("search:9200"));
    request
}

async fn ours(method: &Method, stream: Scripted) -> Outcome {
    let (head, body) = request(method).into_parts();
    let exchange = Box::pin(Connection::new(stream).exchange(&head, body));
    match settled(exchange).await {
        None => Outcome::Waits,
        Some(Err(_)) => Outcome::NoAnswer,
        Some(Ok(response)) => {
            let (mut answered, mut body) = read(response).await;
            if let End::Complete { kept } = &mut answered.end {
                *kept = match body.take_connection() {
                    Some(After::Ready(mut connection)) => connection.is_ready(),
                    Some(After::Sending(_)) => panic!("the request was sent long ago"),
                    None => false,
                };
            }
            Outcome::Answered(Box::new(answered))
        }
    }
}

async fn hypers(method: &Method, stream: Scripted) -> Outcome {
    let mut http = http1::Builder::new();
    http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.expect("a handshake is no exchange");
    let driver = tokio::task::spawn_local(async move { drop(connection.await) });
    let outcome = match settled(sender.send_request(request(method))).await {
        None => Outcome::Waits,
        Some(Err(_)) => Outcome::NoAnswer,
        Some(Ok(response)) => {
            let (mut answered, _body) = read(response).await;
            if let End::Complete { kept } = &mut answered.end {
                *kept = matches!(settled(sender.ready()).await, Some(Ok(()))) && !driver.is_finished();
            }
            Outcome::Answered(Box::new(answered))
        }
    };
    driver.abort();
    outcome
}

/// Cuts what a server says where `cuts` say.
fn pieces(said: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (said.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([said.len()]);
    let begins = [0].into_iter().chain(cuts.iter().copied());
    begins.zip(ends).map(|(from, to)| Bytes::copy_from_slice(&said[from..to])).collect()
}

/// Has both read what a server says, in pieces that end where `cuts` say, counted round where they are beyond its end; behind
/// it the server `closes` the connection, or says nothing more.
///
/// # Panics
/// Panics where they do not read the same.
pub fn compare(method: &Method, said: &[u8], cuts: &[usize], closes: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).expect("a runtime");
    let pieces = pieces(said, cuts);
    let (ours, theirs) = runtime.block_on(async {
        (ours(method, Scripted::new(&pieces, closes)).await, hypers(method, Scripted::new(&pieces, closes)).await)
    });
    assert_eq!(ours, theirs, "{method} {:?}, closes: {closes}, cuts: {cuts:?}", said.escape_ascii().to_string());
}
