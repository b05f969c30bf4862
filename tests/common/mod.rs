//! A scripted cluster and a proxy in front of it, in this process: for the faults that a real engine will not produce on
//! demand.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test file compiles this module for itself")]

pub mod program;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rerank_proxy::{config::FlagSetting, open_models::Config, server, state::Process};
use scoring::{self as scoring, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

/// A request as it arrived at the scripted cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub path_and_query: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// A cluster that answers as a closure says, and remembers what it was asked.
pub struct Cluster {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Cluster {
    pub async fn start(answer: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), seen.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (answer, log) = (answer.clone(), log.clone());
                        async move {
                            let (parts, body) = request.into_parts();
                            let seen = Seen {
                                method: parts.method.to_string(),
                                path_and_query: parts.uri.to_string(),
                                headers: parts
                                    .headers
                                    .iter()
                                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                                    .collect(),
                                body: body.collect().await?.to_bytes(),
                            };
                            let response = answer(&seen);
                            log.lock().unwrap().push(seen);
                            Ok::<_, hyper::Error>(response)
                        }
                    });
                    let mut server = auto::Builder::new(TokioExecutor::new());
                    server.http1().max_headers(1000);
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// An upstream that writes these bytes, all at once, to whoever asks anything, and hangs up.
pub async fn raw_upstream(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                stream.write_all(&answer).await.unwrap();
            });
        }
    });
    address
}

/// A search answer of `count` hits, scores falling from `count` to 1, the passage of hit `i` being `i` stars. `from` and
/// `size` of the URL are honoured.
pub fn hits(seen: &Seen, count: usize) -> Response<Full<Bytes>> {
    let number = |name: &str, default: usize| {
        let query = seen.path_and_query.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        value.map_or(default, |(_, value)| value.parse().unwrap())
    };
    let (from, size) = (number("from", 0), number("size", 10));
    let page: Vec<String> = (from..count.min(from + size))
        .map(|i| format!(r#"{{"_id":"{i}","_score":{}.0,"_source":{{"stars":"{}"}}}}"#, count - i, "*".repeat(i + 1)))
        .collect();
    json(format!(r#"{{"took":1,"hits":{{"max_score":{count}.0,"hits":[{}]}}}}"#, page.join(",")))
}

pub fn json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().header("content-type", "application/json").body(Full::new(body.into())).unwrap()
}

/// A proxy in front of `upstream`, with one rule for every index and `scorer` as its model.
pub async fn proxy(upstream: SocketAddr, settings: &[(&[&'static str], &str)], scorer: impl Scorer) -> SocketAddr {
    proxy_of(config(upstream, settings), [("m", Arc::new(scorer) as Arc<dyn Scorer>)]).await
}

/// A proxy whose rule names the models `m` and `n` in a cascade that keeps two.
pub async fn cascading_proxy(upstream: SocketAddr, first: impl Scorer, then: impl Scorer) -> SocketAddr {
    let settings: [(&[&str], &str); 5] = [
        (&["rules", "0", "model", "first"], "m"),
        (&["rules", "0", "model", "then"], "n"),
        (&["rules", "0", "model", "keep"], "2"),
        (&["rules", "0", "budget"], "10s"),
        (&["clients", "headers"], "explain, model, budget"),
    ];
    proxy_with(upstream, &settings, first, then).await
}

/// A proxy with the models `m` and `n`.
pub async fn proxy_with(
    upstream: SocketAddr,
    settings: &[(&[&'static str], &str)],
    m: impl Scorer,
    n: impl Scorer,
) -> SocketAddr {
    let second: (&[&'static str], &str) = (&["models", "n", "path"], MODEL);
    let models = [("m", Arc::new(m) as Arc<dyn Scorer>), ("n", Arc::new(n))];
    proxy_of(config(upstream, &[&[second], settings].concat()), models).await
}

/// A proxy in front of several nodes of one cluster.
pub async fn proxy_of_nodes(
    nodes: &[SocketAddr],
    settings: &[(&[&'static str], &str)],
    scorer: impl Scorer,
) -> SocketAddr {
    let urls: Vec<String> = nodes.iter().map(|node| format!("http://{node}")).collect();
    let config = config_of("urls", &urls.join(","), settings);
    proxy_of(config, [("m", Arc::new(scorer) as Arc<dyn Scorer>)]).await
}

async fn proxy_of<const N: usize>(config: Config, models: [(&str, Arc<dyn Scorer>); N]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let models: HashMap<String, _> = models.map(|(name, scorer)| (name.to_owned(), scorer)).into();
    let process = Process::with_scorers(config, models);
    tokio::spawn(server::run(listener, process.unwrap(), std::future::pending()));
    address
}

pub fn config(upstream: SocketAddr, settings: &[(&[&'static str], &str)]) -> Config {
    config_of("url", &format!("http://{upstream}"), settings)
}

fn config_of(key: &'static str, upstream: &str, settings: &[(&[&'static str], &str)]) -> Config {
    let mut flags: Vec<FlagSetting> = vec![
        (vec!["upstream", key], upstream.to_owned(), "test"),
        (vec!["models", "m", "path"], MODEL.to_owned(), "test"),
        (vec!["rules", "0", "index"], "*".to_owned(), "test"),
        (vec!["rules", "0", "window"], "5".to_owned(), "test"),
    ];
    flags.extend(settings.iter().map(|(path, text)| (path.to_vec(), (*text).to_owned(), "test")));
    Config::load(None, [], &flags).unwrap()
}

/// The longer the passage, the better; so the cluster's order comes out reversed.
pub struct Longest;

impl Scorer for Longest {
    fn score<'a>(&'a self, request: scoring::Request<'a>) -> ScoreFuture<'a> {
        let score = |passage: &String| Some(Score::fresh(passage.len() as f32, Scale::AsIs));
        let scores = request.passages.iter().map(score).collect();
        Box::pin(async { Ok(Scored { scores, budget_hit: false, shed: 0, ..Scored::default() }) })
    }

    fn readiness(&self) -> scoring::Readiness {
        scoring::Readiness::Ready
    }
}

/// The shorter the passage, the better, in logits.
pub struct Shortest;

impl Scorer for Shortest {
    fn score<'a>(&'a self, request: scoring::Request<'a>) -> ScoreFuture<'a> {
        let score = |passage: &String| Some(Score::fresh(1.0 - passage.len() as f32, Scale::Logit));
        let scores = request.passages.iter().map(score).collect();
        Box::pin(async { Ok(Scored { scores, ..Scored::default() }) })
    }

    fn readiness(&self) -> scoring::Readiness {
        scoring::Readiness::Ready
    }
}

/// A scorer that goes wrong in the way its closure says.
pub struct Faulty<F>(pub F);

impl<F, R> Scorer for Faulty<F>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Scored, ScoreError>> + Send + 'static,
{
    fn score<'a>(&'a self, _: scoring::Request<'a>) -> ScoreFuture<'a> {
        Box::pin((self.0)())
    }

    fn readiness(&self) -> scoring::Readiness {
        scoring::Readiness::Failed("faulty".to_owned())
    }
}

/// The `_id`s and `_score`s of an answer's hits.
pub fn ids_and_scores(body: &str) -> Vec<(String, f64)> {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap();
    let hits = answer["hits"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_score"].as_f64().unwrap())).collect()
}
