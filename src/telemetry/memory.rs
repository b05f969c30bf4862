//! The memory budget at the moment, and the lines that the log lost, read at every scrape. Owns the names.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::log;
use crate::memory::Memory;

/// The account whose figures these are.
#[derive(Debug)]
pub(super) struct Account(pub(super) Arc<Memory>);

impl Collector for Account {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, bytes: usize| {
            let metric = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
            ConstGauge::new(bytes as f64).encode(metric)
        };
        gauge("memory_held", "Requests and answers that are held, with what is made of them", self.0.held())?;
        gauge("memory_limit", "How much of them may be held (limits.memory)", self.0.limit())?;
        let help = "Lines of the log that were lost, since stderr took them too slowly";
        let lost = encoder.encode_descriptor("lost_log_lines", help, None, MetricType::Counter)?;
        ConstCounter::new(log::lost_lines()).encode(lost)
    }
}
