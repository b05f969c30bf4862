//! Who goes on, what a failure of either model leaves, and that the scores of both make one order.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::{
    request::{LongPassages, Priority},
    score::Scale,
};

/// What was asked of a model: passages, what becomes of long ones, the deadline.
type Asked = (Vec<String>, LongPassages, Instant);

/// A model that does as its closure says, and remembers what it was asked.
struct Fake<F> {
    answer: F,
    asked: Mutex<Vec<Asked>>,
}

impl<F> Scorer for Fake<F>
where
    F: Fn(&[String]) -> Option<Result<Scored, ScoreError>> + Send + Sync + 'static,
{
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        let answer = (self.answer)(&request.passages);
        self.asked.lock().expect("a lock").push((request.passages, request.long, request.deadline));
        Box::pin(async {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn readiness(&self) -> Readiness {
        match (self.answer)(&[]) {
            Some(Err(failure)) => Readiness::Failed(failure.to_string()),
            _ => Readiness::Ready,
        }
    }
}

/// `None` never answers.
fn fake<F>(answer: F) -> Arc<Fake<F>>
where
    F: Fn(&[String]) -> Option<Result<Scored, ScoreError>> + Send + Sync + 'static,
{
    Arc::new(Fake { answer, asked: Mutex::default() })
}

fn scores(raws: impl IntoIterator<Item = Option<f32>>, scale: Scale) -> Scored {
    let scores = raws.into_iter().map(|raw| raw.map(|raw| Score::fresh(raw, scale))).collect();
    Scored { scores, ..Scored::default() }
}

/// A model that finds in each passage the number which is its score, times `factor`.
fn reads(factor: f32, scale: Scale) -> impl Fn(&[String]) -> Option<Result<Scored, ScoreError>> {
    move |passages| Some(Ok(scores(passages.iter().map(|text| text.parse().ok().map(|raw: f32| raw * factor)), scale)))
}

const GONE: fn(&[String]) -> Option<Result<Scored, ScoreError>> =
    |_| Some(Err(ScoreError::Unavailable("gone".to_owned())));

fn request(passages: &[&str], budget: Duration) -> Request<'static> {
    let passages = passages.iter().map(|&text| text.to_owned()).collect();
    let long = LongPassages::Windows { overlap: 3, at_most: 4 };
    Request { query: "q", passages, long, deadline: Instant::now() + budget, priority: Priority::Search }
}

const AMPLE: Duration = Duration::from_mins(1);

fn raws(scored: &Scored) -> Vec<Option<f32>> {
    scored.scores.iter().map(|score| score.map(|score| score.raw)).collect()
}

fn stages(scored: &Scored) -> Vec<Option<Stage>> {
    scored.scores.iter().map(|score| score.and_then(|score| score.stage)).collect()
}

/// The places in the order of their scores.
fn order(scored: &Scored) -> Vec<usize> {
    best_first(&scored.scores)
}

#[tokio::test]
async fn the_best_of_the_first_model_are_put_in_order_by_the_second_and_the_others_follow() {
    let (first, then) = (fake(reads(1.0, Scale::Logit)), fake(reads(-1.0, Scale::Logit)));
    let cascade = Cascade::new(first.clone(), then.clone(), 2);
    let scored = cascade.score(request(&["1", "4", "2", "3"], AMPLE)).await.expect("scores");
    assert_eq!(order(&scored), [3, 1, 2, 0]);
    assert_eq!(raws(&scored)[1], Some(-4.0));
    assert_eq!(raws(&scored)[2], Some((-4.0_f32).next_down()));
    assert_eq!(raws(&scored)[0], Some(-5.0), "as far below as the first model has it");
    let (by_first, by_then) = (|raw| Some(Stage::First(raw)), |raw| Some(Stage::Then(Some(raw))));
    assert_eq!(stages(&scored), [by_first(1.0), by_then(4.0), by_first(2.0), by_then(3.0)]);
    let asked = then.asked.lock().expect("a lock").clone();
    assert_eq!(asked[0].0, ["4", "3"], "best first, so that time is spent on them");
    let long = LongPassages::Windows { overlap: 3, at_most: 4 };
    assert_eq!((asked[0].1, first.asked.lock().expect("a lock")[0].1), (long, long));
}

#[tokio::test]
async fn ties_of_the_first_model_go_on_in_the_cluster_s_order() {
    let then = fake(reads(1.0, Scale::AsIs));
    let cascade = Cascade::new(fake(|texts| Some(Ok(scores(texts.iter().map(|_| Some(0.5)), Scale::AsIs)))), then, 2);
    let scored = cascade.score(request(&["1", "2", "3", "4"], AMPLE)).await.expect("scores");
    assert_eq!(order(&scored), [1, 0, 2, 3]);
    assert_eq!(raws(&scored)[2], raws(&scored)[3], "ties stay ties");
}

#[tokio::test]
async fn without_the_first_model_the_second_scores_the_cluster_s_best() {
    let late = fake(|texts: &[String]| Some(Ok(Scored { scores: vec![None; texts.len()], budget_hit: true, shed: 0 })));
    for (first, cut) in [(fake(GONE) as Arc<dyn Scorer>, false), (late, true)] {
        let cascade = Cascade::new(first, fake(reads(1.0, Scale::AsIs)), 2);
        let scored = cascade.score(request(&["1", "2", "3"], AMPLE)).await.expect("scores");
        assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(2.0), None], cut));
        assert_eq!(stages(&scored)[0], Some(Stage::Then(None)));
        assert_eq!(cascade.readiness(), Readiness::Ready);
    }
}

