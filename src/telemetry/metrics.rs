//! The counters and histograms of the process. A metric is declared once, in the table below: its help, its name, its kind and
//! its unit. What each means to an operator is a row of docs/scoring.md, and a test holds both together. Figures that are read
//! when somebody asks (of the cache, the memory, the models) are declared in the files beside this one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use engines::plan::SkipReason;
use http::StatusCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge, histogram::Histogram,
        info::Info,
    },
    registry::{Metric, Registry, Unit},
};
use scoring::ScoreCache;

use super::{
    Counts, Shift, Stage, TraceParent,
    cache::CacheMetrics,
    memory,
    models::{ModelFigures, Models},
    nodes::Nodes,
};
use crate::{cluster::node::NodeFigures, memory::Memory};

/// Makes the struct of the metrics, and their registration, out of the declarations. A metric is shown under its field's name,
/// after the prefix `rerank_proxy_` and before its unit; the line above it is its help.
macro_rules! metrics {
    ($(#[doc = $help:literal] $visibility:vis $name:ident: $kind:ty = $begin:expr $(, in $unit:ident)?;)+) => {
        /// Counters and histograms of the whole process, in Prometheus' sense.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] $visibility $name: $kind,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix("rerank_proxy");
                $(
                    let $name: $kind = $begin;
                    register(&mut registry, stringify!($name), $help, [$(Unit::$unit)?], &$name);
                )+
                Self { registry, $($name,)+ }
            }
        }
    };
}

