//! Several signals instead of one model: models are asked one after the other, each for all passages or for the best of
//! what precedes it, and what they and the cluster say is fused. Owns the order in which they are asked, how the time is
//! shared, and what a model leaves that fails; the arithmetic is [`ranking::fusion`]'s, and the models are any [`Scorer`]s.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ranking::{
    calibration::Curve,
    fusion::{Fused, Fusion, Weighting},
    value::Value,
};
use tokio::time::timeout_at;
use tracing::debug;

use crate::{
    portions,
    readiness::Readiness,
    request::{Priority, Request},
    score::{Score, ScoreError, Scored, SignalScore, Stage},
    scorer::{ScoreFuture, Scorer},
};

/// The time after its deadline within which a model may still hand over what it has. Less than the whole has
/// ([`crate::scorer::held_to`]), so that one model that is late does not take the others' scores with it.
const GRACE: Duration = Duration::from_millis(5);

/// A scorer that fuses signals.
pub struct FusedScorer {
    signals: Vec<Signal>,
}

/// One of the signals that are fused.
pub struct Signal {
    /// The name, for explanations.
    pub name: Arc<str>,
    /// The origin of its numbers.
    pub source: Source,
    /// The way in which they count.
    pub weighting: Weighting,
    /// The probability that a passage is good which no later model knows, by the places of the signals.
    pub probability: Option<Curve>,
}

/// The origin of a signal's numbers.
pub enum Source {
    /// The cluster's own score.
    Cluster,
    /// A field of the document, by its place in [`crate::Known::fields`].
    Field(usize),
    /// A model.
    Model {
        /// The model.
        scorer: Arc<dyn Scorer>,
        /// The number of passages that it is asked for.
        depth: Depth,
    },
}

/// For how many passages a model is asked, the best of what precedes it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Depth {
    /// The most; `None` for all.
    pub keep: Option<usize>,
    /// The distance from the best down to which passages are asked for ([`ranking::depth`]); `None` for the most.
    pub gap: Option<f32>,
}

impl Depth {
    /// The hits that a model is asked for after what `fusion` knows of them, best first.
    pub fn places(self, fusion: &Fusion) -> Vec<usize> {
        let mut places = fusion.order();
        let most = self.keep.unwrap_or(usize::MAX);
        let depth = match self.gap {
            None => most,
            Some(gap) => {
                let scores = fusion.scores_best_first();
                // Scores of a part of the passages do not say how many are near the best.
                if scores.len() < places.len() { most } else { ranking::depth::depth(&scores, gap, most) }
            }
        };
        places.truncate(depth);
        places
    }
}

/// What the models had to say so far.
struct Answers {
    fusion: Fusion,
    /// The scores of each signal; none of those that are given.
    by_signal: Vec<Vec<Option<Score>>>,
    /// The vectors of the first model that makes any.
    vectors: Vec<Option<Arc<[f32]>>>,
    budget_hit: bool,
    is_overloaded: bool,
    shed: usize,
    failure: Option<ScoreError>,
}

impl FusedScorer {
    /// A scorer of these signals, which are taken in their order.
    pub fn new(signals: Vec<Signal>) -> Self {
        Self { signals }
    }

    /// Two models in a row: `first` scores every passage, and `then` the `keep` best of them, where its word replaces the
    /// first one's.
    pub fn cascade(first: (&str, Arc<dyn Scorer>), then: (&str, Arc<dyn Scorer>), keep: usize) -> Self {
        let signal = |(name, scorer): (&str, Arc<dyn Scorer>), keep| Signal {
            name: name.into(),
            source: Source::Model { scorer, depth: Depth { keep, gap: None } },
            weighting: Weighting::alone(),
            probability: None,
        };
        Self::new(vec![signal(first, None), signal(then, Some(keep))])
    }

    async fn score_in_turn(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let count = request.passages.len();
        let mut answers = Answers::of(count);
        for (place, Signal { source, weighting, .. }) in self.signals.iter().enumerate() {
            match source {
                Source::Cluster => answers.give(*weighting, request.known.map_or(&[], |known| &known.cluster)),
                Source::Field(place) => {
                    let field = request.known.and_then(|known| known.fields.get(*place));
                    answers.give(*weighting, field.map_or(&[], Vec::as_slice));
                }
                Source::Model { scorer, depth } => {
                    let by = share_of_time(request.deadline, &self.signals[place + 1..], count);
                    answers.ask(&**scorer, *depth, *weighting, &request, by).await;
                }
            }
        }
        answers.scored(&self.signals)
    }

