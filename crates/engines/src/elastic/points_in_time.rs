//! Points in time: which indices each was opened on, as far as this process has seen it. A search on a point in time names
//! no index, and its rule is that of the indices it was opened on. Bounded in bytes, as clients write the expressions; what is
//! forgotten is found out anew.

use std::{sync::Arc, time::Duration};

use xxhash_rust::xxh3::xxh3_128;

/// The most that is remembered, in bytes: some 90,000 points in time on a few indices each.
const MOST: u64 = 32 << 20;

/// The bytes that one costs beside its index expression: key, pointer and reference counts, and what the table keeps of
/// each entry (hash table, policy and frequency sketch; measured in moka 0.12).
const OVERHEAD: usize = 16 + 32 + 300;

/// The time for which one is remembered after its last use. Elasticsearch lets none live longer.
const IDLE: Duration = Duration::from_hours(24);

/// Index expressions by a hash of the id; ids may be kilobytes long.
#[derive(Debug)]
pub(super) struct PointsInTime(moka::sync::Cache<u128, Arc<str>>);

impl Default for PointsInTime {
    fn default() -> Self {
        let weigh = |_: &u128, indices: &Arc<str>| u32::try_from(indices.len() + OVERHEAD).unwrap_or(u32::MAX);
        Self(moka::sync::Cache::builder().max_capacity(MOST).weigher(weigh).time_to_idle(IDLE).build())
    }
}

impl PointsInTime {
    pub(super) fn remember(&self, id: &str, indices: &str) {
        self.0.insert(xxh3_128(id.as_bytes()), indices.into());
    }

    pub(super) fn indices(&self, id: &str) -> Option<String> {
        self.0.get(&xxh3_128(id.as_bytes())).map(|indices| indices.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_in_bytes_however_long_the_expressions_are() {
        let points = PointsInTime::default();
        let long = "logs-2026-11-28,".repeat(4096);
        for number in 0..2000 {
            points.remember(&number.to_string(), &long);
        }
        points.0.run_pending_tasks();
        let held: usize = points.0.iter().map(|(_, indices)| indices.len()).sum();
        assert!(held as u64 <= MOST && held > 0, "{held} bytes");
        points.remember("short", "products");
        assert_eq!(points.indices("short").as_deref(), Some("products"));
    }
}
