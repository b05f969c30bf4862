//! The score cache's metrics. Owns their names; the values are the cache's own, read when somebody asks.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use scoring::ScoreCache;

const MEMORY: &str = "memory";
const SHARED: &str = "shared";

/// Reads the cache at each scrape.
#[derive(Debug)]
pub(super) struct CacheMetrics(pub(super) Arc<ScoreCache>);

impl Collector for CacheMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stats = self.0.stats();
        let (memory, shared) = (stats.memory, stats.shared);
        let mut both = vec![(MEMORY, memory.hits, memory.misses)];
        both.extend(shared.map(|shared| (SHARED, shared.hits, shared.misses)));
        let hits: Vec<_> = both.iter().map(|&(level, hits, _)| (level, hits)).collect();
        let misses: Vec<_> = both.iter().map(|&(level, _, misses)| (level, misses)).collect();
        counter(&mut encoder, "cache_hits", "Look-ups in the score cache that found something", &hits)?;
        counter(&mut encoder, "cache_misses", "Look-ups in the score cache that found nothing", &misses)?;
        let evictions = [(MEMORY, memory.evictions)];
        counter(&mut encoder, "cache_evictions", "Entries that went for want of memory", &evictions)?;
        gauge(&mut encoder, "cache_entries", "Entries of the score cache", None, MEMORY, memory.entries)?;
        let help = "What the entries of the score cache take, estimated";
        gauge(&mut encoder, "cache_size", help, Some(&Unit::Bytes), MEMORY, memory.bytes)?;
        let Some(shared) = shared else { return Ok(()) };
        for (name, help, value) in [
            ("cache_failures", "Searches whose look-ups were not answered, or not in time", shared.failures),
            ("cache_stored", "Entries that were written", shared.stored),
            ("cache_dropped", "Entries that were computed and not written", shared.dropped),
        ] {
            counter(&mut encoder, name, help, &[(SHARED, value)])?;
        }
        let help = "Whether searches ask the score cache now: 1, or 0";
        gauge(&mut encoder, "cache_connected", help, None, SHARED, u64::from(shared.connected))
    }
}

fn counter(encoder: &mut DescriptorEncoder, name: &str, help: &str, values: &[(&'static str, u64)]) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (level, value) in values {
        ConstCounter::new(*value).encode(metric.encode_family(&[("level", *level)])?)?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    level: &'static str,
    value: u64,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(metric.encode_family(&[("level", level)])?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redis::IntoConnectionInfo;

    use super::super::Metrics;
    use super::*;
    use crate::memory::Memory;
    use scoring::cache::{CacheOptions, SharedOptions};

    #[test]
    fn every_metric_of_both_levels_is_documented() {
        let shared = SharedOptions {
            server: "redis://127.0.0.1:1".into_connection_info().unwrap(),
            timeout: Duration::from_millis(1),
            ttl: Duration::from_secs(1),
            prefix: "test:".to_owned(),
        };
        let cache = ScoreCache::start(CacheOptions { size: 0, ttl: None, shared: Some(shared) }).unwrap();
        let text = Metrics::of(Vec::new, Vec::new, Memory::new(0), Some(Arc::new(cache))).encode();
        let documented = include_str!("../../docs/cache.md");
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
        let of_the_cache: Vec<&&str> = names.iter().filter(|name| name.starts_with("rerank_proxy_cache_")).collect();
        assert_eq!(of_the_cache.len(), 9);
        for name in of_the_cache {
            assert!(documented.contains(&format!("| `{name}` |")), "docs/cache.md does not name `{name}`");
        }
    }

    #[tokio::test]
    async fn the_levels_of_the_cache_are_told_apart() {
        let cache = Arc::new(ScoreCache::new(1 << 20));
        let key = scoring::cache::Keys::of_texts("r", Default::default()).key("a");
        cache.look_up_all(&[key, key], std::time::Instant::now()).await;
        let text = Metrics::of(Vec::new, Vec::new, Memory::new(0), Some(cache)).encode();
        for line in [
            "rerank_proxy_cache_hits_total{level=\"memory\"} 0",
            "rerank_proxy_cache_misses_total{level=\"memory\"} 2",
            "rerank_proxy_cache_evictions_total{level=\"memory\"} 0",
            "rerank_proxy_cache_entries{level=\"memory\"} 0",
            "rerank_proxy_cache_size_bytes{level=\"memory\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
        }
        assert!(!text.contains("shared"), "{text}");
    }
}
