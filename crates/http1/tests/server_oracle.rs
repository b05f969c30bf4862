//! The server of this crate against hyper's, over generated requests and answers: `server_oracle` of the library says what must be
//! the same.

use http1::server_oracle::{Answer, AnswerBody, Ending, Reads, Script, compare, pieces};
use proptest::{prelude::*, sample::select};

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
        "POST _search HTTP/1.1\r\n",
        "GET a:80 HTTP/1.0\r\n",
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
        "content-length: 05\r\n",
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
        "Connection: Close\r\n",
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
        compare(&Script { pieces: pieces(&said, &cuts), closes, shuts_down, takes, answers });
    }
}
