//! Diversity with the bundled bi-encoder: near-duplicates of real sentences, in what a client gets. Needs the ONNX Runtime
//! library: `make onnxruntime`.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use common::{Cluster, Seen, json};
use http::Response;
use http_body_util::Full;
use rerank_proxy::{open_models::Config, server, state::Process};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Sentences in the cluster's order; those at 1 and 4 say what the one at 0 says.
const SENTENCES: [&str; 6] = [
    "Wolves hunt in packs and wear out large prey.",
    "Wolves hunt in packs, and wear out large prey!",
    "A herd of elk feels safer near the river, where wolves seldom follow.",
    "Granite is an igneous rock.",
    "WOLVES hunt in packs and wear out large prey",
    "Hunting wolves was banned in most of Europe.",
];

/// Their makers, of which one has none.
const MAKERS: [Option<&str>; 6] = [Some("a"), Some("a"), Some("b"), None, Some("a"), Some("b")];

/// Searches find the sentences; `from` and `size` are honoured as in [`common::hits`].
fn sentences(seen: &Seen) -> Response<Full<bytes::Bytes>> {
    let number = |name: &str, default: usize| {
        let query = seen.path_and_query.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        value.map_or(default, |(_, value)| value.parse().unwrap())
    };
    let hit = |(place, text): (usize, &&str)| {
        let mut source = json!({"text": text});
        if let Some(maker) = MAKERS[place] {
            source["maker"] = json!({"name": maker});
        }
        json!({"_id": place.to_string(), "_score": 9 - place, "_source": source})
    };
    let page = SENTENCES.iter().enumerate().skip(number("from", 0)).take(number("size", 10));
    let hits: Vec<Value> = page.map(hit).collect();
    json(json!({"took": 1, "hits": {"max_score": 9.0, "hits": hits}}).to_string())
}

/// A proxy with the bundled bi-encoder, and a rule for each index: its name, and the rule's `diversity`.
async fn proxy(rules: &[(&str, &str)]) -> SocketAddr {
    let cluster = Cluster::start(sentences).await;
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/all-MiniLM-L6-v2");
    // One session: others would still be opened when the test program ends, which the library does not survive.
    let head = format!(
        "[upstream]\nurl = \"http://{}\"\n[scoring]\nworkers = 1\nthreads = 1\n[models.m]\npath = \"{model}\"\n",
        cluster.address
    );
    let rule =
        |(index, diversity): &(&str, &str)| format!("[[rules]]\nindex = \"{index}\"\nbudget = \"60s\"\n{diversity}\n");
    let rules: Vec<String> = rules.iter().map(rule).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), head + &rules.concat()).unwrap();
    let process = Process::start(Config::load(Some(file.path()), [], &[]).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::run(listener, process, std::future::pending()));
    let limit = Instant::now() + Duration::from_mins(1);
    while !reqwest::get(format!("http://{address}/_rerank/health"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
        .contains("\"ready\"")
    {
        assert!(Instant::now() < limit, "the model is not loaded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    address
}

/// A hit of a page: its id, its score, and why it was moved.
type Hit = (String, f64, Option<String>);

async fn search(proxy: SocketAddr, path: &str) -> Vec<Hit> {
    let request = reqwest::Client::new().post(format!("http://{proxy}{path}")).header("x-rerank-explain", "true");
    let body = json!({"query": {"match": {"text": "how do wolves hunt"}}}).to_string();
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    let said = response.headers()["x-rerank"].to_str().unwrap().to_owned();
    assert!(said.starts_with("applied") && said.ends_with("budget-hit=?0"), "{said}");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let hit = |hit: &Value| {
        let moved = hit["fields"]["_rerank"][0]["moved"].as_str().map(str::to_owned);
        (hit["_id"].as_str().unwrap().to_owned(), hit["_score"].as_f64().unwrap(), moved)
    };
    answer["hits"]["hits"].as_array().unwrap().iter().map(hit).collect()
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|(id, ..)| id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn near_duplicates_move_behind_the_others_and_pages_continue() {
    let proxy = proxy(&[("plain", ""), ("apart", "diversity = { duplicates = 0.9 }")]).await;
    let plain = search(proxy, "/plain/_search").await;
    let mut best = ids(&plain)[..3].to_vec();
    best.sort_unstable();
    assert_eq!(best, ["0", "1", "4"], "by their scores, the same sentence comes three times: {plain:?}");
    assert!(plain.iter().all(|(.., moved)| moved.is_none()));

    let apart = search(proxy, "/apart/_search").await;
    assert_eq!(apart.len(), SENTENCES.len(), "none is dropped: {apart:?}");
    let (stays, duplicates): (Vec<&str>, Vec<&str>) = (ids(&plain)[..1].to_vec(), ids(&plain)[1..3].to_vec());
    let expected = [stays, ids(&plain)[3..].to_vec(), duplicates].concat();
    assert_eq!(ids(&apart), expected);
    assert!(apart.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{apart:?}");
    let moved: Vec<Option<&str>> = apart.iter().map(|(.., moved)| moved.as_deref()).collect();
    assert_eq!(moved, [None, None, None, None, Some("duplicate"), Some("duplicate")]);

    let mut pages = Vec::new();
    for from in [0, 2, 4] {
        pages.extend(search(proxy, &format!("/apart/_search?from={from}&size=2")).await);
    }
    assert_eq!(pages, apart);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_lambda_brings_other_subjects_forward_and_1_changes_nothing() {
    let rules = [("plain", ""), ("one", "diversity = { lambda = 1 }"), ("half", "diversity = { lambda = 0.5 }")];
    let proxy = proxy(&rules).await;
    let plain = search(proxy, "/plain/_search").await;
    assert_eq!(search(proxy, "/one/_search").await, plain);
    let half = search(proxy, "/half/_search").await;
    assert_eq!(ids(&half)[0], ids(&plain)[0], "the best hit stays the first");
    assert!(!["0", "1", "4"].contains(&ids(&half)[1]), "{half:?}");
    assert!(half.iter().any(|(.., moved)| moved.as_deref() == Some("diversity")));
    assert!(half.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{half:?}");
    let mut all = ids(&half);
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maker_has_one_place_on_a_page_and_pages_continue() {
    let rules = [("plain", ""), ("apart", "fields = \"text\"\ndiversity = { field = \"maker.name\", at_most = 1 }")];
    let proxy = proxy(&rules).await;
    let plain = search(proxy, "/plain/_search").await;
    let mut pages = Vec::new();
    for from in [0, 2, 4] {
        let page = search(proxy, &format!("/apart/_search?from={from}&size=2")).await;
        let makers: Vec<Option<&str>> = ids(&page).iter().map(|id| MAKERS[id.parse::<usize>().unwrap()]).collect();
        assert_ne!(makers[0], makers[1], "{page:?}");
        pages.extend(page);
    }
    assert_eq!(ids(&pages)[0], ids(&plain)[0]);
    assert!(pages.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{pages:?}");
    let moved: Vec<&Hit> = pages.iter().filter(|(.., moved)| moved.is_some()).collect();
    assert!(moved.len() >= 2 && moved.iter().all(|(.., moved)| moved.as_deref() == Some("field")), "{pages:?}");
    let mut all = ids(&pages);
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2", "3", "4", "5"]);
}
