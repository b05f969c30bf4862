//! The access log, on stderr of the real program: which requests have a line, what it says, and what it never says.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Cluster, hits, program::Program};
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A program in front of a cluster of three hits.
async fn program(variables: &[(&str, &str)]) -> (Cluster, Program) {
    let cluster = Cluster::start(|seen| hits(seen, 3)).await;
    let program = Program::start(cluster.address, variables, "");
    (cluster, program)
}

/// Asks for the path, as a client does who has secrets.
async fn ask(program: &Program, path: &str) -> usize {
    let url = format!("http://{}{path}", program.address);
    let body = r#"{"query": {"match": {"text": "sesame"}}}"#;
    let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
    let request = request.header("authorization", "Basic c2VjcmV0").header("x-opaque-id", "basket 7");
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    request.send().await.unwrap().bytes().await.unwrap().len()
}

/// The lines of the access log. The last request is awaited: lines are written in the order in which their requests end.
async fn lines(program: &Program) -> Vec<Value> {
    let url = format!("http://{}/_rerank/health", program.address);
    reqwest::get(url).await.unwrap().bytes().await.unwrap();
    program.logs("/_rerank/health").await;
    let log = program.log.lock().unwrap().clone();
    for secret in ["sesame", "c2VjcmV0", "open+"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "request" && line["path"] != "/_rerank/health").collect()
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told_at_the_start_and_by_health() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = Program::start(free, &[], "");
    program.logs("the cluster does not answer: cannot connect to the cluster at 127.0.0.1:").await;
    let health = reqwest::get(format!("http://{}/_rerank/health", program.address)).await.unwrap();
    let health: Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    assert_eq!(health["cluster"], "not reachable", "{health}");
}

#[tokio::test]
async fn a_rule_that_names_fields_that_no_hit_has_is_told_once() {
    let (_cluster, program) = program(&[("RERANK_PROXY_RULES__0__FIELDS", "titel,body")]).await;
    for _ in 0..60 {
        ask(&program, "/reranked/_search?q=open+sesame").await;
    }
    let told = "rule 1 (reranked): none of its fields (titel, body) had text in the last 50 searches; run `rerank-proxy check`";
    program.logs(told).await;
    lines(&program).await;
    assert_eq!(program.log.lock().unwrap().matches(told).count(), 1);
}

#[tokio::test]
async fn a_search_that_a_rule_names_has_a_line_that_tells_no_texts() {
    let (_cluster, program) = program(&[]).await;
    let bytes = ask(&program, "/reranked/_search?q=open+sesame").await;
    ask(&program, "/other/_search").await;
    ask(&program, "/reranked/_doc/1").await;
    let lines = lines(&program).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    for (name, value) in [
        ("target", "rerank_proxy::access"),
        ("protocol", "HTTP/1.1"),
        ("method", "POST"),
        ("path", "/reranked/_search"),
        ("outcome", "model-unavailable"),
        ("rule", "reranked"),
        ("opaque_id", "basket 7"),
        ("trace_id", TRACE),
    ] {
        assert_eq!(line[name], value, "{name} of {line}");
    }
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(200), Some(bytes as u64)), "{line}");
    assert_eq!((line["searches"].as_u64(), line["applied"].as_u64()), (Some(1), Some(0)), "{line}");
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    let milliseconds = |name: &str| line[name].as_f64().unwrap();
    assert!(milliseconds("cluster_ms") + milliseconds("rerank_ms") <= milliseconds("ms"), "{line}");
}

#[tokio::test]
async fn every_request_has_one_where_the_operator_wants_that() {
    let (_cluster, program) =
        program(&[("RERANK_PROXY_LOG__ACCESS", "all"), ("RERANK_PROXY_LOG__LEVEL", "error")]).await;
    for path in ["/other/_search", "/_bulk", "/reranked/_search"] {
        ask(&program, path).await;
    }
    let lines = lines(&program).await;
    let told: Vec<(&str, &Value)> =
        lines.iter().map(|line| (line["path"].as_str().unwrap(), &line["outcome"])).collect();
    let outcome = |text: &str| Value::String(text.to_owned());
    let expected = [
        ("/other/_search", &outcome("no-rule")),
        ("/_bulk", &Value::Null),
        ("/reranked/_search", &outcome("model-unavailable")),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_client_that_goes_away_before_its_answer_leaves_a_line() {
    let (asked, was_asked) = tokio::sync::oneshot::channel();
    let asked = std::sync::Mutex::new(Some(asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let silent = listener.accept().await.unwrap();
        asked.lock().unwrap().take().unwrap().send(()).unwrap();
        std::future::pending::<()>().await;
        drop(silent);
    });
    let program = Program::start(address, &[], "");
    let asking = tokio::spawn({
        let url = format!("http://{}/reranked/_search?q=a", program.address);
        async move { reqwest::get(url).await }
    });
    was_asked.await.unwrap();
    asking.abort();
    program.logs("\"status\":499").await;
}
