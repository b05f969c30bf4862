//! The figures of the cluster's nodes, read at every scrape. Owns the names; the figures are the nodes' own.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::cluster::node::{NodeCounts, NodeFigures};

/// Reads the figures of each node of the cluster as it is now.
pub(super) struct Nodes(pub(super) Box<dyn Fn() -> Vec<NodeFigures> + Send + Sync>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    node: String,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Nodes").finish_non_exhaustive()
    }
}

impl Collector for Nodes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let nodes = (self.0)();
        let label = |figures: &NodeFigures| Label { node: figures.node.clone() };
        let help = "Whether a node takes part, and its latest connection could be made: 1, or 0";
        let mut family = encoder.encode_descriptor("upstream_node_up", help, None, MetricType::Gauge)?;
        for figures in &nodes {
            if let Some(is_up) = figures.is_up {
                ConstGauge::new(i64::from(is_up)).encode(family.encode_family(&label(figures))?)?;
            }
        }
        let mut counter = |name: &str, help: &str, value: fn(&NodeCounts) -> u64| -> fmt::Result {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for figures in &nodes {
                if let Some(counts) = &figures.counts {
                    ConstCounter::new(value(counts)).encode(family.encode_family(&label(figures))?)?;
                }
            }
            Ok(())
        };
        counter("upstream_node_requests", "Requests by node, where there are several", |counts| counts.requests)?;
        counter("upstream_node_failures", "Requests and checks that failed at the node", |counts| counts.failures)?;
        counter("upstream_node_ejections", "Times that the node was left out", |counts| counts.ejections)
    }
}
