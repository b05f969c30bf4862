//! The pipeline against a scripted cluster: what a client gets when the cluster or the model does something that a real
//! one will not do on demand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{
    Cluster, Faulty, Longest, Seen, Shortest, cascading_proxy, hits, ids_and_scores, json, proxy, raw_upstream,
};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use scoring::{Scale, Score, ScoreError, Scored, Span};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MATCH: &str = r#"{"query":{"match":{"stars":"many"}}}"#;
type Fault = Box<dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync>;
type Answer = (StatusCode, Option<String>, String);

async fn search(proxy: SocketAddr, path: &str) -> Answer {
    let client = reqwest::Client::new();
    let request = client.post(format!("http://{proxy}{path}")).header("content-type", "application/json").body(MATCH);
    let response = request.send().await.unwrap();
    let said = response.headers().get("x-rerank").map(|value| value.to_str().unwrap().to_owned());
    (response.status(), said, response.text().await.unwrap())
}

fn ids(body: &str) -> Vec<String> {
    ids_and_scores(body).into_iter().map(|(id, _)| id).collect()
}

async fn ten_hits() -> Cluster {
    Cluster::start(|seen| hits(seen, 10)).await
}

#[tokio::test]
async fn pages_are_cut_from_the_reranked_window_and_continue_each_other() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let mut seen = Vec::new();
    for from in [0, 2, 4] {
        let (_, said, body) = search(proxy, &format!("/i/_search?from={from}&size=2")).await;
        assert_eq!(said.unwrap(), "applied; model=\"m\"; window=5; scored=5; cached=0; budget-hit=?0");
        seen.extend(ids(&body));
    }
    // Five reranked, then the cluster's own sixth.
    assert_eq!(seen, ["4", "3", "2", "1", "0", "5"]);
    let (_, said, body) = search(proxy, "/i/_search?from=6&size=2").await;
    assert_eq!((said.unwrap().as_str(), ids(&body)), ("skipped; reason=beyond-window", vec!["6".into(), "7".into()]));
}

#[tokio::test]
async fn scores_fall_from_the_reranked_to_the_rest() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let (_, _, body) = search(proxy, "/i/_search?size=10").await;
    let scores: Vec<f64> = ids_and_scores(&body).into_iter().map(|(_, score)| score).collect();
    assert_eq!(scores, [5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2]);
    assert!(body.contains("\"max_score\":5.0"), "{body}");
}

#[tokio::test]
async fn whatever_the_model_does_the_client_gets_the_cluster_s_own_page() {
    let unavailable = Faulty(|| async { Err(ScoreError::Unavailable("gone".to_owned())) });
    let overloaded = Faulty(|| async { Err(ScoreError::Overloaded) });
    let too_slow =
        Faulty(|| async { Ok(Scored { scores: vec![None; 5], budget_hit: true, shed: 0, ..Scored::default() }) });
    let hanging = Faulty(std::future::pending::<Result<Scored, ScoreError>>);
    let panicking = Faulty(|| async { panic!("on purpose") });
    let cluster = ten_hits().await;
    let budget: &[(&[&str], &str)] = &[(&["rules", "0", "budget"], "50ms")];
    for (proxy, reason) in [
        (proxy(cluster.address, budget, unavailable).await, "model-unavailable"),
        (proxy(cluster.address, budget, overloaded).await, "overloaded"),
        (proxy(cluster.address, budget, too_slow).await, "budget"),
        (proxy(cluster.address, budget, hanging).await, "budget"),
        (proxy(cluster.address, budget, panicking).await, "internal-error"),
    ] {
        let began = Instant::now();
        let (status, said, body) = search(proxy, "/i/_search?from=1&size=3").await;
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(status, 200);
        assert_eq!(said.unwrap(), format!("skipped; reason={reason}"));
        assert_eq!(body, answer_of(&cluster, "/i/_search?from=1&size=3").await);
    }
}

#[tokio::test]
async fn a_cascade_puts_the_best_of_one_model_in_the_order_of_the_other() {
    let cluster = ten_hits().await;
    let proxy = cascading_proxy(cluster.address, Longest, Shortest).await;
    let mut seen = Vec::new();
    for from in [0, 3] {
        let (_, said, body) = search(proxy, &format!("/i/_search?from={from}&size=3")).await;
        assert_eq!(said.unwrap(), "applied; model=\"m>n:2\"; window=5; scored=5; cached=0; budget-hit=?0");
        seen.extend(ids_and_scores(&body));
    }
    // The two longest go on, the shorter of them is the best; then the longer ones, then the sixth.
    let ids: Vec<&str> = seen.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["3", "4", "2", "1", "0", "5"]);
    assert!(seen.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{seen:?}");
}

