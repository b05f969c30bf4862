//! What the operator can see from outside: the log and the metrics. Owns their names. Texts of queries and documents
//! never go there.

mod cache;
mod memory;
mod models;
pub(crate) mod seldom;

use std::{io::IsTerminal, sync::Arc, time::Duration};

use cache::CacheMetrics;
use engines::plan::SkipReason;
use http::StatusCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use scoring::{ScoreCache, Scored, ScorerStats};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{LogConfig, LogFormat},
    memory::Memory,
};

/// Whose lines the configured level is for; of others, warnings are shown.
const OWN_CRATES: [&str; 6] = ["rerank_proxy", "engines", "scoring", "net", "evaluation", "demo_engine"];

/// Starts the log on stderr. `RUST_LOG`, where it is set, wins over the configured level.
pub fn start_log(config: &LogConfig) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(OWN_CRATES.map(|name| format!("{name}={}", config.level)).join(",") + ",warn")
    });
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

/// The figures of one search that was scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Hits within the window.
    pub window: usize,
    /// Those with a score.
    pub scored: usize,
    /// Those whose score came out of the cache.
    pub cached: usize,
    /// Those that were not even queued, for want of time.
    pub shed: usize,
    /// Whether the budget cut scoring off.
    pub budget_hit: bool,
    /// Those of whose passages the model did not read the end.
    pub truncated: usize,
}

impl Counts {
    /// Those of a search's scores, one entry per hit.
    pub fn of(scored: &Scored) -> Self {
        Self {
            window: scored.scores.len(),
            scored: scored.scores.iter().flatten().count(),
            cached: scored.cached(),
            shed: scored.shed,
            budget_hit: scored.budget_hit,
            truncated: scored.truncated(),
        }
    }
}

/// Counters and histograms of the whole process, in Prometheus' sense.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    searches: Family<Outcome, Counter>,
    shadows: Family<Outcome, Counter>,
    calls: Family<Call, Counter>,
    call_duration: Histogram,
    pairs: Family<Origin, Counter>,
    budget_hits: Counter,
    depth: Histogram,
    shed: Counter,
    truncated: Counter,
    upstream_failures: Counter,
    upstream_retries: Counter,
    added: Histogram,
    upstream: Histogram,
    pub(crate) open_connections: Gauge,
    refused_connections: Counter,
    closed_connections: Family<Reason, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds =
            || Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0]);
        let mut metrics = Self {
            registry: Registry::with_prefix("rerank_proxy"),
            searches: Family::default(),
            shadows: Family::default(),
            calls: Family::default(),
            call_duration: seconds(),
            pairs: Family::default(),
            budget_hits: Counter::default(),
            depth: Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]),
            shed: Counter::default(),
            truncated: Counter::default(),
            upstream_failures: Counter::default(),
            upstream_retries: Counter::default(),
            added: seconds(),
            upstream: seconds(),
            open_connections: Gauge::default(),
            refused_connections: Counter::default(),
            closed_connections: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("searches", "Searches by outcome: applied, or why not", metrics.searches.clone());
        registry.register("shadow_searches", "Searches scored off the path, by outcome", metrics.shadows.clone());
        registry.register("api_calls", "Calls of the rerank API by shape and status", metrics.calls.clone());
        registry.register_with_unit(
            "api_duration",
            "Time from a rerank call to its answer",
            Unit::Seconds,
            metrics.call_duration.clone(),
        );
        registry.register(
            "pairs",
            "Pairs that got a score, by where it came from: cache or model",
            metrics.pairs.clone(),
        );
        registry.register("budget_hits", "Searches whose scoring the budget cut off", metrics.budget_hits.clone());
        registry.register("depth", "Hits of a window that got a score, by search", metrics.depth.clone());
        registry.register(
            "shed_pairs",
            "Pairs that were not queued, since earlier searches leave no time for them",
            metrics.shed.clone(),
        );
        registry.register(
            "truncated_passages",
            "Pairs that got a score though the model did not read the passage to its end",
            metrics.truncated.clone(),
        );
        registry.register(
            "upstream_failures",
            "Requests that the cluster did not answer",
            metrics.upstream_failures.clone(),
        );
        registry.register(
            "upstream_retries",
            "Requests sent once more on a new connection, since the one before broke",
            metrics.upstream_retries.clone(),
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
        registry.register(
            "refused_connections",
            "Client connections for which there was no place",
            metrics.refused_connections.clone(),
        );
        registry.register(
            "closed_connections",
            "Client connections that the proxy closed, by reason",
            metrics.closed_connections.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// The metrics of a process whose models have the figures that `stats` reads, and with this cache where there is one.
    pub fn of(
        stats: impl Fn() -> Vec<(String, ScorerStats)> + Send + Sync + 'static,
        memory: Arc<Memory>,
        cache: Option<Arc<ScoreCache>>,
    ) -> Self {
        let mut metrics = Self::default();
        metrics.registry.register_collector(Box::new(memory::Account(memory)));
        metrics.registry.register_collector(Box::new(models::Models(Box::new(stats))));
        if let Some(cache) = cache {
            metrics.registry.register_collector(Box::new(CacheMetrics(cache)));
        }
        metrics
    }

    /// A search was answered in the new order.
    pub fn applied(&self, counts: Counts) {
        self.searches.get_or_create(&Outcome { outcome: "applied" }).inc();
        self.count_pairs(counts);
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
    pub fn shadowed(&self, outcome: Result<Counts, SkipReason>) {
        let name = outcome.map_or_else(SkipReason::as_str, |_| "applied");
        self.shadows.get_or_create(&Outcome { outcome: name }).inc();
        if let Ok(counts) = outcome {
            self.count_pairs(counts);
        }
    }

    /// A rerank call was answered.
    pub fn called(&self, shape: &'static str, status: StatusCode, took: Duration) {
        self.calls.get_or_create(&Call { api: shape, status: status.as_u16() }).inc();
        self.call_duration.observe(took.as_secs_f64());
    }

    /// A list of documents was ranked, all of it.
    pub fn ranked(&self, counts: Counts) {
        let Counts { scored, cached, truncated, .. } = counts;
        self.pairs.get_or_create(&Origin { origin: "cache" }).inc_by(cached as u64);
        self.pairs.get_or_create(&Origin { origin: "model" }).inc_by(scored.saturating_sub(cached) as u64);
        self.truncated.inc_by(truncated as u64);
    }

    fn count_pairs(&self, counts: Counts) {
        self.ranked(counts);
        let Counts { scored, shed, budget_hit, .. } = counts;
        self.depth.observe(scored as f64);
        self.shed.inc_by(shed as u64);
        if budget_hit {
            self.budget_hits.inc();
        }
    }

    /// The cluster gave no answer at all.
    pub fn upstream_failed(&self) {
        self.upstream_failures.inc();
    }

    /// A request is sent once more, since the connection broke.
    pub fn upstream_retried(&self) {
        self.upstream_retries.inc();
    }

    /// The cluster answered a search that a rule names.
    pub fn upstream_answered(&self, took: Duration) {
        self.upstream.observe(took.as_secs_f64());
    }

    /// There was no place for a client's connection.
    pub(crate) fn connection_refused(&self) {
        self.refused_connections.inc();
    }

    /// A client's connection was closed though the client might have gone on.
    pub fn connection_closed(&self, reason: &'static str) {
        self.closed_connections.get_or_create(&Reason { reason }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}
