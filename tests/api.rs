//! The rerank API over HTTP: every endpoint, every status, and the list sizes at which things break.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Cluster, Faulty, Shortest, config, hits};
use reqwest::{Client, RequestBuilder, Response};
use rerank_proxy::{
    config::Keys,
    open_models::Config,
    server::{self, Listeners},
    state::Process,
};
use scoring::{Request, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Where a running proxy is: before a cluster, and for clients of the API alone.
struct Proxy {
    proxy: SocketAddr,
    api: SocketAddr,
}

impl Proxy {
    async fn start(config: Config, models: &[(&str, Arc<dyn Scorer>)]) -> Self {
        let listener = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let (proxy, api) = (listener().await, listener().await);
        let here = Self { proxy: proxy.local_addr().unwrap(), api: api.local_addr().unwrap() };
        let models: HashMap<_, _> = models.iter().map(|(name, scorer)| ((*name).to_owned(), scorer.clone())).collect();
        let process = Process::with_scorers(config, models).unwrap();
        tokio::spawn(server::run(Listeners { proxy, api: Some(api) }, process, std::future::pending()));
        here
    }

    /// With one model, for which the shortest text is the best, and no cluster.
    async fn of(settings: &[(&[&'static str], &str)], scorer: impl Scorer) -> Self {
        Self::start(config(nowhere(), settings), &[("m", Arc::new(scorer))]).await
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let address = if path.starts_with("/_rerank") { self.proxy } else { self.api };
        Client::new().post(format!("http://{address}{path}")).body(body.to_string())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let address = if path.starts_with("/_rerank") { self.proxy } else { self.api };
        Client::new().get(format!("http://{address}{path}"))
    }
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9))
}

async fn told(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

/// (index, score) of each document told.
fn ranks(answer: &Value) -> Vec<(u64, f64)> {
    let list = answer.as_array().or(answer["results"].as_array()).or(answer["data"].as_array()).unwrap();
    let score = |entry: &Value| entry["score"].as_f64().or(entry["relevance_score"].as_f64()).unwrap();
    list.iter().map(|entry| (entry["index"].as_u64().unwrap(), score(entry))).collect()
}

fn indices(answer: &Value) -> Vec<u64> {
    ranks(answer).into_iter().map(|(index, _)| index).collect()
}

#[tokio::test]
async fn the_same_list_is_ranked_the_same_at_every_door() {
    let proxy = Proxy::of(&[], Shortest).await;
    let texts = ["ccc", "a", "bb", "a"];
    let sigmoid = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    let expected = [(1, sigmoid(0.0)), (3, sigmoid(0.0)), (2, sigmoid(-1.0)), (0, sigmoid(-2.0))];
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        for list in ["texts", "documents"] {
            if list == "texts" && path != "/rerank" {
                continue;
            }
            for prefix in ["", "/_rerank"] {
                let body = json!({"query": "q", list: texts});
                let (status, answer) = told(proxy.post(&format!("{prefix}{path}"), &body)).await;
                assert_eq!(status, 200, "{prefix}{path}: {answer}");
                for ((index, score), (right, value)) in ranks(&answer).into_iter().zip(expected) {
                    assert!(index == right && (score - value).abs() < 1e-6, "{prefix}{path} {list}: {answer}");
                }
            }
        }
    }
    let raw = json!({"query": "q", "texts": texts, "raw_scores": true});
    assert_eq!(ranks(&told(proxy.post("/rerank", &raw)).await.1), [(1, 0.0), (3, 0.0), (2, -1.0), (0, -2.0)]);
    let top = json!({"query": "q", "documents": texts, "top_k": 1, "return_documents": true});
    let (_, answer) = told(proxy.post("/v1/rerank", &top)).await;
    assert_eq!((answer["data"].as_array().unwrap().len(), &answer["data"][0]["document"]), (1, &json!("a")));
}

#[tokio::test]
async fn what_it_took_is_told_in_headers_and_counted() {
    let proxy = Proxy::of(&[], Shortest).await;
    let response = proxy.post("/v2/rerank", &json!({"query": "q", "documents": ["a", "bb"]})).send().await.unwrap();
    let said = header(&response, "x-rerank");
    assert_eq!(said, r#"applied; model="m"; window=2; scored=2; budget-hit=?0; tokens=0"#);
    assert!(header(&response, "server-timing").starts_with("rerank;dur="));
    told(proxy.post("/rerank", &json!({"query": "q", "texts": []}))).await;
    let metrics = proxy.get("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"rerank_proxy_api_calls_total{api="v2",status="200"} 1"#,
        r#"rerank_proxy_api_calls_total{api="tei",status="400"} 1"#,
        r#"rerank_proxy_pairs_total{origin="model"} 2"#,
        "rerank_proxy_api_duration_seconds_count 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_client_s_mistake_is_told_with_its_reason() {
    let settings: [(&[&str], &str); 2] = [(&["api", "max_documents"], "3"), (&["api", "request_body"], "1KiB")];
    let proxy = Proxy::of(&settings, Shortest).await;
    let long = "x".repeat(2000);
    for (path, body, status, reason) in [
        (
            "/rerank",
            json!({"query": "q", "texts": []}),
            400,
            json!({"error": "the list of documents is empty", "error_type": "Empty"}),
        ),
        ("/rerank", json!({"texts": ["a"]}), 422, json!({"error": "`query` is missing", "error_type": "Validation"})),
        (
            "/rerank",
            json!({"query": "q", "documents": [7]}),
            422,
            json!({"detail": [{
                "loc": ["body"], "type": "value_error",
                "msg": "`documents[0]` must be a text, or an object with a `text` or with what `rank_fields` names",
            }]}),
        ),
        (
            "/v1/rerank",
            json!({"query": "q", "documents": ["a"], "model": "x"}),
            404,
            json!({
                "message": "there is no model `x` here; there is m", "detail": "there is no model `x` here; there is m",
            }),
        ),
        (
            "/v1/rerank",
            json!({"query": "q", "documents": ["", "", "", ""], "top_k": 1}),
            413,
            json!({
                "detail": "more than 3 documents (api.max_documents)",
            }),
        ),
        (
            "/v1/rerank",
            json!({"query": "q", "documents": [long]}),
            413,
            json!({
                "message": "the body is larger than 1024 bytes (api.request_body)",
                "detail": "the body is larger than 1024 bytes (api.request_body)",
            }),
        ),
    ] {
        assert_eq!(told(proxy.post(path, &body)).await, (status, reason), "{path} {body}");
    }
    let (status, answer) = told(proxy.post("/v2/rerank", &json!({})).body("{\"query\"")).await;
    assert!(status == 400 && answer["message"].as_str().unwrap().starts_with("the body is not JSON: EOF"), "{answer}");
    let (status, answer) = told(proxy.get("/v2/rerank")).await;
    assert_eq!((status, answer["error"].as_str()), (405, Some("GET is not allowed here; use POST")));
    let (status, answer) = told(proxy.post("/v3/rerank", &json!({}))).await;
    assert!(status == 404 && answer["error"].as_str().unwrap().contains("/v2/rerank"), "{answer}");
}

#[tokio::test]
async fn a_body_may_be_compressed_and_not_more_than_that() {
    use std::io::Write;
    let proxy = Proxy::of(&[(&["api", "request_body"], "1MiB")], Shortest).await;
    let gzipped = |body: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let post = |body: Vec<u8>, coding: &'static str| {
        proxy.post("/rerank", &json!({})).header("content-encoding", coding).body(body)
    };
    let call = json!({"query": "q", "texts": ["bb", "a"]}).to_string();
    assert_eq!(indices(&told(post(gzipped(&call), "gzip")).await.1), [1, 0]);
    assert_eq!(told(post(gzipped(&" ".repeat(10 << 20)), "gzip")).await.0, 413);
    assert_eq!(told(post(call.clone().into_bytes(), "gzip")).await.0, 400);
    assert_eq!(told(post(call.into_bytes(), "lzw")).await.0, 400);
}

#[tokio::test]
async fn ten_thousand_documents_and_one_of_a_megabyte_are_ranked() {
    let settings: [(&[&str], &str); 1] = [(&["api", "request_body"], "64MiB")];
    let proxy = Proxy::of(&settings, Shortest).await;
    let texts: Vec<String> = (0..10_000).map(|place| "x".repeat(1 + place * 7919 % 1000)).collect();
    let (status, answer) = told(proxy.post("/v1/rerank", &json!({"query": "q", "documents": texts}))).await;
    assert_eq!(status, 200, "{answer}");
    let order = indices(&answer);
    let lengths: Vec<usize> = order.iter().map(|&index| texts[usize::try_from(index).unwrap()].len()).collect();
    assert!(order.len() == 10_000 && lengths.is_sorted());
    let mut each = order;
    each.sort_unstable();
    assert!(each.into_iter().eq(0..10_000), "each of them once");
    let more = vec![""; 10_001];
    assert_eq!(told(proxy.post("/v1/rerank", &json!({"query": "q", "documents": more}))).await.0, 413);
    let megabyte = "word ".repeat(200_000);
    let body = json!({"query": "q", "texts": [megabyte, ""], "return_text": true});
    let (_, answer) = told(proxy.post("/rerank", &body)).await;
    assert_eq!((indices(&answer), answer[1]["text"].as_str()), (vec![1, 0], Some(megabyte.as_str())));
    assert_eq!(indices(&told(proxy.post("/rerank", &json!({"query": "q", "texts": ["one"]}))).await.1), [0]);
}

/// The keys `one` and `two`.
fn keys() -> Keys {
    let flags = [
        (vec!["upstream", "url"], "http://localhost:9".to_owned(), "test"),
        (vec!["models", "m", "path"], "fixtures/models/tiny-deberta-v2".to_owned(), "test"),
        (vec!["rules", "0", "index"], "*".to_owned(), "test"),
        (vec!["api", "keys_env"], "KEYS".to_owned(), "test"),
    ];
    Config::load(None, [("KEYS".to_owned(), "one,two".to_owned())], &flags).unwrap().settings.api.keys
}

#[tokio::test]
async fn on_an_address_that_other_machines_reach_there_is_no_api_without_a_key_or_the_operator_s_word() {
    let body = json!({"query": "q", "documents": ["a"]});
    let start = async |listen: &str, api: &str, keys: Keys| {
        let settings: [(&[&str], &str); 2] = [(&["server", "listen"], listen), (&["api", "listen"], api)];
        // What is configured counts; this test itself stays on this machine.
        let mut config = config(nowhere(), &settings);
        config.settings.api.keys = keys;
        Proxy::start(config, &[("m", Arc::new(Shortest))]).await
    };
    let proxy = start("0.0.0.0:1", "[::]:2", Keys::Unsaid).await;
    for (path, member) in [("/rerank", "error"), ("/_rerank/v1/rerank", "message"), ("/_rerank/v2/rerank", "message")] {
        let (status, answer) = told(proxy.post(path, &body)).await;
        assert!(status == 403 && answer[member].as_str().unwrap().contains("api.keys_env"), "{path}: {answer}");
    }
    for (path, status) in [
        ("/_rerank/info", 403),
        ("/v1/models", 403),
        ("/_rerank/health", 200),
        ("/health", 200),
        ("/_rerank/metrics", 200),
        ("/openapi.json", 200),
    ] {
        assert_eq!(told(proxy.get(path)).await.0, status, "{path}");
    }
    let proxy = start("0.0.0.0:1", "127.0.0.1:2", Keys::Unsaid).await;
    assert_eq!(told(proxy.post("/_rerank/v2/rerank", &body)).await.0, 403);
    assert_eq!(told(proxy.post("/v2/rerank", &body)).await.0, 200, "this machine alone reaches it");
    let proxy = start("0.0.0.0:1", "[::]:2", Keys::NotNeeded).await;
    assert_eq!(told(proxy.post("/_rerank/v2/rerank", &body)).await.0, 200);
    let proxy = start("0.0.0.0:1", "[::]:2", keys()).await;
    assert_eq!(told(proxy.post("/v2/rerank", &body)).await.0, 401);
    assert_eq!(told(proxy.post("/v2/rerank", &body).bearer_auth("two")).await.0, 200);
}

#[tokio::test]
async fn the_playground_is_at_both_doors_unless_it_is_switched_off() {
    let proxy = Proxy::of(&[], Shortest).await;
    for path in ["/_rerank/ui", "/ui", "/_rerank/ui/main.js", "/ui/main.js"] {
        let response = proxy.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(header(&response, "content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!response.text().await.unwrap().is_empty(), "{path}");
    }
    assert_eq!(told(proxy.post("/_rerank/ui", &json!({}))).await.0, 405);
    assert_eq!(told(proxy.get("/_rerank/ui/none.js")).await.0, 404);
    for (key, value) in [("playground", "false"), ("enabled", "false")] {
        let settings: [(&[&str], &str); 1] = [(&["api", key], value)];
        let proxy = Proxy::start(config(nowhere(), &settings), &[("m", Arc::new(Shortest))]).await;
        for path in ["/_rerank/ui", "/_rerank/ui/main.js"] {
            let (status, answer) = told(proxy.get(path)).await;
            assert!(status == 404 && answer["error"].as_str().unwrap().contains(&format!("api.{key}")), "{answer}");
        }
    }
}

#[tokio::test]
async fn info_tells_what_the_playground_lets_one_choose_from() {
    let proxy = Proxy::of(&[(&["upstream", "engine"], "opensearch")], Shortest).await;
    let told = told(proxy.get("/_rerank/info")).await.1["proxy"].clone();
    assert_eq!((&told["engine"], &told["models"]), (&json!("opensearch"), &json!(["m"])));
    let rule = &told["rules"][0];
    assert_eq!((&rule["number"], &rule["model"], &rule["mode"]), (&json!(1), &json!("m"), &json!("on")), "{rule}");
    assert_eq!(rule["blend"], json!({"method": "replace"}));
}

#[tokio::test]
async fn only_who_has_a_key_learns_whether_a_pair_was_scored_before() {
    let cached = || async {
        let score = Score { cached: true, ..Score::fresh(1.0, Scale::Logit) };
        Ok(Scored { scores: vec![Some(score)], ..Scored::default() })
    };
    for (keys, is_told) in [(Keys::Unsaid, false), (Keys::NotNeeded, false), (keys(), true)] {
        let mut config = config(nowhere(), &[]);
        config.settings.api.keys = keys;
        let proxy = Proxy::start(config, &[("m", Arc::new(Faulty(cached)))]).await;
        for (path, list) in [("/rerank", "texts"), ("/rerank", "documents"), ("/v1/rerank", "documents")] {
            let body = json!({"query": "q", list: ["a"]});
            let response = proxy.post(path, &body).bearer_auth("one").send().await.unwrap();
            let said = header(&response, "x-rerank");
            assert!(said.starts_with("applied") && said.contains("; cached=1") == is_told, "{said}");
            let answer = response.text().await.unwrap();
            let has_usage = list == "documents";
            assert_eq!(answer.contains(r#""cached":1"#), is_told && has_usage, "{path} {list}: {answer}");
            assert!(is_told || !answer.contains("cached"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_key_is_needed_where_the_operator_says_so() {
    let mut config = config(nowhere(), &[]);
    config.settings.api.keys = keys();
    let proxy = Proxy::start(config, &[("m", Arc::new(Shortest))]).await;
    let body = json!({"query": "q", "texts": ["a"]});
    for path in ["/rerank", "/_rerank/rerank"] {
        let reason =
            json!({"error": "a key is needed here: send `Authorization: Bearer KEY`", "error_type": "Unauthorized"});
        assert_eq!(told(proxy.post(path, &body)).await, (401, reason), "{path}");
        for (key, status) in [("one", 200), ("two", 200), ("three", 401), ("", 401), ("one,two", 401)] {
            assert_eq!(told(proxy.post(path, &body).bearer_auth(key)).await.0, status, "{path} {key}");
        }
    }
    // Its `Authorization` is for the cluster.
    let body = json!({"path": "/i/_search"});
    for (header, key, status) in [
        ("authorization", "Bearer one", 401),
        ("x-rerank-key", "Bearer one", 401),
        ("x-rerank-key", "three", 401),
        ("x-rerank-key", "one", 200),
    ] {
        let (found, said) = told(proxy.post("/explain", &body).header(header, key)).await;
        assert_eq!(found, status, "{said}");
        assert!(status == 200 || said["error"].as_str().unwrap().contains("X-Rerank-Key"), "{said}");
    }
    for (path, status) in
        [("/v1/models", 401), ("/info", 401), ("/health", 200), ("/openapi.json", 200), ("/_rerank/health", 200)]
    {
        assert_eq!(told(proxy.get(path)).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn switched_off_there_is_no_such_api() {
    let proxy = Proxy::of(&[(&["api", "enabled"], "false")], Shortest).await;
    for path in ["/rerank", "/_rerank/v1/rerank"] {
        let (status, answer) = told(proxy.post(path, &json!({"query": "q", "texts": ["a"]}))).await;
        assert_eq!(
            (status, answer["error"].as_str()),
            (404, Some("the rerank API is switched off here (api.enabled)"))
        );
    }
    assert_eq!(told(proxy.get("/_rerank/health")).await.0, 200);
}

#[tokio::test]
async fn a_model_may_go_by_other_names_and_must_be_named_where_there_are_several() {
    let settings: [(&[&str], &str); 2] =
        [(&["models", "n", "path"], "fixtures/models/tiny-deberta-v2"), (&["api", "aliases", "rerank-v3.5"], "n")];
    let models: [(&str, Arc<dyn Scorer>); 2] = [("m", Arc::new(Shortest)), ("n", Arc::new(common::Longest))];
    let proxy =
        Proxy::start(config(nowhere(), &[&settings[..], &[(&["rules", "0", "model"], "m")]].concat()), &models).await;
    let of = |model: Value| proxy.post("/v1/rerank", &json!({"query": "q", "documents": ["a", "bb"], "model": model}));
    assert_eq!(indices(&told(of(json!("m"))).await.1), [0, 1]);
    assert_eq!(indices(&told(of(json!("n"))).await.1), [1, 0]);
    let (_, answer) = told(of(json!("rerank-v3.5"))).await;
    assert_eq!((indices(&answer), &answer["model"]), (vec![1, 0], &json!("n")));
    let (status, answer) = told(of(Value::Null)).await;
    assert!(status == 422 && answer["message"].as_str().unwrap().contains("api.model"), "{answer}");
    let (_, models) = told(proxy.get("/v1/models")).await;
    let names: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["m", "n", "rerank-v3.5"]);
}

#[tokio::test]
async fn what_the_model_cannot_do_now_is_no_fault_of_the_call() {
    let scored = |scores: Vec<Option<Score>>, budget_hit, shed| {
        move || {
            let scored = Scored { scores: scores.clone(), budget_hit, shed, ..Scored::default() };
            async move { Ok(scored) }
        }
    };
    let one = Some(Score::fresh(1.0, Scale::Logit));
    let body = json!({"query": "q", "documents": ["a", "b"]});
    let late = "there was time for 1 of 2 documents";
    for (scorer, status, reason) in [
        (Arc::new(Faulty(|| async { Err(ScoreError::Overloaded) })) as Arc<dyn Scorer>, 429, "too much is waiting"),
        (Arc::new(Faulty(|| async { Err(ScoreError::Unavailable("no file".into())) })), 503, "not available: no file"),
        (Arc::new(Faulty(scored(vec![None, None], true, 2))), 429, "too much is waiting"),
        (Arc::new(Faulty(scored(vec![one, None], true, 1))), 503, late),
        (Arc::new(Faulty(scored(vec![one, None], true, 0))), 503, late),
        (Arc::new(Faulty(scored(vec![one, None], false, 0))), 503, "no score for document 1"),
    ] {
        let proxy = Proxy::start(config(nowhere(), &[]), &[("m", scorer)]).await;
        let response = proxy.post("/v2/rerank", &body).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "retry-after").as_str()), (status, "1"));
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
        assert_eq!(
            told(proxy.get("/health")).await.0,
            503,
            "the model that all of these have says that it is not ready"
        );
        assert_eq!(told(proxy.get("/_rerank/health")).await.0, 200, "while it forwards");
    }
}

/// Never answers; counts how many calls it has.
#[derive(Default)]
struct Silent(Arc<AtomicUsize>);

struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Scorer for Silent {
    fn score<'a>(&'a self, _: Request<'a>) -> ScoreFuture<'a> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let here = Leaving(self.0.clone());
        Box::pin(async move {
            let _here = here;
            std::future::pending().await
        })
    }

    fn readiness(&self) -> scoring::Readiness {
        scoring::Readiness::Ready
    }
}

async fn until(count: &AtomicUsize, expected: usize) {
    let patience = Instant::now() + Duration::from_secs(20);
    while count.load(Ordering::SeqCst) != expected {
        assert!(Instant::now() < patience, "{} instead of {expected}", count.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_call_ends_with_its_budget_which_a_header_may_shorten() {
    let proxy = Proxy::of(&[], Silent::default()).await;
    let body = json!({"query": "q", "documents": ["a"]});
    let (status, answer) = told(proxy.post("/v2/rerank", &body).header("x-rerank-budget", "50ms")).await;
    assert!(status == 503 && answer["message"].as_str().unwrap().contains("0 of 1 documents"), "{answer}");
    assert_eq!(told(proxy.post("/v2/rerank", &body).header("x-rerank-budget", "soon")).await.0, 400);
    let other = proxy.post("/v2/rerank", &body).header("x-rerank-budget", "1ms").header("x-rerank-window", "all");
    assert_eq!(told(other).await.0, 503, "a list has no window");
}

#[tokio::test]
async fn who_sends_slowly_is_not_waited_for() {
    let proxy = Proxy::of(&[(&["api", "budget"], "50ms"), (&["api", "concurrency"], "1")], Shortest).await;
    let mut slow = TcpStream::connect(proxy.api).await.unwrap();
    slow.write_all(b"POST /v2/rerank HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    let mut answer = vec![0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert_eq!(
        told(proxy.post("/v2/rerank", &json!({"query": "q", "documents": ["a"]}))).await.0,
        200,
        "there is room"
    );
}

/// What comes back on a connection to a request that begins so and then has `length` more bytes, of which all are sent
/// before anything is read.
async fn sent_in_full(address: SocketAddr, head: &str, length: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test]
async fn who_reads_nothing_before_all_is_sent_learns_of_a_refusal_too() {
    let settings: [(&[&str], &str); 1] = [(&["api", "concurrency"], "1")];
    let count = Arc::new(AtomicUsize::new(0));
    let proxy = Proxy::of(&settings, Silent(count.clone())).await;
    let length = 24 << 20;
    for (head, status) in [
        ("POST /v2/rerank HTTP/1.1\r\nx-rerank-budget: soon", "400"),
        ("POST /v3/rerank HTTP/1.1", "404"),
        ("PUT /v2/rerank HTTP/1.1", "405"),
    ] {
        assert_eq!(sent_in_full(proxy.api, head, length).await, status, "{head}");
    }
    assert_eq!(sent_in_full(proxy.api, "POST /v2/rerank HTTP/1.1", 40 << 20).await, "413");
    let under_way = tokio::spawn(proxy.post("/v2/rerank", &json!({"query": "q", "documents": ["a"]})).send());
    until(&count, 1).await;
    assert_eq!(sent_in_full(proxy.api, "POST /v2/rerank HTTP/1.1", length).await, "429");
    under_way.abort();
}

#[tokio::test]
async fn who_asks_whether_to_send_too_much_is_told_not_to() {
    let proxy = Proxy::of(&[(&["api", "request_body"], "1KiB")], Shortest).await;
    let mut stream = TcpStream::connect(proxy.api).await.unwrap();
    let head = "POST /rerank HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_budget_beyond_all_time_is_as_long_as_one_may_be() {
    let proxy = Proxy::of(&[(&["clients", "headers"], "longer-budget")], Shortest).await;
    let body = json!({"query": "q", "documents": ["a"]});
    let call = proxy.post("/v2/rerank", &body).header("x-rerank-budget", "500000000000y");
    assert_eq!(told(call).await.0, 200);
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_may_be_and_what_lost_its_client_is_none() {
    let count = Arc::new(AtomicUsize::new(0));
    let proxy = Proxy::of(&[(&["api", "concurrency"], "2")], Silent(count.clone())).await;
    let body = json!({"query": "q", "documents": ["a"]});
    let under_way: Vec<_> = (0..2).map(|_| tokio::spawn(proxy.post("/v2/rerank", &body).send())).collect();
    until(&count, 2).await;
    let (status, answer) = told(proxy.post("/v2/rerank", &body)).await;
    assert!(status == 429 && answer["message"].as_str().unwrap().contains("(2)"), "{answer}");
    under_way.iter().for_each(tokio::task::JoinHandle::abort);
    until(&count, 0).await;
}

#[tokio::test]
async fn searches_go_on_beside_it_and_the_api_s_listener_is_no_way_to_the_cluster() {
    let cluster = Cluster::start(|seen| hits(seen, 3)).await;
    let proxy = Proxy::start(config(cluster.address, &[]), &[("m", Arc::new(Shortest))]).await;
    let search = proxy.post("/_search?q=stars", &json!({}));
    assert_eq!(told(search).await.0, 404, "the API's listener");
    assert_eq!(cluster.seen().len(), 0);
    let search = Client::new().get(format!("http://{}/_search?q=stars", proxy.proxy)).send().await.unwrap();
    assert!(header(&search, "x-rerank").starts_with("applied"));
    assert_eq!(Client::new().get(format!("http://{}/rerank", proxy.proxy)).send().await.unwrap().status(), 200);
    assert_eq!(cluster.seen().last().unwrap().path_and_query, "/rerank", "at the proxy's root it is the cluster's");
}
