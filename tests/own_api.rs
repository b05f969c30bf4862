//! Our rerank API on real models: asked by ourselves, in every API that a model may be asked through, and beside every other
//! way to the same scores.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Cluster, json};
use reqwest::{Client, Response};
use rerank_proxy::{
    config::FlagSetting,
    open_models::Config,
    server::{self, Listeners},
    state::Process,
};
use scoring::{LongPassages, Priority, Request, Score, Scorer, remote::Api};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Generous: no test waits for it unless it says so.
const PLENTY: Duration = Duration::from_mins(1);
const QUERY: &str = "how long does the battery last";
const TEXTS: [&str; 5] = [
    "The screen is bright enough for the beach.",
    "It plays music for ten hours before it needs to be charged.",
    "Batteries are not included.",
    "Zwei Jahre Garantie, auf den Akku sechs Monate.",
    "How long does the battery last? Up to ten hours.",
];

/// A setting: where it is, and its text.
type Setting<'a> = (&'a [&'static str], &'a str);

/// A proxy. One with a model in this process must be stopped: a process that ends while models are still loaded or run on its
/// other threads may crash, as ONNX Runtime takes its own state down.
struct Proxy {
    process: Arc<Process>,
    front: SocketAddr,
    api: SocketAddr,
    running: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Proxy {
    async fn start(settings: &[Setting<'_>], variables: &[(&str, &str)]) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(anywhere, settings, variables).await
    }

    /// With the rerank API's listener at `api`; every index is reranked by the model `m`.
    async fn start_at(api: SocketAddr, settings: &[Setting<'_>], variables: &[(&str, &str)]) -> Self {
        let usual: [Setting; 4] = [
            (&["rules", "0", "index"], "*"),
            (&["rules", "0", "model"], "m"),
            (&["rules", "0", "budget"], "60s"),
            (&["clients", "headers"], "explain"),
        ];
        let flag = |(path, text): &Setting| (path.to_vec(), (*text).to_owned(), "test");
        let flags: Vec<FlagSetting> = usual.iter().chain(settings).map(flag).collect();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let process = Process::start(Config::load(None, variables, &flags).unwrap()).unwrap();
        until(|| process.snapshot().scorers["m"].readiness().is_ready()).await;
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = TcpListener::bind(api).await.unwrap();
        let (running, ended) = oneshot::channel();
        let ended = async {
            let _ = ended.await;
        };
        Self {
            process: process.clone(),
            front: proxy.local_addr().unwrap(),
            api: api.local_addr().unwrap(),
            running,
            serving: tokio::spawn(server::run(Listeners { proxy, api: Some(api) }, process, ended)),
        }
    }

    /// Ends it, and waits for its models' threads.
    async fn stop(self) {
        drop(self.running);
        self.serving.await.unwrap().unwrap();
        let snapshot = self.process.snapshot();
        drop(self.process);
        // Ours is the last one: dropping it waits for the threads.
        until(|| Arc::strong_count(&snapshot) == 1).await;
    }

    /// One whose model is asked at `url`.
    async fn asking(url: &str, api: &str, more: &[Setting<'_>], variables: &[(&str, &str)]) -> Self {
        let settings: [Setting; 3] =
            [(&["models", "m", "url"], url), (&["models", "m", "api"], api), (&["models", "m", "batch"], "2")];
        Self::start(&[&settings[..], more].concat(), variables).await
    }

    async fn search(&self, query: &str) -> Response {
        let body = json!({"query": {"match": {"text": query}}});
        let request = Client::new().post(format!("http://{}/i/_search", self.front)).body(body.to_string());
        request.header("content-type", "application/json").header("x-rerank-explain", "true").send().await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        reqwest::get(format!("http://{}{path}", self.front)).await.unwrap().text().await.unwrap()
    }

    /// What is in its answer to a rerank call.
    async fn call(&self, path: &str, body: &Value) -> Value {
        let request = Client::new().post(format!("http://{}{path}", self.front)).body(body.to_string());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path} {body}");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PLENTY);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn model(name: &str) -> String {
    format!("{}/fixtures/models/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A cluster that finds all texts whatever it is asked.
async fn cluster() -> (Cluster, String) {
    let hit = |(id, text): (usize, &&str)| json!({"_id": id.to_string(), "_score": 1.0, "_source": {"text": text}});
    let hits: Vec<Value> = TEXTS.iter().enumerate().map(hit).collect();
    let cluster = Cluster::start(move |_| json(json!({"hits": {"max_score": 1.0, "hits": hits}}).to_string())).await;
    let url = format!("http://{}", cluster.address);
    (cluster, url)
}

async fn scores(scorer: &Arc<dyn Scorer>) -> Vec<Score> {
    let passages = TEXTS.map(str::to_owned).to_vec();
    let (long, deadline) = (LongPassages::Truncate, Instant::now() + PLENTY);
    let scored = scorer
        .score(Request {
            query: QUERY,
            passages,
            long,
            deadline,
            priority: Priority::Search,
            known: None,
            vectors: false,
        })
        .await
        .unwrap();
    scored.scores.into_iter().map(Option::unwrap).collect()
}

/// `X-Rerank` of an answer, and its ids.
async fn page(response: Response) -> (String, Vec<String>) {
    let said = response.headers()["x-rerank"].to_str().unwrap().to_owned();
    let ids = common::ids_and_scores(&response.text().await.unwrap());
    (said, ids.into_iter().map(|(id, _)| id).collect())
}

#[tokio::test]
async fn every_api_that_a_model_may_be_asked_through_gets_from_us_the_scores_that_we_have() {
    let settings: [Setting; 3] = [
        (&["upstream", "url"], "http://127.0.0.1:9"),
        (&["models", "m", "path"], &model("tiny-deberta-v2")),
        (&["api", "keys_env"], "KEYS"),
    ];
    let server = Proxy::start(&settings, &[("KEYS", "one,two")]).await;
    let own = scores(&server.process.snapshot().scorers["m"]).await;
    assert!(own.iter().any(|score| (score.raw - own[0].raw).abs() > 1e-3), "they differ: {own:?}");
    let (_cluster, cluster) = cluster().await;
    for (name, api) in Api::NAMES {
        for (address, prefix) in [(server.api, ""), (server.api, "/_rerank"), (server.front, "/_rerank")] {
            let url = format!("http://{address}{prefix}{}", api.path());
            let named: [Setting; 1] = [(&["models", "m", "remote_model"], "m")];
            let usual: [Setting; 2] = [(&["models", "m", "api_key_env"], "KEY"), (&["upstream", "url"], &cluster)];
            let settings = [&usual[..], if api.takes_model() { &named } else { &[] }].concat();
            let client = Proxy::asking(&url, name, &settings, &[("KEY", "two")]).await;
            for (told, own) in scores(&client.process.snapshot().scorers["m"]).await.iter().zip(&own) {
                let expected = if api.gives_logits() { own.raw } else { own.value() };
                assert!((told.raw - expected).abs() < 1e-6, "{name} {url}: {} instead of {expected}", told.raw);
                assert!((told.value() - own.value()).abs() < 1e-6, "{name} {url}");
            }
            let mut best: Vec<usize> = (0..TEXTS.len()).collect();
            best.sort_by(|&a, &b| own[b].raw.total_cmp(&own[a].raw));
            let (said, ids) = page(client.search(QUERY).await).await;
            assert_eq!(ids, best.iter().map(ToString::to_string).collect::<Vec<_>>(), "{name} {url}: {said}");
            assert!(said.contains("scored=5; cached=5"), "{said}");
        }
    }
    // Five texts in batches of two, from three places; Cohere's first version and Jina's are one shape.
    let metrics = server.get("/_rerank/metrics").await;
    for (shape, calls) in [("tei", 9), ("infinity", 9), ("v1", 18), ("v2", 9), ("voyage", 9)] {
        let line = format!("rerank_proxy_api_calls_total{{api=\"{shape}\",status=\"200\"}} {calls}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    server.stop().await;
}

#[tokio::test]
async fn with_a_wrong_key_or_an_unknown_model_searches_go_on_and_health_says_why() {
    let settings: [Setting; 3] = [
        (&["upstream", "url"], "http://127.0.0.1:9"),
        (&["models", "m", "path"], &model("tiny-deberta-v2")),
        (&["api", "keys_env"], "KEYS"),
    ];
    let server = Proxy::start(&settings, &[("KEYS", "one")]).await;
    let (_cluster, cluster) = cluster().await;
    for (api, model, key, why) in [
        (
            "cohere-v2",
            "m",
            "two",
            "status 401 Unauthorized (is the key in the variable that `api_key_env` names the right one?)",
        ),
        ("cohere-v2", "x", "one", "status 404 Not Found (are `url`, `api` and `remote_model` right?)"),
    ] {
        let settings: [Setting; 3] = [
            (&["upstream", "url"], &cluster),
            (&["models", "m", "api_key_env"], "KEY"),
            (&["models", "m", "remote_model"], model),
        ];
        let client = Proxy::asking(&format!("http://{}", server.api), api, &settings, &[("KEY", key)]).await;
        // A server that refuses every call is left alone after a while.
        while client.process.snapshot().scorers["m"].readiness().is_ready() {
            let (said, ids) = page(client.search(QUERY).await).await;
            assert_eq!((said.as_str(), ids.join("")), ("skipped; reason=model-unavailable", "01234".to_owned()));
        }
        let health: Value = serde_json::from_str(&client.get("/_rerank/health").await).unwrap();
        assert!(health["models"]["m"].as_str().unwrap().contains(why), "{health}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_takes_no_search_with_it_and_is_asked_again_when_it_is_back() {
    let path = model("tiny-deberta-v2");
    let tiny: [Setting; 3] = [
        (&["upstream", "url"], "http://127.0.0.1:9"),
        (&["models", "m", "path"], &path),
        (&["server", "drain"], "10ms"),
    ];
    let server = Proxy::start(&tiny, &[]).await;
    let address = server.api;
    let (_cluster, cluster) = cluster().await;
    let settings: [Setting; 1] = [(&["upstream", "url"], &cluster)];
    let client = Proxy::asking(&format!("http://{address}"), "tei", &settings, &[]).await;
    let applied = async |query: String| {
        let (said, ids) = page(client.search(&query).await).await;
        assert!(said.starts_with("applied") || ids.join("") == "01234", "{said}");
        said.starts_with("applied")
    };
    // Scores are kept, so each search is for something else.
    assert!(applied("before".to_owned()).await);
    server.stop().await;
    let mut count = 0;
    while client.process.snapshot().scorers["m"].readiness().is_ready() {
        count += 1;
        applied(format!("while it is away {count}")).await;
        assert!(count < 1000);
    }
    assert!(applied("before".to_owned()).await, "what was scored before is still known");
    let server = Proxy::start_at(address, &tiny, &[]).await;
    let began = Instant::now();
    while !applied(format!("after {:?}", began.elapsed())).await {
        assert!(began.elapsed() < PLENTY);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.process.snapshot().scorers["m"].readiness(), scoring::Readiness::Ready);
    server.stop().await;
}

/// A list of rerank calls: where each goes, and its body but for the query.
fn calls() -> Vec<(&'static str, Value)> {
    vec![
        ("/_rerank/rerank", json!({"texts": TEXTS})),
        ("/_rerank/rerank", json!({"documents": TEXTS})),
        ("/_rerank/v1/rerank", json!({"documents": TEXTS})),
        ("/_rerank/v1/rerank", json!({"documents": TEXTS, "top_k": 5})),
        ("/_rerank/v2/rerank", json!({"documents": TEXTS.map(|text| json!({"text": text}))})),
    ]
}

/// The scores in an answer of whatever shape, in the order of the texts.
fn scores_in(answer: &Value) -> Vec<f64> {
    let entries = answer.as_array().or(answer["results"].as_array()).or(answer["data"].as_array()).unwrap();
    by_index(entries.iter().map(|entry| {
        let score = entry.get("score").or(entry.get("relevance_score")).unwrap();
        (entry["index"].as_u64().unwrap(), score.as_f64().unwrap())
    }))
}

/// The scores of a search in the same order, as they are shown and as the model put them out.
fn scores_of_hits(answer: &Value) -> [Vec<f64>; 2] {
    ["after", "model"].map(|which| {
        by_index(answer["hits"]["hits"].as_array().unwrap().iter().map(|hit| {
            let note = &hit["fields"]["_rerank"][0]["score"];
            assert_eq!(note["after"], hit["_score"], "{hit}");
            (hit["_id"].as_str().unwrap().parse().unwrap(), note[which].as_f64().unwrap())
        }))
    })
}

fn by_index(scores: impl Iterator<Item = (u64, f64)>) -> Vec<f64> {
    let mut scores: Vec<(u64, f64)> = scores.collect();
    scores.sort_by_key(|(index, _)| *index);
    assert!(scores.iter().map(|(index, _)| *index).eq(0..5), "{scores:?}");
    scores.into_iter().map(|(_, score)| score).collect()
}

/// What the command says.
fn scores_by_command(model: &str, flags: &[&str]) -> Vec<f64> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    program.args(["rerank", "--json", "--query", QUERY, "--model", model]).args(flags);
    let mut program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(TEXTS.join("\n").as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    let rows = String::from_utf8(output.stdout).unwrap();
    scores_in(&rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()).collect())
}

#[tokio::test]
async fn the_same_pairs_have_the_same_scores_at_every_door() {
    let (_cluster, cluster) = cluster().await;
    for name in ["all-MiniLM-L6-v2", "tiny-deberta-v2"] {
        let path = model(name);
        let settings: [Setting; 2] = [(&["upstream", "url"], &cluster), (&["models", "m", "path"], &path)];
        // Each has a proxy of its own: what one has scored is in its cache.
        let fresh = || Proxy::start(&settings, &[]);
        let proxy = fresh().await;
        let answer = proxy.search(QUERY).await.text().await.unwrap();
        proxy.stop().await;
        let found = scores_of_hits(&serde_json::from_str(&answer).unwrap());
        assert!(found[0].iter().any(|score| (score - found[0][0]).abs() > 1e-3), "they differ: {found:?}");
        let by_command = [scores_by_command(&path, &[]), scores_by_command(&path, &["--raw-scores"])];
        let mut ways = vec![("the command".to_owned(), by_command)];
        for (endpoint, mut body) in calls() {
            body["query"] = json!(QUERY);
            let proxy = fresh().await;
            let shown = scores_in(&proxy.call(endpoint, &body).await);
            body["raw_scores"] = json!(true);
            let raw = scores_in(&proxy.call(endpoint, &body).await);
            proxy.stop().await;
            ways.push((format!("{endpoint} {body}"), [shown, raw]));
        }
        for (endpoint, scores) in ways {
            let pairs = scores.iter().flatten().zip(found.iter().flatten());
            assert!(pairs.clone().count() == 10, "{endpoint}");
            for (score, other) in pairs {
                assert!((score - other).abs() < 1e-6, "{name}, {endpoint}: {scores:?} instead of {found:?}");
            }
        }
    }
}
