//! The pipeline against a scripted Solr: what a client gets when Solr does something that a real one will not do on demand,
//! and whose API a path is taken for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "the functions that tests share are for several of them")]

mod common;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use common::{Cluster, Faulty, Longest, Seen, hits, json, proxy};
use http::{Response, StatusCode};
use http_body_util::Full;
use scoring::ScoreError;

/// What becomes of a request in place of an answer, if anything.
type Fault = fn(&Seen) -> Option<Response<Full<Bytes>>>;

/// Whether this is the question for a handler's defaults.
fn is_question(seen: &Seen) -> bool {
    seen.path_and_query.ends_with("?echoParams=all&omitHeader=false&indent=off")
}

/// A Solr with seven documents, the text of document `i` being `i` stars, behind a handler that fills in nothing.
fn solr(seen: &Seen) -> Response<Full<Bytes>> {
    if is_question(seen) {
        return json(r#"{"responseHeader":{"params":{"echoParams":"all","omitHeader":"false","indent":"off"}}}"#);
    }
    let query = seen.path_and_query.split_once('?').map_or("", |(_, query)| query);
    let mut said: HashMap<&str, &str> = HashMap::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        said.entry(name).or_insert(value);
    }
    let number = |name: &str, default: usize| said.get(name).map_or(default, |value| value.parse().unwrap());
    let (start, rows) = (number("start", 0), number("rows", 10));
    let scored = query.contains("score");
    let docs: Vec<String> = (start..7.min(start.saturating_add(rows)))
        .map(|i| {
            let score = if scored { format!(r#","score":{}.5"#, 9 - i) } else { String::new() };
            let elevated = if query.contains("elevated") { r#","[elevated]":false"# } else { "" };
            format!(r#"{{"id":"{i}","stars":"{}"{score}{elevated}}}"#, "*".repeat(i + 1))
        })
        .collect();
    let max = if scored { r#""maxScore":9.5,"# } else { "" };
    let docs = docs.join(",");
    json(format!(
        r#"{{"responseHeader":{{"status":0}},"response":{{"numFound":7,"start":{start},{max}"docs":[{docs}]}}}}"#
    ))
}

async fn get(proxy: SocketAddr, path: &str) -> (StatusCode, String, String) {
    let response = reqwest::get(format!("http://{proxy}{path}")).await.unwrap();
    let said = response.headers().get("x-rerank").map_or("", |value| value.to_str().unwrap()).to_owned();
    (response.status(), said, response.text().await.unwrap())
}

fn ids(body: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap();
    let docs = answer["response"]["docs"].as_array().unwrap();
    docs.iter().map(|doc| doc["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_cut_from_the_reranked_window_and_continue_each_other() {
    let cluster = Cluster::start(solr).await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let mut seen = String::new();
    for start in [0, 2, 4] {
        let (_, said, body) = get(proxy, &format!("/solr/books/select?q=stars:many&rows=2&start={start}")).await;
        assert!(said.starts_with("applied; model=\"m\"; window=5; scored=5"), "{said}");
        assert!(body.contains(&format!("\"start\":{start},\"docs\"")) && !body.contains("core\":"), "{body}");
        seen.push_str(&ids(&body));
    }
    // Five reranked, then Solr's own sixth.
    assert_eq!(seen, "432105");
    let questions = cluster.seen().iter().filter(|seen| is_question(seen)).count();
    assert_eq!((questions, cluster.seen().len()), (1, 4), "a handler is asked once");
}

#[tokio::test]
async fn whatever_goes_wrong_the_client_gets_solr_s_own_page() {
    let own = ids(r#"{"response":{"docs":[{"id":"1"},{"id":"2"}]}}"#);
    let gone = proxy(
        Cluster::start(solr).await.address,
        &[],
        Faulty(|| async { Err(ScoreError::Unavailable("gone".to_owned())) }),
    )
    .await;
    let (_, said, body) = get(gone, "/solr/books/select?q=stars:many&rows=2&start=1").await;
    assert_eq!((said.as_str(), ids(&body)), ("skipped; reason=model-unavailable", own.clone()));
    assert!(body.contains(r#""start":1,"docs":[{"id":"1","stars":"**"},"#), "{body}");

    let widened = |seen: &Seen| seen.path_and_query.contains("elevated");
    let faults: [(Fault, &str); 4] = [
        (
            |seen| is_question(seen).then(|| Response::builder().status(403).body(Full::default()).unwrap()),
            "upstream-error",
        ),
        (|seen| is_question(seen).then(|| json("{}")), "upstream-error"),
        (
            |seen| {
                seen.path_and_query
                    .contains("elevated")
                    .then(|| Response::builder().status(500).body(Full::default()).unwrap())
            },
            "upstream-error",
        ),
        (
            |seen| {
                seen.path_and_query
                    .contains("elevated")
                    .then(|| json(r#"{"response":{"numFound":7,"start":0,"docs":[]}}"#))
            },
            "partial",
        ),
    ];
    for (fault, reason) in faults {
        let cluster = Cluster::start(move |seen| fault(seen).unwrap_or_else(|| solr(seen))).await;
        let proxy = proxy(cluster.address, &[], Longest).await;
        let (status, said, body) = get(proxy, "/solr/books/select?q=stars:many&rows=2&start=1").await;
        assert_eq!((status, said, ids(&body)), (StatusCode::OK, format!("skipped; reason={reason}"), own.clone()));
        assert!(!widened(cluster.seen().last().unwrap()), "the last word is the client's own request");
    }
}

#[tokio::test]
async fn defaults_that_were_told_hold_while_the_handler_does_not_answer() {
    let asked = AtomicBool::new(false);
    let cluster = Cluster::start(move |seen| {
        if is_question(seen) && asked.swap(true, Ordering::Relaxed) {
            return Response::builder().status(503).body(Full::default()).unwrap();
        }
        solr(seen)
    })
    .await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    for path in ["/solr/books/select", "/solr/books/select"] {
        assert!(get(proxy, &format!("{path}?q=stars:many")).await.1.starts_with("applied"));
    }
    let (_, said, _) = get(proxy, "/solr/others/select?q=stars:many").await;
    assert_eq!(said, "skipped; reason=upstream-error");
}

#[tokio::test]
async fn a_path_tells_whose_api_it_is_unless_the_operator_does() {
    let either = |seen: &Seen| if seen.path_and_query.starts_with("/solr/books") { solr(seen) } else { hits(seen, 7) };
    let cluster = Cluster::start(either).await;
    let searches = ["/solr/books/select?q=stars:many", "/solr/_search?q=many", "/books/_search?q=many"];
    for (engine, applied) in
        [("auto", [true, true, true]), ("solr", [true, false, false]), ("opensearch", [false, true, true])]
    {
        let proxy = proxy(cluster.address, &[(&["upstream", "engine"], engine)], Longest).await;
        for (search, applied) in searches.iter().zip(applied) {
            let (status, said, _) = get(proxy, search).await;
            assert_eq!((status, said.starts_with("applied")), (StatusCode::OK, applied), "{engine} {search} {said}");
        }
    }
}

#[tokio::test]
async fn errors_are_in_the_form_of_the_engine_that_the_path_belongs_to() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = proxy(nobody, &[], Longest).await;
    for path in ["/solr/books/select?q=stars:many", "/solr/books/update", "/api/collections"] {
        let (status, _, body) = get(proxy, path).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]["code"]), (StatusCode::BAD_GATEWAY, &502.into()), "{path} {body}");
        assert!(body["error"]["msg"].as_str().unwrap().contains("cannot connect"), "{body}");
    }
    let (_, _, body) = get(proxy, "/books/_search?q=many").await;
    assert!(body.contains("root_cause"), "{body}");
}