#[tokio::test]
async fn explain_says_which_model_of_a_cascade_decided_and_what_the_first_one_said() {
    let cluster = ten_hits().await;
    let cascade = cascading_proxy(cluster.address, Longest, Shortest).await;
    let alone = proxy(cluster.address, &[], Longest).await;
    let notes = async |proxy, model: Option<&str>| -> Vec<serde_json::Value> {
        let mut request = reqwest::Client::new().post(format!("http://{proxy}/i/_search?size=3"));
        request = request.header("x-rerank-explain", "true").header("content-type", "application/json").body(MATCH);
        if let Some(model) = model {
            request = request.header("x-rerank-model", model);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let answer: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        answer["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["fields"]["_rerank"][0].clone()).collect()
    };
    let found = notes(cascade, None).await;
    let of = |place: usize| (&found[place]["stage"], found[place]["score"]["first"].as_f64().unwrap());
    assert_eq!((of(0), of(1)), ((&"then".into(), 4.0), (&"then".into(), 5.0)));
    assert_eq!((of(2), &found[0]["score"]["model"]), ((&"first".into(), 3.0), &(-3.0).into()));
    // One model has no stages, whether the rule names it or the client.
    for found in [notes(alone, None).await, notes(cascade, Some("n")).await] {
        assert!(found.iter().all(|note| note.get("stage").is_none() && note["score"].get("first").is_none()));
    }
}

#[tokio::test]
async fn a_client_s_model_takes_the_place_of_a_cascade() {
    let cluster = ten_hits().await;
    let proxy = cascading_proxy(cluster.address, Longest, Shortest).await;
    let with_model = async |model: &str| {
        let request = reqwest::Client::new().post(format!("http://{proxy}/i/_search?size=2"));
        let request = request.header("x-rerank-model", model).header("content-type", "application/json").body(MATCH);
        let response = request.send().await.unwrap();
        let said = response.headers().get("x-rerank").map(|value| value.to_str().unwrap().to_owned());
        (said.unwrap_or_default(), response.text().await.unwrap())
    };
    let (said, body) = with_model("m").await;
    assert!(said.starts_with("applied; model=\"m\""), "{said}");
    assert_eq!(ids(&body), ["4", "3"]);
    let (_, body) = with_model("x").await;
    assert!(body.contains("there is no model `x`; there is: m, n, m>n"), "{body}");
}

#[tokio::test]
async fn a_cascade_with_one_model_left_still_reranks_and_is_told_by_its_models_health() {
    let unavailable = || Faulty(|| async { Err(ScoreError::Unavailable("gone".to_owned())) });
    let cluster = ten_hits().await;
    let applied = |scored| format!("applied; model=\"m>n:2\"; window=5; scored={scored}; cached=0; budget-hit=?0");
    let without_then = cascading_proxy(cluster.address, Longest, unavailable()).await;
    let (_, said, body) = search(without_then, "/i/_search?size=5").await;
    assert_eq!((said.unwrap(), ids(&body).join(" ")), (applied(5), "4 3 2 1 0".to_owned()));
    let without_first = cascading_proxy(cluster.address, unavailable(), Longest).await;
    let (_, said, body) = search(without_first, "/i/_search?size=5").await;
    assert_eq!((said.unwrap(), ids(&body).join(" ")), (applied(2), "1 0 2 3 4".to_owned()));
    let without_both = cascading_proxy(cluster.address, unavailable(), unavailable()).await;
    let (_, said, body) = search(without_both, "/i/_search?size=5").await;
    assert_eq!(
        (said.unwrap().as_str(), ids(&body).join(" ")),
        ("skipped; reason=model-unavailable", "0 1 2 3 4".into())
    );
    let health = reqwest::get(format!("http://{without_then}/_rerank/health")).await.unwrap().text().await.unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["models"], serde_json::json!({"m": "ready", "n": "faulty"}));
}

#[tokio::test]
async fn a_second_model_that_hangs_costs_neither_more_than_the_budget_nor_the_first_one_s_scores() {
    let hanging = Faulty(std::future::pending::<Result<Scored, ScoreError>>);
    let cluster = ten_hits().await;
    let proxy = cascading_proxy(cluster.address, Longest, hanging).await;
    let request = reqwest::Client::new().post(format!("http://{proxy}/i/_search?size=5"));
    let request = request.header("x-rerank-budget", "50ms").header("content-type", "application/json").body(MATCH);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-rerank"], "applied; model=\"m>n:2\"; window=5; scored=5; cached=0; budget-hit=?1");
    assert_eq!(ids(&response.text().await.unwrap()).join(" "), "4 3 2 1 0");
}

