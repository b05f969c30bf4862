//! Fields of the document that count in the order: what they change, and that nobody sees they were asked for. Against a scripted
//! cluster, whose documents the model cannot tell apart.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::SocketAddr;

use bytes::Bytes;
use common::{Cluster, Longest, Seen, json, proxy};
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json as value};

type Settings<'a> = &'a [(&'a [&'static str], &'a str)];

/// The documents of the shop, in the cluster's order.
fn documents() -> Vec<Value> {
    vec![
        value!({"name": "***", "popularity": 3, "stock": 5, "published": "2020-01-01"}),
        value!({"name": "***", "popularity": "999", "stock": 0, "published": "2026-11-01T12:00:00Z"}),
        value!({"name": "***", "stock": 2, "promoted": true, "published": "2026-01-01"}),
        value!({"name": "***", "popularity": [20, 99], "stock": 1, "published": 1_000_000}),
        value!({"name": "***", "popularity": 7, "stock": 9}),
        value!({"name": "***", "popularity": 5000, "stock": 9, "published": "2026-11-20"}),
    ]
}

/// Answers as Elasticsearch would: the page of the URL, `_source` and `fields` as the body wants them.
fn shop(seen: &Seen) -> Response<Full<Bytes>> {
    let number = |name: &str, default: usize| {
        let query = seen.path_and_query.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        value.map_or(default, |(_, value)| value.parse().unwrap())
    };
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let (from, size) = (number("from", 0), number("size", 10));
    let hit = |(id, document): (usize, Value)| {
        let mut hit = value!({"_id": id.to_string(), "_score": 10.0 - id as f64});
        let names: Vec<&str> = body["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if body["_source"] != false {
            hit["_source"] = document.clone();
        }
        for name in names.into_iter().filter(|name| document.get(*name).is_some()) {
            hit["fields"][name] = match &document[name] {
                Value::Array(values) => value!(values),
                single => value!([single]),
            };
        }
        hit
    };
    let hits: Vec<Value> = documents().into_iter().enumerate().skip(from).take(size).map(hit).collect();
    json(value!({"took": 1, "hits": {"max_score": 10.0, "hits": hits}}).to_string())
}

const SHOWN: &str = r#"{"query":{"match":{"name":"star"}}}"#;
const HIDDEN: &str = r#"{"query":{"match":{"name":"star"}},"_source":false,"fields":["stock"]}"#;

async fn ask(address: SocketAddr, path: &str, body: &str) -> Value {
    let request = reqwest::Client::new().post(format!("http://{address}{path}"));
    let response = request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn hits(answer: &Value) -> &Vec<Value> {
    answer["hits"]["hits"].as_array().unwrap()
}

fn ids(answer: &Value) -> String {
    hits(answer).iter().map(|hit| hit["_id"].as_str().unwrap()).collect()
}

/// A proxy before the shop whose rule has the model, by which all documents are the same, and these settings.
async fn proxy_with(cluster: &Cluster, settings: Settings<'_>) -> SocketAddr {
    let rule: Settings = &[(&["rules", "0", "window"], "6"), (&["rules", "0", "fields"], "name")];
    proxy(cluster.address, &[rule, settings].concat(), Longest).await
}

const BY_POPULARITY: Settings = &[
    (&["rules", "0", "signals", "0", "model"], "m"),
    (&["rules", "0", "signals", "1", "field"], "popularity"),
    (&["rules", "0", "signals", "1", "modifier"], "log1p"),
    (&["rules", "0", "signals", "1", "missing"], "50"),
    (&["rules", "0", "signals", "1", "weight"], "0.2"),
];

#[tokio::test]
async fn a_field_decides_between_what_the_model_cannot_tell_apart() {
    let cluster = Cluster::start(shop).await;
    let proxy = proxy_with(&cluster, BY_POPULARITY).await;
    // 5000, 999 as a text, 99 as the largest of two, 50 as what stands in, 7, 3.
    for body in [SHOWN, HIDDEN] {
        assert_eq!(ids(&ask(proxy, "/i/_search", body).await), "513240", "{body}");
    }
    let pages: Vec<String> = [
        ids(&ask(proxy, "/i/_search?size=2", HIDDEN).await),
        ids(&ask(proxy, "/i/_search?size=2&from=2", HIDDEN).await),
        ids(&ask(proxy, "/i/_search?size=2&from=4", HIDDEN).await),
    ]
    .into();
    assert_eq!(pages.concat(), "513240", "pages continue each other");
}

#[tokio::test]
async fn a_client_does_not_see_that_a_field_was_asked_for() {
    let cluster = Cluster::start(shop).await;
    let proxy = proxy_with(&cluster, BY_POPULARITY).await;
    let own = ask(cluster.address, "/i/_search", HIDDEN).await;
    let reranked = ask(proxy, "/i/_search", HIDDEN).await;
    assert!(cluster.seen().iter().any(|seen| seen.body.windows(10).any(|bytes| bytes == b"popularity")));
    for hit in hits(&reranked) {
        let same = hits(&own).iter().find(|own| own["_id"] == hit["_id"]).unwrap();
        assert_eq!((&hit["fields"], hit.get("_source")), (&same["fields"], None));
    }
    let scores: Vec<f64> = hits(&reranked).iter().map(|hit| hit["_score"].as_f64().unwrap()).collect();
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
}

#[tokio::test]
async fn what_is_fresh_goes_first_and_what_has_no_date_last() {
    let cluster = Cluster::start(shop).await;
    let proxy = proxy_with(
        &cluster,
        &[
            (&["rules", "0", "signals", "0", "model"], "m"),
            (&["rules", "0", "signals", "1", "field"], "published"),
            (&["rules", "0", "signals", "1", "decay"], "gauss"),
            (&["rules", "0", "signals", "1", "origin"], "2026-11-28"),
            (&["rules", "0", "signals", "1", "scale"], "3650d"),
            (&["rules", "0", "signals", "1", "weight"], "1"),
        ],
    )
    .await;
    // The document from 1970 is the worst that has a date, and the one without counts as much: the cluster's order holds.
    for body in [SHOWN, HIDDEN] {
        assert_eq!(ids(&ask(proxy, "/i/_search", body).await), "512034", "{body}");
    }
}

const PLACED: Settings = &[
    (&["rules", "0", "pin", "0", "field"], "promoted"),
    (&["rules", "0", "pin", "0", "is"], "true"),
    (&["rules", "0", "bury", "0", "field"], "stock"),
    (&["rules", "0", "bury", "0", "below"], "2"),
    (&["rules", "0", "bury", "1", "field"], "promoted"),
    (&["rules", "0", "bury", "1", "exists"], "true"),
];

#[tokio::test]
async fn hits_are_pinned_and_buried_whatever_their_score() {
    let cluster = Cluster::start(shop).await;
    let alone = proxy_with(&cluster, PLACED).await;
    let boosted = proxy_with(&cluster, &[BY_POPULARITY, PLACED].concat()).await;
    for body in [SHOWN, HIDDEN] {
        assert_eq!(ids(&ask(alone, "/i/_search", body).await), "204513", "{body}");
        let answer = ask(boosted, "/i/_search", body).await;
        assert_eq!(ids(&answer), "254013", "{body}");
        let scores: Vec<f64> = hits(&answer).iter().map(|hit| hit["_score"].as_f64().unwrap()).collect();
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
    }
}

/// The shop as a Solr behind a handler that fills in nothing; documents show what `fl` names, the key alone where it names that.
fn solr_shop(seen: &Seen) -> Response<Full<Bytes>> {
    if seen.path_and_query.contains("echoParams=all") {
        return json(r#"{"responseHeader":{"params":{"echoParams":"all","omitHeader":"false","indent":"off"}}}"#);
    }
    let query = seen.path_and_query.split_once('?').map_or("", |(_, query)| query);
    let first = |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let number = |name: &str, default: usize| first(name).map_or(default, |(_, value)| value.parse().unwrap());
    let lists: Vec<&str> = query.split('&').filter_map(|pair| pair.strip_prefix("fl=")).collect();
    let (start, rows) = (number("start", 0), number("rows", 10));
    let docs: Vec<Value> = documents()
        .into_iter()
        .enumerate()
        .skip(start)
        .take(rows)
        .map(|(id, document)| {
            let mut doc = value!({});
            for name in lists.iter().flat_map(|list| list.split(',')) {
                match name {
                    "id" => doc["id"] = value!(id.to_string()),
                    "score" => doc["score"] = value!(10.0 - id as f64),
                    name if document.get(name).is_some() => doc[name] = document[name].clone(),
                    _ => {}
                }
            }
            doc
        })
        .collect();
    json(
        value!({"responseHeader": {"status": 0}, "response": {"numFound": 6, "start": start, "docs": docs}})
            .to_string(),
    )
}

#[tokio::test]
async fn fields_of_solr_s_documents_decide_and_are_not_shown() {
    let cluster = Cluster::start(solr_shop).await;
    let proxy = proxy_with(&cluster, &[BY_POPULARITY, PLACED].concat()).await;
    let mut pages = String::new();
    for start in [0, 3] {
        let path = format!("/solr/shop/select?q=name:star&fl=id&rows=3&start={start}");
        let body = reqwest::get(format!("http://{proxy}{path}")).await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap();
        for doc in answer["response"]["docs"].as_array().unwrap() {
            assert_eq!(doc.as_object().unwrap().keys().collect::<Vec<_>>(), ["id"]);
            pages.push_str(doc["id"].as_str().unwrap());
        }
    }
    assert_eq!(pages, "254013");
}
