//! The settings of a pool.

use std::time::Duration;

use super::grouping::Grouping;

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
    /// The inputs that are run together; up to which length, is measured where neither `workers` nor `threads` is given.
    pub(crate) grouping: Grouping,
    /// A run older than this has hung.
    pub(crate) hang_after: Duration,
    /// The wait before loading again after the first failure; doubles up to `retry_at_most`.
    pub(crate) retry_after: Duration,
    /// The longest wait between attempts to load.
    pub(crate) retry_at_most: Duration,
}

impl PoolOptions {
    /// True where the operator has said how many models there are to be, or threads to each, and nothing is to be measured.
    pub(super) fn is_layout_given(&self) -> bool {
        self.workers != 0 || self.threads != 0
    }
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            workers: 0,
            threads: 0,
            queue_tokens: 1 << 20,
            max_tokens: 512,
            grouping: Grouping::SHORT,
            hang_after: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
            retry_at_most: Duration::from_secs(30),
        }
    }
}
