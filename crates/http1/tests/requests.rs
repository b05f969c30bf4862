//! Requests as a server gets them, byte for byte, and what becomes of them where a server does not hear them out.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use http1::{After, Answer, Connection, Error, RequestBody};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn request<B>(method: &str, target: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

async fn exchanged<S: AsyncRead + AsyncWrite + Unpin, B: RequestBody>(
    connection: Connection<S>,
    request: Request<B>,
) -> Result<Response<Answer<S, B>>, Error> {
    let (head, body) = request.into_parts();
    connection.exchange(&head, body).await
}

fn in_frames(frames: Vec<Frame<Bytes>>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok)))
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

async fn text<B: RequestBody>(response: Response<Answer<DuplexStream, B>>) -> (String, Option<After<DuplexStream, B>>) {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.expect("a body that arrives whole").into_data().unwrap_or_default());
    }
    (String::from_utf8(text).expect("text"), body.take_connection())
}

/// The bytes of a request, by the time that a server has answered it.
async fn sent<B: RequestBody>(request: Request<B>) -> String {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    theirs.write_all(OK).await.expect("room");
    let response = exchanged(Connection::new(ours), request).await.expect("an answer");
    let (answer, after) = text(response).await;
    assert_eq!(answer, "ok");
    let Some(After::Ready(connection)) = after else { panic!("a connection that can be used again") };
    drop(connection);
    let mut sent = String::new();
    theirs.read_to_string(&mut sent).await.expect("text");
    sent
}

#[tokio::test]
async fn what_the_client_said_is_what_the_server_gets() {
    let got = sent(request(
        "GET",
        "/a%2Fb/./_search?q=%20x",
        &[("host", "a:1"), ("x-b", "1"), ("x-a", "2"), ("x-b", "3")],
        Empty::new(),
    ))
    .await;
    assert_eq!(got, "GET /a%2Fb/./_search?q=%20x HTTP/1.1\r\nhost: a:1\r\nx-b: 1\r\nx-b: 3\r\nx-a: 2\r\n\r\n");
    let got = sent(request("OPTIONS", "*", &[], Empty::new())).await;
    assert_eq!(got, "OPTIONS * HTTP/1.1\r\n\r\n");
    let got = sent(request("DELETE", "http://host?q", &[], Empty::new())).await;
    assert_eq!(got, "DELETE /?q HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn a_length_stays_where_the_client_gave_it_and_is_put_right_where_it_is_another() {
    let got = sent(request("POST", "/", &[("content-length", "0"), ("x", "1")], Empty::new())).await;
    assert_eq!(got, "POST / HTTP/1.1\r\ncontent-length: 0\r\nx: 1\r\n\r\n");
    let got = sent(request("POST", "/", &[("content-length", "3"), ("x", "1")], Full::from("abc"))).await;
    assert_eq!(got, "POST / HTTP/1.1\r\ncontent-length: 3\r\nx: 1\r\n\r\nabc");
    let got = sent(request("POST", "/", &[("content-length", "9"), ("x", "1")], Full::from("abc"))).await;
    assert_eq!(got, "POST / HTTP/1.1\r\nx: 1\r\ncontent-length: 3\r\n\r\nabc");
    let got = sent(request("POST", "/", &[("content-length", "03"), ("x", "1")], Full::from("abc"))).await;
    assert_eq!(got, "POST / HTTP/1.1\r\nx: 1\r\ncontent-length: 3\r\n\r\nabc");
    let got = sent(request("POST", "/", &[], Full::from("abc"))).await;
    assert_eq!(got, "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc");
}

#[tokio::test]
async fn a_length_that_the_server_says_twice_is_said_once_where_it_stood_first() {
    for said in
        ["content-length: 2, 2\r\nx: 1", "content-length: 02\r\nx: 1", "content-length: 2\r\nx: 1\r\ncontent-length: 2"]
    {
        for method in ["GET", "HEAD"] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(format!("HTTP/1.1 200 OK\r\n{said}\r\n\r\nok").as_bytes()).await.expect("room");
            let exchange = exchanged(Connection::new(ours), request(method, "/", &[], Empty::new()));
            let headers = exchange.await.expect("an answer").headers().clone();
            let line = |(name, value): (_, &HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
            assert_eq!(headers.iter().map(line).collect::<Vec<_>>(), ["content-length: 2", "x: 1"], "{method} {said}");
        }
    }
}

#[tokio::test]
async fn a_body_of_no_known_length_goes_in_chunks_and_trailers_go_behind_it() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    trailers.insert(HeaderName::from_static("content-length"), HeaderValue::from_static("7"));
    let large: &'static str = "0123456789abcdef".repeat(1024).leak();
    let frames = vec![data("hello"), data(""), data(large), data("!"), Frame::trailers(trailers)];
    // A length beside chunks would be another message to some servers.
    let got =
        sent(request("PUT", "/", &[("content-length", "5"), ("transfer-encoding", "chunked")], in_frames(frames)))
            .await;
    let (head, body) = got.split_once("\r\n\r\n").expect("a head");
    assert_eq!(head, "PUT / HTTP/1.1\r\ntransfer-encoding: chunked");
    assert_eq!(body, format!("5\r\nhello\r\n4000\r\n{large}\r\n1\r\n!\r\n0\r\nx-sum: 1\r\n\r\n"));
}

