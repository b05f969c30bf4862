//! The cache of scores: outputs by content ([`Key`]). Owns the order of its levels: `memory`, then `shared` (Redis), if there
//! is one. Knows no queue and no model.

mod codec;
mod key;
mod memory;
mod options;
mod shared;
mod stats;

use std::{io, time::Instant};

pub use key::{Key, Keys, normalise};
pub use options::{CacheOptions, SharedOptions};
pub use stats::{CacheStats, MemoryStats, SharedStats};

use crate::model_output::ModelOutput;
use memory::Memory;
use shared::Shared;

/// The cache of outputs by content. All models share it: keys carry the revision.
#[derive(Debug)]
pub struct ScoreCache {
    memory: Memory,
    shared: Option<Shared>,
}

impl ScoreCache {
    /// A cache in memory alone that takes at most about `capacity` bytes; 0 keeps nothing.
    pub fn new(capacity: u64) -> ScoreCache {
        ScoreCache { memory: Memory::new(capacity, None), shared: None }
    }

    /// A cache with all levels that the operator wants. It starts without an error though the shared level's server is away;
    /// it fails where the system gives no thread.
    pub fn start(options: CacheOptions) -> io::Result<ScoreCache> {
        let memory = Memory::new(options.size, options.ttl);
        Ok(ScoreCache { memory, shared: options.shared.map(Shared::start).transpose()? })
    }

    /// The outputs that are known, in the order of the keys. Waits only for the shared level, only where memory does not
    /// know them all, and not beyond the deadline.
    pub async fn look_up_all(&self, keys: &[Key], deadline: Instant) -> Vec<Option<ModelOutput>> {
        let mut found = self.memory.look_up_all(keys);
        let Some(shared) = &self.shared else { return found };
        let unknown: Vec<usize> = (0..keys.len()).filter(|&place| found[place].is_none()).collect();
        if unknown.is_empty() {
            return found;
        }
        let asked: Vec<Key> = unknown.iter().map(|&place| keys[place]).collect();
        let answer = shared.look_up_all(&asked, deadline).await;
        for (place, output) in unknown.into_iter().zip(answer) {
            if let Some(output) = &output {
                self.memory.insert(keys[place], output.clone());
            }
            found[place] = output;
        }
        found
    }

    /// The output for `key` that is in memory by now; counts neither as a hit nor as a miss.
    pub(crate) fn peek(&self, key: Key) -> Option<ModelOutput> {
        self.memory.peek(key)
    }

    /// Keeps an output. Does not wait: the shared level gets it later.
    pub(crate) fn insert(&self, key: Key, output: ModelOutput) {
        if let Some(shared) = &self.shared {
            shared.insert(key, output.clone());
        }
        self.memory.insert(key, output);
    }

    /// Read-outs for metrics.
    pub fn stats(&self) -> CacheStats {
        CacheStats { memory: self.memory.stats(), shared: self.shared.as_ref().map(Shared::stats) }
    }
}
