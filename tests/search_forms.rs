//! The other ways in (`_msearch`, templates, points in time), content codings and `X-Rerank…` headers, against a scripted
//! cluster: what is sent, and what becomes of answers that a real engine will not give on demand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{io::Write, net::SocketAddr};

use bytes::Bytes;
use common::{Cluster, Longest, Seen, hits, ids_and_scores, json, proxy};
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json as value};

const APPLIED: &str = "applied; model=\"m\"; window=5; scored=5; cached=0; budget-hit=?0";

/// A request that is told everything; answers with status, `X-Rerank` and body.
async fn ask(
    proxy: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> (u16, String, Bytes) {
    let mut request = reqwest::Client::new().post(format!("http://{proxy}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body).send().await.unwrap();
    let said = response.headers().get("x-rerank").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), said.unwrap_or_default(), response.bytes().await.unwrap())
}

fn ids(answer: &Value) -> Vec<String> {
    ids_and_scores(&answer.to_string()).into_iter().map(|(id, _)| id).collect()
}

/// Answers a multi search: ten hits for each search, but an error for one that says `picky` and asks for five hits, which
/// is what its widened form does.
fn msearch(seen: &Seen) -> Response<Full<Bytes>> {
    let lines: Vec<Value> = seen
        .body
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let answers = lines.chunks(2).map(|pair| {
        let size = pair[1]["size"].as_u64().unwrap_or(10);
        if pair[0].get("index") == Some(&value!("missing")) {
            return value!({"error": {"type": "index_not_found_exception"}, "status": 404});
        }
        if pair[1].to_string().contains("picky") && size == 5 {
            return value!({"error": {"type": "illegal_argument_exception"}, "status": 400});
        }
        let url = Seen { path_and_query: format!("/?size={size}"), ..seen.clone() };
        let body = bytes_of(hits(&url, 10));
        serde_json::from_slice(&body).unwrap()
    });
    json(value!({"took": 1, "responses": answers.collect::<Vec<Value>>()}).to_string())
}

/// The bytes of a scripted answer, which are all there.
fn bytes_of(response: Response<Full<Bytes>>) -> Bytes {
    use http_body_util::BodyExt;
    let mut body = response.into_body();
    let frame = std::pin::pin!(body.frame());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match frame.poll(&mut context) {
        std::task::Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
        _ => Bytes::new(),
    }
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn each_of_several_searches_is_answered_in_its_place() {
    let cluster = Cluster::start(msearch).await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let body = lines(&[
        value!({"index": "a"}),
        value!({"query": {"match": {"stars": "x"}}, "size": 3}),
        value!({"index": "missing"}),
        value!({"query": {"match": {"stars": "x"}}}),
        value!({}),
        value!({"query": {"match": {"stars": "x"}}, "sort": "n", "size": 2}),
        value!({}),
        value!({"query": {"match": {"stars": "x"}}, "from": 1, "size": 2}),
    ]);
    let (status, said, answer) = ask(proxy, "/b/_msearch", &[("content-type", "application/x-ndjson")], body).await;
    assert_eq!(status, 200);
    assert_eq!(said, format!("{APPLIED}, skipped; reason=upstream-error, skipped; reason=sort, {APPLIED}"));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let answers = answer["responses"].as_array().unwrap();
    assert_eq!(ids(&answers[0]), ["4", "3", "2"]);
    assert_eq!(answers[1]["status"], 404);
    assert_eq!(ids(&answers[2]), ["0", "1"]);
    assert_eq!(ids(&answers[3]), ["3", "2"]);
    let seen = cluster.seen();
    assert_eq!(seen.len(), 1, "one call to the cluster");
    let sent: Vec<Value> =
        std::str::from_utf8(&seen[0].body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sent[1]["size"], 5);
    assert_eq!(sent[5], value!({"query": {"match": {"stars": "x"}}, "sort": "n", "size": 2}));
}

#[tokio::test]
async fn a_search_whose_widened_form_is_refused_is_asked_for_again_and_its_neighbours_are_not() {
    let cluster = Cluster::start(msearch).await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let body = lines(&[
        value!({}),
        value!({"query": {"match": {"stars": "x"}}, "size": 2}),
        value!({"index": "p"}),
        value!({"query": {"match": {"stars": "picky"}}, "size": 2}),
    ]);
    let (_, said, answer) = ask(proxy, "/_msearch", &[("content-type", "application/x-ndjson")], body).await;
    assert_eq!(said, format!("{APPLIED}, skipped; reason=upstream-error"));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(ids(&answer["responses"][0]), ["4", "3"]);
    assert_eq!(ids(&answer["responses"][1]), ["0", "1"]);
    let seen = cluster.seen();
    assert_eq!(seen.len(), 2);
    let again = lines(&[value!({"index": "p"}), value!({"query": {"match": {"stars": "picky"}}, "size": 2})]);
    assert_eq!(seen[1].body, again);
}

#[tokio::test]
async fn a_template_is_rendered_by_the_cluster_and_then_searched_for() {
    let cluster = Cluster::start(|seen| match seen.path_and_query.as_str() {
        "/" => json(r#"{"version":{"distribution":"opensearch"}}"#),
        "/_render/template" => json(r#"{"template_output":{"query":{"match":{"stars":"x"}}}}"#),
        _ => hits(seen, 10),
    })
    .await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let body = r#"{"id":"t","params":{"q":"x"}}"#;
    let headers = [("content-type", "application/json"), ("authorization", "ApiKey abc")];
    let (_, said, answer) = ask(proxy, "/i/_search/template?routing=r", &headers, body).await;
    assert_eq!(said, APPLIED);
    assert_eq!(ids(&serde_json::from_slice(&answer).unwrap())[..6], ["4", "3", "2", "1", "0", "5"]);
    assert!(answer.ends_with(br#","status":200}"#), "as OpenSearch answers templates");
    let seen = cluster.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path_and_query.as_str()), ("GET", "/"));
    assert_eq!(seen[1].body, body);
    assert_eq!(seen[2].path_and_query, "/i/_search?routing=r");
    assert_eq!(seen[2].body, r#"{"query":{"match":{"stars":"x"}}}"#);
    assert!(seen.iter().all(|seen| seen.headers.contains(&("authorization".to_owned(), "ApiKey abc".to_owned()))));
}

#[tokio::test]
async fn a_client_that_may_not_ask_which_engine_it_is_does_not_decide_it_for_the_others() {
    let cluster = Cluster::start(|seen| match seen.path_and_query.as_str() {
        "/" if seen.headers.contains(&("authorization".to_owned(), "ApiKey restricted".to_owned())) => {
            let mut refusal = json(r#"{"error":{"type":"security_exception"},"status":403}"#);
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            refusal
        }
        "/" => json(r#"{"version":{"distribution":"opensearch","number":"3.1.0"}}"#),
        "/_render/template" => json(r#"{"template_output":{"query":{"match":{"stars":"x"}}}}"#),
        _ => hits(seen, 10),
    })
    .await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    for (client, is_known) in [("ApiKey restricted", false), ("ApiKey abc", true), ("ApiKey restricted", true)] {
        let headers = [("content-type", "application/json"), ("authorization", client)];
        let (_, said, answer) = ask(proxy, "/i/_search/template", &headers, r#"{"id":"t"}"#).await;
        assert_eq!((said.as_str(), answer.ends_with(br#","status":200}"#)), (APPLIED, is_known), "{client}");
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_rendered_is_the_cluster_s_to_answer() {
    let cluster = Cluster::start(|seen| {
        let mut response = json(r#"{"error":"no such template"}"#);
        *response.status_mut() = if seen.path_and_query == "/_render/template" { 400 } else { 404 }.try_into().unwrap();
        response
    })
    .await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let (status, said, _) =
        ask(proxy, "/i/_search/template", &[("content-type", "application/json")], r#"{"id":"t"}"#).await;
    assert_eq!((status, said.as_str()), (404, "skipped; reason=upstream-error"));
    assert_eq!(cluster.seen().last().unwrap().path_and_query, "/i/_search/template");
}

#[tokio::test]
async fn a_point_in_time_is_judged_by_the_indices_it_was_opened_on_or_by_its_hits() {
    let cluster = Cluster::start(|seen| match seen.path_and_query.as_str() {
        "/ruled/_pit?keep_alive=1m" => json(r#"{"id":"known"}"#),
        _ => {
            let body = String::from_utf8(bytes_of(hits(seen, 10)).to_vec()).unwrap();
            let index = if String::from_utf8_lossy(&seen.body).contains("elsewhere") { "other" } else { "ruled" };
            json(body.replace("{\"_id\"", &format!("{{\"_index\":\"{index}\",\"_id\"")))
        }
    })
    .await;
    let proxy = proxy(cluster.address, &[(&["rules", "0", "index"], "ruled")], Longest).await;
    ask(proxy, "/ruled/_pit?keep_alive=1m", &[], "").await;
    let search = |id: &'static str| async move {
        let body = value!({"pit": {"id": id}, "query": {"match": {"stars": "x"}}, "size": 2}).to_string();
        let (_, said, answer) = ask(proxy, "/_search", &[("content-type", "application/json")], body).await;
        (said, ids(&serde_json::from_slice(&answer).unwrap()))
    };
    let applied = (APPLIED.to_owned(), vec!["4".to_owned(), "3".to_owned()]);
    assert_eq!(search("known").await, applied);
    assert_eq!(cluster.seen().len(), 2);
    // Opened through another replica: its hits tell, once.
    assert_eq!(search("unknown").await, applied);
    assert_eq!(cluster.seen().len(), 4);
    assert_eq!(search("unknown").await, applied);
    assert_eq!(cluster.seen().len(), 5);
    let (said, found) = search("elsewhere").await;
    assert_eq!((said.as_str(), found.len()), ("skipped; reason=no-rule", 10));
    assert_eq!(cluster.seen().len(), 6, "its first answer is the client's");
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn gunzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut plain).unwrap();
    plain
}

#[tokio::test]
async fn compressed_bodies_are_read_both_ways() {
    // A cluster that compresses whatever it is asked for.
    let cluster = Cluster::start(|seen| {
        let mut response = json(gzipped(&bytes_of(hits(seen, 10))));
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let search = gzipped(br#"{"query":{"match":{"stars":"x"}},"size":2}"#);
    let (_, said, answer) = ask(proxy, "/i/_search", &headers, search.clone()).await;
    assert_eq!(said, APPLIED);
    assert_eq!(ids(&serde_json::from_slice(&answer).unwrap()), ["4", "3"]);
    assert_eq!(cluster.seen()[0].body, search, "what need not change goes as it came");

    let headers = [("content-type", "application/json"), ("accept-encoding", "br;q=0.5, gzip")];
    let (_, _, answer) = ask(proxy, "/i/_search?size=2", &headers, r#"{"query":{"match":{"stars":"x"}}}"#).await;
    assert_eq!(ids(&serde_json::from_slice(&gunzipped(&answer)).unwrap()), ["4", "3"]);

    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let hidden = gzipped(br#"{"query":{"match":{"stars":"x"}},"_source":false}"#);
    ask(proxy, "/i/_search", &headers, hidden).await;
    let sent = cluster.seen().pop().unwrap();
    assert_eq!(sent.body, r#"{"query":{"match":{"stars":"x"}},"_source":false,"fields":["stars"]}"#);
    assert!(!sent.headers.iter().any(|(name, _)| name == "content-encoding"));
    let length = sent.headers.iter().find(|(name, _)| name == "content-length").unwrap();
    assert_eq!(length.1, sent.body.len().to_string());
}

#[tokio::test]
async fn a_filter_that_hides_the_passages_is_applied_after_reranking() {
    let cluster = Cluster::start(|seen| hits(seen, 10)).await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let body = r#"{"query":{"match":{"stars":"x"}},"size":2}"#;
    let headers = [("content-type", "application/json")];
    let (_, said, answer) = ask(proxy, "/i/_search?filter_path=hits.hits._id&pretty", &headers, body).await;
    assert_eq!(said, APPLIED);
    assert_eq!(answer, r#"{"hits":{"hits":[{"_id":"4"},{"_id":"3"}]}}"#);
    assert_eq!(cluster.seen()[0].path_and_query, "/i/_search?pretty&from=0&size=5");
    ask(proxy, "/i/_search?filter_path=took,hits", &headers, body).await;
    assert_eq!(cluster.seen()[1].path_and_query, "/i/_search?filter_path=took,hits&from=0&size=5");
}

#[tokio::test]
async fn a_client_may_say_what_the_proxy_is_to_do() {
    let cluster = Cluster::start(|seen| hits(seen, 10)).await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let search = |headers: &'static [(&'static str, &'static str)], body: &'static str| async move {
        let headers = [&[("content-type", "application/json")], headers].concat();
        ask(proxy, "/i/_search?size=2", &headers, body).await
    };
    let body = r#"{"query":{"match_all":{}}}"#;
    assert_eq!(search(&[], body).await.1, "skipped; reason=no-query-text");
    assert_eq!(search(&[("x-rerank-query", "red wine")], body).await.1, APPLIED);
    assert_eq!(search(&[("x-rerank-query", "red wine"), ("x-rerank", "off")], body).await.1, "skipped; reason=off");
    let narrow = search(&[("x-rerank-query", "red wine"), ("x-rerank-window", "3")], body).await.1;
    assert_eq!(narrow, "applied; model=\"m\"; window=3; scored=3; cached=0; budget-hit=?0");
    let refused = search(&[("x-rerank-query", "red wine"), ("x-rerank-model", "big")], body).await.1;
    assert_eq!(refused, format!("{APPLIED}; ignored=\"x-rerank-model\""));
    let (status, _, answer) = search(&[("x-rerank-window", "all")], body).await;
    assert_eq!(status, 400);
    assert!(String::from_utf8_lossy(&answer).contains("X-Rerank-Window must be a number of hits"));

    let (_, _, answer) = search(&[("x-rerank-query", "red wine"), ("x-rerank-explain", "true")], body).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let note = &answer["hits"]["hits"][0]["fields"]["_rerank"][0];
    assert_eq!(note["rank"], value!({"before": 5, "after": 1}));
    assert_eq!(note["score"], value!({"before": 6.0, "model": 5.0, "after": 5.0}));
    assert_eq!(note["passage"], "*****");
}

#[tokio::test]
async fn a_reranking_that_cannot_be_done_is_refused_before_the_cluster_is_asked() {
    let cluster = Cluster::start(|seen| hits(seen, 10)).await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let body = r#"{"retriever":{"text_similarity_reranker":{"retriever":{"standard":{}},"field":"stars"}}}"#;
    let (status, _, answer) = ask(proxy, "/i/_search", &[("content-type", "application/json")], body).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["error"]["type"]), (400, &value!("illegal_argument_exception")));
    assert!(answer["error"]["reason"].as_str().unwrap().contains("[inference_text]"));
    assert!(cluster.seen().is_empty());
}
