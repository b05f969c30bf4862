//! What a rule orders by besides one model, as a client sees it: several signals, depth, thresholds. Against a scripted cluster and
//! made-up models.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod common;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{Cluster, Longest, Shortest, hits, ids_and_scores, json, proxy, proxy_with};
use http_body_util::BodyExt;
use scoring::{ScoreFuture, Scorer};
use serde_json::Value;

const MATCH: &str = r#"{"query":{"match":{"stars":"many"}}}"#;

async fn asked(proxy: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut request = reqwest::Client::new().post(format!("http://{proxy}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.header("content-type", "application/json").body(MATCH).send().await.unwrap();
    let said = response.headers().get("x-rerank").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), said.unwrap_or_default(), response.text().await.unwrap())
}

fn ids(body: &str) -> String {
    ids_and_scores(body).into_iter().map(|(id, _)| id).collect::<Vec<_>>().join(" ")
}

/// Ten hits of which the cluster says that there are at least ten.
async fn ten_hits() -> Cluster {
    Cluster::start(|seen| {
        let body = hits(seen, 10).into_body();
        let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        json(text.replacen("\"hits\":{", "\"hits\":{\"total\":{\"value\":10,\"relation\":\"gte\"},", 1))
    })
    .await
}

/// Counts the passages that a model is asked for.
struct Counted<S>(S, Arc<AtomicUsize>);

impl<S: Scorer> Scorer for Counted<S> {
    fn score<'a>(&'a self, request: scoring::Request<'a>) -> ScoreFuture<'a> {
        self.1.fetch_add(request.passages.len(), Ordering::Relaxed);
        self.0.score(request)
    }

    fn readiness(&self) -> scoring::Readiness {
        self.0.readiness()
    }
}

const SIGNALS: [(&[&str], &str); 5] = [
    (&["rules", "0", "signals", "0", "model"], "m"),
    (&["rules", "0", "signals", "1", "cluster"], "true"),
    (&["rules", "0", "signals", "2", "model"], "n"),
    (&["rules", "0", "signals", "2", "weight"], "0.5"),
    (&["rules", "0", "budget"], "10s"),
];

#[tokio::test]
async fn models_and_the_cluster_are_added_up_and_pages_continue_each_other() {
    let cluster = ten_hits().await;
    let proxy = proxy_with(cluster.address, &SIGNALS, Longest, Shortest).await;
    let (mut found, mut scores) = (Vec::new(), Vec::new());
    for from in [0, 2, 4] {
        let (_, said, body) = asked(proxy, &format!("/i/_search?from={from}&size=2"), &[]).await;
        assert_eq!(said, "applied; model=\"m+cluster+n\"; window=5; scored=5; cached=0; budget-hit=?0");
        found.push(ids(&body));
        scores.extend(ids_and_scores(&body).into_iter().map(|(_, score)| score));
    }
    // The cluster and the first model cancel each other out; the second model is left.
    assert_eq!(found, ["0 1", "2 3", "4 5"]);
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
    assert_eq!(scores[..5], [1.5, 1.375, 1.25, 1.125, 1.0]);
}

#[tokio::test]
async fn explain_tells_what_each_signal_adds() {
    let cluster = ten_hits().await;
    let proxy = proxy_with(cluster.address, &SIGNALS, Longest, Shortest).await;
    let (_, _, body) = asked(proxy, "/i/_search?size=2", &[("x-rerank-explain", "true")]).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    let note = &answer["hits"]["hits"][1]["fields"]["_rerank"][0];
    assert_eq!(
        note["signals"],
        serde_json::json!([
            {"name": "m", "value": 2.0, "share": 0.25},
            {"name": "cluster", "value": 9.0, "share": 0.75},
            {"name": "n", "value": -1.0, "share": 0.375},
        ])
    );
    assert_eq!((&note["score"]["model"], &note["score"]["after"]), (&1.375.into(), &1.375.into()));
}

