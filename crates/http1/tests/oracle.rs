//! hyper's client as an oracle: whatever a server says, in whatever pieces it arrives, is read as hyper reads it. Head, reason,
//! body and trailers are the same, one is an error where the other is, and a connection is kept where hyper keeps it.

use std::{io, pin::Pin, task};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use http1::Connection;
use hyper::{client::conn::http1 as oracle, ext::ReasonPhrase};
use hyper_util::rt::TokioIo;
use proptest::{prelude::*, sample::select};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    let (head, mut body) = response.into_parts();
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
    for _ in 0..200 {
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
                    Some(http1::After::Ready(mut connection)) => connection.is_ready(),
                    Some(http1::After::Sending(_)) => panic!("the request was sent long ago"),
                    None => false,
                };
            }
            Outcome::Answered(Box::new(answered))
        }
    }
}

async fn hypers(method: &Method, stream: Scripted) -> Outcome {
    let mut http = oracle::Builder::new();
    http.max_headers(http1::MAX_HEADERS).max_buf_size(http1::MAX_HEAD);
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

fn compare(method: &Method, said: &[u8], cuts: &[usize], closes: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).expect("a runtime");
    let pieces = pieces(said, cuts);
    let (ours, theirs) = runtime.block_on(async {
        (ours(method, Scripted::new(&pieces, closes)).await, hypers(method, Scripted::new(&pieces, closes)).await)
    });
    prop_assert_eq!(ours, theirs, "{} {:?}", method, String::from_utf8_lossy(said));
    Ok(())
}

/// A head's lines and a body's, right and wrong, that make what a server says.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let interim =
        select(vec!["", "", "", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"]);
    let line = select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\n",
        "HTTP/1.1 200\r\n",
        "HTTP/1.1 200 \r\n",
        "HTTP/1.1 404 Nicht da\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 Not Modified\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 99 Low\r\n",
        "HTTP/1.1 599 High\r\n",
        "HTTP/2.0 200 OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "ICY 200 OK\r\n",
        "\r\n",
    ]);
    let header = select(vec![
        "content-length: 5\r\n",
        "content-length: 5\r\n",
        "Content-Length: 0\r\n",
        "content-length: 5, 5\r\n",
        "content-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length:\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: identity\r\n",
        "connection: close\r\n",
        "connection: keep-alive\r\n",
        "connection: Keep-Alive, x\r\n",
        "x-a: 1\r\n",
        "x-a: \t2 \r\n",
        "x-b: \u{e9}\r\n",
        "X_c:\r\n",
        "bad header: 1\r\n",
        "folded: 1\r\n 2\r\n",
        "x-d : 1\r\n",
        "no colon\r\n",
        "x-e: 1\n",
    ]);
    let body = select(vec![
        "hello",
        "hel",
        "hello, world",
        "5\r\nhello\r\n",
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
        "0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nx-sum",
        "000\r\n\r\n",
        "\r\n",
    ]);
    let headers = proptest::collection::vec(header, 0..4);
    let bodies = proptest::collection::vec(body, 0..4);
    (interim, line, headers, select(vec!["\r\n", "\r\n", "\r\n", "\n", ""]), bodies).prop_map(
        |(interim, line, headers, end, bodies)| {
            [interim, line].into_iter().chain(headers).chain([end]).chain(bodies).collect::<String>().into_bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_read_as_hyper_reads_it(
        method in select(vec![Method::GET, Method::GET, Method::POST, Method::HEAD]),
        said in said(),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
        closes in any::<bool>(),
    ) {
        compare(&method, &said, &cuts, closes)?;
    }

    #[test]
    fn a_damaged_answer_is_read_as_hyper_reads_it(
        said in said(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..3),
        cuts in proptest::collection::vec(any::<usize>(), 0..3),
        closes in any::<bool>(),
    ) {
        let mut said = said;
        for (place, byte) in damage {
            let place = place % said.len();
            said[place] = byte;
        }
        compare(&Method::GET, &said, &cuts, closes)?;
    }
}

#[test]
fn a_hundred_headers_and_a_thousand_are_read_and_more_are_not() {
    for count in [99, 100, 101, 999, 1000, 1001] {
        let warnings = "warning: 299 deprecated\r\n".repeat(count - 1);
        let said = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{warnings}\r\nhello");
        compare(&Method::GET, said.as_bytes(), &[], false).expect("the same");
    }
}
