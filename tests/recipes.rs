//! The recipes of config.example.toml: each loads, and does what its comment says. Against a scripted cluster, with made-up
//! models in the place of the two that they name.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod common;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use common::{Cluster, ids_and_scores, json};
use rerank_proxy::{open_models::Config, server, state::Process};
use scoring::{LongPassages, Readiness, Request, Scale, Score, ScoreFuture, Scored, Scorer};
use serde_json::json as value;
use tokio::net::TcpListener;

const EXAMPLE: &str = include_str!("../config.example.toml");

/// What a model was asked for: the number of passages, and how long ones are read.
type Asked = Arc<Mutex<Vec<(usize, LongPassages)>>>;

/// A model that scores a passage by the number at its beginning.
struct ByNumber(Asked);

impl Scorer for ByNumber {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        self.0.lock().unwrap().push((request.passages.len(), request.long));
        let number = |passage: &String| passage.split(' ').next()?.parse().ok();
        let score = |passage| number(passage).map(|raw| Score::fresh(raw, Scale::Logit));
        let scores: Vec<Option<Score>> = request.passages.iter().map(score).collect();
        // Every passage is its own direction but for the words behind its number: the same words, the same vector.
        let vector = |passage: &String| {
            let words = passage.split_once(' ').map_or("", |(_, words)| words);
            let place = words.bytes().map(usize::from).sum::<usize>() % 64;
            let vector: Vec<f32> = (0..64).map(|axis| if axis == place { 1.0 } else { 0.0 }).collect();
            Some(vector.into())
        };
        let vectors = if request.vectors { request.passages.iter().map(vector).collect() } else { Vec::new() };
        Box::pin(async { Ok(Scored { scores, vectors, ..Scored::default() }) })
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

/// A proxy that runs the recipes in front of a cluster whose hits are `documents`; what the cross-encoder is asked for.
async fn with_recipes(documents: Vec<serde_json::Value>) -> (SocketAddr, Asked) {
    let cluster = Cluster::start(move |_| {
        let hit = |(place, source): (usize, &serde_json::Value)| {
            value!({"_id": place.to_string(), "_score": 100.0 - place as f64, "_source": source})
        };
        let hits: Vec<serde_json::Value> = documents.iter().enumerate().map(hit).collect();
        json(value!({"hits": {"max_score": 100.0, "hits": hits}}).to_string())
    })
    .await;
    let (_, recipes) = EXAMPLE.split_once("# ---- Recipes").unwrap();
    let (recipes, _) = recipes.split_once("# ---- End of the recipes").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let upstream = format!("[upstream]\nurl = \"http://{}\"\n[log]\nlevel = \"warn\"\n#", cluster.address);
    std::fs::write(file.path(), upstream + recipes).unwrap();
    let config = Config::load(Some(file.path()), [], &[]).unwrap();
    let (first, second) = (Asked::default(), Asked::default());
    let models: HashMap<String, Arc<dyn Scorer>> = [("minilm", first), ("cross", second.clone())]
        .map(|(name, asked)| (name.to_owned(), Arc::new(ByNumber(asked)) as Arc<dyn Scorer>))
        .into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let process = Process::with_scorers(config, models).unwrap();
    tokio::spawn(server::run(listener, process, std::future::pending()));
    (address, second)
}

async fn search(proxy: SocketAddr, recipe: &str) -> (String, Vec<String>) {
    let request = reqwest::Client::new().post(format!("http://{proxy}/recipe-{recipe}/_search?size=10"));
    let body = r#"{"query":{"match":{"title":"anything"}}}"#;
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    let said = response.headers()["x-rerank"].to_str().unwrap().to_owned();
    let body = response.text().await.unwrap();
    (said, ids_and_scores(&body).into_iter().map(|(id, _)| id).collect())
}

#[tokio::test]
async fn more_effort_asks_the_cross_encoder_for_more() {
    // A bell of scores: few near the best, many in the middle.
    let title = |place: usize| format!("{} words", 10.0 - (place as f64).sqrt());
    let documents: Vec<_> = (0..200).map(|place| value!({"title": title(place)})).collect();
    let mut asked = Vec::new();
    for (recipe, window, most) in [("fast", 100, 20), ("balanced", 100, 20), ("thorough", 200, 50)] {
        let (proxy, cross) = with_recipes(documents.clone()).await;
        let (said, _) = search(proxy, recipe).await;
        assert!(said.starts_with("applied") && said.contains(&format!("window={window}")), "{said}");
        let pairs = cross.lock().unwrap()[0].0;
        assert!(pairs <= most, "{recipe}: {pairs}");
        asked.push(pairs);
    }
    assert!(asked.is_sorted() && asked[0] < asked[2], "{asked:?}");
}

#[tokio::test]
async fn the_shop_counts_what_sells_and_keeps_what_is_sold_out_and_what_is_the_same_behind() {
    let offer = |title: &str, brand: &str, popularity: u32, stock: u32| value!({"title": title, "brand": brand, "popularity": popularity, "stock": stock, "published": "2020-01-01"});
    let (proxy, _) = with_recipes(vec![
        offer("5.0 sold out", "a", 0, 0),
        offer("4.0 plain", "b", 0, 5),
        offer("4.0 sells", "c", 1000, 5),
        offer("3.9 sells", "d", 0, 5),
        offer("3.0 first of e", "e", 0, 5),
        offer("2.0 second of e", "e", 0, 5),
        offer("1.5 third e", "e", 0, 5),
        offer("1.0 last", "f", 0, 5),
    ])
    .await;
    let (said, ids) = search(proxy, "shop").await;
    assert!(said.starts_with("applied"), "{said}");
    let place = |id: &str| ids.iter().position(|other| other == id).unwrap();
    assert_eq!(ids.len(), 8, "no hit is lost: {ids:?}");
    assert!(place("2") < place("1"), "what sells comes before its equal: {ids:?}");
    assert_eq!(ids.last().map(String::as_str), Some("0"), "what is sold out is last: {ids:?}");
    assert!(place("3") > place("7"), "what says the same as a hit before it is behind all that does not: {ids:?}");
    assert!(place("6") > place("7"), "the third of a brand waits: {ids:?}");
}

#[tokio::test]
async fn documentation_is_read_in_pieces() {
    let documents = (0..60).map(|place| value!({"title": format!("{place} page"), "body": "text"})).collect();
    let (proxy, cross) = with_recipes(documents).await;
    let (said, ids) = search(proxy, "documentation").await;
    assert!(said.starts_with("applied") && said.contains("window=50"), "{said}");
    assert_eq!(ids[0], "49", "the best of the window");
    let windows = LongPassages::Windows { overlap: 32, at_most: 4 };
    assert_eq!(*cross.lock().unwrap(), [(10, windows)]);
}
