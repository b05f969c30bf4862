//! What the operator can see from outside: the log and the metrics. Owns their names. Texts of queries and documents
//! never go there.

mod cache;

use std::{io::IsTerminal, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{LogConfig, LogFormat},
    plan::SkipReason,
    score::ScoreCache,
};
use cache::CacheMetrics;

/// Starts the log on stderr. `RUST_LOG`, where it is set, wins over the configured level.
pub fn start_log(config: &LogConfig) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,rerank_proxy={}", config.level)));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second start (tests run several servers in one process) leaves the first log in place.
    let _ = match config.format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Origin {
    origin: &'static str,
}

/// Counters and histograms of the whole process, in Prometheus' sense.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    searches: Family<Outcome, Counter>,
    shadows: Family<Outcome, Counter>,
    pairs: Family<Origin, Counter>,
    budget_hits: Counter,
    upstream_failures: Counter,
    added: Histogram,
    upstream: Histogram,
    pub(crate) open_connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds =
            || Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0]);
        let mut metrics = Self {
            registry: Registry::with_prefix("rerank_proxy"),
            searches: Family::default(),
            shadows: Family::default(),
            pairs: Family::default(),
            budget_hits: Counter::default(),
            upstream_failures: Counter::default(),
            added: seconds(),
            upstream: seconds(),
            open_connections: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("searches", "Searches by outcome: applied, or why not", metrics.searches.clone());
        registry.register("shadow_searches", "Searches scored off the path, by outcome", metrics.shadows.clone());
        registry.register(
            "pairs",
            "Pairs that got a score, by where it came from: cache or model",
            metrics.pairs.clone(),
        );
        registry.register("budget_hits", "Searches whose scoring the budget cut off", metrics.budget_hits.clone());
        registry.register(
            "upstream_failures",
            "Requests that the cluster did not answer",
            metrics.upstream_failures.clone(),
        );
        registry.register_with_unit(
            "rerank_duration",
            "Time that reranking added to a search, from the cluster's whole answer to ours",
            Unit::Seconds,
            metrics.added.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "Time that the cluster took for a search that a rule names, body included",
            Unit::Seconds,
            metrics.upstream.clone(),
        );
        registry.register("open_connections", "Client connections that are open", metrics.open_connections.clone());
        metrics
    }
}

impl Metrics {
    /// Metrics that tell of the score cache, too.
    pub fn with_cache(cache: Arc<ScoreCache>) -> Self {
        let mut metrics = Self::default();
        metrics.registry.register_collector(Box::new(CacheMetrics(cache)));
        metrics
    }

    /// A search was answered in the new order.
    pub fn applied(&self, scored: usize, cached: usize, budget_hit: bool) {
        self.searches.get_or_create(&Outcome { outcome: "applied" }).inc();
        self.count_pairs(scored, cached, budget_hit);
    }

    /// Reranking held up an answer for this long.
    pub fn added(&self, time: Duration) {
        self.added.observe(time.as_secs_f64());
    }

    /// A search was answered as the cluster would.
    pub fn skipped(&self, reason: SkipReason) {
        self.searches.get_or_create(&Outcome { outcome: reason.as_str() }).inc();
    }

    /// A search was scored off the path, or not.
    pub fn shadowed(&self, outcome: Result<(usize, usize, bool), SkipReason>) {
        let name = outcome.map_or_else(SkipReason::as_str, |_| "applied");
        self.shadows.get_or_create(&Outcome { outcome: name }).inc();
        if let Ok((scored, cached, budget_hit)) = outcome {
            self.count_pairs(scored, cached, budget_hit);
        }
    }

    fn count_pairs(&self, scored: usize, cached: usize, budget_hit: bool) {
        self.pairs.get_or_create(&Origin { origin: "cache" }).inc_by(cached as u64);
        self.pairs.get_or_create(&Origin { origin: "model" }).inc_by(scored.saturating_sub(cached) as u64);
        if budget_hit {
            self.budget_hits.inc();
        }
    }

    /// The cluster gave no answer at all.
    pub fn upstream_failed(&self) {
        self.upstream_failures.inc();
    }

    /// The cluster answered a search that a rule names.
    pub fn upstream_answered(&self, took: Duration) {
        self.upstream.observe(took.as_secs_f64());
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}