async fn answer_of(cluster: &Cluster, path: &str) -> String {
    search(cluster.address, path).await.2
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_asked_for_again_as_the_client_did() {
    let gzip = |seen: &Seen| {
        let mut response = hits(seen, 10);
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    };
    let cbor = |seen: &Seen| {
        let mut response = hits(seen, 10);
        response.headers_mut().insert("content-type", "application/cbor".parse().unwrap());
        response
    };
    let large = |_: &Seen| json(vec![b' '; 3 << 20]);
    let nonsense = |_: &Seen| json("{\"hits\":");
    let refused = |seen: &Seen| {
        let mut response = hits(seen, 10);
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    };
    let limit: &[(&[&str], &str)] = &[(&["limits", "answer"], "2MiB")];
    let faults: [(Fault, &str); 5] = [
        (Box::new(gzip), "content-type"),
        (Box::new(cbor), "content-type"),
        (Box::new(large), "too-large"),
        (Box::new(nonsense), "malformed"),
        (Box::new(refused), "upstream-error"),
    ];
    for (fault, reason) in faults {
        // Only the widened search goes wrong.
        let cluster = Cluster::start(
            move |seen| if seen.path_and_query.contains("size=5") { fault(seen) } else { hits(seen, 10) },
        )
        .await;
        let proxy = proxy(cluster.address, limit, Longest).await;
        let (status, said, body) = search(proxy, "/i/_search?size=3").await;
        assert_eq!((status, said.unwrap()), (StatusCode::OK, format!("skipped; reason={reason}")));
        assert_eq!(ids(&body), ["0", "1", "2"]);
        let asked: Vec<String> = cluster.seen().into_iter().map(|seen| seen.path_and_query).collect();
        assert_eq!(asked, ["/i/_search?from=0&size=5", "/i/_search?size=3"]);
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_streams_on_where_it_is_what_the_client_asked_for() {
    let cluster = Cluster::start(|_| json(vec![b' '; 3 << 20])).await;
    let proxy = proxy(cluster.address, &[(&["limits", "answer"], "2MiB")], Longest).await;
    let (_, said, body) = search(proxy, "/i/_search?size=5").await;
    assert_eq!((said.unwrap().as_str(), body.len()), ("skipped; reason=too-large", 3 << 20));
    assert_eq!(cluster.seen().len(), 1);
}

#[tokio::test]
async fn a_cluster_that_asks_for_less_load_is_not_asked_twice() {
    for status in [401, 403, 404, 408, 429, 503, 504] {
        let cluster = Cluster::start(move |_| {
            let mut response = json("{\"error\":\"busy\"}");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        })
        .await;
        let proxy = proxy(cluster.address, &[], Longest).await;
        // As the client asked, and wider.
        for (times, path) in [(1, "/i/_search"), (2, "/i/_search?size=3")] {
            let (answered, said, body) = search(proxy, path).await;
            assert_eq!((answered.as_u16(), said.unwrap().as_str()), (status, "skipped; reason=upstream-error"));
            assert_eq!((body.as_str(), cluster.seen().len()), ("{\"error\":\"busy\"}", times), "{status}");
        }
    }
}

#[tokio::test]
async fn what_only_the_wider_search_suffers_is_asked_for_again_as_the_client_did() {
    let partial = |seen: &Seen| {
        let body = r#"{"timed_out":false,"_shards":{"total":3,"failed":1},"hits":{"hits":[]}}"#;
        if seen.path_and_query.contains("size=5") { json(body) } else { hits(seen, 10) }
    };
    let breaker = |seen: &Seen| {
        if !seen.path_and_query.contains("size=5") {
            return hits(seen, 10);
        }
        let mut response = json(r#"{"error":{"type":"circuit_breaking_exception"},"status":429}"#);
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
    };
    let faults: [(Fault, &str); 2] = [(Box::new(partial), "partial"), (Box::new(breaker), "upstream-error")];
    for (fault, reason) in faults {
        let cluster = Cluster::start(fault).await;
        let proxy = proxy(cluster.address, &[], Longest).await;
        let (status, said, body) = search(proxy, "/i/_search?size=3").await;
        assert_eq!((status, said.unwrap()), (StatusCode::OK, format!("skipped; reason={reason}")));
        assert_eq!((ids(&body).as_slice(), cluster.seen().len()), (&["0", "1", "2"].map(str::to_owned)[..], 2));
    }
}

#[tokio::test]
async fn hundreds_of_headers_pass_both_ways() {
    let cluster = Cluster::start(|seen| {
        let mut response = json("{}");
        assert!(seen.headers.len() > 300);
        for number in 0..300 {
            let warning = format!("299 - \"deprecation {number}\"").parse().unwrap();
            response.headers_mut().append("warning", warning);
        }
        response
    })
    .await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    // Clients stop at a hundred themselves, so this one says it in bytes.
    let many: String = (0..300).map(|number| format!("x-of-many: {number}\r\n")).collect();
    let text = format!("GET /_cat/indices HTTP/1.1\r\nhost: {proxy}\r\nconnection: close\r\n{many}\r\n");
    let mut stream = tokio::net::TcpStream::connect(proxy).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(answer.matches("299 - ").count(), 300);
}

#[tokio::test]
async fn a_search_over_the_limit_goes_through_whole() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[(&["limits", "request_body"], "1KiB")], Longest).await;
    let body = format!("{}{MATCH}", " ".repeat(100_000));
    let response =
        reqwest::Client::new().post(format!("http://{proxy}/i/_search")).body(body.clone()).send().await.unwrap();
    assert_eq!(response.headers()["x-rerank"], "skipped; reason=too-large");
    assert_eq!(cluster.seen()[0].body, body);
}

#[tokio::test]
async fn a_search_whose_plan_would_take_more_memory_than_there_is_goes_through_whole() {
    let cluster = ten_hits().await;
    let limits: [(&[&str], &str); 3] =
        [(&["limits", "memory"], "16MiB"), (&["limits", "answer"], "2MiB"), (&["api", "request_body"], "2MiB")];
    let proxy = proxy(cluster.address, &limits, Longest).await;
    let said = async |numbers: usize| {
        let body = format!(r#"{{"ext":[{}0],"query":{{"match":{{"stars":"many"}}}}}}"#, "0,".repeat(numbers));
        let request = reqwest::Client::new().post(format!("http://{proxy}/i/_search")).body(body.clone());
        let said = request.send().await.unwrap().headers()["x-rerank"].to_str().unwrap().to_owned();
        assert_eq!(cluster.seen().last().unwrap().body, body);
        said
    };
    assert!(said(1_000).await.starts_with("applied"));
    assert_eq!(said(100_000).await, "skipped; reason=overloaded");
    assert!(said(1_000).await.starts_with("applied"), "all of it is free again");
}

#[tokio::test]
async fn a_template_that_renders_to_more_than_a_search_may_have_is_the_cluster_s_alone() {
    let cluster = Cluster::start(|seen| match seen.path_and_query.contains("_render") {
        true => {
            let filler = "x".repeat(64 * 1024);
            json(format!(r#"{{"template_output":{{"query":{{"match":{{"stars":"{filler}"}}}}}}}}"#))
        }
        false => hits(seen, 10),
    })
    .await;
    let proxy = proxy(cluster.address, &[(&["limits", "request_body"], "16KiB")], Longest).await;
    let template = r#"{"id":"t","params":{"q":"many"}}"#;
    let request = reqwest::Client::new().post(format!("http://{proxy}/i/_search/template")).body(template);
    let response = request.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(response.headers()["x-rerank"], "skipped; reason=too-large");
    assert_eq!(ids(&response.text().await.unwrap()).len(), 10);
    assert_eq!(cluster.seen().last().unwrap().body, template);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_an_answer_that_is_held_for_it() {
    const LARGE: usize = 24 << 20;
    let filler = "x".repeat(LARGE / 2);
    let answer = ["*", "**"].map(|stars| format!(r#"{{"_id":"{stars}","_source":{{"stars":"{stars} {filler}"}}}}"#));
    let answer = format!(r#"{{"took":1,"hits":{{"hits":[{}]}}}}"#, answer.join(","));
    let cluster = Cluster::start(move |_| json(answer.clone())).await;
    let timeout: &[(&[&str], &str)] = &[(&["limits", "send_timeout"], "2s"), (&["rules", "0", "budget"], "30s")];
    let proxy = proxy(cluster.address, timeout, Longest).await;
    let mut stream = tokio::net::TcpStream::connect(proxy).await.unwrap();
    let head =
        "POST /i/_search HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length";
    stream.write_all(format!("{head}: {}\r\n\r\n{MATCH}", MATCH.len()).as_bytes()).await.unwrap();
    let (mut read, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let count = stream.read(&mut piece).await.unwrap();
        if count == 0 {
            break;
        }
        read.extend_from_slice(&piece[..count]);
        // All of it takes longer than `send_timeout`, which is for those who read nothing.
        tokio::time::sleep(Duration::from_millis(count as u64 / 10_000)).await;
    }
    assert!(read.len() > LARGE, "{} bytes", read.len());
    assert!(String::from_utf8_lossy(&read[..300]).contains("x-rerank: applied"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_passed_on_as_it_comes() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[(&["limits", "body_timeout"], "50ms")], Longest).await;
    let mut stream = tokio::net::TcpStream::connect(proxy).await.unwrap();
    let (first, rest) = MATCH.split_at(10);
    let head = format!("POST /i/_search HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}", MATCH.len());
    stream.write_all(format!("{head}\r\n\r\n{first}").as_bytes()).await.unwrap();
    // Twice as long as may be waited: by then it is on its way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-rerank: skipped; reason=slow-body"), "{answer}");
    assert_eq!(cluster.seen()[0].body, MATCH);
}

/// An upstream that begins an answer and never ends it.
async fn pausing_upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(MATCH.as_bytes()) {
                stream.read_buf(&mut request).await.unwrap();
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
            stream.write_all(head.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_wider_search_whose_answer_stops_coming_is_told_as_a_time_out() {
    let timeout: &[(&[&str], &str)] = &[(&["limits", "body_timeout"], "100ms")];
    let proxy = proxy(pausing_upstream().await, timeout, Longest).await;
    let (status, said, body) = search(proxy, "/i/_search?size=3").await;
    assert_eq!((status.as_u16(), said.unwrap().as_str()), (504, "skipped; reason=upstream-error"));
    assert!(body.contains("upstream_timeout_exception") && body.contains("100ms"), "{body}");
}

#[tokio::test]
async fn a_search_keeps_its_body_and_headers_and_only_asks_for_more() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let request = reqwest::Client::new()
        .post(format!("http://{proxy}/i/_search?size=3&preference=_local"))
        .header("authorization", "ApiKey abc")
        .header("x-opaque-id", "42")
        .header("accept-encoding", "gzip")
        .body(MATCH);
    request.send().await.unwrap();
    let seen = &cluster.seen()[0];
    assert_eq!(seen.path_and_query, "/i/_search?preference=_local&from=0&size=5");
    assert_eq!(seen.body, MATCH);
    let has = |name: &str, value: &str| seen.headers.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("authorization", "ApiKey abc") && has("x-opaque-id", "42") && has("accept-encoding", "identity"));
    assert!(has("host", &proxy.to_string()), "the client's own Host");
}

#[tokio::test]
async fn off_passes_through_and_shadow_scores_aside() {
    static SCORED: AtomicUsize = AtomicUsize::new(0);
    let cluster = ten_hits().await;
    let off = proxy(cluster.address, &[(&["rules", "0", "mode"], "off")], Longest).await;
    let (_, said, body) = search(off, "/i/_search?size=3").await;
    assert_eq!((said.unwrap().as_str(), ids(&body).len()), ("skipped; reason=off", 3));

    let counting = Faulty(|| async {
        SCORED.fetch_add(1, Ordering::SeqCst);
        Err(ScoreError::Overloaded)
    });
    let shadow = proxy(cluster.address, &[(&["rules", "0", "mode"], "shadow")], counting).await;
    let (_, said, body) = search(shadow, "/i/_search?size=3").await;
    assert_eq!(said.unwrap(), "skipped; reason=shadow");
    assert_eq!(body, answer_of(&cluster, "/i/_search?size=3").await);
    while !metrics(shadow).await.contains("rerank_proxy_shadow_searches_total{outcome=\"overloaded\"} 1") {
        tokio::task::yield_now().await;
    }
    assert_eq!(SCORED.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shadow_tells_what_reranking_would_add_and_change_apart_from_what_clients_got() {
    let cluster = ten_hits().await;
    let shadow = proxy(cluster.address, &[(&["rules", "0", "mode"], "shadow")], Longest).await;
    search(shadow, "/i/_search?size=3").await;
    while !metrics(shadow).await.contains("rerank_proxy_shadow_searches_total{outcome=\"applied\"} 1") {
        tokio::task::yield_now().await;
    }
    let metrics = metrics(shadow).await;
    for line in [
        "rerank_proxy_shadow_rerank_duration_seconds_count 1",
        "rerank_proxy_shadow_page_overlap_count 1",
        "rerank_proxy_shadow_displacement_count 1",
        "rerank_proxy_rerank_duration_seconds_count 0",
        "rerank_proxy_page_overlap_count 0",
        "rerank_proxy_displacement_count 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    // Of ten hits five are put in order, the longest first: 4 3 2, where the cluster has 0 1 2.
    assert!(metrics.contains("rerank_proxy_shadow_displacement_sum 2.0"), "{metrics}");
}

/// Reads half of each passage; of the last one only the end.
fn in_halves() -> Scored {
    let score = |place: u32| Score {
        truncated: place < 3,
        span: Some(Span { start: place / 2, end: place + 1 }),
        ..Score::fresh(place as f32, Scale::AsIs)
    };
    Scored { scores: (0..5).map(|place| Some(score(place))).collect(), budget_hit: false, shed: 0, ..Scored::default() }
}

#[tokio::test]
async fn what_was_not_read_of_long_passages_is_told() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Faulty(|| async { Ok(in_halves()) })).await;
    let (_, said, _) = search(proxy, "/i/_search?size=3").await;
    assert_eq!(said.unwrap(), "applied; model=\"m\"; window=5; scored=5; cached=0; budget-hit=?0; truncated=3");
    let metrics = metrics(proxy).await;
    assert!(metrics.contains("rerank_proxy_truncated_passages_total 3"), "{metrics}");
}

#[tokio::test]
async fn where_the_operator_leaves_it_out_no_passage_is_explained() {
    let cluster = Cluster::start(|seen| hits(seen, 3)).await;
    for (detail, is_shown) in [("full", true), ("scores", false)] {
        let proxy = proxy(cluster.address, &[(&["clients", "explain"], detail)], Longest).await;
        for value in ["true", "highlight"] {
            let request = reqwest::Client::new().get(format!("http://{proxy}/i/_search?q=stars"));
            let answer = request.header("x-rerank-explain", value).send().await.unwrap().text().await.unwrap();
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            let hit = &answer["hits"]["hits"][0];
            let note = &hit["fields"]["_rerank"][0];
            assert_eq!((&note["rank"]["before"], &note["score"]["model"]), (&3.into(), &3.0.into()), "{note}");
            assert_eq!(note.get("passage").is_some(), is_shown, "{note}");
            assert_eq!(hit.get("highlight").is_some(), is_shown && value == "highlight", "{hit}");
        }
    }
}

#[tokio::test]
async fn the_part_of_a_passage_that_won_is_explained_and_highlighted() {
    let accents = |seen: &Seen| {
        let body = hits(seen, 10).into_body();
        let text = String::from_utf8(
            futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes().to_vec(),
        );
        json(text.unwrap().replace("*****", "aé東😀b"))
    };
    let cluster = Cluster::start(accents).await;
    let proxy = proxy(cluster.address, &[], Faulty(|| async { Ok(in_halves()) })).await;
    let client = reqwest::Client::new();
    let request = client.post(format!("http://{proxy}/i/_search")).header("x-rerank-explain", "highlight").body(MATCH);
    let answer: serde_json::Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    let best = &answer["hits"]["hits"][0];
    let note = &best["fields"]["_rerank"][0];
    assert_eq!(note["passage"], "aé東😀b");
    assert_eq!(note["window"], serde_json::json!({"start": 2, "end": 5}), "{best}");
    assert_eq!((&note["truncated"], &best["highlight"]["_rerank"][0]), (&false.into(), &"東😀b".into()));
    // A hit behind the window has no such note.
    assert!(answer["hits"]["hits"][9]["fields"]["_rerank"][0].get("window").is_none());
}

async fn metrics(proxy: SocketAddr) -> String {
    reqwest::get(format!("http://{proxy}/_rerank/metrics")).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn what_the_queue_had_no_time_for_is_said_and_counted() {
    let cluster = ten_hits().await;
    let first_two = Faulty(|| async {
        let score = |raw| Some(Score::fresh(raw, Scale::AsIs));
        Ok(Scored {
            scores: vec![score(1.0), score(2.0), None, None, None],
            budget_hit: true,
            shed: 3,
            ..Scored::default()
        })
    });
    let proxy = proxy(cluster.address, &[], first_two).await;
    let (_, said, _) = search(proxy, "/i/_search").await;
    let said = said.unwrap();
    assert!(said.ends_with("scored=2; cached=0; budget-hit=?1; shed=3"), "{said}");
    let metrics = metrics(proxy).await;
    for line in ["rerank_proxy_shed_pairs_total 3", "rerank_proxy_depth_sum 2", "rerank_proxy_budget_hits_total 1"] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn outcomes_are_counted() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    search(proxy, "/i/_search").await;
    search(proxy, "/i/_search?sort=stars").await;
    let metrics = metrics(proxy).await;
    for line in [
        "rerank_proxy_searches_total{rule=\"*\",outcome=\"applied\"} 1",
        "rerank_proxy_searches_total{rule=\"*\",outcome=\"sort\"} 1",
        "rerank_proxy_pairs_total{origin=\"model\"} 5",
        "rerank_proxy_rerank_duration_seconds_count 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn the_metrics_say_where_the_time_went_and_how_far_hits_moved() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asked = reqwest::Client::new().get(format!("http://{proxy}/i/_search?q=x")).header("traceparent", traced);
    assert_eq!(asked.send().await.unwrap().status(), 200);
    let metrics = metrics(proxy).await;
    for stage in ["plan", "cluster", "candidates", "score", "order", "rewrite"] {
        let line = format!("rerank_proxy_stage_duration_seconds_count{{stage=\"{stage}\"}} 1");
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    for line in [
        "rerank_proxy_page_overlap_count 1",
        "rerank_proxy_displacement_count 1",
        "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"}",
        "rerank_proxy_model_state{model=\"m\",state=\"ready\"} 1",
        "rerank_proxy_build_info{version=",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let sent = cluster.seen().pop().unwrap().headers;
    assert!(sent.contains(&("traceparent".to_owned(), traced.to_owned())), "{sent:?}");
}

#[tokio::test]
async fn a_cluster_that_is_gone_is_a_502_in_its_own_shape() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = proxy(free, &[], Longest).await;
    for path in ["/i/_search", "/_cat/indices"] {
        let (status, _, body) = search(proxy, path).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status.as_u16(), body["status"].as_u64()), (502, Some(502)));
        assert_eq!(body["error"]["type"], "upstream_connect_exception");
        assert_eq!(body["error"]["root_cause"][0]["type"], "upstream_connect_exception");
        assert!(body["error"]["reason"].as_str().unwrap().contains(&free.to_string()));
    }
}

#[tokio::test]
async fn our_own_endpoints_say_what_is_there() {
    let cluster = ten_hits().await;
    let proxy = proxy(cluster.address, &[], Longest).await;
    let get = |path: &'static str| async move {
        let response = reqwest::get(format!("http://{proxy}{path}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, body) = get("/_rerank/health").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"status\":\"ready\""), "{body}");
    let (status, body) = get("/_rerank/nope").await;
    assert_eq!(status, 404);
    assert!(body.contains("/_rerank/health"), "{body}");
    assert!(cluster.seen().is_empty());
}

#[tokio::test]
async fn an_answer_of_small_and_large_pieces_arrives_whole() {
    let sizes = [100, 20_000, 100, 40_000, 15_000, 3_417];
    let body: Bytes = sizes.iter().zip(b'a'..).flat_map(|(&size, letter)| vec![letter; size]).collect();
    let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut sent = 0;
    for size in sizes {
        answer.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        answer.extend_from_slice(&body[sent..sent + size]);
        answer.extend_from_slice(b"\r\n");
        sent += size;
    }
    answer.extend_from_slice(b"0\r\n\r\n");

    let upstream = raw_upstream(answer).await;
    let proxy = proxy(upstream, &[], Longest).await;
    for _ in 0..20 {
        let arrived = reqwest::get(format!("http://{proxy}/_cat/indices")).await.unwrap().bytes().await.unwrap();
        assert!(arrived == body, "{} of {} bytes", arrived.len(), body.len());
    }
}
