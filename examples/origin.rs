//! A server with fixed answers, for measuring what stands in front of it. Does nothing else: no parsing beyond what
//! framing needs, every answer ready in memory, one write each.
//!
//! - `/fixed/N`: N bytes with `Content-Length`;
//! - `/stream/N`: the same, written piece by piece, for answers that are too large to be kept;
//! - `/chunked/N`: N bytes in chunks of 8 KB, as Elasticsearch sends a large answer;
//! - `/unique-…/_search`: a search answer with 100 hits of the bundled corpus, whose passages no other path has;
//! - any other path that ends in `/_search`: a search answer with 100 hits, whatever was asked.
//!
//! Bodies of requests are read and dropped, of any size.
//!
//! `cargo run --release --example origin -- [PORT [CERTIFICATE KEY]]` prints `listening on http://127.0.0.1:PORT`, or `https` where PEM files are
//! given.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::{Arc, LazyLock},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::RwLock,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

const CHUNK_BYTES: usize = 8 * 1024;
const PIECE_BYTES: usize = 256 * 1024;
const HITS: usize = 100;

/// Answers by path, made when first asked for.
type Answers = Arc<RwLock<HashMap<String, Arc<Vec<u8>>>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(0);
    let tls = match &arguments[..] {
        [_, certificate, key] => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}://{}", if tls.is_some() { "https" } else { "http" }, listener.local_addr()?);
    let answers = Answers::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (answers, tls) = (answers.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve(tls.accept(stream).await?, answers).await,
                None => serve(stream, answers).await,
            }
        });
    }
}

fn acceptor(certificate: &str, key: &str) -> std::io::Result<TlsAcceptor> {
    let chain =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(std::io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(std::io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    Ok(TlsAcceptor::from(Arc::new(config.map_err(std::io::Error::other)?)))
}

/// Answers one request after the other until the client goes.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: Answers) -> std::io::Result<()> {
    let mut received = Vec::with_capacity(64 * 1024);
    loop {
        let head_end = loop {
            if let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&received[..head_end]).into_owned();
        let mut left = head_end + content_length(&head);
        while received.len() < left {
            left -= received.len();
            received.clear();
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        received.drain(..left);
        let path = head.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/");
        if let Some(size) = path.strip_prefix("/stream/").and_then(|size| size.parse().ok()) {
            send_in_pieces(&mut stream, size).await?;
            continue;
        }
        let answer = answer(path, &answers).await;
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
}

/// Answers with so many bytes, of which only a piece is held.
async fn send_in_pieces(stream: &mut (impl AsyncWrite + Unpin), size: usize) -> std::io::Result<()> {
    let piece = filler(size.min(PIECE_BYTES));
    stream.write_all(head("200 OK", size).as_bytes()).await?;
    let mut left = size;
    while left > 0 {
        let bytes = left.min(piece.len());
        stream.write_all(&piece[..bytes]).await?;
        left -= bytes;
    }
    stream.flush().await
}

fn content_length(head: &str) -> usize {
    let value = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    value.and_then(|(_, text)| text.trim().parse().ok()).unwrap_or(0)
}

async fn answer(path: &str, answers: &Answers) -> Arc<Vec<u8>> {
    // Nobody asks twice: remembering would only fill the memory.
    if let Some(index) = path.strip_prefix('/').and_then(|path| path.strip_suffix("/_search"))
        && index.starts_with("unique-")
    {
        return Arc::new(with_length("200 OK", unique_answer(index).as_bytes()));
    }
    if let Some(ready) = answers.read().await.get(path) {
        return ready.clone();
    }
    let made = Arc::new(make(path));
    answers.write().await.insert(path.to_owned(), made.clone());
    made
}

fn make(path: &str) -> Vec<u8> {
    if path.ends_with("/_search") {
        return with_length("200 OK", search_answer().as_bytes());
    }
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next().and_then(|size| size.parse().ok())) {
        (Some("fixed"), Some(size)) => with_length("200 OK", &filler(size)),
        (Some("chunked"), Some(size)) => chunked(&filler(size)),
        _ => with_length("404 Not Found", b"{}"),
    }
}

fn filler(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

fn head(status: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

fn with_length(status: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = head(status, body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(CHUNK_BYTES) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

/// The passages of the bundled corpus, ready to stand in JSON, without quotes.
static PASSAGES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus/passages.jsonl");
    let lines = std::fs::read_to_string(&file).expect("the corpus is part of the repository");
    let passage = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the corpus is JSON");
        let text = line["text"].to_string();
        text[1..text.len() - 1].to_owned()
    };
    lines.lines().map(passage).collect()
});

/// A search answer of [`HITS`] hits, each passage ending in `index`.
fn unique_answer(index: &str) -> String {
    let mut hasher = DefaultHasher::new();
    index.hash(&mut hasher);
    let first = hasher.finish() as usize % PASSAGES.len();
    let hit = |hit: usize| (format!("Passage {hit}"), format!("{} {index}", PASSAGES[(first + hit) % PASSAGES.len()]));
    answer_of((0..HITS).map(hit))
}

/// A search answer of [`HITS`] hits with passages of about 60 words each.
fn search_answer() -> String {
    const WORDS: [&str; 16] = [
        "water", "light", "train", "garden", "winter", "kettle", "bread", "engine", "river", "window", "battery",
        "coffee", "mountain", "ticket", "salt", "paper",
    ];
    answer_of((0..HITS).map(|hit| {
        let words: Vec<&str> = (0..60).map(|word| WORDS[(hit * 7 + word * (hit % 5 + 1)) % WORDS.len()]).collect();
        (format!("Passage {hit}"), format!("{}.", words.join(" ")))
    }))
}

/// A search answer with these titles and texts, best first.
fn answer_of(passages: impl Iterator<Item = (String, String)>) -> String {
    let mut hits = String::new();
    for (hit, (title, text)) in passages.enumerate() {
        let _ = write!(
            hits,
            r#"{}{{"_index":"passages","_id":"{hit}","_score":{:.3},"_source":{{"title":"{title}","text":"{text}"}}}}"#,
            if hit == 0 { "" } else { "," },
            f64::from(u32::try_from(HITS - hit).unwrap_or(0)) / 10.0,
        );
    }
    format!(
        r#"{{"took":3,"timed_out":false,"_shards":{{"total":1,"successful":1,"skipped":0,"failed":0}},"hits":{{"total":{{"value":{HITS},"relation":"eq"}},"max_score":10.0,"hits":[{hits}]}}}}"#
    )
}