#[tokio::test]
async fn what_neither_model_had_room_for_is_shed_and_nothing_else() {
    let full = fake(|_: &[String]| Some(Err(ScoreError::Overloaded)));
    let cascade = Cascade::new(full, fake(reads(1.0, Scale::AsIs)), 2);
    let scored = cascade.score(request(&["1", "2", "3"], AMPLE)).await.expect("scores");
    assert_eq!((raws(&scored), scored.shed, scored.budget_hit), (vec![Some(1.0), Some(2.0), None], 1, true));

    let nearly_full = fake(|_: &[String]| {
        Some(Ok(Scored { shed: 2, budget_hit: true, ..scores([Some(1.0), None, None], Scale::AsIs) }))
    });
    for (keep, shed) in [(2, 1), (3, 0)] {
        let cascade = Cascade::new(nearly_full.clone(), fake(reads(1.0, Scale::AsIs)), keep);
        assert_eq!(cascade.score(request(&["1", "2", "3"], AMPLE)).await.expect("scores").shed, shed);
    }
}

#[tokio::test]
async fn what_the_first_model_did_not_score_fills_up_what_goes_on() {
    let first = fake(|_: &[String]| Some(Ok(scores([None, Some(f32::NAN), Some(1.0), None, Some(2.0)], Scale::AsIs))));
    let then = fake(reads(1.0, Scale::AsIs));
    let cascade = Cascade::new(first, then.clone(), 4);
    let scored = cascade.score(request(&["10", "11", "12", "13", "14"], AMPLE)).await.expect("scores");
    assert_eq!(then.asked.lock().expect("a lock")[0].0, ["14", "12", "10", "11"]);
    assert_eq!(raws(&scored), [Some(10.0), Some(11.0), Some(12.0), None, Some(14.0)]);
}

#[tokio::test]
async fn without_the_second_model_the_first_one_s_scores_stand() {
    for failure in [ScoreError::Overloaded, ScoreError::Unavailable("gone".to_owned())] {
        let then = fake(move |_: &[String]| Some(Err(failure.clone())));
        let cascade = Cascade::new(fake(reads(1.0, Scale::Logit)), then, 2);
        let scored = cascade.score(request(&["1", "3", "2"], AMPLE)).await.expect("scores");
        assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(3.0), Some(2.0)], false));
        assert_eq!(stages(&scored)[1], Some(Stage::First(3.0)));
        assert_eq!(scored.scores[1].expect("a score").scale, Scale::Logit);
        assert_eq!(cascade.readiness(), Readiness::Ready);
    }
}