    fn models(&self) -> impl Iterator<Item = &Arc<dyn Scorer>> {
        self.signals.iter().filter_map(|signal| match &signal.source {
            Source::Model { scorer, .. } => Some(scorer),
            Source::Cluster | Source::Field(_) => None,
        })
    }
}

impl Answers {
    fn of(passages: usize) -> Self {
        Self {
            fusion: Fusion::of(passages),
            by_signal: Vec::new(),
            vectors: Vec::new(),
            budget_hit: false,
            is_overloaded: false,
            shed: 0,
            failure: None,
        }
    }

    /// Adds a signal that is known without asking.
    fn give(&mut self, weighting: Weighting, numbers: &[Option<f32>]) {
        self.fusion.give(weighting, numbers.iter().map(|number| number.map(Value::as_is)).collect());
        self.by_signal.push(Vec::new());
    }

    /// Asks a model for the best passages so far, best first, so that what time there is goes to them.
    async fn ask(
        &mut self,
        scorer: &dyn Scorer,
        depth: Depth,
        weighting: Weighting,
        request: &Request<'_>,
        by: Instant,
    ) {
        let count = request.passages.len();
        let places = depth.places(&self.fusion);
        let mut scores = vec![None; count];
        if !places.is_empty() {
            let passages = places.iter().map(|&place| request.passages[place].clone()).collect();
            let part = Request { passages, deadline: by, known: None, ..*request };
            let mut scored = self.said(answer_by(by, scorer, part).await, places.len());
            if self.vectors.is_empty() && scored.vectors.iter().any(Option::is_some) {
                self.vectors = vec![None; count];
                for (&place, vector) in places.iter().zip(&mut scored.vectors) {
                    self.vectors[place] = vector.take();
                }
            }
            for (place, score) in places.into_iter().zip(scored.scores) {
                scores[place] = score;
            }
        }
        self.fusion
            .answer(weighting, scores.iter().map(|score: &Option<Score>| score.map(|score| score.number())).collect());
        self.by_signal.push(scores);
    }

    /// What a model has to say of `asked` passages, with finite scores only; what kept it from more is noted.
    fn said(&mut self, outcome: Result<Scored, ScoreError>, asked: usize) -> Scored {
        match outcome {
            Ok(mut scored) => {
                self.budget_hit |= scored.budget_hit;
                self.shed += scored.shed;
                scored.scores.resize(asked, None);
                scored.scores.iter_mut().for_each(|score| *score = score.filter(|score| score.raw.is_finite()));
                scored
            }
            Err(failure) => {
                debug!(%failure, "one of several models gave no scores; those of the others stand");
                if failure == ScoreError::Overloaded {
                    self.is_overloaded = true;
                    self.shed += asked;
                }
                self.failure.get_or_insert(failure);
                Scored { scores: vec![None; asked], ..Scored::default() }
            }
        }
    }

    /// The fused scores, or the reason why no model has one.
    fn scored(self, signals: &[Signal]) -> Result<Scored, ScoreError> {
        let Self { fusion, by_signal, vectors, budget_hit, is_overloaded, shed, failure } = self;
        let fused = fusion.scores();
        let mut explained = Vec::with_capacity(fused.len());
        let mut scores = Vec::with_capacity(fused.len());
        for (place, fused) in fused.into_iter().enumerate() {
            let of_signal = |signal: usize| by_signal[signal].get(place).copied().flatten();
            let Some(fused) = fused else {
                scores.push(None);
                explained.push(Vec::new());
                continue;
            };
            let curve = signals[fused.tier].probability.as_ref();
            let probability = curve.and_then(|curve| curve.probability(|signal| fusion.number(signal, place)));
            let score = fused_score(&fused, &of_signal, signals);
            scores.push(score.map(|score| Score { probability, ..score }));
            explained.push(signal_scores(&fusion, &fused, place, signals));
        }
        // Passages that one model did not admit may have a score of another.
        let shed = shed.min(scores.iter().filter(|score| score.is_none()).count());
        let scored = Scored { scores, signals: explained, vectors, budget_hit, shed }.unless_all_failed(failure)?;
        // Passages that one model had no room for have the scores of the others.
        Ok(Scored { budget_hit: budget_hit || is_overloaded, ..scored })
    }
}

