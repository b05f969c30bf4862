//! What clients ask, drawn by chance, and what must come: every way in that the proxy has.

use bytes::Bytes;
use fastrand::Rng;
use http::Method;
use serde_json::json;

use crate::cluster::{self, Search};

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    Search,
    RemoteSearch,
    Msearch,
    Template,
    PointInTime,
    SearchWithoutRule,
    Small,
    Upload,
    Download,
    RerankCall,
    Explain,
    Metrics,
}

/// A request.
#[derive(Debug)]
pub struct Asked {
    pub door: Door,
    pub method: Method,
    pub path: String,
    pub body: Bytes,
    /// The body comes in chunks, its length unsaid.
    pub in_chunks: bool,
    pub expected: Expected,
}

impl Asked {
    /// True where the proxy holds the whole request, and may send it once more.
    pub fn is_held_search(&self) -> bool {
        matches!(self.expected, Expected::Search(_) | Expected::Searches(_))
    }
}

/// What must come where nothing goes wrong.
#[derive(Debug)]
pub enum Expected {
    Bytes(Bytes),
    Search(Search),
    Searches(Vec<Search>),
    Ranking { query: String, texts: Vec<String>, is_remote: bool },
    Explanation(Search),
    Metrics,
}

/// The next request of a client.
pub fn next(rng: &mut Rng) -> Asked {
    match rng.u8(..100) {
        0..25 => search(Door::Search, rng),
        25..35 => search(Door::RemoteSearch, rng),
        35..43 => msearch(rng),
        43..48 => template(rng),
        48..54 => point_in_time(rng),
        54..60 => search_without_rule(rng),
        60..76 => small(rng),
        76..81 => upload(rng),
        81..88 => download(rng),
        88..94 => call(rng),
        94..97 => explain(rng),
        _ => ask(Door::Metrics, Method::GET, "/_rerank/metrics".into(), Bytes::new(), Expected::Metrics),
    }
}

fn ask(door: Door, method: Method, path: String, body: impl Into<Bytes>, expected: Expected) -> Asked {
    Asked { door, method, path, body: body.into(), in_chunks: false, expected }
}

/// Many texts are asked for again and again, as people do, so that caches and pairs in flight are met; others once.
fn text(rng: &mut Rng) -> String {
    if rng.u8(..10) < 6 { format!("hot question {}", rng.u16(..300)) } else { format!("rare question {}", rng.u32(..)) }
}

fn search_of(indices: &[&str], rng: &mut Rng) -> Search {
    let index = indices[rng.usize(..indices.len())].to_owned();
    let (from, size) = [(0, 10), (0, 20), (0, 30), (10, 10), (15, 10), (30, 5)][rng.usize(..6)];
    Search { index, text: text(rng), from, size, in_point_in_time: false }
}

const RERANKED: [&str; 4] = ["kept-0", "kept-1", "scored-0", "scored-1"];

fn query(search: &Search) -> serde_json::Value {
    json!({ "query": { "match": { "text": search.text } }, "from": search.from, "size": search.size })
}

fn search(door: Door, rng: &mut Rng) -> Asked {
    let search = search_of(if door == Door::RemoteSearch { &["remote-0"] } else { &RERANKED }, rng);
    let path = format!("/{}/_search", search.index);
    let mut asked = ask(door, Method::POST, path, query(&search).to_string(), Expected::Search(search));
    asked.in_chunks = rng.u8(..4) == 0;
    asked
}

fn msearch(rng: &mut Rng) -> Asked {
    let searches: Vec<Search> =
        (0..rng.usize(2..5)).map(|_| search_of(&[&RERANKED[..], &["remote-0", "plain-0"]].concat(), rng)).collect();
    let lines = searches.iter().map(|search| format!("{}\n{}\n", json!({ "index": search.index }), query(search)));
    let body = lines.collect::<String>();
    ask(Door::Msearch, Method::POST, "/_msearch".into(), body, Expected::Searches(searches))
}

