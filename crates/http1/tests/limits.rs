//! What an answer may have, and not a byte or a field more: its head, the extensions of its chunks, its trailers.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use http1::{Connection, Error, MAX_HEAD, MAX_HEADERS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// An answer that was read whole.
#[derive(Debug)]
struct Answered {
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// What is read of a server that says this, and then neither more nor closes the connection.
async fn read(said: &str) -> Result<Answered, Error> {
    let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
    let request = Request::new(Empty::<Bytes>::new());
    let serve = async {
        let mut asked = [0; 18];
        theirs.read_exact(&mut asked).await.expect("a request");
        // Whoever has heard too much hangs up.
        let _ = theirs.write_all(said.as_bytes()).await;
        std::future::pending::<()>().await;
    };
    let ask = async {
        let (head, body) = request.into_parts();
        let response = Connection::new(ours).exchange(&head, body).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        Ok(Answered { headers: head.headers, body: body.to_bytes(), trailers })
    };
    tokio::select! {
        biased;
        answered = ask => answered,
        () = serve => unreachable!("it waits"),
    }
}

#[tokio::test]
async fn a_head_has_up_to_a_thousand_fields() {
    for count in [100, 101, MAX_HEADERS] {
        let warnings = "warning: 299 deprecated\r\n".repeat(count - 1);
        let answered = read(&format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{warnings}\r\nok")).await;
        let answered = answered.expect("an answer");
        assert_eq!((answered.headers.len(), &answered.body[..]), (count, &b"ok"[..]));
    }
    let warnings = "warning: 299 deprecated\r\n".repeat(MAX_HEADERS);
    let answered = read(&format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{warnings}\r\nok")).await;
    assert!(matches!(answered, Err(Error::Head(httparse::Error::TooManyHeaders))), "{answered:?}");
}

#[tokio::test]
async fn a_head_is_waited_for_up_to_its_greatest_length() {
    let head = |length: usize| {
        let begin = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: ";
        format!("{begin}{}\r\n\r\n", "y".repeat(length - begin.len() - 4))
    };
    let answered = read(&(head(MAX_HEAD) + "ok")).await.expect("an answer");
    assert_eq!(answered.body, "ok");
    // It is given up though it may end one day: nothing more comes, and nobody closes the connection.
    let endless = head(2 * MAX_HEAD);
    let answered = read(&endless[..=MAX_HEAD]).await;
    assert!(matches!(answered, Err(Error::HeadTooLong)), "{answered:?}");
}

#[tokio::test]
async fn the_extensions_of_all_chunks_together_are_bounded() {
    let extended = |length: usize| {
        let of_each = length / 4;
        let chunk = format!("2;{}\r\nok\r\n", "e".repeat(of_each));
        format!("{CHUNKED}{}0;{}\r\n\r\n", chunk.repeat(3), "e".repeat(length - 3 * of_each))
    };
    let answered = read(&extended(16 * 1024)).await.expect("an answer");
    assert_eq!(answered.body, "okokok");
    let answered = read(&extended(16 * 1024 + 1)).await;
    assert!(matches!(&answered, Err(Error::Framing(what)) if what.contains("extensions")), "{answered:?}");
}

#[tokio::test]
async fn trailers_are_bounded_in_bytes_and_in_number() {
    let trailers =
        |length: usize| format!("{CHUNKED}2\r\nok\r\n0\r\nx: {}\r\n\r\n", "y".repeat(length - "x: \r\n\r\n".len()));
    let answered = read(&trailers(16 * 1024)).await.expect("an answer");
    assert_eq!(answered.trailers.expect("trailers")["x"].len(), 16 * 1024 - 7);
    let answered = read(&trailers(16 * 1024 + 1)).await;
    assert!(matches!(&answered, Err(Error::Framing(what)) if what.contains("trailers")), "{answered:?}");
    let many = |count: usize| {
        let mut said = format!("{CHUNKED}0\r\n");
        (0..count).for_each(|number| write!(said, "t{number}: 1\r\n").expect("text"));
        said + "\r\n"
    };
    let answered = read(&many(MAX_HEADERS)).await.expect("an answer");
    assert_eq!(answered.trailers.expect("trailers").len(), MAX_HEADERS);
    let answered = read(&many(MAX_HEADERS + 1)).await;
    assert!(matches!(answered, Err(Error::Head(httparse::Error::TooManyHeaders))), "{answered:?}");
}
