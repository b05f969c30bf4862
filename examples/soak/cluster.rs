//! The scripted cluster: what it answers is a function of the request alone, so that whoever asked can say what must come; and its nodes,
//! which can be killed, stalled and made to misbehave.

use std::{
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};
use xxhash_rust::xxh3::xxh3_64;

use crate::faults::Fault;

/// How many hits every search has.
pub const HITS: usize = 40;
/// What a node says that refuses.
pub const REFUSAL: &str =
    r#"{"error":{"root_cause":[],"type":"cluster_block_exception","reason":"soaked"},"status":503}"#;
const CHUNK: usize = 8 * 1024;

/// A search as it is asked: on an index, for a text, a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub index: String,
    pub text: String,
    pub from: usize,
    pub size: usize,
    /// On a point in time, whose id the answer has.
    pub in_point_in_time: bool,
}

/// The answer to a search, by lines: one before the hits, one for each, one behind them.
pub struct Lines {
    pub head: String,
    pub hits: Vec<String>,
    pub tail: &'static str,
}

/// The id of the point in time on an index.
pub fn point_in_time(index: &str) -> String {
    format!("pit:{index}")
}

/// The text of a hit. Plain words, so that its passage is the text itself.
pub fn passage(search: &Search, hit: usize) -> String {
    const WORDS: [&str; 16] = [
        "water", "light", "train", "garden", "winter", "kettle", "bread", "engine", "river", "window", "battery",
        "coffee", "mountain", "ticket", "salt", "paper",
    ];
    let mut rng = fastrand::Rng::with_seed(hash(&format!("{} {}", search.index, search.text)) ^ hit as u64);
    let words: Vec<&str> = (0..6 + rng.usize(..12)).map(|_| WORDS[rng.usize(..WORDS.len())]).collect();
    format!("{} {hit}", words.join(" "))
}

/// The same everywhere and at each run.
pub fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