/// The score of one passage: what is told of it besides the number is what the models had to say that count for it.
fn fused_score(fused: &Fused, of_signal: &dyn Fn(usize) -> Option<Score>, signals: &[Signal]) -> Option<Score> {
    let own = of_signal(fused.tier)?;
    if signals[fused.tier].weighting.alone {
        let first = signals.iter().position(Signal::is_model)?;
        let before = of_signal(first).map(|score| score.raw);
        let stage = match fused.tier == first {
            true => Stage::First(own.raw),
            false => Stage::Then(before),
        };
        return Some(Score { raw: fused.score.raw, scale: fused.score.scale, stage: Some(stage), ..own });
    }
    let counting: Vec<Score> = (0..=fused.tier).filter_map(of_signal).collect();
    Some(Score {
        raw: fused.score.raw,
        scale: fused.score.scale,
        cached: counting.iter().all(|score| score.cached),
        truncated: counting.iter().any(|score| score.truncated),
        span: counting.iter().rev().find_map(|score| score.span),
        tokens: counting.iter().map(|score| score.tokens).fold(0, u32::saturating_add),
        stage: None,
        probability: None,
    })
}

/// What each signal says of one passage.
fn signal_scores(fusion: &Fusion, fused: &Fused, place: usize, signals: &[Signal]) -> Vec<SignalScore> {
    let of_signal = |(signal, share): (&Signal, &Option<f32>), number| SignalScore {
        signal: signal.name.clone(),
        raw: fusion.number(number, place),
        share: *share,
    };
    signals.iter().zip(&fused.shares).enumerate().map(|(number, pair)| of_signal(pair, number)).collect()
}

/// When a model must have answered, so that there is time for those `after` it: at the end of its equal share, or later
/// where they are known to need less than theirs. The time that it leaves goes to them.
fn share_of_time(deadline: Instant, after: &[Signal], passages: usize) -> Instant {
    let now = Instant::now();
    let models = u32::try_from(after.iter().filter(|signal| signal.is_model()).count()).unwrap_or(u32::MAX);
    let left = deadline.saturating_duration_since(now);
    let equal = left / models.saturating_add(1);
    let needed: Option<Duration> =
        after.iter().filter(|signal| signal.is_model()).map(|signal| signal.time_for(passages)).sum();
    now + needed.map_or(equal, |needed| left.saturating_sub(needed).max(equal))
}

/// The scores that a model has by its deadline; none where it breaks its word.
async fn answer_by(deadline: Instant, scorer: &dyn Scorer, request: Request<'_>) -> Result<Scored, ScoreError> {
    let late = Scored { budget_hit: true, ..Scored::default() };
    let scoring: ScoreFuture<'_> = match request.priority {
        Priority::Search => scorer.score(request),
        // A list may be longer than any window.
        Priority::Background => Box::pin(portions::score(scorer, request)),
    };
    timeout_at((deadline + GRACE).into(), scoring).await.unwrap_or(Ok(late))
}

/// The factor by which a model may be slower than it was of late, before it takes time from those before it.
const CAUTION: f64 = 1.5;

impl Signal {
    fn is_model(&self) -> bool {
        matches!(self.source, Source::Model { .. })
    }

    /// The time in which a model scores what it is asked for of so many passages, by what it did of late; `None` where that
    /// is not known.
    fn time_for(&self, passages: usize) -> Option<Duration> {
        let Source::Model { scorer, depth } = &self.source else { return None };
        let pairs = depth.keep.unwrap_or(passages).min(passages) as f64;
        let seconds = pairs * CAUTION / scorer.stats()?.pairs_per_second?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Scorer for FusedScorer {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        Box::pin(self.score_in_turn(request))
    }

    /// One model is enough.
    fn readiness(&self) -> Readiness {
        let mut all = self.models().map(|model| model.readiness());
        let first = all.next().unwrap_or(Readiness::Ready);
        if first.is_ready() || all.any(|other| other.is_ready()) { Readiness::Ready } else { first }
    }

    fn compares_passages(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
