//! The remote scorer against a scripted rerank server: each API's shape, and what a search gets when the server answers
//! wrongly, slowly or not at all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{Cluster, Seen, hits, ids_and_scores, json};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rerank_proxy::{server, state::Process};
use scoring::{
    LongPassages, Priority, RemoteModel, RemoteScorer, Request, Scale, Score, ScoreCache, ScoreError, Scored, Scorer,
    remote::Api,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

/// Generous: no test waits for it unless it says so.
const PLENTY: Duration = Duration::from_secs(20);

type Answer = Response<Full<Bytes>>;

fn model(address: SocketAddr, api: Api) -> RemoteModel {
    RemoteModel {
        url: format!("http://{address}{}", api.path()).parse().unwrap(),
        api,
        model: api.needs_model().then(|| "there".to_owned()),
        authorization: None,
        batch: 2,
        concurrency: 2,
        timeout: PLENTY,
    }
}

fn scorer(model: RemoteModel) -> RemoteScorer {
    RemoteScorer::new("m", model, Arc::new(ScoreCache::new(1 << 20))).unwrap()
}

fn tei(server: &Cluster) -> RemoteScorer {
    scorer(model(server.address, Api::Tei))
}

/// Passages of these many stars.
fn stars(counts: &[usize]) -> Vec<String> {
    counts.iter().map(|count| "*".repeat(*count)).collect()
}

fn request(query: &str, passages: Vec<String>, budget: Duration) -> Request<'_> {
    Request {
        query,
        passages,
        long: LongPassages::Truncate,
        deadline: Instant::now() + budget,
        priority: Priority::Search,
        known: None,
        vectors: false,
    }
}

async fn score_within(scorer: &RemoteScorer, counts: &[usize], budget: Duration) -> Result<Scored, ScoreError> {
    scorer.score(request("q", stars(counts), budget)).await
}

/// The raw scores of passages of these many stars.
async fn raw(scorer: &RemoteScorer, counts: &[usize]) -> Vec<Option<f32>> {
    let scored = score_within(scorer, counts, PLENTY).await.unwrap();
    assert!(!scored.budget_hit);
    raws(&scored)
}

fn raws(scored: &Scored) -> Vec<Option<f32>> {
    scored.scores.iter().map(|score| score.map(|score| score.raw)).collect()
}

