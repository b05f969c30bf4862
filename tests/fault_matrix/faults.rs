//! The faults of the cluster, each by the name that the tables have for it: what is done to a request, in place of the right
//! answer to it.

use std::{io::Write, sync::LazyLock};

use flate2::{Compression, write::GzEncoder};

/// What the cluster does, one after the other. Where none of it ends the connection, the next request is answered.
#[derive(Debug)]
pub(crate) enum Act {
    Send(Vec<u8>),
    /// A few bytes at a time.
    Drip(Vec<u8>),
    Reset,
    Close,
    /// Nothing more, and the connection stays.
    Stall,
}
use Act::{Close, Drip, Reset, Send, Stall};

/// What is done where there would be this right answer, a JSON object.
type Acts = fn(&[u8]) -> Vec<Act>;

/// Where it goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// All is right.
    Nowhere,
    /// Nobody listens.
    Refused,
    /// Connections are neither taken nor refused.
    Full,
    /// Before anything was read.
    Accepted(fn() -> Act),
    /// When the head of the request was read, and nothing of its body.
    Head(Acts),
    /// When the request was read.
    Asked(Acts),
}
use Place::{Accepted, Asked, Full, Head, Refused};

/// The names of all faults.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|(name, _)| *name)
}

/// The fault of this name.
pub(crate) fn named(name: &str) -> Place {
    let found = FAULTS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no fault is called `{name}`")).1
}

/// Whether a fault of this name shows only in the time that passes.
pub(crate) fn takes_time(name: &str) -> bool {
    name.contains("stalls")
}

