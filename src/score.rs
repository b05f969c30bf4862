//! Scoring: (query, passage) pairs in, scores out, before a deadline. Owns what a scorer promises ([`Scorer`]) and the
//! kinds of failure a search must survive; its submodules own the ways to keep the promise. Nothing here knows
//! search engines, and only [`remote`] knows HTTP.

pub mod cache;
pub mod encode;
pub mod inference;
pub mod local;
pub mod onnx;
mod pool;
pub mod remote;
pub mod runtime;

use std::{future::Future, pin::Pin, time::Instant};

pub use cache::ScoreCache;
pub use local::{LocalScorer, ScorerStats, ScoringOptions};
pub use remote::{RemoteModel, RemoteScorer};
pub use runtime::Runtime;

/// A future that a [`Scorer`] hands out; boxed so that scorers can be mixed at run time.
pub type ScoreFuture<'a> = Pin<Box<dyn Future<Output = Result<Scored, ScoreError>> + Send + 'a>>;

/// What one model says of one (query, passage) pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What the model put out: a logit (cross-encoder), a cosine (bi-encoder), or what a server calls relevance. Order
    /// by this: a logit does not saturate.
    pub raw: f32,
    /// What to show as `_score`: the sigmoid of a logit, else the same number.
    pub value: f32,
    /// Whether it came out of the cache.
    pub cached: bool,
    /// Whether the model read only the beginning of the passage; a server does not tell.
    pub truncated: bool,
}

impl Score {
    /// A score that was computed just now, from the whole passage.
    pub fn fresh(raw: f32, value: f32) -> Self {
        Self { raw, value, cached: false, truncated: false }
    }
}

/// The outcome of scoring one window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    /// One entry per passage, in the order they were given; `None` where the deadline came first or the model gave no
    /// finite number.
    pub scores: Vec<Option<Score>>,
    /// Whether the deadline cut scoring off before every passage had its score.
    pub budget_hit: bool,
}

impl Scored {
    /// How many of the scores came out of the cache.
    pub fn cached(&self) -> usize {
        self.scores.iter().flatten().filter(|score| score.cached).count()
    }
}

/// Why a window got no scores at all. Either way the search goes on unreranked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The queue is full; trying again later may work.
    #[error("the scoring queue is full")]
    Overloaded,
    /// The model is not loaded, or has failed; the text says why, for the operator's log.
    #[error("the model is not available: {0}")]
    Unavailable(String),
}

/// Scores pairs. Implementations are shared between all requests.
pub trait Scorer: Send + Sync + 'static {
    /// Scores each of `passages` against `query`, first ones first, and answers at the latest at `deadline` with what
    /// is there by then. Dropping the future drops the work that is still queued.
    fn score<'a>(&'a self, query: &'a str, passages: Vec<String>, deadline: Instant) -> ScoreFuture<'a>;

    /// Whether a search sent now could be scored; `Err` says why not, for the health endpoint and the log.
    fn ready(&self) -> Result<(), String>;
}