#[tokio::test]
async fn effort_spares_the_second_model_what_cannot_matter() {
    let cluster = ten_hits().await;
    for (effort, pairs) in [("fast", 3), ("balanced", 3), ("thorough", 4)] {
        let count = Arc::new(AtomicUsize::new(0));
        let settings: [(&[&str], &str); 7] = [
            (&["rules", "0", "signals", "0", "model"], "m"),
            (&["rules", "0", "signals", "1", "model"], "n"),
            (&["rules", "0", "signals", "1", "keep"], "5"),
            (&["rules", "0", "effort"], effort),
            (&["rules", "0", "budget"], "10s"),
            (&["rules", "0", "window"], "5"),
            (&["log", "level"], "warn"),
        ];
        let proxy = proxy_with(cluster.address, &settings, Longest, Counted(Shortest, count.clone())).await;
        let (_, _, body) = asked(proxy, "/i/_search?size=5", &[]).await;
        assert_eq!(count.load(Ordering::Relaxed), pairs, "{effort}");
        assert_eq!(ids(&body).len(), 9);
        // The second page asks for the same ones.
        asked(proxy, "/i/_search?from=2&size=2", &[]).await;
        assert_eq!(count.load(Ordering::Relaxed), 2 * pairs, "{effort}");
    }
}

/// A rule in the cluster's order whose model is calibrated: the hits have 0.12, 0.27, 0.5, 0.73 and 0.88.
const CALIBRATED: [(&[&str], &str); 5] = [
    (&["rules", "0", "blend", "method"], "linear"),
    (&["rules", "0", "blend", "weight"], "0"),
    (&["rules", "0", "probability", "m"], "1"),
    (&["rules", "0", "probability", "offset"], "-3"),
    (&["clients", "headers"], "explain, min-score"),
];

#[tokio::test]
async fn hits_below_the_rule_s_lowest_score_go_behind_the_others() {
    let cluster = ten_hits().await;
    let lowest: (&[&str], &str) = (&["rules", "0", "min_score"], "0.4");
    let proxy = proxy(cluster.address, &[&CALIBRATED[..], &[lowest]].concat(), Longest).await;
    let (_, said, body) = asked(proxy, "/i/_search?size=6", &[("x-rerank-explain", "true")]).await;
    assert_eq!(ids(&body), "2 3 4 0 1 5", "no hit is lost");
    assert!(said.contains("; good=3"), "{said}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["hits"]["total"], serde_json::json!({"value": 10, "relation": "gte"}));
    let probability = answer["hits"]["hits"][0]["fields"]["_rerank"][0]["score"]["probability"].as_f64().unwrap();
    assert!((probability - 0.5).abs() < 1e-6);
    let scores: Vec<f64> = ids_and_scores(&body).into_iter().map(|(_, score)| score).collect();
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
}

#[tokio::test]
async fn a_client_may_have_hits_left_out_and_is_told_how_many_there_are_left() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &CALIBRATED, Longest).await;
    let (_, _, body) = asked(proxy, "/i/_search?size=2", &[("x-rerank-min-score", "0.4")]).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (ids(&body).as_str(), &answer["hits"]["total"]),
        ("2 3", &serde_json::json!({"value": 3, "relation": "eq"}))
    );
    let (_, _, body) = asked(proxy, "/i/_search?from=2&size=2", &[("x-rerank-min-score", "0.4")]).await;
    assert_eq!(ids(&body), "4");
    let (_, said, body) = asked(proxy, "/i/_search?size=2", &[("x-rerank-min-score", "0.9")]).await;
    assert!(ids(&body).is_empty() && said.contains("; good=0"), "{said}");
    let (status, _, body) = asked(proxy, "/i/_search", &[("x-rerank-min-score", "high")]).await;
    assert!(status == 400 && body.contains("X-Rerank-Min-Score must be a probability, 0 to 1"), "{body}");
    let (_, said, body) = asked(proxy, "/i/_search?size=6", &[]).await;
    assert_eq!(
        (ids(&body).as_str(), said.starts_with("applied"), said.contains("good=")),
        ("0 1 2 3 4 5", true, false)
    );
}