#[tokio::test]
async fn a_second_model_that_scores_nothing_leaves_the_first_one_s_scores() {
    let then = fake(|_: &[String]| Some(Ok(scores([Some(f32::NAN), None, Some(f32::INFINITY)], Scale::AsIs))));
    let cascade = Cascade::new(fake(reads(1.0, Scale::Logit)), then, 20);
    let scored = cascade.score(request(&["1", "3", "2"], AMPLE)).await.expect("scores");
    assert_eq!(raws(&scored), [Some(1.0), Some(3.0), Some(2.0)]);
}

#[tokio::test]
async fn what_the_second_model_has_no_time_for_follows_by_the_first() {
    let then =
        fake(|_: &[String]| Some(Ok(Scored { budget_hit: true, ..scores([Some(0.1), None, Some(0.2)], Scale::AsIs) })));
    let cascade = Cascade::new(fake(reads(1.0, Scale::AsIs)), then, 3);
    let scored = cascade.score(request(&["1", "4", "2", "3"], AMPLE)).await.expect("scores");
    assert_eq!((order(&scored), scored.budget_hit), (vec![2, 1, 3, 0], true));
}

#[tokio::test]
async fn without_either_model_the_search_is_told_why() {
    let overloaded = fake(|_: &[String]| Some(Err(ScoreError::Overloaded)));
    let cascade = Cascade::new(overloaded, fake(GONE), 2);
    assert_eq!(cascade.score(request(&["1", "2"], AMPLE)).await, Err(ScoreError::Overloaded));
    assert_eq!(cascade.readiness(), Readiness::Failed(ScoreError::Overloaded.to_string()));
}

#[tokio::test]
async fn the_first_model_gets_half_of_the_time_and_the_second_what_is_left() {
    let (first, then) = (fake(reads(1.0, Scale::AsIs)), fake(reads(1.0, Scale::AsIs)));
    let request = request(&["1", "2"], AMPLE);
    let (deadline, before) = (request.deadline, Instant::now());
    Cascade::new(first.clone(), then.clone(), 1).score(request).await.expect("scores");
    let half = first.asked.lock().expect("a lock")[0].2;
    // Counted from a moment between these two.
    assert!(half >= before + (deadline - before) / 2 && half < deadline);
    assert_eq!(then.asked.lock().expect("a lock")[0].2, deadline);
}

#[tokio::test]
async fn a_model_that_breaks_its_word_does_not_take_the_other_s_scores_with_it() {
    let short = Duration::from_millis(20);
    let cascade = Cascade::new(fake(|_: &[String]| None), fake(reads(1.0, Scale::AsIs)), 1);
    let scored = cascade.score(request(&["1", "2"], short)).await.expect("scores");
    assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), None], true));
    let cascade = Cascade::new(fake(reads(1.0, Scale::AsIs)), fake(|_: &[String]| None), 1);
    let scored = cascade.score(request(&["1", "2"], short)).await.expect("scores");
    assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(2.0)], true));
}

