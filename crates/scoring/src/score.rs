//! Scores: of one pair ([`Score`]), of a window ([`Scored`]), and the reasons why a window has none ([`ScoreError`]).

use std::sync::Arc;

use ranking::value::{Scale, Value};

/// A part of a passage, in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first character.
    pub start: u32,
    /// The one after the last.
    pub end: u32,
}

/// The score of one (query, passage) pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The model's own number, or what several signals add up to. Order by this: a logit does not saturate.
    pub raw: f32,
    /// The scale of that number.
    pub scale: Scale,
    /// True where it came out of the cache.
    pub cached: bool,
    /// True where the model did not read the end of the passage; a server does not tell.
    pub truncated: bool,
    /// The part of the passage that it is the score of, where the passage was read in several windows.
    pub span: Option<Span>,
    /// The number of tokens that the model read for it, whenever that was: those of the pair, or of the passage where that is
    /// read alone. 0 where a server does not tell.
    pub tokens: u32,
    /// The model of a cascade that it is from; `None` where there is one model.
    pub stage: Option<Stage>,
    /// The probability that the passage answers the query, where the models are calibrated.
    pub probability: Option<f32>,
}

/// The model of a cascade that a score is from, and the first one's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// The first one: the second was not asked, or had no answer in time.
    First(f32),
    /// The second; the first one may have had no score.
    Then(Option<f32>),
}

impl Stage {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::First(_) => "first",
            Self::Then(_) => "then",
        }
    }

    /// The first model's number.
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
        Self { raw, scale, cached: false, truncated: false, span: None, tokens: 0, stage: None, probability: None }
    }

    /// The number and its scale.
    pub fn number(&self) -> Value {
        Value { raw: self.raw, scale: self.scale }
    }

    /// The number to show as `_score`.
    pub fn value(&self) -> f32 {
        self.number().shown()
    }
}

/// What one of several signals says of a passage.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalScore {
    /// The name of the signal.
    pub signal: Arc<str>,
    /// Its number as it came; `None` where it has none.
    pub raw: Option<f32>,
    /// What it adds to the score of the passage; `None` where it does not count.
    pub share: Option<f32>,
}

/// The scores of one window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    /// One entry per passage, in the order they were given; `None` where the deadline came first or the model gave no
    /// finite number.
    pub scores: Vec<Option<Score>>,
    /// What each signal says of each passage, where there are several.
    pub signals: Vec<Vec<SignalScore>>,
    /// The vector of each passage that has a score, where vectors were asked for and the model makes them; of a passage that is
    /// read in windows that of the best one. Otherwise empty.
    pub vectors: Vec<Option<Arc<[f32]>>>,
    /// True where the deadline cut scoring off before every passage had its score.
    pub budget_hit: bool,
    /// The number of passages, the last ones, that were not even queued: so many searches want scores that there was no
    /// time for more.
    pub shed: usize,
}

impl Scored {
    /// The number of scores that came out of the cache.
    pub fn cached(&self) -> usize {
        self.scores.iter().flatten().filter(|score| score.cached).count()
    }

    /// The number of tokens that the scores are of.
    pub fn tokens(&self) -> u64 {
        self.scores.iter().flatten().map(|score| u64::from(score.tokens)).sum()
    }

    /// The number of scored passages that the model did not read to the end.
    pub fn truncated(&self) -> usize {
        self.scores.iter().flatten().filter(|score| score.truncated).count()
    }

    /// These scores without what is no number.
    ///
    /// # Errors
    /// There is not one for each of so many passages, so that nobody knows which passage a score is of.
    pub fn of_passages(mut self, passages: usize) -> Result<Self, ScoreError> {
        if self.scores.len() != passages {
            let scores = self.scores.len();
            return Err(ScoreError::Unavailable(format!("it gave {scores} scores for {passages} passages")));
        }
        self.scores.iter_mut().for_each(|score| *score = score.filter(|score| score.raw.is_finite()));
        Ok(self)
    }

    /// These scores, or the failure where it left nothing to order by. A failure of some passages is no failure of the
    /// window, nor is it one where there was no time.
    pub(crate) fn unless_all_failed(self, failure: Option<ScoreError>) -> Result<Self, ScoreError> {
        match failure {
            Some(failure) if !self.budget_hit && self.scores.iter().all(Option::is_none) => Err(failure),
            _ => Ok(self),
        }
    }
}

/// The reason why a window got no scores at all. Either way the search goes on unreranked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The queue has no place for a single passage; trying again later may work.
    #[error("the scoring queue is full")]
    Overloaded,
    /// The model is not loaded, or has failed; the text says why, for the operator's log.
    #[error("the model is not available: {0}")]
    Unavailable(String),
}
