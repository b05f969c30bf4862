//! Points in time: which indices each was opened on, as far as this process has seen it. A search on a point in time names
//! no index, and its rule is that of the indices it was opened on. Bounded; what is forgotten is found out anew.

use std::{sync::Arc, time::Duration};

use xxhash_rust::xxh3::xxh3_128;

/// How many points in time are remembered.
const MOST: u64 = 100_000;

/// How long one is remembered after its last use. Elasticsearch lets none live longer.
const IDLE: Duration = Duration::from_hours(24);

/// Index expressions by a hash of the id; ids may be kilobytes long.
#[derive(Debug, Clone)]
pub(super) struct Views(moka::sync::Cache<u128, Arc<str>>);

impl Default for Views {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(MOST).time_to_idle(IDLE).build())
    }
}

impl Views {
    pub(super) fn remember(&self, id: &str, indices: &str) {
        self.0.insert(xxh3_128(id.as_bytes()), indices.into());
    }

    pub(super) fn indices(&self, id: &str) -> Option<String> {
        self.0.get(&xxh3_128(id.as_bytes())).map(|indices| indices.to_string())
    }
}