#[tokio::test]
async fn a_client_s_threshold_needs_a_rule_that_is_calibrated() {
    let cluster = ten_hits().await;
    let settings: [(&[&str], &str); 1] = [(&["clients", "headers"], "min-score")];
    let (status, _, body) =
        asked(proxy(cluster.address, &settings, Longest).await, "/i/_search", &[("x-rerank-min-score", "0.4")]).await;
    assert!(status == 400 && body.contains("the scores of `m` are no probabilities"), "{body}");
    let (_, said, _) =
        asked(proxy(cluster.address, &[], Longest).await, "/i/_search", &[("x-rerank-min-score", "0.4")]).await;
    assert!(said.contains("ignored=\"x-rerank-min-score\""), "{said}");
}

#[tokio::test]
async fn a_rule_in_shadow_refuses_nothing() {
    let cluster = ten_hits().await;
    let settings: [(&[&str], &str); 2] = [(&["clients", "headers"], "min-score"), (&["rules", "0", "mode"], "shadow")];
    let proxy = proxy(cluster.address, &settings, Longest).await;
    let (status, said, body) = asked(proxy, "/i/_search?size=2", &[("x-rerank-min-score", "0.4")]).await;
    assert_eq!((status, said.as_str(), ids(&body).as_str()), (200, "skipped; reason=shadow", "0 1"));
}

#[tokio::test]
async fn a_search_s_own_threshold_takes_out_what_is_below_it_and_nothing_that_is_shown_below_it() {
    let cluster = ten_hits().await;
    // Longest has 1 to 5; the best hit is buried, the search wants 2 or more.
    let settings: [(&[&str], &str); 3] = [
        (&["rules", "0", "bury", "0", "field"], "stars"),
        (&["rules", "0", "bury", "0", "is"], "*****"),
        (&["rules", "0", "fields"], "stars"),
    ];
    let proxy = proxy(cluster.address, &settings, Longest).await;
    let body = r#"{"retriever":{"text_similarity_reranker":{"retriever":{"standard":{"query":{"match":{"stars":"x"}}}},
        "field":"stars","inference_text":"many","rank_window_size":5,"min_score":2}},"size":5}"#;
    let request = reqwest::Client::new().post(format!("http://{proxy}/i/_search")).body(body);
    let answer = request.header("content-type", "application/json").send().await.unwrap().text().await.unwrap();
    assert_eq!(ids(&answer), "3 2 1 4", "the first has 1 and is left out, the buried one has 5 and comes last");
}

#[tokio::test]
async fn a_list_of_one_model_keeps_its_probability() {
    let cluster = ten_hits().await;
    let settings: [(&[&str], &str); 4] = [
        (&["rules", "0", "signals", "0", "model"], "m"),
        (&["rules", "0", "signals", "0", "probability", "m"], "1"),
        (&["rules", "0", "signals", "0", "probability", "offset"], "-3"),
        (&["clients", "headers"], "min-score"),
    ];
    let proxy = proxy(cluster.address, &settings, Longest).await;
    let (_, _, body) = asked(proxy, "/i/_search?size=5", &[("x-rerank-min-score", "0.4")]).await;
    assert_eq!(ids(&body), "4 3 2");
}

#[tokio::test]
async fn where_all_hits_are_left_out_there_is_no_highest_score() {
    let cluster = ten_hits().await;
    let original: (&[&str], &str) = (&["rules", "0", "score"], "original");
    let proxy = proxy(cluster.address, &[&CALIBRATED[..], &[original]].concat(), Longest).await;
    for (lowest, hits, highest) in [("0.6", "3 4", Value::from(7.0)), ("0.99", "", Value::Null)] {
        let (_, _, body) = asked(proxy, "/i/_search?size=5", &[("x-rerank-min-score", lowest)]).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((ids(&body).as_str(), &answer["hits"]["max_score"]), (hits, &highest));
    }
}
