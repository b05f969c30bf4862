//! The level of the cache in this process: outputs by key, bounded in bytes. Owns the weight of an entry, how long it
//! stays, and its counters.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::notification::RemovalCause;

use super::{key::Key, stats::MemoryStats};
use crate::model_output::{ModelOutput, Output};

/// The cost of an entry beside key and value, in bytes: hash table, reference counts, the policy's deque nodes and
/// frequency sketch. Measured as resident memory over a million entries in moka 0.12.
const OVERHEAD: usize = 300;

#[derive(Debug)]
pub(super) struct Memory {
    entries: moka::sync::Cache<Key, ModelOutput>,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: Arc<AtomicU64>,
}

impl Memory {
    /// Takes at most about `capacity` bytes; 0 keeps nothing. The least used go first, and all `ttl` after they came.
    pub(super) fn new(capacity: u64, ttl: Option<Duration>) -> Memory {
        let evictions = Arc::new(AtomicU64::new(0));
        let evicted = Arc::clone(&evictions);
        let mut entries = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, output| weigh(output))
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evicted.fetch_add(1, Ordering::Relaxed);
                }
            });
        if let Some(ttl) = ttl {
            entries = entries.time_to_live(ttl);
        }
        Memory { entries: entries.build(), hits: AtomicU64::new(0), misses: AtomicU64::new(0), evictions }
    }

    /// The outputs that are known, in the order of the keys; each counts as a hit or a miss.
    pub(super) fn look_up_all(&self, keys: &[Key]) -> Vec<Option<ModelOutput>> {
        let found: Vec<Option<ModelOutput>> = keys.iter().map(|key| self.entries.get(key)).collect();
        let hits = found.iter().flatten().count();
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.misses.fetch_add((found.len() - hits) as u64, Ordering::Relaxed);
        found
    }

    /// The output for `key`; counts neither as a hit nor as a miss.
    pub(super) fn peek(&self, key: Key) -> Option<ModelOutput> {
        self.entries.get(&key)
    }

    pub(super) fn insert(&self, key: Key, output: ModelOutput) {
        self.entries.insert(key, output);
    }

    pub(super) fn stats(&self) -> MemoryStats {
        self.entries.run_pending_tasks();
        MemoryStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}

/// The weight of an entry, in bytes.
pub(super) fn weigh(output: &ModelOutput) -> u32 {
    let heap = match &output.output {
        Output::Logit(_) | Output::Relevance(_) => 0,
        Output::Embedding(vector) => vector_bytes(vector),
        Output::Embeddings(windows) => {
            size_of_val(&**windows) + windows.iter().map(|(_, vector)| vector_bytes(vector)).sum::<usize>()
        }
    };
    let bytes = size_of::<Key>() + size_of::<ModelOutput>() + heap + OVERHEAD;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn vector_bytes(vector: &[f32]) -> usize {
    size_of_val(vector) + 2 * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logit(number: f32) -> ModelOutput {
        ModelOutput { output: Output::Logit(number), truncated: true, span: None, tokens: 3 }
    }

    #[test]
    fn it_is_bounded_in_bytes_and_what_goes_is_counted() {
        let memory = Memory::new(100_000, None);
        for index in 0..1000 {
            let output = Output::Embedding(vec![0.0; 384].into());
            memory.insert(Key(index), ModelOutput { output, truncated: false, span: None, tokens: 3 });
        }
        let stats = memory.stats();
        assert!((50_000..=100_000).contains(&stats.bytes), "{stats:?}");
        assert_eq!(stats.entries + stats.evictions, 1000, "{stats:?}");
    }

    #[test]
    fn hits_and_misses_are_counted_and_peeks_are_not() {
        let memory = Memory::new(1 << 20, None);
        assert_eq!(memory.look_up_all(&[Key(1), Key(2)]), [None, None]);
        memory.insert(Key(1), logit(1.5));
        assert_eq!(memory.look_up_all(&[Key(2), Key(1)]), [None, Some(logit(1.5))]);
        assert_eq!((memory.peek(Key(1)), memory.peek(Key(2))), (Some(logit(1.5)), None));
        let stats = memory.stats();
        assert_eq!((stats.hits, stats.misses, stats.entries, stats.evictions), (1, 3, 1, 0));
    }

    #[test]
    fn an_entry_that_is_older_than_the_ttl_is_gone_and_was_not_evicted() {
        let memory = Memory::new(1 << 20, Some(Duration::from_millis(1)));
        memory.insert(Key(1), logit(1.5));
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(memory.peek(Key(1)), None);
        assert_eq!(memory.stats().evictions, 0);
    }
}