/// The texts of a call.
fn texts(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let texts = body.get("texts").or_else(|| body.get("documents")).unwrap();
    texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The right answer to a call, the more stars the better: the best first, so out of order. Any API finds what it needs.
fn right(seen: &Seen) -> Answer {
    let mut entries: Vec<(usize, usize)> = texts(seen).iter().map(String::len).enumerate().collect();
    entries.sort_by_key(|(_, stars)| std::cmp::Reverse(*stars));
    let entries = |name: &str| -> Vec<Value> {
        entries.iter().map(|(index, stars)| json!({"index": index, name: *stars as f32 / 10.0})).collect()
    };
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let answer = match () {
        () if body.get("texts").is_some() => json!(entries("score")),
        () if body.get("top_k").is_some() => json!({"object": "list", "data": entries("relevance_score")}),
        () => json!({"id": "x", "results": entries("relevance_score")}),
    };
    json(answer.to_string())
}

fn status(status: u16) -> Answer {
    Response::builder().status(status).body(Full::default()).unwrap()
}

#[tokio::test]
async fn every_api_scores_each_passage_wherever_its_score_is_in_the_answer() {
    for (name, api) in Api::NAMES {
        let server = Cluster::start(right).await;
        let scorer = scorer(model(server.address, api));
        let scored = score_within(&scorer, &[3, 7, 1, 5, 2], PLENTY).await.unwrap();
        let scale = if api.gives_logits() { Scale::Logit } else { Scale::AsIs };
        let expected = [0.3_f32, 0.7, 0.1, 0.5, 0.2].map(|raw| Some(Score::fresh(raw, scale)));
        assert_eq!(
            scored,
            Scored { scores: expected.to_vec(), budget_hit: false, shed: 0, ..Scored::default() },
            "{name}"
        );
        let seen = server.seen();
        assert_eq!(seen.len(), 3, "{name}: five passages in batches of two");
        assert!(seen.iter().all(|call| call.path_and_query == api.path() && call.method == "POST"), "{name}");
        let named = serde_json::from_slice::<Value>(&seen[0].body).unwrap().get("model").cloned();
        assert_eq!(named, api.needs_model().then(|| json!("there")), "{name}");
    }
}

#[tokio::test]
async fn only_what_the_cache_does_not_know_is_sent_and_equal_passages_once() {
    let server = Cluster::start(right).await;
    let scorer = tei(&server);
    raw(&scorer, &[3, 7]).await;
    let scored = score_within(&scorer, &[7, 4, 4, 3], PLENTY).await.unwrap();
    assert_eq!(scored.cached(), 2);
    assert_eq!(raws(&scored), [Some(0.7), Some(0.4), Some(0.4), Some(0.3)]);
    assert_eq!(server.seen().iter().map(texts).collect::<Vec<_>>(), [stars(&[3, 7]), stars(&[4])]);
}

#[tokio::test]
async fn models_do_not_share_scores() {
    let server = Cluster::start(right).await;
    let cache = Arc::new(ScoreCache::new(1 << 20));
    for name in ["one", "other"] {
        let model = RemoteModel { model: Some(name.to_owned()), ..model(server.address, Api::Jina) };
        let scorer = RemoteScorer::new("m", model, cache.clone()).unwrap();
        assert_eq!(score_within(&scorer, &[1, 2], PLENTY).await.unwrap().cached(), 0);
    }
}

#[tokio::test]
async fn the_key_is_sent_as_a_bearer_token() {
    let server = Cluster::start(right).await;
    let authorization = Some(HeaderValue::from_static("Bearer s3cret"));
    raw(&scorer(RemoteModel { authorization, ..model(server.address, Api::Tei) }), &[1]).await;
    let sent = ("authorization".to_owned(), "Bearer s3cret".to_owned());
    assert!(server.seen()[0].headers.contains(&sent));
}

#[tokio::test]
async fn scores_that_cannot_be_trusted_are_none_and_are_asked_for_again() {
    for answer in [
        r#"[{"index":0,"score":1}]"#,
        r#"[{"index":0,"score":1},{"index":7,"score":2}]"#,
        r#"[{"index":1,"score":3},{"index":0,"score":1},{"index":1,"score":2}]"#,
        r#"[{"index":0,"score":1},{"index":1,"score":null}]"#,
        r#"[{"index":0,"score":1},{"index":1,"score":NaN}]"#,
    ] {
        let server = Cluster::start(move |_| json(answer)).await;
        let scorer = tei(&server);
        assert_eq!(raw(&scorer, &[1, 2]).await, [Some(1.0), None], "{answer}");
        let _ = score_within(&scorer, &[1, 2], PLENTY).await;
        assert_eq!(texts(&server.seen()[1]), stars(&[2]), "{answer}");
    }
}

#[tokio::test]
async fn a_batch_that_fails_leaves_the_others_their_scores() {
    for fault in [status(500), status(422), json("<html>"), json("[".repeat(5 << 20))] {
        let server = Cluster::start(move |seen| match texts(seen).contains(&"***".to_owned()) {
            true => fault.clone(),
            false => right(seen),
        })
        .await;
        assert_eq!(raw(&tei(&server), &[1, 2, 3, 4, 5]).await, [Some(0.1), Some(0.2), None, None, Some(0.5)]);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_budget_and_no_more() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scorer = scorer(model(silent.local_addr().unwrap(), Api::Tei));
    let began = Instant::now();
    let scored = score_within(&scorer, &[1, 2, 3, 4, 5], Duration::from_millis(150)).await.unwrap();
    assert_eq!(scored, Scored { scores: vec![None; 5], budget_hit: true, shed: 0, ..Scored::default() });
    assert!(began.elapsed() < PLENTY / 2);
}

#[tokio::test]
async fn what_came_by_the_deadline_counts_and_the_best_hits_go_first() {
    // The first call is answered; the second never is, as its answer has a body that does not come.
    let server = raw_server(|call| match call {
        0 => "HTTP/1.1 200 OK\r\ncontent-length: 45\r\n\r\n[{\"index\":1,\"score\":2},{\"index\":0,\"score\":1}]",
        _ => "HTTP/1.1 200 OK\r\ncontent-length: 45\r\n\r\n[{",
    })
    .await;
    let scorer = scorer(RemoteModel { concurrency: 1, ..model(server, Api::Tei) });
    let scored = score_within(&scorer, &[1, 2, 3, 4, 5], Duration::from_secs(1)).await.unwrap();
    assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(2.0), None, None, None], true));
}

