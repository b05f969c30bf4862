//! The promise of a scorer: pairs in, scores out, before a deadline. The ways to keep it are the business of
//! [`crate::local`], [`crate::remote`] and [`crate::fused`].

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use crate::{
    readiness::Readiness,
    request::Request,
    score::{ScoreError, Scored},
};

/// A future that a [`Scorer`] hands out; boxed so that scorers can be mixed at run time.
pub type ScoreFuture<'a> = Pin<Box<dyn Future<Output = Result<Scored, ScoreError>> + Send + 'a>>;

/// The time after the deadline within which a scorer may still hand over what it has.
const GRACE: Duration = Duration::from_millis(10);

/// Waits for a scorer until `deadline` and a little longer. It promises to answer by then; `None` where it breaks its word,
/// so that the caller can keep its own.
pub async fn held_to<T>(deadline: Instant, scoring: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at((deadline + GRACE).into(), scoring).await.ok()
}

/// Scores pairs. Implementations are shared between all requests.
pub trait Scorer: Send + Sync + 'static {
    /// Scores each passage against the query, first ones first, and answers at the latest at the deadline with what
    /// is there by then. Dropping the future drops the work that is still queued.
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a>;

    /// Read-outs for metrics, where the model is run in this process.
    fn stats(&self) -> Option<ScorerStats> {
        None
    }

    /// The readiness for a search that is sent now, for the health endpoint and the log.
    fn readiness(&self) -> Readiness;

    /// True if the score of a passage depends on the others that are scored with it: then a list must be scored whole.
    fn compares_passages(&self) -> bool {
        false
    }

    /// The device that the model is run on, for the health endpoint; `None` where that is not known, or not in this
    /// process.
    fn device(&self) -> Option<String> {
        None
    }
}

/// Read-outs for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ScorerStats {
    /// Pairs that wait or are being run.
    pub queued_pairs: usize,
    /// Their tokens, estimated.
    pub queued_tokens: usize,
    /// Inputs that the model was run on, since the start.
    pub runs: u64,
    /// How often a worker got its model, since the start.
    pub loads: u64,
    /// How often it could not, or had its model taken out of use.
    pub failed_loads: u64,
    /// Pairs a second that all workers do together, by the latest runs; `None` before the first.
    pub pairs_per_second: Option<f64>,
    /// Scoring workers that are running something.
    pub busy_workers: usize,
    /// Scoring workers that have their model.
    pub loaded_workers: usize,
    /// Scoring workers in all; 0 until that is known.
    pub workers: usize,
}
