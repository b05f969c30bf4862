//! A client's connection, byte for byte: what two servers could read in two ways, what is too much, and who leaves early.

use std::{cell::RefCell, convert::Infallible, fmt::Write as _, io, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use http1::{
    MAX_HEADERS,
    server::{Body, Error, MAX_BUFFER, ResponseBody, Serving},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Answers with what was asked.
async fn echo(request: Request<Body>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => format!("({error})"),
    };
    Response::new(Full::from(format!("{} {} {body}", head.method, head.uri)))
}

/// Serves until the connection ends or nothing more happens. How it ended, where it did.
async fn until_settled<H, F, B>(serving: &mut Serving<DuplexStream, H, F, B>) -> Option<Result<(), Error>>
where
    H: FnMut(Request<Body>) -> F,
    F: Future<Output = Response<B>>,
    B: ResponseBody,
{
    for _ in 0..100 {
        if let std::task::Poll::Ready(ended) = futures_util::poll!(&mut *serving) {
            return Some(ended);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// What a client gets that says this and stays, and whether the connection is kept.
async fn answers(said: &str) -> (String, bool) {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    theirs.write_all(said.as_bytes()).await.expect("room");
    let mut serving = Serving::new(ours, BytesMut::new(), echo).with_linger(Duration::ZERO);
    let is_kept = until_settled(&mut serving).await.is_none();
    drop(serving);
    let mut got = String::new();
    theirs.read_to_string(&mut got).await.expect("text");
    (got, is_kept)
}

const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_in_one_piece_and_in_many() {
    let head = |cookie: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "c".repeat(cookie));
    for (cookie, piece, status) in [(3000, 8192, "200"), (5000, 8192, "431"), (5000, 100, "431"), (3000, 100, "200")] {
        let (ours, mut client) = tokio::io::duplex(64 * 1024);
        let serving = Serving::new(ours, BytesMut::new(), echo).with_max_head(4096);
        let said = async move {
            for part in head(cookie).as_bytes().chunks(piece) {
                if client.write_all(part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let mut said = [0; 12];
            client.read_exact(&mut said).await.unwrap();
            String::from_utf8(said.to_vec()).unwrap()
        };
        // The client leaves with its answer, and the server is at its end then.
        let (_, said) = tokio::join!(serving, said);
        assert_eq!(said, format!("HTTP/1.1 {status}"), "{cookie} bytes in pieces of {piece}");
    }
}

#[tokio::test]
async fn what_two_servers_could_read_in_two_ways_is_refused() {
    for headers in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 5 5\r\n",
        "content-length:\r\n",
        "content-length: 18446744073709551621\r\n",
        "content-length : 5\r\n",
        " content-length: 5\r\n",
        "x: y\r\n content-length: 5\r\n",
        "x: y\rcontent-length: 5\r\n",
        "x: y\0\r\n",
        "content-length\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding:\r\n",
    ] {
        let said = format!("POST / HTTP/1.1\r\n{headers}\r\nhelloGET /smuggled HTTP/1.1\r\n\r\n");
        assert_eq!(answers(&said).await, (REFUSED.to_owned(), false), "{headers:?}");
    }
    let old = "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(answers(old).await, (REFUSED.to_owned(), false));
}

#[tokio::test]
async fn a_bare_host_is_no_target_but_of_connect() {
    for line in ["GET a", "DELETE idx", "POST _search", "GET a:80", "OPTIONS user@host:1"] {
        assert_eq!(answers(&format!("{line} HTTP/1.1\r\n\r\n")).await, (REFUSED.to_owned(), false), "{line}");
    }
    for line in ["CONNECT a:80", "GET http://a/b", "GET http://a", "OPTIONS *", "GET /a:80"] {
        let (got, _) = answers(&format!("{line} HTTP/1.1\r\n\r\n")).await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{line}: {got}");
    }
}

#[tokio::test]
async fn the_handler_sees_a_plain_length_and_no_word_of_whether_the_connection_is_kept() {
    for (said, seen) in [
        ("connection: keep-alive\r\nx: 1\r\ncontent-length: 03\r\ny: 2", "x: 1, content-length: 3, y: 2"),
        ("content-length: 3\r\nConnection: Close\r\nx: 1", "content-length: 3, x: 1"),
        ("content-length: 3\r\nconnection: close, x\r\nx: 1", "content-length: 3, connection: close, x, x: 1"),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(format!("POST / HTTP/1.1\r\n{said}\r\n\r\nabc").as_bytes()).await.expect("room");
        let mut serving = Serving::new(ours, BytesMut::new(), |request: Request<Body>| {
            let line = |(name, value): (_, &http::HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
            assert_eq!(request.headers().iter().map(line).collect::<Vec<_>>().join(", "), seen);
            echo(request)
        });
        let ended = until_settled(&mut serving).await;
        assert_eq!(ended.is_some(), said.to_ascii_lowercase().contains("close"), "{said}");
    }
}

#[tokio::test]
async fn a_length_of_nothing_stays_where_it_stands_and_another_is_put_right() {
    for (length, expected) in [("0", "content-length: 0\r\nx: 1\r\n\r\n"), ("5", "x: 1\r\ncontent-length: 0\r\n\r\n")] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
        let mut serving = Serving::new(ours, BytesMut::new(), |_| async move {
            let response = Response::builder().header("content-length", length).header("x", "1");
            response.body(Full::<Bytes>::default()).expect("an answer")
        });
        assert!(until_settled(&mut serving).await.is_none());
        drop(serving);
        let mut got = String::new();
        theirs.read_to_string(&mut got).await.expect("text");
        assert_eq!(got, format!("HTTP/1.1 200 OK\r\n{expected}"));
    }
}

#[tokio::test]
async fn chunks_win_over_a_length_which_the_handler_does_not_see_and_end_the_connection() {
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 1\r\ncontent-length: 1\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
    ] {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let said = format!("POST / HTTP/1.1\r\n{framing}\r\n2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
        theirs.write_all(said.as_bytes()).await.expect("room");
        let mut serving = Serving::new(ours, BytesMut::new(), |request: Request<Body>| {
            assert!(!request.headers().contains_key("content-length"), "{:?}", request.headers());
            echo(request)
        });
        assert!(matches!(until_settled(&mut serving).await, Some(Ok(()))), "{framing}");
        drop(serving);
        let mut got = String::new();
        theirs.read_to_string(&mut got).await.expect("text");
        assert_eq!(got, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nPOST / ab", "{framing}");
    }
}

#[tokio::test]
async fn a_body_in_wrong_chunks_is_no_body_and_nothing_behind_it_is_a_request() {
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: y\rz\r\n\r\n",
        "5\r\nhello\r\n0\r\n\rx",
    ] {
        let said =
            format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{chunks}GET /smuggled HTTP/1.1\r\n\r\n");
        let (got, is_kept) = answers(&said).await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("\r\n\r\nPOST / ("), "{chunks:?}: {got}");
        assert_eq!((got.matches("HTTP/1.1").count(), is_kept), (1, false), "{chunks:?}");
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let said = "\r\nPOST /1 HTTP/1.1\r\ncontent-length: 2\r\n\r\nab\r\nGET /2 HTTP/1.1\r\n\r\n\
                POST /3 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nc\r\n1\r\nd\r\n0\r\nx: y\r\n\r\nGET /4 HTTP/1.1\r\n\r\n";
    let expected = ["POST /1 ab", "GET /2 ", "POST /3 cd", "GET /4 "]
        .map(|text| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()));
    assert_eq!(answers(said).await, (expected.concat(), true));
}

#[tokio::test]
async fn a_head_has_a_thousand_headers_and_its_greatest_length_and_no_more() {
    let with = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "x-a: 1\r\n".repeat(count));
    for count in [100, 101, MAX_HEADERS] {
        let (got, is_kept) = answers(&with(count)).await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && is_kept, "{count}: {got}");
    }
    let too_large = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(answers(&with(MAX_HEADERS + 1)).await, (too_large.to_owned(), false));
    let begin = "GET / HTTP/1.1\r\nx: ";
    let endless = format!("{begin}{}", "y".repeat(MAX_BUFFER - begin.len() - 1));
    assert_eq!(answers(&endless).await, (String::new(), true));
    assert_eq!(answers(&(endless + "yy")).await, (too_large.to_owned(), false));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(usize::from(u16::MAX)));
    let too_long = "HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(answers(&long).await, (too_long.to_owned(), false));
}

