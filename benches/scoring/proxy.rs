//! The whole proxy in this process, in front of a scripted engine, and its client: a search goes over HTTP as it would to
//! a cluster. Owns what the engine answers, and that only searches count whose whole window the model has scored.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rerank_proxy::{config::FlagSetting, open_models::Config, server, state::Process};
use scoring::{LocalScorer, Scorer, models::ModelFolder};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{Failure, Rate, rate, searches::Search};

/// What the engine answers, by index.
type Answers = Arc<RwLock<HashMap<String, Bytes>>>;

pub(crate) struct Proxy {
    url: String,
    client: reqwest::Client,
    answers: Answers,
}

impl Proxy {
    /// Starts an engine, and in front of it a proxy with `scorer`, which is that of the model in `folder`.
    pub(crate) async fn start(folder: &ModelFolder, window: usize, scorer: Arc<LocalScorer>) -> Result<Proxy, Failure> {
        let answers = Answers::default();
        let engine = start_engine(answers.clone()).await?;
        let setting = |path: &[&'static str], value: String| -> FlagSetting { (path.to_vec(), value, "benchmark") };
        let settings = [
            setting(&["upstream", "url"], format!("http://{engine}")),
            setting(&["models", "measured", "path"], folder.path().display().to_string()),
            setting(&["rules", "0", "index"], "*".to_owned()),
            setting(&["rules", "0", "window"], window.to_string()),
            setting(&["rules", "0", "budget"], "10m".to_owned()),
        ];
        let config = Config::load(None, [], &settings)?;
        let scorers = HashMap::from([("measured".to_owned(), scorer as Arc<dyn Scorer>)]);
        let process = Process::with_scorers(config, scorers)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(server::run(listener, process, std::future::pending()));
        Ok(Proxy { url, client: reqwest::Client::builder().no_proxy().build()?, answers })
    }

    /// Has `searches` answered, `concurrency` of them at once.
    pub(crate) async fn rate(&self, searches: Vec<Search>, concurrency: usize) -> Result<Rate, String> {
        let answers = searches.iter().map(|search| (search.id.clone(), answer(search))).collect();
        *self.answers.write().unwrap_or_else(PoisonError::into_inner) = answers;
        rate(searches, concurrency, |search| self.ask(search)).await
    }

    async fn ask(&self, search: Search) -> Result<(), String> {
        let body = json!({ "query": { "match": { "text": search.query } } }).to_string();
        let request = self.client.post(format!("{}/{}/_search", self.url, search.id));
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| error.to_string())?;
        let outcome =
            response.headers().get("x-rerank").and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
        let answer = response.bytes().await.map_err(|error| error.to_string())?;
        let window = search.passages.len();
        let wanted = format!("; window={window}; scored={window}; cached=0; budget-hit=?0");
        match outcome.starts_with("applied") && outcome.contains(&wanted) && answer.len() > 1000 {
            true => Ok(()),
            false => Err(format!("search {} was not reranked in full: X-Rerank: {outcome}", search.id)),
        }
    }
}

async fn start_engine(answers: Answers) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let answers = answers.clone();
            let service = service_fn(move |request| respond(request, answers.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn respond(request: Request<Incoming>, answers: Answers) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let index = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
    request.into_body().collect().await?;
    let answer = answers.read().unwrap_or_else(PoisonError::into_inner).get(&index).cloned();
    let mut response = Response::new(Full::new(answer.unwrap_or_default()));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The whole window, in the order of the passages.
fn answer(search: &Search) -> Bytes {
    let window = search.passages.len();
    let hit = |(rank, text): (usize, &String)| {
        json!({
            "_index": search.id,
            "_id": rank.to_string(),
            "_score": (window - rank) as f64,
            "_source": { "text": text },
        })
    };
    let hits: Vec<serde_json::Value> = search.passages.iter().enumerate().map(hit).collect();
    let answer = json!({
        "took": 1,
        "timed_out": false,
        "_shards": { "total": 1, "successful": 1, "skipped": 0, "failed": 0 },
        "hits": { "total": { "value": window, "relation": "eq" }, "max_score": window as f64, "hits": hits },
    });
    answer.to_string().into()
}
