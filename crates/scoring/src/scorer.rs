//! Scoring: (query, passage) pairs in, scores out, before a deadline. Owns what a scorer promises ([`Scorer`]) and the
//! kinds of failure a search must survive; its submodules own the ways to keep the promise. Nothing here knows
//! search engines, only [`remote`] knows HTTP, and only [`cache`] Redis.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

/// A future that a [`Scorer`] hands out; boxed so that scorers can be mixed at run time.
pub type ScoreFuture<'a> = Pin<Box<dyn Future<Output = Result<Scored, ScoreError>> + Send + 'a>>;

/// One search's work for a model.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What was asked.
    pub query: &'a str,
    /// What is to be scored against it, first ones first.
    pub passages: Vec<String>,
    /// What becomes of passages that are longer than the model reads.
    pub long: LongPassages,
    /// The answer is what is there by then.
    pub deadline: Instant,
    /// Whether it lets all go first that is not patient.
    pub patient: bool,
}

/// What becomes of a passage that is longer than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LongPassages {
    /// Its beginning is read, as the model's reference implementation does it.
    #[default]
    Truncate,
    /// The same of a beginning that may be shorter than the model's length.
    Beginning {
        /// How many tokens of a passage are read at most, special ones not counted.
        tokens: usize,
    },
    /// It is read in windows, of which the best one counts.
    Windows {
        /// Tokens that a window shares with the one before.
        overlap: usize,
        /// How many windows are read at most, from the beginning.
        at_most: usize,
    },
}

/// Where in a passage something is, in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first character.
    pub start: u32,
    /// The one after the last.
    pub end: u32,
}

/// What a raw score is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A logit: it is shown as its sigmoid.
    Logit,
    /// A cosine, or a server's relevance: it is shown as it is.
    AsIs,
}

/// What one model says of one (query, passage) pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What the model put out. Order by this: a logit does not saturate.
    pub raw: f32,
    /// What that is measured in.
    pub scale: Scale,
    /// Whether it came out of the cache.
    pub cached: bool,
    /// Whether the model did not read the end of the passage; a server does not tell.
    pub truncated: bool,
    /// The part of the passage that it is the score of, where the passage was read in several windows.
    pub span: Option<Span>,
    /// How many tokens the model read for it, whenever that was: those of the pair, or of the passage where that is read
    /// alone. 0 where a server does not tell.
    pub tokens: u32,
    /// Which of a cascade's models it is from; `None` where there is one model.
    pub stage: Option<Stage>,
}

/// Which of a cascade's two models a score is from, and what the first one put out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// The first one: the second was not asked, or had no answer in time.
    First(f32),
    /// The second; the first one may have had no score.
    Then(Option<f32>),
}

impl Stage {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::First(_) => "first",
            Self::Then(_) => "then",
        }
    }

    /// What the first model put out.
    pub fn first(self) -> Option<f32> {
        match self {
            Self::First(raw) => Some(raw),
            Self::Then(raw) => raw,
        }
    }
}

impl Score {
    /// A score that was computed just now, from the whole passage.
    pub fn fresh(raw: f32, scale: Scale) -> Self {
        Self { raw, scale, cached: false, truncated: false, span: None, tokens: 0, stage: None }
    }

    /// What to show as `_score`.
    pub fn value(&self) -> f32 {
        match self.scale {
            Scale::Logit => 1.0 / (1.0 + (-self.raw).exp()),
            Scale::AsIs => self.raw,
        }
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
    /// How many passages, the last ones, were not even queued: so many searches want scores that there was no time for
    /// more.
    pub shed: usize,
}

impl Scored {
    /// How many of the scores came out of the cache.
    pub fn cached(&self) -> usize {
        self.scores.iter().flatten().filter(|score| score.cached).count()
    }

    /// How many tokens the scores are of.
    pub fn tokens(&self) -> u64 {
        self.scores.iter().flatten().map(|score| u64::from(score.tokens)).sum()
    }

    /// How many of the scored passages the model did not read to the end.
    pub fn truncated(&self) -> usize {
        self.scores.iter().flatten().filter(|score| score.truncated).count()
    }
}

/// Why a window got no scores at all. Either way the search goes on unreranked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// There is no room in the queue for a single passage; trying again later may work.
    #[error("the scoring queue is full")]
    Overloaded,
    /// The model is not loaded, or has failed; the text says why, for the operator's log.
    #[error("the model is not available: {0}")]
    Unavailable(String),
}

/// How long after the deadline a scorer may still hand over what it has.
const GRACE: Duration = Duration::from_millis(10);

/// What a scorer has to say by `deadline`. It promises to answer by then; should one break its word, `None`, so that
/// whoever asked can keep theirs.
pub async fn held_to<T>(deadline: Instant, scoring: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at((deadline + GRACE).into(), scoring).await.ok()
}

/// Scores pairs. Implementations are shared between all requests.
pub trait Scorer: Send + Sync + 'static {
    /// Scores each passage against the query, first ones first, and answers at the latest at the deadline with what
    /// is there by then. Dropping the future drops the work that is still queued.
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a>;

    /// Read-outs for metrics, where the model is run in this process.
    fn stats(&self) -> Option<crate::ScorerStats> {
        None
    }

    /// Whether a search sent now could be scored; `Err` says why not, for the health endpoint and the log.
    fn ready(&self) -> Result<(), String>;

    /// What the model is run on, for the health endpoint; `None` where that is not known, or none of our business.
    fn device(&self) -> Option<String> {
        None
    }
}
