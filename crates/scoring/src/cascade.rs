//! Two models in a row: a cheap one scores the whole window, a better one re-scores the best of it. Owns which passages go
//! on, how the time is shared, and how the scores of both become one scale; the two models are any [`Scorer`]s.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout_at;
use tracing::debug;

use crate::{
    readiness::Readiness,
    request::Request,
    score::{Score, ScoreError, Scored, Stage},
    scorer::{ScoreFuture, Scorer},
};

/// The time after its deadline within which a stage may still hand over what it has. Less than the cascade itself has
/// ([`crate::scorer::held_to`]), so that one stage that is late does not take the other's scores with it.
const GRACE: Duration = Duration::from_millis(5);

/// The lowest score of the second model; a lower one counts as this. There are floats enough below it for the scores that
/// follow, and no model means anything by such a number.
const FLOOR: f32 = f32::MIN / 2.0;

/// Two scorers, the second for the best of the first.
pub struct Cascade {
    first: Arc<dyn Scorer>,
    then: Arc<dyn Scorer>,
    keep: usize,
}

impl Cascade {
    /// `first` scores every passage, `then` the `keep` best of them.
    pub fn new(first: Arc<dyn Scorer>, then: Arc<dyn Scorer>, keep: usize) -> Self {
        Self { first, then, keep }
    }

    async fn score_in_turn(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let Request { query, mut passages, long, deadline, priority } = request;
        let count = passages.len();
        // The time that the first one leaves of its half goes to the second.
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        let all = Request { query, passages: passages.clone(), long, deadline: half, priority };
        let (first, first_failure) = said(by(half, self.first.score(all)).await, count);

        let kept = self.kept(&first.scores);
        if kept.is_empty() {
            return first_failure.map_or(Ok(first), Err);
        }
        let best = kept.iter().map(|&place| std::mem::take(&mut passages[place])).collect();
        let again = Request { query, passages: best, long, deadline, priority };
        let (again, then_failure) = said(by(deadline, self.then.score(again)).await, kept.len());

        let then = kept.into_iter().zip(again.scores).filter_map(|(place, score)| Some((place, score?))).collect();
        let scores = joined(&first.scores, then);
        let is_overloaded = first_failure == Some(ScoreError::Overloaded);
        let budget_hit = first.budget_hit || again.budget_hit;
        // Passages that one did not admit may have a score of the other.
        let shed = if is_overloaded { count } else { first.shed + again.shed };
        let shed = shed.min(scores.iter().filter(|score| score.is_none()).count());
        let scored = Scored { scores, budget_hit, shed }.unless_all_failed(first_failure.or(then_failure))?;
        // Passages that the second had no time for have the first one's score.
        Ok(Scored { budget_hit: budget_hit || is_overloaded, ..scored })
    }

    /// The places of the passages that go on, best first: those with the best scores, ties in the order they came in;
    /// where fewer have one, those without fill up, in that order, too.
    fn kept(&self, first: &[Option<Score>]) -> Vec<usize> {
        let mut places = best_first(first);
        places.truncate(self.keep);
        places
    }
}

impl Scorer for Cascade {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        Box::pin(self.score_in_turn(request))
    }

    /// One of the two is enough.
    fn readiness(&self) -> Readiness {
        let first = self.first.readiness();
        if self.then.readiness().is_ready() { Readiness::Ready } else { first }
    }
}

/// The scores that a stage has by its deadline; none where it breaks its word.
async fn by(deadline: Instant, scoring: ScoreFuture<'_>) -> Result<Scored, ScoreError> {
    let late = Scored { budget_hit: true, ..Scored::default() };
    timeout_at((deadline + GRACE).into(), scoring).await.unwrap_or(Ok(late))
}

/// A stage's scores of `count` passages, and the reason where it has none.
fn said(outcome: Result<Scored, ScoreError>, count: usize) -> (Scored, Option<ScoreError>) {
    match outcome {
        Ok(mut scored) => {
            scored.scores.resize(count, None);
            scored.scores.iter_mut().for_each(|score| *score = score.filter(|score| score.raw.is_finite()));
            (scored, None)
        }
        Err(failure) => {
            debug!(%failure, "one model of a cascade gave no scores; the other's stand");
            (Scored { scores: vec![None; count], ..Scored::default() }, Some(failure))
        }
    }
}

/// All places, those with the highest scores first; ties, and those without, in the order they came in.
fn best_first(scores: &[Option<Score>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|&a, &b| raw(scores[b]).total_cmp(&raw(scores[a])));
    places
}

/// The number to sort by: no score is below any, and the two zeros are one.
fn raw(score: Option<Score>) -> f32 {
    score.map_or(f32::NEG_INFINITY, |score| score.raw + 0.0)
}

/// The scores of both models on one scale, that of the second: where it has none, the first's are shifted so that they
/// go on just below its lowest, in the first's order and about as far apart as they were. Without any of the second's,
/// the first's stand as they are.
fn joined(first: &[Option<Score>], then: Vec<(usize, Score)>) -> Vec<Option<Score>> {
    let by_first = |score: Score| Score { stage: Some(Stage::First(score.raw)), ..score };
    let Some(lowest) = then.iter().map(|(_, score)| *score).min_by(|a, b| a.raw.total_cmp(&b.raw)) else {
        return first.iter().map(|score| score.map(by_first)).collect();
    };
    let mut scores = vec![None; first.len()];
    for (place, score) in then {
        let stage = Some(Stage::Then(first[place].map(|score| score.raw)));
        scores[place] = Some(Score { raw: score.raw.max(FLOOR), stage, ..score });
    }
    let rest = best_first(first).into_iter().filter_map(|place| Some((place, first[place]?)));
    let rest: Vec<(usize, Score)> = rest.filter(|(place, _)| scores[*place].is_none()).collect();
    // Logits go on among logits; what is measured in something else goes on as it is shown.
    let height = |score: Score| f64::from(if score.scale == lowest.scale { score.raw } else { score.value() });
    let top = rest.first().map_or(0.0, |&(_, score)| height(score));
    let (mut above, mut shifted) = (f32::INFINITY, lowest.raw.max(FLOOR));
    for (place, score) in rest {
        let own = raw(Some(score));
        if own < above {
            let wanted = f64::from(lowest.raw) - (top - height(score));
            shifted = (wanted as f32).max(FLOOR).min(shifted.next_down());
            above = own;
        }
        scores[place] = Some(Score { raw: shifted, scale: lowest.scale, ..by_first(score) });
    }
    scores
}

#[cfg(test)]
mod tests;