impl Search {
    pub fn lines(&self) -> Lines {
        let id = if self.in_point_in_time {
            format!(r#""pit_id":"{}","#, point_in_time(&self.index))
        } else {
            String::new()
        };
        let head = format!(
            r#"{{{id}"took":3,"timed_out":false,"_shards":{{"total":1,"successful":1,"skipped":0,"failed":0}},"hits":{{"total":{{"value":{HITS},"relation":"eq"}},"max_score":{HITS}.5,"hits":["#
        );
        let hit = |hit: usize| {
            // Numbers, escapes and white space that come out otherwise when they are read and written again.
            format!(
                r#"{{ "_index":"{}","_id":"{hit}","_score":{}.5,"_source":{{"text" : "{}","n":[1.50,1.0e10,-0],"u":"\u00e9\/","s":{{ }}}} }}"#,
                self.index,
                HITS - hit,
                passage(self, hit)
            )
        };
        Lines {
            head,
            hits: (self.from..HITS.min(self.from + self.size)).map(hit).collect(),
            tail: r#"]},"status":200}"#,
        }
    }

    /// The whole answer; hits are divided by line ends.
    pub fn answer(&self) -> String {
        let Lines { head, hits, tail } = self.lines();
        let mut answer = head;
        for (place, hit) in hits.iter().enumerate() {
            let _ = write!(answer, "{}\n{hit}", if place == 0 { "" } else { "," });
        }
        answer + "\n" + tail
    }

    /// The search that a body spells out, with what the URL says.
    fn read(index: &str, query: &str, body: &Value) -> Self {
        let in_url = |name: &str| {
            let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
            value.and_then(|(_, value)| value.parse().ok())
        };
        let number = |name: &str, default: usize| {
            let in_body = || body[name].as_u64().map(|value| value as usize);
            in_url(name).or_else(in_body).unwrap_or(default)
        };
        let id = body["pit"]["id"].as_str().and_then(|id| id.strip_prefix("pit:"));
        Self {
            index: id.unwrap_or(index).to_owned(),
            text: body["query"]["match"]["text"].as_str().unwrap_or_default().to_owned(),
            from: number("from", 0),
            size: number("size", 10),
            in_point_in_time: id.is_some(),
        }
    }
}

/// The answer to several searches.
pub fn several(answers: &[String]) -> String {
    format!("{{\"took\":3,\"responses\":[\n{}\n]}}", answers.join("\n,\n"))
}

/// `bytes` bytes that belong to this path.
pub fn filling(path: &str, bytes: usize) -> Vec<u8> {
    let start = hash(path) as usize % 26;
    (b'a'..=b'z').cycle().skip(start).take(bytes).collect()
}

/// The answer to anything that is no search: what was asked, so that a request that arrived otherwise shows.
pub fn echo(method: &Method, path: &str, body: &[u8]) -> String {
    format!("{{ \"asked\" : \"{method} {path}\", \"bytes\":{}, \"sum\":{} }}", body.len(), xxh3_64(body))
}

/// The body of an answer, and whether it comes in chunks.
fn answer(method: &Method, path: &str, query: &str, body: &[u8]) -> (Vec<u8>, bool) {
    let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts[..] {
        [""] => (br#"{"name":"soak","version":{"number":"9.2.0"},"tagline":"You Know, for Search"}"#.to_vec(), false),
        ["_search"] => (Search::read("", query, &json()).answer().into(), false),
        [index, "_search"] => (Search::read(index, query, &json()).answer().into(), index.ends_with('1')),
        ["_msearch"] => (msearch(body).into(), false),
        ["_render", "template"] => {
            let rendered = rendered(&json());
            (serde_json::json!({ "template_output": rendered }).to_string().into(), false)
        }
        [index, "_search", "template"] => (Search::read(index, "", &rendered(&json())).answer().into(), false),
        [index, "_pit"] => (format!(r#"{{"id":"{}"}}"#, point_in_time(index)).into(), false),
        ["filling", "whole", bytes] => (filling(path, bytes.parse().unwrap_or(0)), false),
        ["filling", "chunked", bytes] => (filling(path, bytes.parse().unwrap_or(0)), true),
        _ if query.is_empty() => (echo(method, path, body).into(), false),
        _ => (echo(method, &format!("{path}?{query}"), body).into(), false),
    }
}

fn msearch(body: &[u8]) -> String {
    let lines: Vec<Value> =
        body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let search = |pair: &[Value]| {
        Search::read(pair[0]["index"].as_str().unwrap_or_default(), "", pair.get(1).unwrap_or(&Value::Null)).answer()
    };
    several(&lines.chunks(2).map(search).collect::<Vec<_>>())
}

/// The one template that there is: its parameters are the search.
fn rendered(body: &Value) -> Value {
    let given = &body["params"];
    serde_json::json!({ "query": { "match": { "text": given["text"] } }, "from": given["from"], "size": given["size"] })
}

/// A node at an address that stays.
pub struct Node {
    pub address: SocketAddr,
    mood: Arc<AtomicU8>,
    tasks: Mutex<JoinSet<()>>,
}

impl Node {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let node = Self { address: listener.local_addr()?, mood: Arc::default(), tasks: Mutex::default() };
        node.serve(listener);
        Ok(node)
    }

    fn serve(&self, listener: TcpListener) {
        let mood = self.mood.clone();
        self.tasks.lock().expect("nobody panics with it").spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        // Whoever drops it resets it, as the system does where a process is killed.
                        #[allow(deprecated, reason = "it does not linger for any time")]
                        let _ = stream.set_linger(Some(Duration::ZERO));
                        let _ = stream.set_nodelay(true);
                        let mood = mood.clone();
                        connections.spawn(async move {
                            let service = service_fn(move |request| respond(mood.clone(), request));
                            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
    }

    /// From now on it behaves so.
    pub async fn suffer(&self, fault: Fault) {
        if fault == Fault::NodeKilled {
            let mut tasks = std::mem::take(&mut *self.tasks.lock().expect("nobody panics with it"));
            tasks.shutdown().await;
        }
        self.mood.store(fault as u8, Relaxed);
    }

    pub async fn recover(&self, fault: Fault) -> Result<()> {
        self.mood.store(WELL, Relaxed);
        if fault == Fault::NodeKilled {
            // Connections that were reset leave the address free.
            self.serve(TcpListener::bind(self.address).await?);
        }
        Ok(())
    }
}

/// [`Fault::NodeKilled`] as a number: a node that runs is not killed, so that it stands for being well.
const WELL: u8 = Fault::NodeKilled as u8;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

async fn respond(mood: Arc<AtomicU8>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let is = |fault: Fault| mood.load(Relaxed) == fault as u8;
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    if is(Fault::NodeResets) {
        return Err(std::io::Error::other("reset"));
    }
    while is(Fault::NodeStalled) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if is(Fault::NodeSlow) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let response = Response::builder().header("content-type", "application/json");
    let response = response.header("x-elastic-product", "Elasticsearch").header("x-soak", head.uri.path());
    if is(Fault::NodeRefuses) {
        let body = http_body_util::Full::from(REFUSAL).map_err(never).boxed_unsync();
        return Ok(response.status(StatusCode::SERVICE_UNAVAILABLE).body(body).expect("valid parts"));
    }
    let (bytes, in_chunks) = answer(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &body);
    let cuts = is(Fault::NodeCutsAnswers);
    let length = bytes.len();
    let response = if in_chunks { response } else { response.header("content-length", length) };
    let frames = frames(Bytes::from(bytes), cuts);
    Ok(response.body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()).expect("valid parts"))
}

/// A body piece by piece; where it is cut it breaks off halfway.
fn frames(bytes: Bytes, cuts: bool) -> Vec<std::io::Result<Frame<Bytes>>> {
    let end = if cuts { bytes.len() / 2 } else { bytes.len() };
    let piece = |at: usize| Ok(Frame::data(bytes.slice(at..end.min(at + CHUNK))));
    let mut frames: Vec<_> = (0..end).step_by(CHUNK).map(piece).collect();
    if cuts {
        frames.push(Err(std::io::Error::other("cut")));
    }
    frames
}

fn never(error: Infallible) -> std::io::Error {
    match error {}
}
