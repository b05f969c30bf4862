//! Answers that are made up of right and wrong lines, and damaged ones, read as hyper's client reads them: `src/oracle.rs` has
//! both do it.

use http::Method;
use http1::oracle::compare;
use proptest::{prelude::*, sample::select};

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
        "content-length: 05\r\n",
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
        compare(&method, &said, &cuts, closes);
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
        compare(&Method::GET, &said, &cuts, closes);
    }
}

#[test]
fn a_hundred_headers_and_a_thousand_are_read_and_more_are_not() {
    for count in [99, 100, 101, 999, 1000, 1001] {
        let warnings = "warning: 299 deprecated\r\n".repeat(count - 1);
        let said = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{warnings}\r\nhello");
        compare(&Method::GET, said.as_bytes(), &[], false);
    }
}

#[test]
fn lengths_are_read_up_to_the_same_greatest_one() {
    for length in [u64::MAX - 3, u64::MAX - 2, u64::MAX - 1, u64::MAX] {
        let said = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhello");
        compare(&Method::GET, said.as_bytes(), &[], false);
    }
}
