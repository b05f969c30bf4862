//! Traces, as a collector gets them from the real program: the client's own trace goes on, and every stage of a reranked search is in it.

#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use common::{Cluster, Seen, hits, json, program::Program};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PLENTY: Duration = Duration::from_secs(30);

/// A program that sends traces to a collector, with a cluster and a rerank server.
struct Traced {
    cluster: Cluster,
    collector: Cluster,
    program: Program,
    _reranker: Cluster,
}

impl Traced {
    async fn start(sample: &str) -> Self {
        let cluster = Cluster::start(|seen| hits(seen, 3)).await;
        let collector = Cluster::start(|_| json("")).await;
        let scores = r#"[{"index": 0, "score": 0.1}, {"index": 1, "score": 0.2}, {"index": 2, "score": 0.3}]"#;
        let reranker = Cluster::start(move |_| json(scores)).await;
        let (endpoint, url) = (format!("http://{}", collector.address), format!("http://{}", reranker.address));
        let variables = [
            ("RERANK_PROXY_TRACES__ENDPOINT", endpoint.as_str()),
            ("RERANK_PROXY_TRACES__SAMPLE", sample),
            ("RERANK_PROXY_MODELS__M__URL", url.as_str()),
            ("RERANK_PROXY_RULES__0__BUDGET", "10s"),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ];
        let program = Program::start(cluster.address, &variables, "");
        Self { cluster, collector, program, _reranker: reranker }
    }

    /// Searches; the cluster was told this `traceparent`.
    async fn search(&self, index: &str, flags: Option<&str>) -> Option<String> {
        let url = format!("http://{}/{index}/_search?q=a", self.program.address);
        let mut request = reqwest::Client::new().get(url);
        if let Some(flags) = flags {
            request = request.header("traceparent", format!("00-{TRACE}-{CALLER}-{flags}"));
        }
        assert_eq!(request.send().await.unwrap().status(), 200);
        let Seen { headers, .. } = self.cluster.seen().pop().unwrap();
        headers.into_iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value)
    }

    /// The spans that the collector has, once there is a search among them.
    async fn spans(&self) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let sent = self.collector.seen();
            assert!(sent.iter().all(|seen| seen.path_and_query == "/v1/traces"), "{sent:?}");
            let requests = sent.into_iter().map(|seen| ExportTraceServiceRequest::decode(seen.body).unwrap());
            let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
            let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
            if spans.iter().any(|span| span.name == "search") {
                return spans;
            }
            assert!(began.elapsed() < PLENTY, "no search in {spans:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(span: &Span) -> HashMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some((attribute.key.clone(), text)),
        _ => None,
    };
    span.attributes.iter().filter_map(text).collect()
}

#[tokio::test]
async fn a_search_is_a_part_of_its_client_s_trace_with_all_its_stages() {
    let traced = Traced::start("0").await;
    let told = traced.search("reranked", Some("01")).await.unwrap();
    let spans = traced.spans().await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
    let search = spans.iter().find(|span| span.name == "search").unwrap();
    assert_eq!((hex(&search.parent_span_id).as_str(), search.kind()), (CALLER, SpanKind::Server));
    // What the cluster does is a part of it.
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&search.span_id)));
    let said = texts(search);
    for (name, value) in [
        ("rerank.rule", "reranked"),
        ("rerank.outcome", "applied"),
        ("http.request.method", "GET"),
        ("url.path", "/reranked/_search"),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    for stage in ["plan", "cluster", "candidates", "score", "order", "rewrite"] {
        let span = spans.iter().find(|span| span.name == stage).unwrap_or_else(|| panic!("no {stage} in {spans:?}"));
        assert_eq!(span.parent_span_id, search.span_id, "{stage}");
        assert!(search.start_time_unix_nano <= span.start_time_unix_nano, "{stage}");
        assert!(span.end_time_unix_nano <= search.end_time_unix_nano, "{stage}");
    }
}

#[tokio::test]
async fn a_trace_that_is_not_kept_goes_on_as_it_came() {
    let traced = Traced::start("0").await;
    let as_it_came = format!("00-{TRACE}-{CALLER}-00");
    assert_eq!(traced.search("reranked", Some("00")).await, Some(as_it_came));
    assert_eq!(traced.search("reranked", None).await, None);
    // What no rule names is none of ours, even where its trace is kept.
    assert_eq!(traced.search("other", Some("01")).await, Some(format!("00-{TRACE}-{CALLER}-01")));
    traced.search("reranked", Some("01")).await;
    let searches = traced.spans().await.iter().filter(|span| span.name == "search").count();
    assert_eq!(searches, 1);
}

#[tokio::test]
async fn a_search_without_a_trace_begins_one_where_that_is_wanted() {
    let traced = Traced::start("1").await;
    let told = traced.search("reranked", None).await.unwrap();
    let spans = traced.spans().await;
    let search = spans.iter().find(|span| span.name == "search").unwrap();
    assert!(search.parent_span_id.is_empty());
    assert_eq!(told, format!("00-{}-{}-01", hex(&search.trace_id), hex(&search.span_id)));
}