metrics! {
    /// Searches by rule, and by outcome: applied, or why not
    searches: Family<Searched, Counter> = Family::default();
    /// Searches scored off the path, by outcome
    shadow_searches: Family<Outcome, Counter> = Family::default();
    /// Time that reranking would have added to a request of mode `shadow`
    shadow_rerank_duration: Histogram = seconds(), in Seconds;
    /// The part of a page that was reranked in mode `shadow` which the cluster's page has as well, 0 to 1
    shadow_page_overlap: Histogram = overlaps();
    /// Places that the hits of a page would have moved in mode `shadow`, on average
    shadow_displacement: Histogram = displacements();
    /// Calls of the rerank API by shape and status
    api_calls: Family<Call, Counter> = Family::default();
    /// Time from a rerank call to its answer
    api_duration: Histogram = seconds(), in Seconds;
    /// Pairs that got a score, by where it came from: cache or model
    pairs: Family<Origin, Counter> = Family::default();
    /// Searches whose scoring the budget cut off
    budget_hits: Counter = Counter::default();
    /// Hits of a window that got a score, by search
    depth: Histogram = Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]);
    /// Pairs that were not queued, since earlier searches leave no time for them
    shed_pairs: Counter = Counter::default();
    /// Pairs that got a score though the model did not read the passage to its end
    truncated_passages: Counter = Counter::default();
    /// Requests that the cluster did not answer
    upstream_failures: Counter = Counter::default();
    /// Requests sent once more, since the connection before broke or could not be made
    upstream_retries: Counter = Counter::default();
    /// Requests not sent once more, since too many were
    upstream_retries_denied: Counter = Counter::default();
    /// Time that reranking added to a search, from the cluster's whole answer to ours
    rerank_duration: HistogramWithExemplars<Trace> = HistogramWithExemplars::new(SECONDS.into_iter()), in Seconds;
    /// Time that a stage of a search took
    stage_duration: Family<StageLabel, Histogram, fn() -> Histogram> = Family::new_with_constructor(seconds), in Seconds;
    /// The part of a reranked page that the cluster's page has as well, 0 to 1
    page_overlap: Histogram = overlaps();
    /// Places that the hits of a reranked page moved, on average
    displacement: Histogram = displacements();
    /// Time that the cluster took for a search that a rule names, body included
    upstream_duration: Histogram = seconds(), in Seconds;
    /// Client connections that are open
    pub(crate) open_connections: Gauge = Gauge::default();
    /// Client connections for which there was no place
    refused_connections: Counter = Counter::default();
    /// Client connections that the proxy closed, by reason
    closed_connections: Family<Reason, Counter> = Family::default();
    /// Reloads of the configuration by outcome: applied or refused
    reloads: Family<Outcome, Counter> = counted(["applied", "refused"]);
    /// Whether the configuration could be used when it was last read: 1, or 0
    config_last_reload_successful: Gauge = gauge(1);
    /// When the configuration that counts was read, in seconds since 1970
    config_last_reload_success_timestamp: Gauge = gauge(now()), in Seconds;
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Searched {
    /// Without one, the search falls under none. Rules are as many as the operator wrote.
    rule: Option<Arc<str>>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// The trace of one search, by which a figure of the histogram can be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Trace {
    trace_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    api: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Origin {
    origin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// A counter whose outcomes are all there from the start, so that the first of a kind is seen as an increase.
fn counted<const OUTCOMES: usize>(outcomes: [&'static str; OUTCOMES]) -> Family<Outcome, Counter> {
    let family = Family::default();
    outcomes.into_iter().for_each(|outcome| drop(family.get_or_create(&Outcome { outcome })));
    family
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The buckets of times, half a millisecond to five seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn overlaps() -> Histogram {
    Histogram::new([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
}

fn displacements() -> Histogram {
    Histogram::new([0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0])
}

/// Notes how far a page is from the cluster's.
fn observe_shift(shift: Option<Shift>, page_overlap: &Histogram, displacement: &Histogram) {
    if let Some(overlap) = shift.and_then(Shift::overlap) {
        page_overlap.observe(overlap);
    }
    if let Some(places) = shift.and_then(Shift::displacement) {
        displacement.observe(places);
    }
}

fn register<const UNITS: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: [Unit; UNITS],
    metric: &(impl Metric + Clone),
) {
    let help = help.trim_start();
    match unit.into_iter().next() {
        Some(unit) => registry.register_with_unit(name, help, unit, metric.clone()),
        None => registry.register(name, help, metric.clone()),
    }
}

impl Metrics {
    /// The metrics of a process whose models have the figures that `models` reads, and its cluster's nodes those that `nodes` does,
    /// and with this cache where there is one.
    pub fn of(
        models: impl Fn() -> Vec<ModelFigures> + Send + Sync + 'static,
        nodes: impl Fn() -> Vec<NodeFigures> + Send + Sync + 'static,
        memory: Arc<Memory>,
        cache: Option<Arc<ScoreCache>>,
    ) -> Self {
        let mut metrics = Self::default();
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        metrics.registry.register("build", "The version of the program", build);
        metrics.registry.register_collector(Box::new(memory::Account(memory)));
        metrics.registry.register_collector(Box::new(Models(Box::new(models))));
        metrics.registry.register_collector(Box::new(Nodes(Box::new(nodes))));
        if let Some(cache) = cache {
            metrics.registry.register_collector(Box::new(CacheMetrics(cache)));
        }
        metrics
    }

    /// Counts a search that was answered in the new order.
    pub fn applied(&self, rule: Option<&Arc<str>>, counts: Counts) {
        self.searches.get_or_create(&Searched { rule: rule.cloned(), outcome: "applied" }).inc();
        self.count_pairs(counts);
        observe_shift(counts.shift, &self.page_overlap, &self.displacement);
    }

    /// Notes how long reranking held up an answer; `of` is the trace that it belongs to. Where its caller keeps that, it is an
    /// exemplar.
    pub(crate) fn added(&self, time: Duration, of: Option<TraceParent<'_>>) {
        let exemplar =
            of.filter(|parent| parent.is_sampled).map(|parent| Trace { trace_id: parent.trace_id.to_owned() });
        let now = exemplar.is_some().then(SystemTime::now);
        self.rerank_duration.observe(time.as_secs_f64(), exemplar, now);
    }

    /// Notes how long a stage took.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.stage_duration.get_or_create(&StageLabel { stage: stage.as_str() }).observe(time.as_secs_f64());
    }

    /// Counts a search that was answered as the cluster would.
    pub(crate) fn skipped(&self, rule: Option<&Arc<str>>, reason: SkipReason) {
        self.searches.get_or_create(&Searched { rule: rule.cloned(), outcome: reason.as_str() }).inc();
    }

    /// Counts a shadow search, scored or not.
    pub fn shadowed(&self, outcome: Result<Counts, SkipReason>) {
        let name = outcome.map_or_else(SkipReason::as_str, |_| "applied");
        self.shadow_searches.get_or_create(&Outcome { outcome: name }).inc();
        if let Ok(counts) = outcome {
            self.count_pairs(counts);
            observe_shift(counts.shift, &self.shadow_page_overlap, &self.shadow_displacement);
        }
    }

    /// Notes how long reranking would have held up the answer to a request of mode `shadow`.
    pub(crate) fn would_have_added(&self, time: Duration) {
        self.shadow_rerank_duration.observe(time.as_secs_f64());
    }

    /// Counts a rerank call that was answered.
    pub fn called(&self, shape: &'static str, status: StatusCode, took: Duration) {
        self.api_calls.get_or_create(&Call { api: shape, status: status.as_u16() }).inc();
        self.api_duration.observe(took.as_secs_f64());
    }

    /// Counts the pairs of a list of documents that was ranked as a whole.
    pub fn ranked(&self, counts: Counts) {
        let Counts { scored, cached, truncated, .. } = counts;
        self.pairs.get_or_create(&Origin { origin: "cache" }).inc_by(cached as u64);
        self.pairs.get_or_create(&Origin { origin: "model" }).inc_by(scored.saturating_sub(cached) as u64);
        self.truncated_passages.inc_by(truncated as u64);
    }

    fn count_pairs(&self, counts: Counts) {
        self.ranked(counts);
        let Counts { scored, shed, budget_hit, .. } = counts;
        self.depth.observe(scored as f64);
        self.shed_pairs.inc_by(shed as u64);
        if budget_hit {
            self.budget_hits.inc();
        }
    }

    /// Counts a request that the cluster gave no answer to.
    pub fn upstream_failed(&self) {
        self.upstream_failures.inc();
    }

    /// Counts a request that is sent once more, since the connection broke or could not be made.
    pub fn upstream_retried(&self) {
        self.upstream_retries.inc();
    }

    /// Counts a request that is not sent once more, since too many were.
    pub fn upstream_retry_denied(&self) {
        self.upstream_retries_denied.inc();
    }

    /// Notes how long the cluster took for a search that a rule names.
    pub fn upstream_answered(&self, took: Duration) {
        self.upstream_duration.observe(took.as_secs_f64());
    }

    /// Counts a client's connection that there was no place for.
    pub(crate) fn connection_refused(&self) {
        self.refused_connections.inc();
    }

    /// Counts a client's connection that was closed though the client might have gone on.
    pub fn connection_closed(&self, reason: &'static str) {
        self.closed_connections.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a reload of the configuration.
    pub(crate) fn reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
        self.config_last_reload_successful.set(i64::from(applied));
        if applied {
            self.config_last_reload_success_timestamp.set(now());
        }
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}
