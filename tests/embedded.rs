//! The demo engine over real HTTP, as curl or an official client would use it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{net::SocketAddr, sync::Arc};

use demo_engine::Engine;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

/// A running engine; it stops when this is dropped.
struct Server {
    address: SocketAddr,
    client: Client,
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        tokio::spawn(demo_engine::serve(listener, Arc::new(Engine::new()), shutdown));
        Self { address, client: Client::new(), _stop: stop }
    }

    /// An engine with a few teas and one spoon.
    async fn with_products() -> Self {
        let server = Self::start().await;
        let lines = [
            json!({"index": {"_id": "1"}}),
            json!({"title": "Green tea", "text": "Steamed leaves, grassy taste", "price": 7.5, "tags": ["tea", "green"], "maker": {"name": "Uji"}}),
            json!({"index": {"_id": "2"}}),
            json!({"title": "Black tea", "text": "Oxidised leaves; strong tea for the morning", "price": 5, "tags": ["tea"], "maker": {"name": "Assam"}}),
            json!({"index": {"_id": "3"}}),
            json!({"title": "Tea spoon", "text": "Steel", "price": 3, "sold_out": true}),
            json!({"index": {"_id": "4"}}),
            json!({"title": "Coffee", "text": "Not tea at all but green beans, roasted", "price": 9}),
        ];
        let body: String = lines.map(|line| line.to_string() + "\n").concat();
        let answer = server.send(Method::POST, "/products/_bulk?refresh=true", body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"], false);
        server
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Response {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        let request =
            if body.is_empty() { request } else { request.header("content-type", "application/json").body(body) };
        request.send().await.unwrap()
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, path, body).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn search(&self, body: Value) -> Value {
        let (status, answer) = self.json(Method::POST, "/products/_search", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The ids that `query` finds, best first.
    async fn ids(&self, query: Value) -> Vec<String> {
        ids(&self.search(json!({ "query": query })).await)
    }

    /// The error that a search body gets: status, type, reason.
    async fn refusal(&self, body: Value) -> (u16, String, String) {
        let (status, answer) = self.json(Method::POST, "/products/_search", body).await;
        let error = &answer["error"];
        assert_eq!(answer["status"], status, "{answer}");
        assert_eq!(error["root_cause"][0]["type"], error["type"], "{answer}");
        (status, error["type"].as_str().unwrap().to_owned(), error["reason"].as_str().unwrap().to_owned())
    }
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn clients_find_elasticsearch_9_at_the_root() {
    let server = Server::start().await;
    let answer = server.send(Method::GET, "/", String::new()).await;
    assert_eq!(answer.headers()["x-elastic-product"], "Elasticsearch");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["version"]["number"], "9.2.0");
    assert_eq!(body["tagline"], "You Know, for Search");

    let versioned = "application/vnd.elasticsearch+json; compatible-with=9";
    let request = server.client.get(format!("http://{}/", server.address)).header("accept", versioned);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/vnd.elasticsearch+json;compatible-with=9");
    assert_eq!(server.send(Method::HEAD, "/", String::new()).await.status(), 200);
}

#[tokio::test]
async fn an_answer_has_the_shape_of_elasticsearch() {
    let server = Server::with_products().await;
    let answer = server.search(json!({"query": {"match": {"title": "tea"}}, "size": 2})).await;
    assert!(answer["took"].is_u64());
    assert_eq!(answer["timed_out"], false);
    assert_eq!(answer["_shards"], json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0}));
    assert_eq!(answer["hits"]["total"], json!({"value": 3, "relation": "eq"}));
    let first = &answer["hits"]["hits"][0];
    assert_eq!(answer["hits"]["max_score"], first["_score"]);
    assert_eq!(first["_index"], "products");
    assert_eq!(first["_source"]["title"], "Green tea");
    assert_eq!(ids(&answer), ["1", "2"], "equal scores keep the order of writing");
}

#[tokio::test]
async fn scores_are_lucenes_bm25_per_field() {
    let server = Server::start().await;
    for (id, title) in [("a", "red fox"), ("b", "blue"), ("c", "red red wine bottle")] {
        server.json(Method::PUT, &format!("/t/_doc/{id}"), json!({"title": title})).await;
    }
    let (_, answer) = server.json(Method::GET, "/t/_search?q=title:red", Value::Null).await;
    // idf = ln(1 + (3 - 2 + 0.5) / (2 + 0.5)), average length 7/3, k1 = 1.2, b = 0.75.
    let idf = (1.0_f64 + 1.5 / 2.5).ln();
    let score = |tf: f64, length: f64| idf * tf / (tf + 1.2 * (0.25 + 0.75 * length / (7.0 / 3.0)));
    let hits = answer["hits"]["hits"].as_array().unwrap();
    let expected = [("a", score(1.0, 2.0)), ("c", score(2.0, 4.0))];
    for (id, expected) in expected {
        let hit = hits.iter().find(|hit| hit["_id"] == id).unwrap();
        let found = hit["_score"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "{id}: {found} is not {expected}");
    }
}

#[tokio::test]
async fn every_supported_query_finds_what_it_should() {
    let server = Server::with_products().await;
    let cases = [
        (json!({"match_all": {}}), vec!["1", "2", "3", "4"]),
        (json!({"match_none": {}}), vec![]),
        (json!({"match": {"title": {"query": "green tea", "operator": "and"}}}), vec!["1"]),
        (json!({"match": {"text": {"query": "strong leaves steel", "minimum_should_match": 2}}}), vec!["2"]),
        (json!({"match": {"nowhere": "tea"}}), vec![]),
        (json!({"match_phrase": {"text": "green beans"}}), vec!["4"]),
        (json!({"match_phrase": {"text": "beans green"}}), vec![]),
        (json!({"multi_match": {"query": "spoon", "fields": ["title^3", "text"]}}), vec!["3"]),
        (json!({"multi_match": {"query": "roasted", "fields": ["t*"]}}), vec!["4"]),
        (json!({"multi_match": {"query": "assam"}}), vec!["2"]),
        (json!({"query_string": {"query": "+leaves -strong"}}), vec!["1"]),
        (json!({"query_string": {"query": "title:coffee OR maker.name:uji"}}), vec!["1", "4"]),
        (json!({"query_string": {"query": "(coffee OR spoon) AND steel"}}), vec!["3"]),
        (json!({"query_string": {"query": "\"green beans\" NOT leaves"}}), vec!["4"]),
        (json!({"query_string": {"query": "*:*"}}), vec!["1", "2", "3", "4"]),
        (json!({"query_string": {"query": "coff*"}}), vec!["4"]),
        (json!({"simple_query_string": {"query": "leaves + strong", "fields": ["text"]}}), vec!["2"]),
        (json!({"simple_query_string": {"query": "steel | \"grassy taste\" ((", "fields": ["text"]}}), vec!["1", "3"]),
        (json!({"term": {"title": "green"}}), vec!["1"]),
        (json!({"term": {"title.keyword": "Green tea"}}), vec!["1"]),
        (json!({"term": {"price": 5}}), vec!["2"]),
        (json!({"term": {"sold_out": true}}), vec!["3"]),
        (json!({"terms": {"tags.keyword": ["green", "blue"]}}), vec!["1"]),
        (json!({"ids": {"values": ["3", "1", "9"]}}), vec!["1", "3"]),
        (json!({"exists": {"field": "maker"}}), vec!["1", "2"]),
        (json!({"prefix": {"title": "sp"}}), vec!["3"]),
        (json!({"wildcard": {"title.keyword": "*tea"}}), vec!["1", "2"]),
        (json!({"range": {"price": {"gte": 5, "lt": 9}}}), vec!["1", "2"]),
        (json!({"bool": {"must_not": {"term": {"title": "tea"}}}}), vec!["4"]),
        (
            json!({"bool": {"filter": [{"term": {"title": "tea"}}], "must_not": [{"exists": {"field": "maker"}}]}}),
            vec!["3"],
        ),
        (
            json!({"bool": {"must": {"match": {"title": "tea"}}, "should": [{"match": {"title": "spoon"}}]}}),
            vec!["3", "1", "2"],
        ),
        (
            json!({"bool": {"filter": {"match": {"title": "tea"}}, "should": [{"match": {"title": "spoon"}}, {"match": {"text": "steel"}}], "minimum_should_match": 2}}),
            vec!["3"],
        ),
        (json!({"bool": {"should": [{"match": {"title": "x"}}], "minimum_should_match": 2}}), vec![]),
        (json!({"constant_score": {"filter": {"match": {"title": "coffee"}}, "boost": 2}}), vec!["4"]),
    ];
    for (query, expected) in cases {
        let mut found = server.ids(query.clone()).await;
        if query.get("bool").is_none() {
            found.sort();
        }
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn dis_max_and_best_fields_take_the_best_field_and_most_fields_adds_up() {
    let server = Server::with_products().await;
    let score = async |query: Value| {
        let answer =
            server.search(json!({"query": {"bool": {"must": query, "filter": {"ids": {"values": "2"}}}}})).await;
        answer["hits"]["hits"][0]["_score"].as_f64().unwrap()
    };
    let title = score(json!({"match": {"title": "tea"}})).await;
    let text = score(json!({"match": {"text": "tea"}})).await;
    let best = score(json!({"multi_match": {"query": "tea", "fields": ["title", "text"]}})).await;
    let boosted = score(json!({"multi_match": {"query": "tea", "fields": ["title^9", "text"]}})).await;
    let most =
        score(json!({"multi_match": {"query": "tea", "fields": ["title", "text"], "type": "most_fields"}})).await;
    let either = score(
        json!({"dis_max": {"queries": [{"match": {"title": "tea"}}, {"match": {"text": "tea"}}], "tie_breaker": 0.5}}),
    )
    .await;
    let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-5, "{left} is not {right}");
    close(best, title.max(text));
    close(boosted, 9.0 * title);
    close(most, title + text);
    close(either, title.max(text) + 0.5 * title.min(text));
    close(score(json!({"constant_score": {"filter": {"match": {"title": "tea"}}, "boost": 2.5}})).await, 2.5);
    close(score(json!({"match_all": {}})).await, 1.0);
}

#[tokio::test]
async fn an_empty_index_answers_with_nothing() {
    let server = Server::start().await;
    server.json(Method::PUT, "/empty", json!({"mappings": {"properties": {"title": {"type": "text"}}}})).await;
    for query in
        [json!({"match": {"title": "tea"}}), json!({"match_phrase": {"title": "a b"}}), json!({"match_all": {}})]
    {
        let (status, answer) = server.json(Method::POST, "/empty/_search", json!({"query": query})).await;
        assert_eq!((status, &answer["hits"]["hits"]), (200, &json!([])), "{query}");
        assert_eq!(answer["hits"]["max_score"], Value::Null);
    }
}

#[tokio::test]
async fn the_url_wins_over_the_body_and_pages_follow_each_other() {
    let server = Server::with_products().await;
    let all = server.ids(json!({"match": {"title": "tea"}})).await;
    let (_, page) = server
        .json(Method::POST, "/products/_search?from=1&size=1", json!({"query": {"match": {"title": "tea"}}, "size": 9}))
        .await;
    assert_eq!(ids(&page), all[1..2]);
    let (_, found) = server.json(Method::GET, "/products/_search?q=green&df=title&size=0", Value::Null).await;
    assert_eq!(found["hits"]["total"]["value"], 1);
    assert_eq!(found["hits"]["max_score"], Value::Null);
    let capped = server.search(json!({"track_total_hits": 2})).await;
    assert_eq!(capped["hits"]["total"], json!({"value": 2, "relation": "gte"}));
    let untracked = server.search(json!({"track_total_hits": false})).await;
    assert!(untracked["hits"].get("total").is_none());
}

#[tokio::test]
async fn source_is_returned_as_it_was_sent_or_filtered() {
    let server = Server::start().await;
    let sent = r#"{"z": 1.50,  "a": {"b": [{"c": 1, "d": 2}], "e": "x"}}"#;
    server.send(Method::PUT, "/t/_doc/1", sent.to_owned()).await;
    let whole = server.send(Method::GET, "/t/_search", String::new()).await.text().await.unwrap();
    assert!(whole.contains(sent), "{whole}");
    assert_eq!(server.send(Method::GET, "/t/_source/1", String::new()).await.text().await.unwrap(), sent);

    for (filter, expected) in [
        (json!(false), Value::Null),
        (json!("a.e"), json!({"a": {"e": "x"}})),
        (json!(["a.b.c", "z"]), json!({"z": 1.5, "a": {"b": [{"c": 1}]}})),
        (json!({"excludes": ["a.b"]}), json!({"z": 1.5, "a": {"e": "x"}})),
        (json!({"includes": "a*", "excludes": "*.d"}), json!({"a": {"b": [{"c": 1}], "e": "x"}})),
    ] {
        let (_, answer) = server.json(Method::POST, "/t/_search", json!({"_source": filter})).await;
        assert_eq!(answer["hits"]["hits"][0]["_source"], expected, "{filter}");
    }
    let (_, answer) = server.json(Method::GET, "/t/_search?_source=z", Value::Null).await;
    assert_eq!(answer["hits"]["hits"][0]["_source"], json!({"z": 1.5}));
    let (_, answer) = server.json(Method::POST, "/t/_search", json!({"_source": false, "fields": ["a.*", "z"]})).await;
    let fields = json!({"a.b.c": [1], "a.b.d": [2], "a.e": ["x"], "a.e.keyword": ["x"], "z": [1.5]});
    assert_eq!(answer["hits"]["hits"][0]["fields"], fields);
}

#[tokio::test]
async fn hits_sort_by_fields_with_missing_values_last() {
    let server = Server::with_products().await;
    let sorted = server.search(json!({"sort": [{"price": "desc"}]})).await;
    assert_eq!(ids(&sorted), ["4", "1", "2", "3"]);
    assert_eq!(sorted["hits"]["hits"][1]["sort"], json!([7.5]));
    assert_eq!(sorted["hits"]["hits"][1]["_score"], Value::Null);
    let sorted = server.search(json!({"sort": ["maker.name.keyword", {"_doc": {"order": "desc"}}]})).await;
    assert_eq!(ids(&sorted), ["2", "1", "4", "3"]);
    let (status, kind, reason) = server.refusal(json!({"sort": "title"})).await;
    assert_eq!((status, kind.as_str()), (400, "illegal_argument_exception"));
    assert!(reason.contains("title.keyword"), "{reason}");
    assert_eq!(server.refusal(json!({"sort": "nowhere"})).await.0, 400);
}

#[tokio::test]
async fn what_is_not_supported_is_refused_in_elasticsearchs_shape() {
    let server = Server::with_products().await;
    for (body, kind, part) in [
        (json!({"query": {"xyz": {}}}), "parsing_exception", "unknown query [xyz]"),
        (json!({"query": {"match": {"a": {"query": "x", "fuzziness": "AUTO"}}}}), "parsing_exception", "[fuzziness]"),
        (json!({"query": {"match": {"a": "x", "b": "y"}}}), "parsing_exception", "one field"),
        (json!({"query": {"match_all": {}, "match": {}}}), "parsing_exception", "expected [END_OBJECT]"),
        (json!({"query": {"query_string": {"query": "title:\"open"}}}), "query_shard_exception", "not closed"),
        (json!({"highlight": {}}), "parsing_exception", "[highlight]"),
        (json!({"aggs": {}}), "parsing_exception", "[aggs]"),
        (json!({"from": 9991, "size": 10}), "illegal_argument_exception", "Result window is too large"),
        (json!({"size": -1}), "illegal_argument_exception", "cannot be negative"),
    ] {
        let (status, found, reason) = server.refusal(body.clone()).await;
        assert_eq!((status, found.as_str()), (400, kind), "{body}");
        assert!(reason.contains(part), "{reason}");
    }
    let answer = server.send(Method::POST, "/products/_search", "{\"query\": ".to_owned()).await;
    assert_eq!(answer.status(), 400);
    let (status, answer) = server.json(Method::GET, "/nowhere/_search", Value::Null).await;
    assert_eq!((status, &answer["error"]["type"]), (404, &json!("index_not_found_exception")));
    let (status, answer) = server.json(Method::GET, "/products/_search?scroll=1m", Value::Null).await;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = server.json(Method::POST, "/_reindex", json!({})).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["reason"].as_str().unwrap().starts_with("no handler found for uri [/_reindex]"));
    let form = server.client.post(format!("http://{}/products/_search", server.address)).body("{}");
    assert_eq!(form.send().await.unwrap().status(), 406);
}

#[tokio::test]
async fn documents_live_and_die_by_their_id() {
    let server = Server::start().await;
    let (status, created) = server.json(Method::PUT, "/t/_doc/a%2Fb", json!({"n": 1})).await;
    assert_eq!((status, &created["result"], &created["_id"]), (201, &json!("created"), &json!("a/b")));
    let (status, replaced) = server.json(Method::PUT, "/t/_doc/a%2Fb", json!({"n": 2})).await;
    assert_eq!((status, &replaced["result"], &replaced["_version"]), (200, &json!("updated"), &json!(2)));
    let (status, conflict) = server.json(Method::PUT, "/t/_create/a%2Fb", json!({"n": 3})).await;
    assert_eq!((status, &conflict["error"]["type"]), (409, &json!("version_conflict_engine_exception")));
    let (_, found) = server.json(Method::GET, "/t/_doc/a%2Fb", Value::Null).await;
    assert_eq!((&found["found"], &found["_source"]), (&json!(true), &json!({"n": 2})));
    let (_, counted) = server.json(Method::GET, "/t/_count", Value::Null).await;
    assert_eq!(counted["count"], 1);
    let (_, updated) = server.json(Method::POST, "/t/_update/a%2Fb", json!({"doc": {"m": {"k": 1}}})).await;
    assert_eq!(updated["_version"], 3);
    let (status, _) = server.json(Method::DELETE, "/t/_doc/a%2Fb", Value::Null).await;
    assert_eq!(status, 200);
    let (status, missing) = server.json(Method::GET, "/t/_doc/a%2Fb", Value::Null).await;
    assert_eq!((status, missing), (404, json!({"_index": "t", "_id": "a/b", "found": false})));
    assert_eq!(server.send(Method::HEAD, "/t/_doc/a%2Fb", String::new()).await.status(), 404);
    let (status, automatic) = server.json(Method::POST, "/t/_doc", json!({"n": 5})).await;
    assert_eq!((status, automatic["_id"].as_str().unwrap().len()), (201, 20));
}

#[tokio::test]
async fn bulk_items_fail_one_by_one() {
    let server = Server::start().await;
    let body = concat!(
        "{\"create\":{\"_index\":\"t\",\"_id\":\"1\"}}\n{\"a\":\"x\"}\n",
        "{\"create\":{\"_index\":\"t\",\"_id\":\"1\"}}\n{\"a\":\"y\"}\n",
        "{\"update\":{\"_index\":\"t\",\"_id\":\"1\"}}\n{\"doc\":{\"b\":\"z\"}}\n",
        "{\"update\":{\"_index\":\"t\",\"_id\":\"9\"}}\n{\"doc\":{}}\n",
        "{\"index\":{\"_index\":\"t\",\"_id\":2}}\n[1]\n",
        "{\"index\":{\"_index\":\"BAD\"}}\n{}\n",
        "{\"delete\":{\"_index\":\"t\",\"_id\":\"9\"}}\n",
    );
    let answer: Value = server.send(Method::POST, "/_bulk", body.to_owned()).await.json().await.unwrap();
    let items = answer["items"].as_array().unwrap();
    let statuses: Vec<_> = items
        .iter()
        .map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 409, 200, 404, 400, 400, 404]);
    assert_eq!(answer["errors"], true);
    let (_, found) = server.json(Method::GET, "/t/_source/1", Value::Null).await;
    assert_eq!(found, json!({"a": "x", "b": "z"}));
    let unterminated = server.send(Method::POST, "/_bulk", "{\"delete\":{\"_id\":\"1\"}}".to_owned()).await;
    assert_eq!(unterminated.status(), 400);
}

