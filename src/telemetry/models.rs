//! The figures of the models at the moment, read at every scrape. Owns the names; the figures are the scorers' own.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use scoring::ScorerStats;

/// Reads the figures of each model that runs in this process, by its name.
pub(super) struct Models(pub(super) Box<dyn Fn() -> Vec<(String, ScorerStats)> + Send + Sync>);

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
        let mut all: Vec<(Label, ScorerStats)> =
            (self.0)().into_iter().map(|(model, stats)| (Label { model }, stats)).collect();
        all.sort_by(|(a, _), (b, _)| a.model.cmp(&b.model));
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
        Ok(())
    }
}
