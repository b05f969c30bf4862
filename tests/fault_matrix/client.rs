//! A client that looks at bytes: it tells an answer that is whole from one that breaks off, and one from none.

use std::collections::BTreeMap;

use tokio::{io::AsyncReadExt, net::TcpStream};

/// What comes for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Whole(Reply),
    /// The connection ended before the body did.
    Cut(Reply),
    /// The connection ended before there was a head, or what came is none.
    Nothing,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// But for those that belong to the connection, and those by which the proxy tells what it did.
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    /// What the proxy says that it did.
    pub(crate) said: String,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
    /// The server says that the connection ends with this.
    pub(crate) is_last: bool,
}

/// How a body ends.
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// The next answer on a connection. `rest` is what was read behind the one before.
pub(crate) async fn read_answer(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Answer {
    loop {
        let Some(head) = read_head(stream, rest).await else { return Answer::Nothing };
        let Some((mut reply, framing)) = parse(&head) else { return Answer::Nothing };
        match reply.status {
            // Nobody asks for another protocol here.
            101 => return Answer::Nothing,
            100..200 => continue,
            _ => {}
        }
        let is_whole = match framing {
            Framing::Length(length) => {
                let is_whole = read_until(stream, rest, |read| read.len() >= length).await;
                reply.body = rest.drain(..length.min(rest.len())).collect();
                is_whole
            }
            Framing::Chunked => loop {
                match dechunked(rest) {
                    Chunks::Whole(body, length) => {
                        (reply.body, _) = (body, rest.drain(..length));
                        break true;
                    }
                    Chunks::Broken(body) => {
                        reply.body = body;
                        break false;
                    }
                    Chunks::More(body) => {
                        reply.body = body;
                        if stream.read_buf(rest).await.unwrap_or(0) == 0 {
                            break false;
                        }
                    }
                }
            },
            Framing::UntilClose => {
                read_until(stream, rest, |_| false).await;
                reply.body = std::mem::take(rest);
                reply.is_last = true;
                true
            }
        };
        return if is_whole { Answer::Whole(reply) } else { Answer::Cut(reply) };
    }
}

async fn read_until(stream: &mut TcpStream, read: &mut Vec<u8>, is_enough: impl Fn(&[u8]) -> bool) -> bool {
    while !is_enough(read) {
        if stream.read_buf(read).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

/// `None` where there is none, or one that is longer than anybody takes.
async fn read_head(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<String> {
    let end = |read: &[u8]| read.windows(4).position(|window| window == b"\r\n\r\n");
    while end(read).is_none() {
        if read.len() > 128 * 1024 || stream.read_buf(read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let head = read.drain(..end(read)? + 4).collect();
    String::from_utf8(head).ok()
}

fn parse(head: &str) -> Option<(Reply, Framing)> {
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.entry(name.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
    }
    let mut taken = |name: &str| headers.remove(name).unwrap_or_default();
    let is_last = taken("connection").iter().any(|value| value == "close");
    let (coding, mut length) = (taken("transfer-encoding"), taken("content-length"));
    let said = taken("x-rerank").join(", ");
    let _ = (taken("server-timing"), taken("keep-alive"), taken("trailer"));
    length.dedup();
    let framing = match (&coding[..], &length[..]) {
        _ if status / 100 == 1 || status == 204 || status == 304 => Framing::Length(0),
        ([coding], _) if coding == "chunked" => Framing::Chunked,
        ([], [length]) => Framing::Length(length.parse().ok()?),
        ([], []) => Framing::UntilClose,
        _ => return None,
    };
    Some((Reply { status, headers, said, body: Vec::new(), is_last }, framing))
}

enum Chunks {
    /// The body, and how many bytes it took.
    Whole(Vec<u8>, usize),
    More(Vec<u8>),
    Broken(Vec<u8>),
}

fn dechunked(read: &[u8]) -> Chunks {
    let (mut body, mut at) = (Vec::new(), 0);
    let line = |at: usize| Some(at + read[at..].windows(2).position(|window| window == b"\r\n")?);
    while let Some(end) = line(at) {
        let size = std::str::from_utf8(&read[at..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return Chunks::Broken(body) };
        at = end + 2;
        if size == 0 {
            // Trailers end with an empty line.
            while let Some(end) = line(at) {
                let is_empty = end == at;
                at = end + 2;
                if is_empty {
                    return Chunks::Whole(body, at);
                }
            }
            return Chunks::More(body);
        }
        body.extend_from_slice(&read[at..read.len().min(at.saturating_add(size))]);
        if read.len() < at.saturating_add(size).saturating_add(2) {
            return Chunks::More(body);
        }
        if &read[at + size..at + size + 2] != b"\r\n" {
            return Chunks::Broken(body);
        }
        at += size + 2;
    }
    Chunks::More(body)
}