fn template(rng: &mut Rng) -> Asked {
    let search = search_of(&RERANKED, rng);
    let body = json!({ "id": "t", "params": { "text": search.text, "from": search.from, "size": search.size } });
    let path = format!("/{}/_search/template", search.index);
    ask(Door::Template, Method::POST, path, body.to_string(), Expected::Search(search))
}

fn point_in_time(rng: &mut Rng) -> Asked {
    let mut search = search_of(&RERANKED, rng);
    let id = cluster::point_in_time(&search.index);
    if rng.bool() {
        let (path, answer) = (format!("/{}/_pit?keep_alive=1m", search.index), format!(r#"{{"id":"{id}"}}"#));
        return ask(Door::PointInTime, Method::POST, path, Bytes::new(), Expected::Bytes(answer.into()));
    }
    search.in_point_in_time = true;
    let mut body = query(&search);
    body["pit"] = json!({ "id": id });
    ask(Door::PointInTime, Method::POST, "/_search".into(), body.to_string(), Expected::Search(search))
}

/// No rule, or one in shadow: the very bytes of the cluster.
fn search_without_rule(rng: &mut Rng) -> Asked {
    let search = search_of(&["plain-0", "plain-1", "shadow-0"], rng);
    let (path, body) = (format!("/{}/_search", search.index), query(&search).to_string());
    ask(Door::SearchWithoutRule, Method::POST, path, body, Expected::Bytes(search.answer().into()))
}

fn small(rng: &mut Rng) -> Asked {
    let (method, path) = (
        [Method::GET, Method::GET, Method::PUT, Method::POST, Method::DELETE][rng.usize(..5)].clone(),
        format!("/plain-0/_doc/{}?refresh={}&%20x=./..", rng.u32(..), rng.bool()),
    );
    let body = if method == Method::GET { Bytes::new() } else { Bytes::from(text(rng)) };
    let answer = cluster::echo(&method, &path, &body);
    ask(Door::Small, method, path, body, Expected::Bytes(answer.into()))
}

fn upload(rng: &mut Rng) -> Asked {
    let body = Bytes::from(cluster::filling(&text(rng), rng.usize(1_000..300_000)));
    let answer = cluster::echo(&Method::POST, "/_bulk", &body);
    let mut asked = ask(Door::Upload, Method::POST, "/_bulk".into(), body, Expected::Bytes(answer.into()));
    asked.in_chunks = rng.bool();
    asked
}

fn download(rng: &mut Rng) -> Asked {
    let bytes = [20_000, 60_000, 300_000, 1_000_000][rng.usize(..4)];
    let path = format!("/filling/{}/{bytes}", if rng.bool() { "whole" } else { "chunked" });
    let answer = cluster::filling(&path, bytes);
    ask(Door::Download, Method::GET, path, Bytes::new(), Expected::Bytes(answer.into()))
}

fn call(rng: &mut Rng) -> Asked {
    let (query, is_remote) = (text(rng), rng.u8(..3) == 0);
    let search = Search { index: "call".into(), text: query.clone(), from: 0, size: 0, in_point_in_time: false };
    let texts: Vec<String> = (0..rng.usize(1..25)).map(|hit| cluster::passage(&search, hit)).collect();
    let model = if is_remote { "remote" } else { "local" };
    let body = json!({ "model": model, "query": query, "documents": texts });
    let path = ["/_rerank/v1/rerank", "/_rerank/v2/rerank"][rng.usize(..2)].to_owned();
    ask(Door::RerankCall, Method::POST, path, body.to_string(), Expected::Ranking { query, texts, is_remote })
}

fn explain(rng: &mut Rng) -> Asked {
    let search = search_of(&RERANKED, rng);
    let body = json!({ "path": format!("/{}/_search", search.index), "body": query(&search) });
    let expected = Expected::Explanation(search);
    ask(Door::Explain, Method::POST, "/_rerank/explain".into(), body.to_string(), expected)
}
