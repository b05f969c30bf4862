//! The demo with stand-ins for the proxy: one that turns each page around, and the bare engine. And the program itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rerank_proxy::demo::{self, DemoOptions, orders::Order, report::WIDTH};
use serde_json::{Value, json};
use tokio::net::TcpListener;

fn options() -> DemoOptions {
    let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let order = |name: &str, model: Option<&str>, every| Order {
        name: name.to_owned(),
        model: model.map(str::to_owned),
        keep: vec![None, Some(20)],
        every,
    };
    let orders = vec![order("usual", None, 1), order("other", Some("other"), 6)];
    DemoOptions { once: true, json: true, listen: any_port, engine_listen: any_port, orders }
}

/// Serves `upstream`'s searches with the hits in reverse order, under the header `rerank` if there is one.
fn reversing_proxy(upstream: String, listener: TcpListener, rerank: Option<&'static str>) {
    let client = reqwest::Client::new();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, upstream) = (client.clone(), upstream.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (client, upstream) = (client.clone(), upstream.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let forwarded = client.request(head.method, format!("{upstream}{}", head.uri));
                    let answer = forwarded.headers(head.headers).body(body).send().await.unwrap();
                    let mut answer: Value = answer.json().await.unwrap();
                    answer["hits"]["hits"].as_array_mut().unwrap().reverse();
                    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                    if let Some(rerank) = rerank {
                        response.headers_mut().insert("x-rerank", rerank.parse().unwrap());
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

async fn run_with(options: &DemoOptions, rerank: Option<&'static str>) -> (anyhow::Result<()>, String) {
    let mut out = Vec::new();
    let start = async |upstream, listener| {
        reversing_proxy(upstream, listener, rerank);
        Ok(())
    };
    let result = demo::run(options, start, std::future::ready(()), &mut out).await;
    (result, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_demo_prints_tables_measures_and_one_object_last() {
    let (result, out) = run_with(&options(), Some("applied; model=\"reverse\"; window=40; budget-hit=?0")).await;
    result.unwrap();
    assert!(out.lines().all(|line| line.chars().count() <= WIDTH || line.starts_with('{')), "{out}");
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    for measure in ["ndcg@10", "mrr@10"] {
        let (before, after) = (last[measure]["before"].as_f64().unwrap(), last[measure]["after"].as_f64().unwrap());
        assert!(before > 0.1, "BM25 finds something: {last}");
        assert!(after < before, "a page turned around is worse: {last}");
    }
    let queries = last["queries"].as_u64().unwrap();
    assert!(queries >= 80);
    let [other, usual] = &last["orders"].as_array().unwrap()[..] else {
        panic!("two orders, the usual one last: {last}")
    };
    assert_eq!((&usual["name"], &usual["ndcg@10"]), (&json!("usual"), &last["ndcg@10"]));
    assert_eq!(other["queries"], queries.div_ceil(6), "a sixth of the queries");
    assert!(usual["worse"].as_u64() > usual["better"].as_u64(), "{usual}");
    assert!(usual["p"].as_f64().unwrap() < 0.01, "{usual}");
    assert_eq!(usual["pairs"], json!([40.0, 20.0]), "the window, and the best 20 of it");
    assert_eq!(usual["not_fully_reranked"], 0);
    assert!(!out.contains("not fully reranked"), "{out}");
    for part in ["before: BM25", "after: reranked", "NDCG@10", "worse", "largest losses:", "40 + 20", "every 6th"] {
        assert!(out.contains(part), "{part} is missing in {out}");
    }
}

#[tokio::test]
async fn staying_up_prints_where_to_play() {
    let options = DemoOptions { once: false, ..options() };
    let (result, out) = run_with(&options, Some("applied")).await;
    result.unwrap();
    assert_eq!(out.lines().filter(|line| line.starts_with("curl ")).count(), 4, "{out}");
    let first = out.lines().next().unwrap();
    assert!(first.starts_with("playground                http://127.0.0.1:"), "{first}");
    assert!(first.ends_with("/_rerank/ui#q=homemade+garlic+confit+shelf+life"), "it opens with a query: {first}");
    let measures = out.find("NDCG").unwrap();
    for greeting in ["search engine (BM25)      http://127.0.0.1:", "the same, reranked        http://127.0.0.1:"] {
        assert!(out.find(greeting).unwrap() < measures, "it says where it listens before it measures: {out}");
    }
}

#[tokio::test]
async fn a_demo_without_any_reranked_answer_fails_by_reason() {
    for (header, reason) in [(None, "no X-Rerank header"), (Some("skipped; reason=budget"), "skipped; reason=budget")] {
        let (result, out) = run_with(&options(), header).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(
            out.trim_end().ends_with("judged queries to both …"),
            "no measure is printed that would be a lie: {out}"
        );
    }
}

#[tokio::test]
async fn answers_that_were_cut_short_are_told_with_the_measures() {
    let (result, out) = run_with(&options(), Some("applied; window=40; budget-hit=?1")).await;
    result.unwrap();
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let queries = &last["queries"];
    assert_eq!(&last["orders"][1]["not_fully_reranked"], queries);
    assert!(out.contains(&format!("usual: {queries} of {queries} answers were not fully reranked:")), "{out}");
}

#[tokio::test]
async fn a_taken_port_leads_to_the_next_one() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = DemoOptions { engine_listen: taken.local_addr().unwrap(), ..options() };
    let (result, _) = run_with(&options, Some("applied")).await;
    result.unwrap();
}

/// The program, which ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_call_of_the_rerank_api_that_is_shown_can_be_made() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    program.args(["demo", "--listen", "127.0.0.1:0", "--engine-listen", "127.0.0.1:0"]);
    // Alone, it is quick.
    program.args(["--model", "all-MiniLM-L6-v2"]);
    let mut demo = Demo(program.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let shown: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let call = shown.iter().position(|line| line.contains("/_rerank/rerank")).unwrap();
    // A shell says what curl would be given.
    let curl = format!("curl() {{ printf '%s\\0' \"$@\"; }}\n{}", shown[call..].join("\n"));
    let given = Command::new("sh").args(["-c", &curl]).output().unwrap().stdout;
    let given = String::from_utf8(given).unwrap();
    let [url, "-d", body, ""] = given.split('\0').collect::<Vec<_>>()[..] else { panic!("{given}") };
    let answer = reqwest::Client::new().post(url).body(body.to_owned()).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer.as_array().unwrap().len(), 5);
    assert_eq!(answer[0]["text"], "Refunds are paid to the card that was used for the purchase.");
    assert!(answer[0]["score"].as_f64().unwrap() > answer[1]["score"].as_f64().unwrap() + 0.1, "{answer}");
}