#[tokio::test]
async fn the_answer_is_given_up_when_its_client_goes_away() {
    struct Dropped(Rc<RefCell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.borrow_mut() = true;
        }
    }
    let given_up = Rc::new(RefCell::new(false));
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut serving = Serving::new(ours, BytesMut::new(), |_| {
        let dropped = Dropped(given_up.clone());
        async move {
            std::future::pending::<()>().await;
            drop(dropped);
            Response::new(Full::<Bytes>::default())
        }
    });
    theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
    assert!(until_settled(&mut serving).await.is_none());
    drop(theirs);
    assert!(matches!(until_settled(&mut serving).await, Some(Err(Error::Gone))));
    drop(serving);
    assert!(*given_up.borrow());
}

#[tokio::test]
async fn who_is_answered_before_the_end_of_its_body_is_told_and_heard_out_for_a_while() {
    const BODY: usize = 1 << 20;
    for (line, status) in [("POST /", "413"), ("POST a", "400")] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut serving = Serving::new(ours, BytesMut::new(), |_| async {
            Response::builder().status(413).body(Full::<Bytes>::default()).expect("an answer")
        });
        let ended = std::pin::pin!(async { (&mut serving).await.map_err(|error| error.to_string()) });
        let client = std::pin::pin!(async {
            let head = format!("{line} HTTP/1.1\r\ncontent-length: {BODY}\r\n\r\n");
            theirs.write_all(head.as_bytes()).await.expect("somebody listens");
            // As many do, it looks for an answer when all is sent.
            theirs.write_all(&vec![b'x'; BODY]).await.expect("somebody listens");
            let mut got = String::new();
            theirs.read_to_string(&mut got).await.expect("text");
            drop(theirs);
            got
        });
        let (got, ended) = futures_util::future::join(client, ended).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")) && got.contains("connection: close\r\n"), "{got}");
        assert_eq!(ended.is_ok(), status == "413", "{ended:?}");
    }
}

