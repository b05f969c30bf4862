//! The scripted rerank server, which speaks TEI's API: what it says is a function of query and text, so that the order is known; and what
//! goes wrong with it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{cluster::hash, faults::Fault};

/// What the server makes of a pair, 0 to 1.
pub fn score(query: &str, text: &str) -> f64 {
    (hash(&format!("{query}\n{text}")) % 1_000_000) as f64 / 1e6
}

/// A rerank server. While it is dead it closes each connection that it takes.
pub struct RerankServer {
    pub address: SocketAddr,
    mood: Arc<AtomicU8>,
}

/// No fault that a rerank server has.
const WELL: u8 = Fault::NodeKilled as u8;

impl RerankServer {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Self { address: listener.local_addr()?, mood: Arc::new(AtomicU8::new(WELL)) };
        let mood = server.mood.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = mood.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| respond(mood.clone(), request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(server)
    }

    pub fn suffer(&self, fault: Fault) {
        self.mood.store(fault as u8, Relaxed);
    }

    pub fn recover(&self) {
        self.mood.store(WELL, Relaxed);
    }
}

async fn respond(mood: Arc<AtomicU8>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let is = |fault: Fault| mood.load(Relaxed) == fault as u8;
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    if is(Fault::ScorerDead) {
        return Err(std::io::Error::other("dead"));
    }
    if is(Fault::ScorerSlow) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (status, answer) = match is(Fault::ScorerFails) {
        true => (500, json!({ "error": "soaked" })),
        false => (200, scores(&serde_json::from_slice(&body).unwrap_or_default())),
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::from(answer.to_string())).expect("valid parts"))
}

fn scores(asked: &Value) -> Value {
    let query = asked["query"].as_str().unwrap_or_default();
    let texts = asked["texts"].as_array().into_iter().flatten().map(|text| text.as_str().unwrap_or_default());
    texts.enumerate().map(|(index, text)| json!({ "index": index, "score": score(query, text) })).collect()
}