#[tokio::test]
async fn indices_are_created_listed_and_deleted() {
    let server = Server::start().await;
    let mappings = json!({"properties": {"sku": {"type": "keyword"}, "title": {"type": "text"}}});
    let (status, created) = server.json(Method::PUT, "/shop-a", json!({"mappings": mappings})).await;
    assert_eq!((status, created["acknowledged"].as_bool()), (200, Some(true)));
    let (status, again) = server.json(Method::PUT, "/shop-a", Value::Null).await;
    assert_eq!((status, &again["error"]["type"]), (400, &json!("resource_already_exists_exception")));
    let (_, shown) = server.json(Method::GET, "/shop-a", Value::Null).await;
    assert_eq!(shown["shop-a"]["mappings"], mappings);
    server.json(Method::PUT, "/shop-b/_doc/1", json!({"sku": "A B"})).await;
    server.json(Method::PUT, "/shop-a/_doc/1", json!({"sku": "A B"})).await;
    let (_, found) =
        server.json(Method::POST, "/shop-*,-shop-b/_search", json!({"query": {"term": {"sku": "A B"}}})).await;
    assert_eq!(ids(&found), ["1"]);
    let (_, everywhere) = server.json(Method::GET, "/_search", Value::Null).await;
    assert_eq!(everywhere["hits"]["total"]["value"], 2);
    let listed = server.send(Method::GET, "/_cat/indices?v&h=index,docs.count", String::new()).await;
    assert_eq!(listed.text().await.unwrap(), "index  docs.count\nshop-a          1\nshop-b          1\n");
    let (_, listed) = server.json(Method::GET, "/_cat/indices/shop-b?format=json", Value::Null).await;
    assert_eq!(listed[0]["docs.count"], "1");
    let (status, health) = server.json(Method::GET, "/_cluster/health", Value::Null).await;
    assert_eq!((status, &health["status"]), (200, &json!("green")));
    assert_eq!(server.send(Method::HEAD, "/shop-b", String::new()).await.status(), 200);
    assert_eq!(server.json(Method::DELETE, "/shop-b", Value::Null).await.0, 200);
    assert_eq!(server.send(Method::HEAD, "/shop-b", String::new()).await.status(), 404);
    assert_eq!(server.json(Method::PUT, "/Shop", Value::Null).await.1["error"]["type"], "invalid_index_name_exception");
}