#[tokio::test]
async fn who_never_ends_its_body_is_not_waited_for_for_long_nor_at_the_end_of_the_server() {
    for closes in [false, true] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let answer = |_| async { Response::new(Full::<Bytes>::default()) };
        let mut serving = Serving::new(ours, BytesMut::new(), answer).with_linger(Duration::from_millis(20));
        theirs.write_all(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n").await.expect("room");
        if closes {
            serving = serving.with_linger(Duration::from_secs(1000));
            assert!(until_settled(&mut serving).await.is_none());
            serving.graceful_shutdown();
        }
        assert!(matches!(serving.await, Ok(())), "{closes}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed_behind_whatever_it_said_next() {
    let long = format!("GET /next HTTP/1.1\r\nx: {}", "y".repeat(50_000));
    for behind in ["\r\n", "G", "GET /next HTTP/1.1\r\n\r\n", &long] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut serving = Serving::new(ours, BytesMut::new(), |_| std::future::pending::<Response<Full<Bytes>>>());
        let said = format!("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{{}}{behind}");
        for piece in said.as_bytes().chunks(1000) {
            theirs.write_all(piece).await.expect("somebody listens");
            assert!(until_settled(&mut serving).await.is_none());
        }
        drop(theirs);
        assert!(matches!(until_settled(&mut serving).await, Some(Err(Error::Gone))), "{behind:.40}");
    }
}

#[tokio::test]
async fn of_what_comes_behind_an_open_request_no_more_is_held_than_of_a_head() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let serving = Serving::new(ours, BytesMut::new(), |_| std::future::pending::<Response<Full<Bytes>>>());
    let mut serving = serving.with_max_head(20_000);
    let (_reader, mut writer) = tokio::io::split(theirs);
    let sent = Rc::new(RefCell::new(0));
    let send = async {
        loop {
            *sent.borrow_mut() += writer.write(b"GET / HTTP/1.1\r\n\r\n").await.expect("somebody listens");
        }
    };
    let mut send = std::pin::pin!(send);
    for _ in 0..3000 {
        assert!(futures_util::poll!(send.as_mut()).is_pending());
        assert!(futures_util::poll!(&mut serving).is_pending());
        tokio::task::yield_now().await;
    }
    // One read may go beyond it.
    assert!((20_000..50_000).contains(&*sent.borrow()), "{}", sent.borrow());
}

#[tokio::test]
async fn who_holds_a_body_beyond_its_answer_reads_nothing_of_the_next_request() {
    let held = Rc::new(RefCell::new(Vec::new()));
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut serving = Serving::new(ours, BytesMut::new(), |request: Request<Body>| {
        let held = held.clone();
        async move {
            let mut body = request.into_body();
            let first = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
            held.borrow_mut().push(body);
            Response::new(Full::<Bytes>::from(first))
        }
    });
    let request = |text: &str| {
        format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{text}\r\n0\r\nx-sum: {text}\r\n\r\n")
    };
    for text in ["a", "b"] {
        theirs.write_all(request(text).as_bytes()).await.expect("room");
        assert!(until_settled(&mut serving).await.is_none());
    }
    let mut got = [0; 39 * 2];
    theirs.read_exact(&mut got).await.expect("two answers");
    assert!(got.ends_with(b"content-length: 1\r\n\r\nb"));
    for (place, text) in ["a", "b"].into_iter().enumerate() {
        let mut body = held.borrow_mut().remove(0);
        let trailers = body.frame().await.expect("a frame").expect("no error").into_trailers().expect("trailers");
        assert_eq!(trailers["x-sum"], text, "{place}");
        assert!(body.frame().await.is_none());
    }
    // That they are gone changes nothing for the connection.
    theirs.write_all(request("c").as_bytes()).await.expect("room");
    assert!(until_settled(&mut serving).await.is_none());
    theirs.read_exact(&mut got[..39]).await.expect("one more");
}