/// A server that writes these bytes in answer to each call, and leaves the connection open.
async fn raw_server(answer: impl Fn(usize) -> &'static str + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for call in 0.. {
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    return;
                }
            }
            stream.write_all(answer(call).as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_allowed_whatever_number_of_searches_wait() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counted = most.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (now, most) = (now.clone(), counted.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.unwrap() > 0 {
                    if request.ends_with(b"}") {
                        request.clear();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n[{\"index\":0,\"score\":1}]";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    let scorer = scorer(RemoteModel { batch: 1, concurrency: 3, ..model(address, Api::Tei) });
    let (one, other) = tokio::join!(raw(&scorer, &[1, 2, 3, 4, 5]), raw(&scorer, &[6, 7, 8, 9, 10]));
    assert_eq!([one, other], [vec![Some(1.0); 5], vec![Some(1.0); 5]]);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_a_failure_though_the_search_has_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let model = model(silent.local_addr().unwrap(), Api::Tei);
    let scorer = scorer(RemoteModel { timeout: Duration::from_millis(50), ..model });
    let error = score_within(&scorer, &[1], PLENTY).await.unwrap_err();
    assert_eq!(error, ScoreError::Unavailable("no answer within 50ms".to_owned()));
}

fn busy(retry_after: Option<&str>) -> Answer {
    let mut answer = status(429);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert("retry-after", seconds.parse().unwrap());
    }
    answer
}

#[tokio::test]
async fn a_server_that_asks_to_come_again_is_asked_again_once_where_there_is_time() {
    for (retry_after, calls) in
        [(Some("0"), 2), (Some("600"), 1), (Some("Wed, 21 Oct 2065 07:28:00 GMT"), 1), (None, 1)]
    {
        let server = Cluster::start(move |_| busy(retry_after)).await;
        let error = score_within(&tei(&server), &[1], PLENTY).await.unwrap_err();
        assert!(error.to_string().contains("429"), "{error}");
        assert_eq!(server.seen().len(), calls, "{retry_after:?}");
    }
    let answered = AtomicUsize::new(0);
    let server = Cluster::start(move |seen| match answered.fetch_add(1, Ordering::SeqCst) {
        0 => busy(Some("0")),
        _ => right(seen),
    })
    .await;
    assert_eq!(raw(&tei(&server), &[1]).await, [Some(0.1)]);
}

#[tokio::test]
async fn a_failure_that_may_have_cost_something_is_not_repeated() {
    let server = Cluster::start(|_| status(500)).await;
    score_within(&tei(&server), &[1], PLENTY).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_fails_again_and_again_is_left_alone_then_tried_with_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let server = Cluster::start(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0..5 => status(500),
        _ => right(seen),
    })
    .await;
    let scorer = tei(&server);
    for _ in 0..5 {
        assert_eq!(scorer.readiness(), scoring::Readiness::Ready);
        score_within(&scorer, &[1], PLENTY).await.unwrap_err();
    }
    let why = scorer.readiness().to_string();
    assert!(why.contains("status 500"), "{why}");
    // Nothing is sent while the circuit is open; after a second, one call is, and then the others.
    let error = score_within(&scorer, &[1, 2, 3, 4, 5], PLENTY).await.unwrap_err();
    assert_eq!((error, calls.load(Ordering::SeqCst)), (ScoreError::Unavailable(why), 5));
    let began = Instant::now();
    let scored = loop {
        match score_within(&scorer, &[1, 2, 3, 4, 5], PLENTY).await {
            Ok(scored) => break scored,
            Err(error) => assert!(began.elapsed() < PLENTY, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(scored.scores.iter().all(Option::is_some) && scorer.readiness().is_ready());
    assert_eq!(calls.load(Ordering::SeqCst), 8, "five failures and three batches");
}

#[tokio::test]
async fn a_server_that_will_not_take_a_text_is_not_taken_for_one_in_trouble() {
    let server = Cluster::start(|_| status(422)).await;
    let scorer = tei(&server);
    for _ in 0..6 {
        score_within(&scorer, &[1], PLENTY).await.unwrap_err();
    }
    assert_eq!(scorer.readiness(), scoring::Readiness::Ready);
}

#[tokio::test]
async fn clients_in_a_hurry_do_not_take_the_server_from_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scorer = scorer(model(silent.local_addr().unwrap(), Api::Tei));
    for _ in 0..6 {
        score_within(&scorer, &[1], Duration::from_millis(5)).await.unwrap();
    }
    assert_eq!(scorer.readiness(), scoring::Readiness::Ready);
}

/// A rerank server that answers rightly, but no call before it is let.
struct Held {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    open: watch::Sender<bool>,
}

impl Held {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, calls) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (open, opened) = watch::channel(false);
        let count = calls.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (count, opened) = (count.clone(), opened.clone());
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let mut opened = opened.clone();
                    count.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let body = request.into_body().collect().await?.to_bytes();
                        let (method, path_and_query) = (String::new(), String::new());
                        let _ = opened.wait_for(|open| *open).await;
                        Ok::<_, hyper::Error>(right(&Seen { method, path_and_query, headers: vec![], body }))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, calls, open }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn let_go(&self) {
        self.open.send(true).unwrap();
    }
}

/// For states that change without a signal to the outside.
async fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PLENTY, "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn clients_that_give_up_early_do_not_take_a_slow_server_from_the_others() {
    let server = Held::start().await;
    let scorer = scorer(RemoteModel { concurrency: 20, ..model(server.address, Api::Tei) });
    let patience = Duration::from_millis(120);
    let gives_up = async |stars: usize, budget: Duration| {
        let _ = tokio::time::timeout(patience, score_within(&scorer, &[stars], budget)).await;
    };
    let hurried = (1..=6).map(|stars| gives_up(stars, patience));
    let leaving = (7..=12).map(|stars| gives_up(stars, PLENTY));
    futures_util::future::join_all(hurried.chain(leaving)).await;
    assert_eq!(scorer.readiness(), scoring::Readiness::Ready);
    server.let_go();
    assert_eq!(raw(&scorer, &[13, 14]).await, [Some(1.3), Some(1.4)]);
}

#[tokio::test]
async fn scores_that_came_after_the_deadline_are_there_for_the_next_search() {
    let server = Held::start().await;
    let cache = Arc::new(ScoreCache::new(1 << 20));
    let scorer = RemoteScorer::new("m", model(server.address, Api::Tei), cache.clone()).unwrap();
    let hurried = score_within(&scorer, &[3, 7], Duration::from_millis(300)).await.unwrap();
    assert_eq!((raws(&hurried), hurried.budget_hit), (vec![None, None], true));
    server.let_go();
    wait_until(|| cache.stats().memory.entries == 2).await;
    let repeated = score_within(&scorer, &[3, 7], PLENTY).await.unwrap();
    assert_eq!((raws(&repeated), repeated.cached(), server.calls()), (vec![Some(0.3), Some(0.7)], 2, 1));
}

#[tokio::test]
async fn a_server_that_hangs_is_left_alone_though_no_search_has_the_time_that_a_call_has() {
    let server = Held::start().await;
    let timeout = Duration::from_millis(500);
    let scorer = scorer(RemoteModel { timeout, concurrency: 1, ..model(server.address, Api::Tei) });
    let began = Instant::now();
    while scorer.readiness().is_ready() {
        assert!(began.elapsed() < PLENTY, "the circuit never opened");
        // An error where the circuit opens in between.
        let _ = score_within(&scorer, &[1], Duration::from_millis(10)).await;
    }
    assert_eq!(server.calls(), 5, "each of them had the time of a call");
    assert!(began.elapsed() >= 5 * timeout);
    let told = score_within(&scorer, &[1], PLENTY).await.unwrap_err();
    let why = "not called for a while after failures in a row, the last: no answer within 500ms";
    assert_eq!(told, ScoreError::Unavailable(why.to_owned()));
}

#[tokio::test]
async fn no_more_calls_go_on_in_the_background_than_are_allowed() {
    let server = Held::start().await;
    let scorer = scorer(RemoteModel { batch: 1, concurrency: 3, ..model(server.address, Api::Tei) });
    for stars in [1, 6] {
        let window: Vec<usize> = (stars..stars + 5).collect();
        assert!(score_within(&scorer, &window, Duration::from_millis(300)).await.unwrap().budget_hit);
    }
    assert_eq!(server.calls(), 3);
    server.let_go();
    assert_eq!(raw(&scorer, &[6, 7]).await, [Some(0.6), Some(0.7)], "who comes later has a turn");
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_texts_nor_keys_are_in_the_log_or_in_errors() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for status in [200, 422, 500] {
        // What it was asked, key included, is in its answer.
        let server = Cluster::start(move |seen| {
            let body = Bytes::from(format!("[{:?}, {:?}]", seen.headers, seen.body));
            Response::builder().status(status).body(Full::new(body)).unwrap()
        })
        .await;
        let mut authorization = HeaderValue::from_static("Bearer s3cret");
        authorization.set_sensitive(true);
        let scorer = scorer(RemoteModel { authorization: Some(authorization), ..model(server.address, Api::Tei) });
        for _ in 0..6 {
            let texts = vec!["t3xt".to_owned()];
            let error = scorer.score(request("qu3ry", texts, PLENTY)).await.unwrap_err();
            tracing::info!("{error} {error:?} {:?}", scorer.readiness());
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("fails again and again"), "{log}");
    for private in ["s3cret", "t3xt", "qu3ry"] {
        assert!(!log.contains(private), "{log}");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_search_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = score_within(&scorer(model(address, Api::Tei)), &[1], PLENTY).await.unwrap_err();
    assert!(error.to_string().contains("no connection: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_search_through_the_proxy_is_reranked_by_a_remote_model() {
    let cluster = Cluster::start(|seen| hits(seen, 10)).await;
    let server = Cluster::start(right).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let scorer: Arc<dyn Scorer> = Arc::new(scorer(model(server.address, Api::CohereV2)));
    let settings: &[(&[&'static str], &str)] = &[(&["rules", "0", "budget"], "20s")];
    let process =
        Process::with_scorers(common::config(cluster.address, settings), HashMap::from([("m".to_owned(), scorer)]));
    tokio::spawn(server::run(listener, process.unwrap(), std::future::pending()));
    for cached in [0, 5] {
        let search = reqwest::Client::new()
            .post(format!("http://{proxy}/i/_search?size=3"))
            .header("content-type", "application/json")
            .body(r#"{"query":{"match":{"stars":"many"}}}"#);
        let response = search.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let said = format!("applied; model=\"m\"; window=5; scored=5; cached={cached}; budget-hit=?0");
        assert_eq!(response.headers()["x-rerank"], said);
        let page = ids_and_scores(&response.text().await.unwrap());
        assert_eq!(page, [("4".to_owned(), 0.5), ("3".to_owned(), 0.4), ("2".to_owned(), 0.3)]);
    }
}
