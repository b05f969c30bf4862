//! `POST /_rerank/explain` against a scripted cluster: what is told of a search, what is sent for it, and what never is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::SocketAddr;

use common::{Cluster, Faulty, Longest, cascading_proxy, hits, json, proxy};
use http::{Response, StatusCode};
use http_body_util::Full;
use reqwest::Client;
use scoring::ScoreError;
use serde_json::{Value, json};

const MATCH: &str = r#"{"query":{"match":{"stars":"many"}}}"#;

async fn explain(proxy: SocketAddr, asked: &Value) -> (StatusCode, Value) {
    explain_with(proxy, asked, &[]).await
}

async fn explain_with(proxy: SocketAddr, asked: &Value, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut request = Client::new().post(format!("http://{proxy}/_rerank/explain")).body(asked.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

fn asked(path: &str) -> Value {
    json!({"path": path, "body": serde_json::from_str::<Value>(MATCH).unwrap()})
}

fn ids(page: &Value) -> Vec<&str> {
    page.as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

async fn ten_hits() -> Cluster {
    Cluster::start(|seen| hits(seen, 10)).await
}

#[tokio::test]
async fn a_search_is_told_before_and_after_with_its_plan_and_figures() {
    let cluster = ten_hits().await;
    // What clients may see of a hit is no matter here, nor what they may ask for.
    let settings: [(&[&str], &str); 2] = [(&["clients", "explain"], "scores"), (&["clients", "headers"], "off")];
    let proxy = proxy(cluster.address, &settings, Longest).await;
    let (status, told) = explain(proxy, &asked("/i/_search?from=1&size=2")).await;
    assert_eq!((status.as_u16(), &told["outcome"], &told["reason"]), (200, &json!("applied"), &Value::Null), "{told}");
    assert_eq!((ids(&told["before"]), ids(&told["after"])), (vec!["1", "2"], vec!["3", "2"]));
    let hit = &told["before"][0];
    assert_eq!(hit["rank"], json!({"before": 2, "after": 4}), "a hit that left the page is known, too");
    assert_eq!((&hit["passage"], &hit["source"]), (&json!("**"), &json!({"stars": "**"})));
    assert_eq!(hit["score"], json!({"before": 9.0, "model": 2.0, "after": 2.0}));
    assert_eq!(told["after"][0]["index"], "i");
    assert_eq!(told["query"], json!({"text": "many", "source": "match"}));
    assert_eq!(told["rule"], json!({"number": 1, "index": ["*"], "mode": "on"}));
    assert_eq!(
        told["plan"],
        json!({
            "model": "m", "models": ["m"], "window": 5, "budget_ms": 300.0, "blend": {"method": "replace"},
            "fields": null, "from": 1, "size": 2, "long_passages": "truncate"
        })
    );
    assert_eq!((&told["figures"]["scored"], &told["cluster"]), (&json!(5), &json!({"status": 200, "error": null})));
    let stages: Vec<&str> = told["stages"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(stages, ["plan", "cluster", "candidates", "score", "order", "rewrite"]);
    assert_eq!(cluster.seen().len(), 1, "one answer is enough for both pages");
}

#[tokio::test]
async fn what_is_wanted_otherwise_wins_over_the_rule_whatever_clients_may_ask_for() {
    let cluster = ten_hits().await;
    let cascade = cascading_proxy(cluster.address, Longest, Longest).await;
    let mut wanted = asked("/i/_search?size=3");
    wanted["rerank"] = json!({"model": "m", "window": 7, "query": " other ", "budget": "9s",
                              "blend": {"method": "rrf"}});
    let (_, told) = explain(cascade, &wanted).await;
    assert_eq!(told["query"], json!({"text": "other", "source": "rerank.query"}), "{told}");
    let plan = &told["plan"];
    assert_eq!((&plan["model"], &plan["window"], &plan["budget_ms"]), (&json!("m"), &json!(7), &json!(9000.0)));
    assert_eq!(plan["blend"], json!({"method": "rrf", "k": 60.0}));
    wanted["rerank"] = json!({"blend": {"method": "linear", "weight": 0.0}});
    let (_, told) = explain(cascade, &wanted).await;
    assert_eq!((ids(&told["after"]), &told["plan"]["models"]), (vec!["0", "1", "2"], &json!(["m", "n"])));
    wanted["rerank"] = json!({"budget": "9m"});
    let (_, told) = explain(cascade, &wanted).await;
    assert_eq!(told["plan"]["budget_ms"], json!(30_000.0), "no more than a rerank call has");
    for (rerank, says) in [
        (json!({"model": "none"}), "there is no model `none`; there is: m, n"),
        (json!({"window": 1}), "rerank.window must be"),
        (json!({"budget": "2"}), "rerank.budget must be"),
        (json!({"blend": {"method": "linear", "weight": 2}}), "rerank.blend.weight must be"),
        (json!({"min_score": 2}), "rerank.min_score must be"),
        (json!({"windows": 3}), "unknown field `windows`"),
        (json!({"mode": "off"}), "unknown variant `off`"),
    ] {
        wanted["rerank"] = rerank;
        let (status, told) = explain(cascade, &wanted).await;
        assert_eq!(status, 400);
        assert!(told["error"].as_str().unwrap().contains(says), "{told}");
    }
}

#[tokio::test]
async fn what_is_not_reranked_is_told_with_its_reason_and_the_cluster_s_page() {
    let cluster = ten_hits().await;
    let healthy = proxy(cluster.address, &[], Longest).await;
    let shadow = proxy(cluster.address, &[(&["rules", "0", "mode"], "shadow")], Longest).await;
    let broken = Faulty(|| async { Err(ScoreError::Unavailable("gone".to_owned())) });
    let broken = proxy(cluster.address, &[], broken).await;
    for (proxy, path, reason, has_plan) in [
        (healthy, "/i/_search?sort=stars&size=3", "sort", false),
        (healthy, "/i/_search?sort=stars&size=3&from=0", "sort", false),
        (broken, "/i/_search?size=3", "model-unavailable", true),
        (shadow, "/i/_search?size=3", "shadow", false),
    ] {
        let (status, told) = explain(proxy, &asked(path)).await;
        assert_eq!((status.as_u16(), &told["outcome"], &told["reason"]), (200, &json!("skipped"), &json!(reason)));
        assert!(told["because"].as_str().unwrap().ends_with('.'));
        assert_eq!((ids(&told["before"]), &told["before"]), (vec!["0", "1", "2"], &told["after"]));
        assert_eq!((told["plan"].is_object(), &told["rule"]["number"]), (has_plan, &json!(1)));
    }
    let (_, told) = explain(healthy, &asked("/i/_search?sort=stars&from=4")).await;
    assert_eq!(told["before"][0]["rank"], json!({"before": 5, "after": 5}));
    let mut on = asked("/i/_search?size=3");
    on["rerank"] = json!({"mode": "on"});
    assert_eq!(explain(shadow, &on).await.1["outcome"], "applied");
    on["rerank"] = json!({"min_score": 0.5});
    let (_, told) = explain(healthy, &on).await;
    assert_eq!((&told["outcome"], ids(&told["before"])), (&json!("failed"), vec!["0", "1", "2"]));
    assert!(told["because"].as_str().unwrap().contains("no probabilities"), "{told}");
}

#[tokio::test]
async fn hits_without_text_are_told_with_the_rule_s_fields_and_their_own() {
    let cluster = ten_hits().await;
    let misspelt = proxy(cluster.address, &[(&["rules", "0", "fields"], "star,titel")], Longest).await;
    let (_, told) = explain(misspelt, &asked("/i/_search?size=3")).await;
    assert_eq!(told["reason"], "no-passages", "{told}");
    assert_eq!(
        told["because"],
        "None of the rule's fields (star, titel) has text in these hits; the hits have: stars. Name those that hold text with \
         `fields` in the rule."
    );
}

#[tokio::test]
async fn an_error_of_the_cluster_is_told_and_cut() {
    let cluster = Cluster::start(|_| {
        let error = Full::new(format!("{{\"error\":\"{}\"}}", "é".repeat(5000)).into());
        Response::builder().status(403).header("content-type", "application/json").body(error).unwrap()
    });
    let cluster = cluster.await;
    let here = proxy(cluster.address, &[], Longest).await;
    let (status, told) = explain(here, &asked("/i/_search")).await;
    assert_eq!(
        (status.as_u16(), &told["reason"], &told["cluster"]["status"]),
        (200, &json!("upstream-error"), &json!(403))
    );
    assert_eq!(told["cluster"]["error"].as_str().unwrap().chars().count(), 2000);
    let gone = proxy("127.0.0.1:9".parse().unwrap(), &[], Longest).await;
    let (status, told) = explain(gone, &asked("/i/_search")).await;
    assert_eq!((status.as_u16(), &told["before"]), (200, &json!([])), "{told}");
    assert!(told["cluster"]["error"].as_str().unwrap().contains("127.0.0.1:9"), "{told}");
}

#[tokio::test]
async fn the_cluster_sees_the_caller_s_credentials_and_nothing_that_is_meant_for_the_proxy() {
    let cluster = ten_hits().await;
    let keys: &[(&[&str], &str)] = &[(&["api", "keys"], "none")];
    let proxy = proxy(cluster.address, keys, Longest).await;
    let sent = [
        ("authorization", "Basic abc"),
        ("cookie", "sid=1"),
        ("x-opaque-id", "me"),
        ("x-rerank-key", "secret"),
        ("x-rerank", "off"),
        ("x-rerank-query", "theirs"),
        ("x-rerank-explain", "true"),
        ("origin", "http://here"),
        ("accept-encoding", "gzip"),
        ("content-type", "application/json; of=explain"),
        ("host", "elsewhere:1"),
    ];
    let (_, told) = explain_with(proxy, &asked("/i/_search"), &sent).await;
    assert_eq!((&told["outcome"], &told["query"]["text"]), (&json!("applied"), &json!("many")), "{told}");
    let seen = cluster.seen().remove(0);
    let value = |name: &str| seen.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (value("authorization"), value("cookie"), value("x-opaque-id")),
        (Some("Basic abc"), Some("sid=1"), Some("me"))
    );
    assert_eq!((value("content-type"), value("accept")), (Some("application/json"), Some("application/json")));
    assert!(!seen.headers.iter().any(|(name, _)| name.starts_with("x-rerank") || name == "origin"), "{seen:?}");
    assert_eq!(value("host"), Some("elsewhere:1"), "as every client's: upstream.preserve_host");
    assert_eq!(seen.body, MATCH);
}

#[tokio::test]
async fn nothing_but_a_single_search_is_ever_sent() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let with = |path: &str, more: Value| {
        let mut asked = json!({"path": path});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    let none = json!({});
    let form = "application/x-www-form-urlencoded";
    for asked in [
        with("/i", json!({"method": "DELETE"})),
        with("/i/_search", json!({"method": "DELETE"})),
        with("/i/_search", json!({"method": "CONNECT"})),
        with("/i/_search", json!({"method": "POST /x HTTP/1.1\r\n\r\nDELETE"})),
        with("/_bulk", none.clone()),
        with("/_msearch", none.clone()),
        with("/i/_msearch", none.clone()),
        with("/i/_doc/1", none.clone()),
        with("/i/_delete_by_query", none.clone()),
        with("/i/_pit", none.clone()),
        with("/_rerank/explain", none.clone()),
        with("/_rerank/_search", none.clone()),
        with("http://evil:1/i/_search", none.clone()),
        with("//evil:1/_search", none.clone()),
        with("evil:1", none.clone()),
        with("", none.clone()),
        with("/i/../_search", none.clone()),
        with("/i/%2e%2E/_search", none.clone()),
        with("/a/..%2f_search", none.clone()),
        with("/i/..;x/_search", none.clone()),
        with("/i\\..\\x/_search", none.clone()),
        with("/i%0d%0aX:1/_search", none.clone()),
        with("/i/_doc/1#/_search", none.clone()),
        with("/solr/b/update", none.clone()),
        with("/solr/b/update/../select", none.clone()),
        with("/solr/b/select?qt=/update", none.clone()),
        with("/solr/b/select?q=x&stream%2Ebody=y", none.clone()),
        // Where indices stand is an endpoint: these would store a script, and register a repository.
        with("/_scripts/_search", none.clone()),
        with("/%5Fsnapshot/_search", none.clone()),
        with("/_scripts/_search/template", none.clone()),
        with("/solr/b/select?q=x&shards.qt=/update&optimize=true", none.clone()),
        with("/solr/b/select?q=x&shards=evil:1", none.clone()),
        with("/solr/b/select?ie=UTF-16BE&q=x", none.clone()),
        with("/solr/b/select?json.params.shards.qt=/update", none.clone()),
        with(
            "/solr/b/select",
            json!({"body": {"query": "x", "params": {"fl": "id"}, "p\u{61}rams": {"shards.qt": "/update"}}}),
        ),
        with(
            "/solr/b/select",
            json!({"body": "{\"query\": 1, \"params\": {}, \"par\\u0061ms\": {\"q\\u0074\": \"/update\"}}"}),
        ),
        with("/solr/b/select", json!({"body": "q=x", "content_type": format!("{form}; charset=UTF-16BE")})),
        with("/solr/b/select", json!({"body": "{}", "content_type": "application/json; charset=\"utf-16\""})),
        with("/solr/b/select", json!({"body": "qt=%2Fupdate", "content_type": form})),
        with("/solr/b/select", json!({"body": "x", "content_type": "multipart/form-data"})),
        with("/i/_search", json!({"body": "x", "content_type": "application/json\r\nX-Evil: 1"})),
        with("/i/_search", json!({"body": [1]})),
        with("/i/_search", json!({"header": "x"})),
    ] {
        let (status, told) = explain(proxy, &asked).await;
        assert_eq!(status, 400, "{asked}: {told}");
        assert!(told["error"].is_string(), "{told}");
    }
    assert!(cluster.seen().is_empty(), "{:?}", cluster.seen());
    let two_hosts =
        "POST /_rerank/explain HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 21\r\n\r\n{\"path\":\"/i/_search\"}";
    let answer = raw(proxy, two_hosts).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(cluster.seen().is_empty());
    // What is right goes out as it is meant.
    explain(proxy, &json!({"method": "GET", "path": "/i/_search?q=Grüße zusammen"})).await;
    let seen = cluster.seen().remove(0);
    assert!(seen.path_and_query.contains("q=Gr%C3%BC%C3%9Fe%20zusammen") && seen.method == "GET", "{seen:?}");
}

#[tokio::test]
async fn no_other_site_s_page_can_have_a_search_explained_in_its_visitor_s_name() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let origin = ("origin", "http://elsewhere.example");
    // What a page may send anywhere without being allowed to.
    for simple in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let (status, told) = explain_with(proxy, &asked("/i/_search"), &[origin, ("content-type", simple)]).await;
        assert_eq!(status, 400, "{simple}");
        assert!(told["error"].as_str().unwrap().contains("application/json"), "{told}");
    }
    assert!(cluster.seen().is_empty());
    let json = ("content-type", "application/json; charset=utf-8");
    assert_eq!(explain_with(proxy, &asked("/i/_search"), &[origin, json]).await.0, 200, "as our own page sends it");
    assert_eq!(explain_with(proxy, &asked("/i/_search"), &[("content-type", "text/plain")]).await.0, 200, "no browser");
}

async fn raw(address: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn solr_is_asked_by_get_as_a_form_and_in_json() {
    let cluster = Cluster::start(|_| {
        let docs: Vec<String> =
            (0..5).map(|i| format!(r#"{{"id":"{i}","t":"{}","score":{}.0}}"#, "x".repeat(i + 1), 9 - i)).collect();
        json(format!(
            r#"{{"responseHeader":{{"status":0,"params":{{"echoParams":"all"}}}},"response":{{"numFound":5,"start":0,"docs":[{}]}}}}"#,
            docs.join(",")
        ))
    });
    let cluster = cluster.await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    for (asked, source) in [
        (json!({"method": "GET", "path": "/solr/books/select?q=t:red wine&rows=3"}), "q"),
        (
            json!({"path": "/solr/books/select", "body": "q=t:red%20wine&rows=3", "content_type": "application/x-www-form-urlencoded"}),
            "q",
        ),
        (json!({"path": "/solr/books/query", "body": {"query": "t:red t:wine", "limit": 3}}), "query"),
    ] {
        let (status, told) = explain(proxy, &asked).await;
        assert_eq!((status.as_u16(), &told["outcome"]), (200, &json!("applied")), "{told}");
        assert_eq!(told["query"], json!({"text": "red wine", "source": source}));
        assert_eq!((ids(&told["before"]), ids(&told["after"])), (vec!["0", "1", "2"], vec!["4", "3", "2"]));
        assert_eq!((&told["after"][0]["index"], &told["after"][0]["source"]["t"]), (&json!("books"), &json!("xxxxx")));
        assert!(told["after"][0]["source"].get("_rerank").is_none());
        assert_eq!(told["after"][0]["score"]["before"], 5.0);
    }
}

#[tokio::test]
async fn it_can_be_switched_off_and_its_key_is_not_the_cluster_s() {
    let cluster = ten_hits().await;
    let off: &[(&[&str], &str)] = &[(&["api", "playground"], "false")];
    let (status, told) = explain(proxy(cluster.address, off, Longest).await, &asked("/i/_search")).await;
    assert!(status == 404 && told["error"].as_str().unwrap().contains("api.playground"), "{told}");
    let off: &[(&[&str], &str)] = &[(&["api", "enabled"], "false")];
    let (status, _) = explain(proxy(cluster.address, off, Longest).await, &asked("/i/_search")).await;
    assert_eq!(status, 404);
    assert!(cluster.seen().is_empty());
}