#[tokio::test]
async fn where_there_is_nothing_to_score_the_second_model_is_not_asked() {
    let then = fake(reads(1.0, Scale::AsIs));
    let cascade = Cascade::new(fake(reads(1.0, Scale::AsIs)), then.clone(), 2);
    assert_eq!(cascade.score(request(&[], AMPLE)).await, Ok(Scored::default()));
    assert!(then.asked.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn a_cosine_goes_on_below_logits_and_a_logit_below_cosines() {
    for (first, then) in [(Scale::AsIs, Scale::Logit), (Scale::Logit, Scale::AsIs)] {
        let cascade = Cascade::new(fake(reads(1.0, first)), fake(reads(1.0, then)), 1);
        let scored = cascade.score(request(&["0.1", "0.9", "0.5"], AMPLE)).await.expect("scores");
        let found: Vec<Score> = scored.scores.iter().flatten().copied().collect();
        assert!(found.iter().all(|score| score.scale == then));
        assert_eq!(order(&scored), [1, 2, 0]);
        let apart = Score::fresh(0.5, first).value() - Score::fresh(0.1, first).value();
        assert!((found[2].raw - found[0].raw - apart).abs() < 1e-6, "{found:?}");
    }
}

fn any_scale() -> impl Strategy<Value = Scale> {
    prop_oneof![Just(Scale::Logit), Just(Scale::AsIs)]
}

/// Scores as models have them, and as they do not.
fn any_raw() -> impl Strategy<Value = Option<f32>> {
    let few = prop::sample::select(vec![-0.0, 0.0, 1.0, f32::MIN_POSITIVE, -1e-45, f32::MAX, FLOOR, f32::NAN]);
    prop::option::weighted(0.8, prop_oneof![-9.0f32..9.0, few, prop::num::f32::ANY])
}

proptest! {
    #[test]
    fn the_order_is_the_second_model_s_then_the_first_s_and_every_score_a_number(
        pairs in prop::collection::vec((any_raw(), any_raw()), 0..40),
        keep in 1usize..12,
        (first_scale, then_scale) in (any_scale(), any_scale()),
    ) {
        let (first, then): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let count = first.len();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let names: Vec<String> = (0..count).map(|place| place.to_string()).collect();
        let run = || {
            let (first, then) = (first.clone(), then.clone());
            let first = fake(move |_: &[String]| Some(Ok(scores(first.clone(), first_scale))));
            let then = fake(move |texts: &[String]| {
                let own = |text: &String| then[text.parse::<usize>().expect("a place")];
                Some(Ok(scores(texts.iter().map(own), then_scale)))
            });
            let passages: Vec<&str> = names.iter().map(String::as_str).collect();
            runtime.block_on(Cascade::new(first, then, keep).score(request(&passages, AMPLE))).expect("scores")
        };
        let scored = run();
        prop_assert_eq!(&scored, &run());
        prop_assert_eq!(scored.scores.len(), count);

        // What is to come out, by the words of the documentation.
        let finite = |raw: Option<f32>| raw.filter(|raw| raw.is_finite());
        let falling = |places: &mut Vec<usize>, of: &dyn Fn(usize) -> f32| {
            places.sort_by(|&a, &b| of(b).partial_cmp(&of(a)).expect("numbers"));
        };
        let mut went_on: Vec<usize> = (0..count).collect();
        falling(&mut went_on, &|place| finite(first[place]).unwrap_or(f32::NEG_INFINITY));
        went_on.truncate(keep);
        let is_by_then = |place: usize| went_on.contains(&place) && finite(then[place]).is_some();
        let mut expected: Vec<usize> = (0..count).filter(|&place| is_by_then(place)).collect();
        falling(&mut expected, &|place| finite(then[place]).map_or(f32::NEG_INFINITY, |raw| raw.max(FLOOR)));
        let some_by_then = !expected.is_empty();
        let mut rest: Vec<usize> =
            (0..count).filter(|&place| !is_by_then(place) && finite(first[place]).is_some()).collect();
        falling(&mut rest, &|place| finite(first[place]).unwrap_or(f32::NEG_INFINITY));
        expected.extend(rest);

        let found: Vec<usize> = order(&scored).into_iter().filter(|&place| scored.scores[place].is_some()).collect();
        prop_assert_eq!(&found, &expected);
        for (place, score) in scored.scores.iter().enumerate() {
            let Some(score) = score else { continue };
            prop_assert!(score.raw.is_finite() && score.value().is_finite());
            prop_assert_eq!(score.scale, if some_by_then { then_scale } else { first_scale });
            prop_assert_eq!(score.stage.map(Stage::name), Some(if is_by_then(place) { "then" } else { "first" }));
        }
    }
}
