//! The settings of a pool.

use std::time::Duration;

use crate::request::LongPassages;

/// The settings of a pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolOptions {
    /// The number of models loaded, each of which does one run at a time; 0 means what suits the machine.
    pub(crate) workers: usize,
    /// The number of threads that a run takes; 0 means what suits the machine.
    pub(crate) threads: usize,
    /// The number of tokens that may be admitted and not yet answered. A job that finds the pool empty is always admitted.
    pub(crate) queue_tokens: usize,
    /// The longest input of the model, in tokens.
    pub(crate) max_tokens: usize,
    /// The inputs that are run together.
    pub(crate) grouping: Grouping,
    /// A run older than this has hung.
    pub(crate) hang_after: Duration,
    /// The wait before loading again after the first failure; doubles up to `retry_at_most`.
    pub(crate) retry_after: Duration,
    /// The longest wait between attempts to load.
    pub(crate) retry_at_most: Duration,
}

/// The inputs that are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// Short ones of equal length, up to so many tokens; 0 runs every input alone. It suits a core.
    Equal { tokens: usize },
    /// Those of similar length, padded, up to so many tokens. It suits a GPU.
    Padded { tokens: usize },
}

impl Grouping {
    /// Texts that are tokenized in one go: few for a core, so that the first run begins soon and nothing is tokenized
    /// long before its turn, and yet enough to find inputs of equal length among them.
    pub(super) fn chunk(self, long: LongPassages) -> usize {
        match (self, long) {
            (Grouping::Equal { .. }, LongPassages::Truncate | LongPassages::Beginning { .. }) => 32,
            (Grouping::Equal { .. }, LongPassages::Windows { .. }) => 4,
            (Grouping::Padded { .. }, _) => 256,
        }
    }
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            workers: 0,
            threads: 0,
            queue_tokens: 1 << 20,
            max_tokens: 512,
            grouping: Grouping::Equal { tokens: 512 },
            hang_after: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
            retry_at_most: Duration::from_secs(30),
        }
    }
}
