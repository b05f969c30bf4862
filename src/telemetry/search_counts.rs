//! The figures of one search that was scored, for the metrics and for `X-Rerank`.

use scoring::Scored;

/// The figures of one search that was scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Hits within the window.
    pub window: usize,
    /// Hits with a score.
    pub scored: usize,
    /// Hits whose score came out of the cache.
    pub cached: usize,
    /// Hits that were not even queued, for want of time.
    pub shed: usize,
    /// True where the budget cut scoring off.
    pub budget_hit: bool,
    /// Hits whose passage the model did not read to its end.
    pub truncated: usize,
    /// Hits that are known to have the probability which was asked for; `None` where none was.
    pub good: Option<usize>,
}

impl Counts {
    /// The figures of a search's scores, one entry per hit.
    pub fn of(scored: &Scored) -> Self {
        Self {
            window: scored.scores.len(),
            scored: scored.scores.iter().flatten().count(),
            cached: scored.cached(),
            shed: scored.shed,
            budget_hit: scored.budget_hit,
            truncated: scored.truncated(),
            good: None,
        }
    }

    /// The same, where a hit is good that has this probability at least.
    #[must_use]
    pub fn with_good(self, scored: &Scored, least: Option<f32>) -> Self {
        let count = |least| {
            let probabilities = scored.scores.iter().flatten().filter_map(|score| score.probability);
            probabilities.filter(|probability| *probability >= least).count()
        };
        Self { good: least.map(count), ..self }
    }
}
