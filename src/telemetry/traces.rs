//! Traces: a span for each search that a rule names, and one for each of its stages, in OTLP to a collector. Owns how a search joins the
//! trace of its client (W3C Trace Context), and how the cluster is told of it. Without the feature `otlp`, or where no collector is
//! configured, there are no spans, and `traceparent` goes on to the cluster as it came.

#[cfg(feature = "otlp")]
use http::HeaderValue;
use http::{HeaderMap, request};
#[cfg(feature = "otlp")]
use opentelemetry::trace::{TraceContextExt, TracerProvider};
#[cfg(feature = "otlp")]
use tracing_opentelemetry::OpenTelemetrySpanExt;

use tracing::{Level, Span, field::Empty, span};

use super::stages::SPANS;

/// A span for a request that holds searches, within the trace that its client says it belongs to.
pub(crate) fn search_span(head: &request::Parts, rule: Option<&str>) -> Span {
    let span = span!(
        target: SPANS,
        parent: None,
        Level::INFO,
        "search",
        otel.kind = "server",
        http.request.method = head.method.as_str(),
        url.path = head.uri.path(),
        http.response.status_code = Empty,
        rerank.rule = rule,
        rerank.outcome = Empty,
    );
    join(&span, &head.headers);
    span
}

#[cfg(feature = "otlp")]
fn join(span: &Span, headers: &HeaderMap) {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry_http::HeaderExtractor;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    if !span.is_disabled() {
        // It was not begun yet, so that it can be any trace's.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&HeaderExtractor(headers)));
    }
}

#[cfg(not(feature = "otlp"))]
fn join(_: &Span, _: &HeaderMap) {}

/// Names the span as the parent of what the cluster does. Where its trace is not kept, `traceparent` stays as the client wrote it.
#[cfg(feature = "otlp")]
pub(crate) fn pass_on(span: &Span, headers: &mut HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    if own.is_valid()
        && own.is_sampled()
        && let Ok(value) = HeaderValue::try_from(format!("00-{}-{}-01", own.trace_id(), own.span_id()))
    {
        headers.insert("traceparent", value);
    }
}

/// No span, nothing to name.
#[cfg(not(feature = "otlp"))]
pub(crate) fn pass_on(_: &Span, _: &mut HeaderMap) {}

/// The sending of spans, for as long as it is held.
#[cfg(feature = "otlp")]
#[derive(Debug)]
pub(super) struct Export(opentelemetry_sdk::trace::SdkTracerProvider);

#[cfg(feature = "otlp")]
impl Export {
    /// How long the end of the process waits for the last spans.
    const LAST: std::time::Duration = std::time::Duration::from_secs(2);

    /// Begins to send spans. Fails where no client can be made.
    pub(super) fn begin(config: &crate::config::TracesConfig) -> anyhow::Result<Self> {
        use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
        use opentelemetry_sdk::{
            Resource,
            trace::{Sampler, SdkTracerProvider},
        };

        let client =
            reqwest::blocking::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(10)).build()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.endpoint.clone())
            .build()?;
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(config.service.clone()).with_attribute(version).build();
        // Who brings a trace has decided whether it is kept.
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample)));
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).with_sampler(sampler);
        Ok(Self(provider.build()))
    }

    /// The layer that makes spans of what is measured.
    pub(super) fn layer<S>(&self) -> impl tracing_subscriber::Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    {
        use tracing_subscriber::{Layer, filter::Targets};

        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("rerank-proxy"));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_target(false);
        layer.with_filter(Targets::new().with_target(SPANS, Level::INFO))
    }
}

#[cfg(feature = "otlp")]
impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(Self::LAST) {
            eprintln!("the last spans were not sent: {error}");
        }
    }
}