/// One a line, so that they read as a table.
#[rustfmt::skip]
const FAULTS: &[(&str, Place)] = &[
    // The connection.
    ("refuses the connection", Refused),
    ("takes no connection, and refuses none", Full),
    ("closes when it accepted", Accepted(|| Close)),
    ("resets when it accepted", Accepted(|| Reset)),
    ("closes when it was asked", Asked(|_| vec![Close])),
    ("resets when it was asked", Asked(|_| vec![Reset])),
    ("closes in the head", Asked(|good| vec![Send(ok(good)[..30].to_vec()), Close])),
    ("resets in the head", Asked(|good| vec![Send(ok(good)[..30].to_vec()), Reset])),
    ("closes in the body", Asked(|good| vec![Send(all_but(9, &ok(good))), Close])),
    ("resets in the body", Asked(|good| vec![Send(all_but(9, &ok(good))), Reset])),
    ("closes behind its answer, and does not say so", Asked(|good| vec![Send(ok(good)), Close])),
    ("closes behind its answer, and says so", Asked(|good| vec![Send(respond("200 OK", "connection: close\r\n", good)), Close])),
    // Time.
    ("stalls when it accepted", Accepted(|| Stall)),
    ("stalls before the head", Asked(|_| vec![Stall])),
    ("stalls in the head", Asked(|good| vec![Send(ok(good)[..30].to_vec()), Stall])),
    ("stalls behind the head", Asked(|good| vec![Send(all_but(good.len(), &ok(good))), Stall])),
    ("stalls in the body", Asked(|good| vec![Send(all_but(9, &ok(good))), Stall])),
    ("drips head and body", Asked(|good| vec![Drip(ok(good))])),
    ("drips chunks", Asked(|good| vec![Drip(chunked("", good))])),
    // Framing.
    ("in chunks", Asked(|good| vec![Send(chunked("", good))])),
    ("in chunks, with trailers", Asked(|good| vec![Send(replaced(&chunked("", good), "\r\n0\r\n", "\r\n0\r\nx-late: 1\r\n"))])),
    ("closes before the last chunk", Asked(|good| vec![Send(all_but(5, &chunked("", good))), Close])),
    ("closes in a chunk", Asked(|good| vec![Send(all_but(15, &chunked("", good))), Close])),
    ("a chunk's size is no number", Asked(|good| vec![Send(replaced(&chunked("", good), "\r\n0\r\n", "\r\nzz\r\n")), Close])),
    ("a chunk is longer than it says", Asked(|good| vec![Send(replaced(&chunked("", good), "\r\n0\r\n", "xx\r\n0\r\n")), Close])),
    ("a chunk has 2^64 bytes", Asked(|good| vec![Send(replaced(&chunked("", good), "\r\n0\r\n", "\r\n10000000000000000\r\n")), Close])),
    ("`Content-Length` too long", Asked(|good| vec![Send(with_length(&(good.len() + 5).to_string(), good)), Close])),
    ("`Content-Length` too short", Asked(|good| vec![Send(with_length(&(good.len() - 5).to_string(), good)), Close])),
    ("`Content-Length` twice, the same", Asked(|good| vec![Send(respond("200 OK", &format!("content-length: {}\r\n", good.len()), good))])),
    ("`Content-Length` twice, not the same", Asked(|good| vec![Send(respond("200 OK", "content-length: 5\r\n", good)), Close])),
    ("`Content-Length` is no number", Asked(|good| vec![Send(with_length("many", good)), Close])),
    ("`Content-Length` is negative", Asked(|good| vec![Send(with_length("-1", good)), Close])),
    ("`Content-Length` has 30 digits", Asked(|good| vec![Send(with_length(&"9".repeat(30), good)), Close])),
    ("`Content-Length` and chunks", Asked(|good| vec![Send(chunked("content-length: 3\r\n", good))])),
    ("no length, and the end is the end", Asked(|good| vec![Send([JSON.as_bytes(), b"\r\n", good].concat()), Close])),
    ("another transfer coding", Asked(|good| vec![Send(replaced(&chunked("", good), "chunked", "gzip, chunked")), Close])),
    ("HTTP/1.0", Asked(|good| vec![Send(replaced(&ok(good), "HTTP/1.1", "HTTP/1.0")), Close])),
    // No HTTP, or more of it than there should be.
    ("another protocol", Asked(|_| vec![Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), Close])),
    ("bytes of chance", Asked(|_| vec![Send((0..=255).rev().collect()), Close])),
    ("a status of two digits", Asked(|good| vec![Send(replaced(&ok(good), " 200 ", " 20 ")), Close])),
    ("a header without a colon", Asked(|good| vec![Send(replaced(&ok(good), "\r\n", "\r\nno colon\r\n")), Close])),
    ("a head of 200 KB", Asked(|good| vec![Send(respond("200 OK", &format!("x-long: {}\r\n", "x".repeat(200_000)), good)), Close])),
    ("two answers at once", Asked(|good| vec![Send([ok(good), respond("403 Forbidden", "", b"{}")].concat())])),
    ("garbage behind the answer", Asked(|good| vec![Send([&ok(good)[..], b"\0\xff"].concat())])),
    ("`100 Continue` first", Asked(|good| vec![Send([b"HTTP/1.1 100 Continue\r\n\r\n", &ok(good)[..]].concat())])),
    ("`103 Early Hints` first", Asked(|good| vec![Send([b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", &ok(good)[..]].concat())])),
    ("a hundred `100 Continue` first", Asked(|good| vec![Send([&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100)[..], &ok(good)].concat())])),
    ("`101 Switching Protocols`", Asked(|_| vec![Send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec()), Close])),
    ("answers before it heard the body", Head(|_| vec![Send(respond("413 Payload Too Large", "", b"{\"status\":413}"))])),
    // Statuses.
    ("204", Asked(|_| vec![Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())])),
    ("302", Asked(|_| vec![Send(respond("302 Found", "location: /elsewhere\r\n", b""))])),
    ("304", Asked(|_| vec![Send(b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n".to_vec())])),
    ("400", Asked(|_| vec![Send(respond("400 Bad Request", "", b"{\"error\":{\"type\":\"parsing_exception\"},\"status\":400}"))])),
    ("401", Asked(|_| vec![Send(respond("401 Unauthorized", "www-authenticate: Basic realm=\"security\"\r\n", b"{\"status\":401}"))])),
    ("403", Asked(|_| vec![Send(respond("403 Forbidden", "", b"{\"status\":403}"))])),
    ("404", Asked(|_| vec![Send(respond("404 Not Found", "", b"{\"status\":404}"))])),
    ("429, with `Retry-After`", Asked(|_| vec![Send(respond("429 Too Many Requests", "retry-after: 7\r\n", b"{\"status\":429}"))])),
    ("429 of a circuit breaker", Asked(|_| vec![Send(respond("429 Too Many Requests", "", b"{\"error\":{\"type\":\"circuit_breaking_exception\"},\"status\":429}"))])),
    ("500", Asked(|_| vec![Send(respond("500 Internal Server Error", "", b"{\"status\":500}"))])),
    ("502 in HTML", Asked(|_| vec![Send(html("502 Bad Gateway"))])),
    ("503, with `Retry-After`", Asked(|_| vec![Send(respond("503 Service Unavailable", "retry-after: 7\r\n", b"{\"status\":503}"))])),
    ("503 in HTML", Asked(|_| vec![Send(html("503 Service Unavailable"))])),
    ("504", Asked(|_| vec![Send(html("504 Gateway Timeout"))])),
    ("200 in HTML", Asked(|_| vec![Send(html("200 OK"))])),
    // Bodies.
    ("nothing in it", Asked(|_| vec![Send(ok(b""))])),
    ("`null`", Asked(|_| vec![Send(ok(b"null"))])),
    ("an empty object", Asked(|_| vec![Send(ok(b"{}"))])),
    ("half of the JSON", Asked(|good| vec![Send(ok(&good[..good.len() / 2]))])),
    ("the JSON twice", Asked(|good| vec![Send(ok(&[good, good].concat()))])),
    ("a NUL behind the JSON", Asked(|good| vec![Send(ok(&[good, b"\0"].concat()))])),
    ("a byte order mark", Asked(|good| vec![Send(ok(&[b"\xef\xbb\xbf", good].concat()))])),
    ("UTF-16", Asked(|good| vec![Send(ok(&good.iter().flat_map(|byte| [0, *byte]).collect::<Vec<u8>>()))])),
    ("100,000 arrays in each other", Asked(|good| vec![Send(ok(&took(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes(), good)))])),
    ("a number beyond all bounds", Asked(|good| vec![Send(ok(&took(format!("{}e999999999", "9".repeat(1000)).as_bytes(), good)))])),
    ("a score beyond all bounds", Asked(|good| vec![Send(ok(&replaced(&replaced(good, "_score\":7.0", "_score\":7e999"), "score\":7.5", "score\":7e999")))])),
    ("invalid UTF-8", Asked(|good| vec![Send(ok(&took(b"\"\xff\xc0\x80\"", good)))])),
    ("invalid UTF-8 in a passage", Asked(|good| vec![Send(ok(&replaced_bytes(good, b"\"***\"", b"\"***\xff\"")))])),
    ("half of a surrogate pair in a passage", Asked(|good| vec![Send(ok(&replaced(good, "\"***\"", "\"***\\ud800\"")))])),
    ("a control character in a passage", Asked(|good| vec![Send(ok(&replaced(good, "\"***\"", "\"***\x01\"")))])),
    ("a key twice", Asked(|good| vec![Send(ok(&took(b"1,\"took\":2", good)))])),
    ("the hits twice", Asked(|good| vec![Send(ok(&[b"{\"hits\":{\"hits\":[]},\"response\":{\"docs\":[]},\"responses\":[],", &good[1..]].concat()))])),
    ("hits that are numbers", Asked(|good| vec![Send(ok(&replaced(&replaced(good, "\"hits\":[", "\"hits\":[1,"), "\"docs\":[", "\"docs\":[1,")))])),
    ("the same hit twice", Asked(|good| vec![Send(ok(&replaced(good, "id\":\"1\"", "id\":\"0\"")))])),
    ("a shard failed", Asked(|good| vec![Send(ok(&partial(good)))])),
    ("timed out", Asked(|good| vec![Send(ok(&replaced(&replaced(good, "\"timed_out\":false", "\"timed_out\":true"), "\"status\":0", "\"status\":0,\"partialResults\":true")))])),
    // Content codings and types.
    ("gzip, though nobody asked for it", Asked(|good| vec![Send(respond("200 OK", "content-encoding: gzip\r\n", &gzip(good)))])),
    ("gzip that breaks off", Asked(|good| vec![Send(respond("200 OK", "content-encoding: gzip\r\n", &all_but(6, &gzip(good))))])),
    ("gzip that is none", Asked(|good| vec![Send(respond("200 OK", "content-encoding: gzip\r\n", good))])),
    ("gzip of 64 MiB", Asked(|_| vec![Send(respond("200 OK", "content-encoding: gzip\r\n", &BOMB))])),
    ("gzip in gzip", Asked(|good| vec![Send(respond("200 OK", "content-encoding: gzip, gzip\r\n", &gzip(&gzip(good))))])),
    ("a coding that nobody knows", Asked(|good| vec![Send(respond("200 OK", "content-encoding: lzma\r\n", good))])),
    ("CBOR, as it says", Asked(|good| vec![Send(replaced(&ok(good), "/json", "/cbor"))])),
    ("no content type", Asked(|good| vec![Send(replaced(&ok(good), "content-type", "x-type"))])),
    ("3 MiB, of 2 that may be held", Asked(|good| vec![Send(ok(&[&vec![b' '; 3 << 20], good].concat()))])),
];

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b' '; 64 << 20]));

fn ok(body: &[u8]) -> Vec<u8> {
    respond("200 OK", "", body)
}

/// An answer in JSON, with these headers besides.
pub(crate) fn respond(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn html(status: &str) -> Vec<u8> {
    let answer = respond(status, "", format!("<html><h1>{status}</h1></html>").as_bytes());
    replaced(&answer, "application/json", "text/html")
}

fn with_length(length: &str, body: &[u8]) -> Vec<u8> {
    [JSON.as_bytes(), format!("content-length: {length}\r\n\r\n").as_bytes(), body].concat()
}

/// In two chunks.
fn chunked(headers: &str, body: &[u8]) -> Vec<u8> {
    let (one, other) = body.split_at(body.len() / 2);
    let head = format!("{JSON}{headers}transfer-encoding: chunked\r\n\r\n");
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    [head.as_bytes(), &chunk(one), &chunk(other), b"0\r\n\r\n"].concat()
}

/// With another value in a place that no door looks at.
fn took(value: &[u8], good: &[u8]) -> Vec<u8> {
    replaced_bytes(good, b"\"took\":1", &[b"\"took\":", value].concat())
}

fn partial(good: &[u8]) -> Vec<u8> {
    let shards = "\"timed_out\":false,\"_shards\":{\"total\":3,\"failed\":1}";
    let good = replaced(good, "\"timed_out\":false", shards);
    replaced(&good, "\"status\":0", "\"status\":0,\"partialResults\":true")
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    replaced_bytes(bytes, from.as_bytes(), to.as_bytes())
}

/// With the first place where it is found.
fn replaced_bytes(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

fn all_but(count: usize, bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - count].to_vec()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
