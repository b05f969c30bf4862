//! The figures of the models at the moment, read at every scrape. Owns the names; the figures are the scorers' own.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use scoring::{Readiness, ScorerStats};

/// What a model does at the moment.
#[derive(Debug, Clone)]
pub struct ModelFigures {
    /// Its name in the configuration.
    pub name: String,
    /// Whether a search would be scored by it.
    pub readiness: Readiness,
    /// Its figures, where it runs in this process.
    pub stats: Option<ScorerStats>,
}

/// Reads the figures of each model.
pub(super) struct Models(pub(super) Box<dyn Fn() -> Vec<ModelFigures> + Send + Sync>);

/// The states of a model, by what the metrics call them.
const STATES: [&str; 5] = ["ready", "loading", "failed", "stuck", "paused"];

fn state(readiness: &Readiness) -> &'static str {
    match readiness {
        Readiness::Ready => "ready",
        Readiness::Loading => "loading",
        Readiness::Failed(_) => "failed",
        Readiness::Stuck(_) => "stuck",
        Readiness::Paused(_) => "paused",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    model: String,
}

impl fmt::Debug for Models {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Models").finish_non_exhaustive()
    }
}

impl Collector for Models {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut models = (self.0)();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        let local = |model: &ModelFigures| Some((Label { model: model.name.clone() }, model.stats?));
        let all: Vec<(Label, ScorerStats)> = models.iter().filter_map(local).collect();
        let mut gauge = |name: &str, help: &str, value: fn(&ScorerStats) -> Option<f64>| -> fmt::Result {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (label, stats) in &all {
                if let Some(value) = value(stats) {
                    ConstGauge::new(value).encode(family.encode_family(label)?)?;
                }
            }
            Ok(())
        };
        gauge("queued_pairs", "Pairs that wait for a model or are being run", |stats| Some(stats.queued_pairs as f64))?;
        gauge("queued_tokens", "Their tokens, estimated", |stats| Some(stats.queued_tokens as f64))?;
        gauge("workers", "Scoring threads", |stats| Some(stats.workers as f64))?;
        gauge("busy_workers", "Scoring threads that are running something", |stats| Some(stats.busy_workers as f64))?;
        gauge("pairs_per_second", "Pairs that all scoring threads do in a second, by the latest runs", |stats| {
            stats.pairs_per_second
        })?;
        let help = "Inputs that a model was run on";
        let mut family = encoder.encode_descriptor("inferences", help, None, MetricType::Counter)?;
        for (label, stats) in &all {
            ConstCounter::new(stats.runs).encode(family.encode_family(label)?)?;
        }
        let help = "How often a worker got its model, or did not";
        let mut family = encoder.encode_descriptor("model_loads", help, None, MetricType::Counter)?;
        for (label, stats) in &all {
            for (outcome, count) in [("loaded", stats.loads), ("failed", stats.failed_loads)] {
                let label = [("model", label.model.as_str()), ("outcome", outcome)];
                ConstCounter::new(count).encode(family.encode_family(&label)?)?;
            }
        }
        let help = "The state of each model: 1 for the one it is in";
        let mut family = encoder.encode_descriptor("model_state", help, None, MetricType::Gauge)?;
        for ModelFigures { name, readiness, .. } in &models {
            for known in STATES {
                let is_in = ConstGauge::new(f64::from(u8::from(state(readiness) == known)));
                is_in.encode(family.encode_family(&[("model", name.as_str()), ("state", known)])?)?;
            }
        }
        Ok(())
    }
}
