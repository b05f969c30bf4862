//! The backlog: how much was admitted and is not yet answered or given up, all jobs together.

use super::{
    cost_model::Estimate,
    locks::atomic::{AtomicUsize, Ordering},
};

/// Counts what was admitted and is not yet answered or given up.
#[derive(Default)]
pub(super) struct Backlog {
    texts: AtomicUsize,
    tokens: AtomicUsize,
}

impl Backlog {
    pub(super) fn add(&self, texts: usize, estimate: Estimate) {
        self.texts.fetch_add(texts, Ordering::Relaxed);
        self.tokens.fetch_add(estimate.tokens, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, texts: usize, estimate: Estimate) {
        self.texts.fetch_sub(texts, Ordering::Relaxed);
        self.tokens.fetch_sub(estimate.tokens, Ordering::Relaxed);
    }

    /// The number of texts.
    pub(super) fn texts(&self) -> usize {
        self.texts.load(Ordering::Relaxed)
    }

    /// Their tokens, estimated.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::Relaxed)
    }
}