#[tokio::test]
async fn an_answer_before_the_end_of_a_request_is_had_at_once_and_the_rest_is_sent() {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let receiver = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let exchange = exchanged(Connection::new(ours), request("POST", "/", &[], StreamBody::new(receiver)));
    theirs.write_all(OK).await.expect("room");
    let (answer, after) = text(exchange.await.expect("an answer")).await;
    assert_eq!(answer, "ok");
    let Some(After::Sending(still)) = after else { panic!("the request is not sent to its end") };
    sender.send(Ok::<_, Infallible>(data("first"))).expect("somebody listens");
    drop(sender);
    let mut connection = still.finish().await.expect("a connection that can be used again");
    assert!(connection.is_ready());
    drop(connection);
    let mut sent = String::new();
    theirs.read_to_string(&mut sent).await.expect("text");
    assert!(sent.ends_with("5\r\nfirst\r\n0\r\n\r\n"), "{sent}");
}

#[tokio::test]
async fn an_answer_is_had_though_the_server_hears_no_more_of_the_request() {
    /// A server that has said its piece, and takes no byte.
    struct Deaf(Bytes);
    impl tokio::io::AsyncRead for Deaf {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(&std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }
    impl tokio::io::AsyncWrite for Deaf {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            // The head goes through.
            match data.starts_with(b"PUT") && !self.0.is_empty() {
                true => Poll::Ready(Ok(3)),
                false => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let ask = || request("PUT", "/", &[], Full::from("much"));
    let response = exchanged(Connection::new(Deaf(Bytes::from_static(OK))), ask()).await.expect("an answer");
    let mut body = response.into_body();
    assert_eq!((&mut body).collect().await.expect("all of it").to_bytes(), "ok");
    assert!(body.take_connection().is_none(), "half a request lies on it");
    // One that took nothing at all has not heard of the request.
    let error = exchanged(Connection::new(Deaf(Bytes::new())), ask()).await.map(drop);
    assert!(matches!(error, Err(Error::Unsent(_))), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_was_closed_or_spoken_on_is_not_ready() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut connection = Connection::new(ours);
    assert!(connection.is_ready() && connection.is_ready());
    theirs.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("room");
    assert!(!connection.is_ready());
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut connection = Connection::new(ours);
    drop(theirs);
    assert!(!connection.is_ready());
    let error = exchanged(connection, request("GET", "/", &[], Empty::new())).await.map(drop);
    assert!(matches!(error, Err(Error::Unsent(_) | Error::Closed)), "{error:?}");
}

#[tokio::test]
async fn closed_connections_are_known_for_closed_however_many_there_are() {
    // A task is told that nothing has come once it has read so often; a pool may have more than that.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut connections = Vec::new();
    for _ in 0..300 {
        connections.push(Connection::new(tokio::net::TcpStream::connect(address).await.expect("a connection")));
        drop(listener.accept().await.expect("the same connection"));
    }
    // The runtime has to have heard of each.
    for connection in &mut connections {
        while connection.is_ready() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(connections.iter_mut().filter_map(|connection| connection.is_ready().then_some(())).count(), 0);
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_read_and_what_is_none_is_found_out_early() {
    let (ours, mut theirs) = tokio::io::duplex(1);
    let exchange = exchanged(Connection::new(ours), request("GET", "/", &[], Empty::new()));
    let serve = async {
        let mut asked = [0; 18];
        theirs.read_exact(&mut asked).await.expect("a request");
        theirs.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.expect("somebody reads");
        theirs.write_all(OK).await.expect("somebody reads");
    };
    let answer = async { text(exchange.await.expect("an answer")).await.0 };
    assert_eq!(futures_util::future::join(serve, answer).await.1, "ok");
    let (ours, mut theirs) = tokio::io::duplex(1);
    let exchange = exchanged(Connection::new(ours), request("GET", "/", &[], Empty::new()));
    let serve = async {
        let mut asked = [0; 18];
        theirs.read_exact(&mut asked).await.expect("a request");
        let _ = theirs.write_all(b"SSH-2.0-OpenSSH").await;
        // It waits for what nobody will say.
        theirs
    };
    let (_theirs, answer) = futures_util::future::join(serve, exchange).await;
    assert!(matches!(answer.map(drop), Err(Error::Head(_))));
}

#[tokio::test]
async fn a_body_that_fails_or_breaks_its_word_is_the_requests_fault() {
    let failing = |frames: Vec<Result<Frame<Bytes>, &'static str>>| StreamBody::new(futures_util::stream::iter(frames));
    let (ours, _theirs) = tokio::io::duplex(1024);
    let error =
        exchanged(Connection::new(ours), request("PUT", "/", &[], failing(vec![Err("broken off")]))).await.map(drop);
    assert!(matches!(&error, Err(Error::RequestBody(cause)) if cause.to_string() == "broken off"), "{error:?}");
    for text in ["ab", "abcd"] {
        let (ours, _theirs) = tokio::io::duplex(1024);
        let body = Promised { length: 3, data: Some(Bytes::from_static(text.as_bytes())) };
        let error = exchanged(Connection::new(ours), request("PUT", "/", &[], body)).await.map(drop);
        assert!(matches!(&error, Err(Error::RequestBody(_))), "{text}: {error:?}");
    }
}

/// A body that says how long it is, rightly or not.
struct Promised {
    length: u64,
    data: Option<Bytes>,
}

impl Body for Promised {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.length)
    }
}