#[tokio::test]
async fn a_body_that_is_cut_off_with_the_connection_is_an_error_to_who_reads_it_elsewhere() {
    let held = Rc::new(RefCell::new(None));
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut serving = Serving::new(ours, BytesMut::new(), |request: Request<Body>| {
        *held.borrow_mut() = Some(request.into_body());
        std::future::pending::<Response<Full<Bytes>>>()
    });
    theirs.write_all(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab").await.expect("room");
    assert!(until_settled(&mut serving).await.is_none());
    drop(serving);
    let mut body = held.borrow_mut().take().expect("a body");
    assert_eq!(body.frame().await.expect("a frame").expect("no error").into_data().expect("data"), "ab");
    assert!(body.frame().await.expect("not the end").is_err());
}

/// A body in chunks without an end, which counts what is taken of it.
fn endless(size: usize, taken: &Rc<RefCell<usize>>) -> impl ResponseBody + use<> {
    let taken = taken.clone();
    StreamBody::new(futures_util::stream::poll_fn(move |_| {
        *taken.borrow_mut() += size;
        std::task::Poll::Ready(Some(Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; size])))))
    }))
}

#[tokio::test]
async fn of_an_answer_that_its_client_does_not_read_little_is_held() {
    for size in [1, 1000, 20_000] {
        let taken = Rc::new(RefCell::new(0));
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut serving = Serving::new(ours, BytesMut::new(), |_| {
            let body = endless(size, &taken);
            async { Response::new(body) }
        });
        theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
        assert!(until_settled(&mut serving).await.is_none());
        assert!(*taken.borrow() <= MAX_BUFFER, "{size}: {}", taken.borrow());
    }
}

#[tokio::test]
async fn of_a_body_that_nobody_reads_little_is_held() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut serving = Serving::new(ours, BytesMut::new(), |request: Request<Body>| async move {
        let _unread = request;
        std::future::pending::<Response<Full<Bytes>>>().await
    });
    let (_reader, mut writer) = tokio::io::split(theirs);
    let sent = Rc::new(RefCell::new(0));
    let send = async {
        writer.write_all(b"POST / HTTP/1.1\r\ncontent-length: 10000000\r\n\r\n").await.expect("room");
        loop {
            *sent.borrow_mut() += writer.write(&[b'x'; 1000]).await.expect("somebody listens");
        }
    };
    let mut send = std::pin::pin!(send);
    for _ in 0..1000 {
        assert!(futures_util::poll!(send.as_mut()).is_pending());
        assert!(futures_util::poll!(&mut serving).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(*sent.borrow() <= MAX_BUFFER, "{}", sent.borrow());
}

#[tokio::test]
async fn an_answer_of_small_and_large_parts_arrives_in_order_however_little_the_client_takes() {
    let (ours, mut theirs) = tokio::io::duplex(7);
    let parts = [10, 20_000, 16_384, 16_385, 1, 100_000].map(|size: usize| vec![b'a' + (size % 23) as u8; size]);
    let mut expected = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for part in &parts {
        write!(expected, "{:X}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)).expect("room");
    }
    expected += "0\r\n\r\n";
    let serving = Serving::new(ours, BytesMut::new(), |_| {
        let frames = parts.clone().map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
        async { Response::new(StreamBody::new(futures_util::stream::iter(frames))) }
    });
    let client = async {
        theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("somebody listens");
        let mut got = vec![0; expected.len()];
        theirs.read_exact(&mut got).await.expect("an answer");
        drop(theirs);
        got
    };
    let (got, ended) = futures_util::future::join(client, serving).await;
    assert!(got == expected.as_bytes() && ended.is_ok());
}

#[tokio::test]
async fn a_body_that_breaks_off_arrives_as_far_as_it_came_and_without_an_end() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
    let mut serving = Serving::new(ours, BytesMut::new(), |_| {
        let frames = [Ok(Frame::data(Bytes::from_static(b"abc"))), Err(io::Error::other("broken off"))];
        async { Response::new(StreamBody::new(futures_util::stream::iter(frames))) }
    });
    let ended = until_settled(&mut serving).await;
    assert!(matches!(&ended, Some(Err(Error::Body(cause))) if cause.to_string() == "broken off"), "{ended:?}");
    drop(serving);
    let mut got = String::new();
    theirs.read_to_string(&mut got).await.expect("text");
    assert_eq!(got, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
}
