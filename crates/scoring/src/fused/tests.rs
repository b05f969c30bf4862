//! Which passages go on, what a failure of a model leaves, and that the scores of all make one order.

use std::sync::Mutex;

use proptest::prelude::*;
use ranking::{normalize::Normalize, value::Scale};

use super::*;
use crate::{
    request::{Known, LongPassages},
    scorer::ScorerStats,
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
    Request {
        query: "q",
        passages,
        long,
        deadline: Instant::now() + budget,
        priority: Priority::Search,
        known: None,
        vectors: false,
    }
}

const AMPLE: Duration = Duration::from_mins(1);

fn raws(scored: &Scored) -> Vec<Option<f32>> {
    scored.scores.iter().map(|score| score.map(|score| score.raw)).collect()
}

fn stages(scored: &Scored) -> Vec<Option<Stage>> {
    scored.scores.iter().map(|score| score.and_then(|score| score.stage)).collect()
}

/// The places in the order of their scores; ties, and those without, in the order they came in.
fn order(scored: &Scored) -> Vec<usize> {
    let raw = |place: usize| scored.scores[place].map_or(f32::NEG_INFINITY, |score| score.raw + 0.0);
    let mut places: Vec<usize> = (0..scored.scores.len()).collect();
    places.sort_by(|&a, &b| raw(b).total_cmp(&raw(a)));
    places
}

fn cascade(first: Arc<dyn Scorer>, then: Arc<dyn Scorer>, keep: usize) -> FusedScorer {
    FusedScorer::cascade(("first", first), ("then", then), keep)
}

/// Two models that count the same, the second of them for the best `keep` of the first.
fn fused(first: Arc<dyn Scorer>, then: Arc<dyn Scorer>, keep: Option<usize>) -> FusedScorer {
    let signal = |name: &str, scorer, keep| Signal {
        name: name.into(),
        source: Source::Model { scorer, depth: Depth { keep, gap: None } },
        weighting: Weighting { weight: 0.5, normalize: Normalize::MinMax, alone: false },
        probability: None,
    };
    FusedScorer::new(vec![signal("first", first, None), signal("then", then, keep)])
}

#[tokio::test]
async fn the_best_of_the_first_model_are_put_in_order_by_the_second_and_the_others_follow() {
    let (first, then) = (fake(reads(1.0, Scale::Logit)), fake(reads(-1.0, Scale::Logit)));
    let scorer = cascade(first.clone(), then.clone(), 2);
    let scored = scorer.score(request(&["1", "4", "2", "3"], AMPLE)).await.expect("scores");
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
    let scorer = cascade(fake(|texts| Some(Ok(scores(texts.iter().map(|_| Some(0.5)), Scale::AsIs)))), then, 2);
    let scored = scorer.score(request(&["1", "2", "3", "4"], AMPLE)).await.expect("scores");
    assert_eq!(order(&scored), [1, 0, 2, 3]);
    assert_eq!(raws(&scored)[2], raws(&scored)[3], "ties stay ties");
}

#[tokio::test]
async fn without_the_first_model_the_second_scores_the_cluster_s_best() {
    let late = fake(|texts: &[String]| {
        Some(Ok(Scored { scores: vec![None; texts.len()], budget_hit: true, ..Scored::default() }))
    });
    for (first, cut) in [(fake(GONE) as Arc<dyn Scorer>, false), (late, true)] {
        let scorer = cascade(first, fake(reads(1.0, Scale::AsIs)), 2);
        let scored = scorer.score(request(&["1", "2", "3"], AMPLE)).await.expect("scores");
        assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(2.0), None], cut));
        assert_eq!(stages(&scored)[0], Some(Stage::Then(None)));
        assert_eq!(scorer.readiness(), Readiness::Ready);
    }
}

#[tokio::test]
async fn what_neither_model_had_room_for_is_shed_and_nothing_else() {
    let full = fake(|_: &[String]| Some(Err(ScoreError::Overloaded)));
    let scorer = cascade(full, fake(reads(1.0, Scale::AsIs)), 2);
    let scored = scorer.score(request(&["1", "2", "3"], AMPLE)).await.expect("scores");
    assert_eq!((raws(&scored), scored.shed, scored.budget_hit), (vec![Some(1.0), Some(2.0), None], 1, true));

    let nearly_full = fake(|_: &[String]| {
        Some(Ok(Scored { shed: 2, budget_hit: true, ..scores([Some(1.0), None, None], Scale::AsIs) }))
    });
    for (keep, shed) in [(2, 1), (3, 0)] {
        let scorer = cascade(nearly_full.clone(), fake(reads(1.0, Scale::AsIs)), keep);
        assert_eq!(scorer.score(request(&["1", "2", "3"], AMPLE)).await.expect("scores").shed, shed);
    }
}

#[tokio::test]
async fn what_the_first_model_did_not_score_fills_up_what_goes_on() {
    let first = fake(|_: &[String]| Some(Ok(scores([None, Some(f32::NAN), Some(1.0), None, Some(2.0)], Scale::AsIs))));
    let then = fake(reads(1.0, Scale::AsIs));
    let scorer = cascade(first, then.clone(), 4);
    let scored = scorer.score(request(&["10", "11", "12", "13", "14"], AMPLE)).await.expect("scores");
    assert_eq!(then.asked.lock().expect("a lock")[0].0, ["14", "12", "10", "11"]);
    assert_eq!(raws(&scored), [Some(10.0), Some(11.0), Some(12.0), None, Some(14.0)]);
}

#[tokio::test]
async fn without_the_second_model_the_first_one_s_scores_stand() {
    for (failure, cut) in [(ScoreError::Overloaded, true), (ScoreError::Unavailable("gone".to_owned()), false)] {
        let then = fake(move |_: &[String]| Some(Err(failure.clone())));
        let scorer = cascade(fake(reads(1.0, Scale::Logit)), then, 2);
        let scored = scorer.score(request(&["1", "3", "2"], AMPLE)).await.expect("scores");
        assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(3.0), Some(2.0)], cut));
        assert_eq!(stages(&scored)[1], Some(Stage::First(3.0)));
        assert_eq!(scored.scores[1].expect("a score").scale, Scale::Logit);
        assert_eq!(scorer.readiness(), Readiness::Ready);
    }
}

#[tokio::test]
async fn a_second_model_that_scores_nothing_leaves_the_first_one_s_scores() {
    let then = fake(|_: &[String]| Some(Ok(scores([Some(f32::NAN), None, Some(f32::INFINITY)], Scale::AsIs))));
    let scorer = cascade(fake(reads(1.0, Scale::Logit)), then, 20);
    let scored = scorer.score(request(&["1", "3", "2"], AMPLE)).await.expect("scores");
    assert_eq!(raws(&scored), [Some(1.0), Some(3.0), Some(2.0)]);
}

#[tokio::test]
async fn what_the_second_model_has_no_time_for_follows_by_the_first() {
    let then =
        fake(|_: &[String]| Some(Ok(Scored { budget_hit: true, ..scores([Some(0.1), None, Some(0.2)], Scale::AsIs) })));
    let scorer = cascade(fake(reads(1.0, Scale::AsIs)), then, 3);
    let scored = scorer.score(request(&["1", "4", "2", "3"], AMPLE)).await.expect("scores");
    assert_eq!((order(&scored), scored.budget_hit), (vec![2, 1, 3, 0], true));
}

#[tokio::test]
async fn without_either_model_the_search_is_told_why() {
    let overloaded = fake(|_: &[String]| Some(Err(ScoreError::Overloaded)));
    let scorer = cascade(overloaded, fake(GONE), 2);
    assert_eq!(scorer.score(request(&["1", "2"], AMPLE)).await, Err(ScoreError::Overloaded));
    assert_eq!(scorer.readiness(), Readiness::Failed(ScoreError::Overloaded.to_string()));
}

#[tokio::test]
async fn the_first_model_gets_half_of_the_time_and_the_second_what_is_left() {
    let (first, then) = (fake(reads(1.0, Scale::AsIs)), fake(reads(1.0, Scale::AsIs)));
    let request = request(&["1", "2"], AMPLE);
    let (deadline, before) = (request.deadline, Instant::now());
    cascade(first.clone(), then.clone(), 1).score(request).await.expect("scores");
    let half = first.asked.lock().expect("a lock")[0].2;
    // Counted from a moment between these two.
    assert!(half >= before + (deadline - before) / 2 && half < deadline);
    assert_eq!(then.asked.lock().expect("a lock")[0].2, deadline);
}

/// A model that scores so many pairs a second.
struct Fast(f64);

impl Scorer for Fast {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        Box::pin(async move { Ok(scores(request.passages.iter().map(|_| Some(0.5)), Scale::AsIs)) })
    }

    fn stats(&self) -> Option<ScorerStats> {
        Some(ScorerStats { pairs_per_second: Some(self.0), ..ScorerStats::default() })
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

#[tokio::test]
async fn a_second_model_that_needs_little_time_leaves_more_to_the_first() {
    for (pairs_a_second, longest) in [(20.0, 0.5), (300.0, 0.9), (1e9, 1.0)] {
        let first = fake(reads(1.0, Scale::AsIs));
        let request = request(&["1"; 20], Duration::from_secs(1));
        let (deadline, before) = (request.deadline, Instant::now());
        cascade(first.clone(), Arc::new(Fast(pairs_a_second)), 20).score(request).await.expect("scores");
        let given = (first.asked.lock().expect("a lock")[0].2 - before).as_secs_f64();
        assert!((given - longest * (deadline - before).as_secs_f64()).abs() < 0.02, "{pairs_a_second}: {given}");
    }
}

#[tokio::test]
async fn a_model_that_breaks_its_word_does_not_take_the_other_s_scores_with_it() {
    let short = Duration::from_millis(20);
    let scorer = cascade(fake(|_: &[String]| None), fake(reads(1.0, Scale::AsIs)), 1);
    let scored = scorer.score(request(&["1", "2"], short)).await.expect("scores");
    assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), None], true));
    let scorer = cascade(fake(reads(1.0, Scale::AsIs)), fake(|_: &[String]| None), 1);
    let scored = scorer.score(request(&["1", "2"], short)).await.expect("scores");
    assert_eq!((raws(&scored), scored.budget_hit), (vec![Some(1.0), Some(2.0)], true));
}

#[tokio::test]
async fn where_there_is_nothing_to_score_the_second_model_is_not_asked() {
    let then = fake(reads(1.0, Scale::AsIs));
    let scorer = cascade(fake(reads(1.0, Scale::AsIs)), then.clone(), 2);
    assert_eq!(scorer.score(request(&[], AMPLE)).await, Ok(Scored::default()));
    assert!(then.asked.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn a_cosine_goes_on_below_logits_and_a_logit_below_cosines() {
    for (first, then) in [(Scale::AsIs, Scale::Logit), (Scale::Logit, Scale::AsIs)] {
        let scorer = cascade(fake(reads(1.0, first)), fake(reads(1.0, then)), 1);
        let scored = scorer.score(request(&["0.1", "0.9", "0.5"], AMPLE)).await.expect("scores");
        let found: Vec<Score> = scored.scores.iter().flatten().copied().collect();
        assert!(found.iter().all(|score| score.scale == then));
        assert_eq!(order(&scored), [1, 2, 0]);
        let apart = Score::fresh(0.5, first).value() - Score::fresh(0.1, first).value();
        assert!((found[2].raw - found[0].raw - apart).abs() < 1e-6, "{found:?}");
    }
}

#[tokio::test]
async fn what_two_models_say_is_added_up_and_what_each_says_is_told() {
    let then = fake(|texts: &[String]| {
        let raw = |text: &String| Some(if text == "4" { -2.0 } else { 6.0 });
        Some(Ok(scores(texts.iter().map(raw), Scale::Logit)))
    });
    let scored = fused(fake(reads(1.0, Scale::AsIs)), then.clone(), Some(2));
    let scored = scored.score(request(&["1", "4", "2", "3"], AMPLE)).await.expect("scores");
    assert_eq!(then.asked.lock().expect("a lock")[0].0, ["4", "3"]);
    assert_eq!((order(&scored), stages(&scored)), (vec![1, 3, 2, 0], vec![None; 4]), "1 and 3 tie");
    let told = |place: usize| -> Vec<(&str, Option<f32>, Option<f32>)> {
        scored.signals[place].iter().map(|signal| (&*signal.signal, signal.raw, signal.share)).collect()
    };
    assert_eq!(told(1), [("first", Some(4.0), Some(0.5)), ("then", Some(-2.0), Some(0.0))]);
    assert_eq!(told(3), [("first", Some(3.0), Some(0.0)), ("then", Some(6.0), Some(0.5))]);
    assert_eq!(told(0), [("first", Some(1.0), Some(0.0)), ("then", None, None)]);
}

#[tokio::test]
async fn the_cluster_and_the_fields_count_where_they_are_known() {
    let weighting = Weighting { weight: 1.0, normalize: Normalize::MinMax, alone: false };
    let signal = |name: &str, source| Signal { name: name.into(), source, weighting, probability: None };
    let model = Source::Model { scorer: fake(reads(1.0, Scale::AsIs)), depth: Depth { keep: Some(2), gap: None } };
    let signals = vec![signal("cluster", Source::Cluster), signal("price", Source::Field(0)), signal("m", model)];
    let scorer = FusedScorer::new(signals);
    let known =
        Known { cluster: vec![Some(9.0), Some(8.0), Some(8.0)], fields: vec![vec![None, Some(1.0), Some(3.0)]] };
    let asked = Request { known: Some(&known), ..request(&["1", "1", "1"], AMPLE) };
    let scored = scorer.score(asked).await.expect("scores");
    assert_eq!(raws(&scored), [Some(1.0), None, Some(0.0)], "the best two before the model is asked");
    let scored = scorer.score(request(&["1", "2", "1"], AMPLE)).await.expect("scores");
    assert_eq!(raws(&scored), [Some(0.0), Some(1.0), None], "a list has no scores of a cluster");
}

#[tokio::test]
async fn the_vectors_are_those_of_the_first_model_that_makes_any() {
    let makes_vectors = |passages: &[String]| {
        let numbers: Vec<Option<f32>> = passages.iter().map(|text| text.parse().ok()).collect();
        let vectors = numbers.iter().map(|number| Some(Arc::from([(*number)?]))).collect();
        Some(Ok(Scored { vectors, ..scores(numbers, Scale::AsIs) }))
    };
    let without = || fake(reads(1.0, Scale::AsIs));
    let models: [Arc<dyn Scorer>; 3] = [without(), fake(makes_vectors), without()];
    let signal = |(keep, scorer)| Signal {
        name: "m".into(),
        source: Source::Model { scorer, depth: Depth { keep, gap: None } },
        weighting: Weighting { weight: 1.0, normalize: Normalize::MinMax, alone: false },
        probability: None,
    };
    let scorer = FusedScorer::new([None, Some(2), None].into_iter().zip(models).map(signal).collect());
    let scored = scorer.score(request(&["1", "4", "3"], AMPLE)).await.expect("scores");
    assert_eq!(scored.vectors, [None, Some(Arc::from([4.0])), Some(Arc::from([3.0]))], "each at its passage");
    let scored = fused(without(), without(), None).score(request(&["1", "4"], AMPLE)).await.expect("scores");
    assert!(scored.vectors.is_empty());
}

#[tokio::test]
async fn a_model_without_an_answer_leaves_the_order_of_those_before_it() {
    for then in [fake(GONE) as Arc<dyn Scorer>, fake(|_: &[String]| None)] {
        let scorer = fused(fake(reads(1.0, Scale::AsIs)), then, None);
        let scored = scorer.score(request(&["1", "3", "2"], Duration::from_millis(40))).await.expect("scores");
        assert_eq!(order(&scored), [1, 2, 0]);
    }
    let scorer = fused(fake(GONE), fake(reads(1.0, Scale::AsIs)), Some(2));
    let scored = scorer.score(request(&["1", "3", "4"], AMPLE)).await.expect("scores");
    assert_eq!(raws(&scored), [Some(0.0), Some(0.5), None]);
}

#[tokio::test]
async fn a_first_model_that_was_cut_off_does_not_decide_how_deep_the_second_goes() {
    let with_gap = |first: Arc<dyn Scorer>, then: Arc<dyn Scorer>| {
        let signal = |name: &str, scorer, depth| Signal {
            name: name.into(),
            source: Source::Model { scorer, depth },
            weighting: Weighting { weight: 0.5, normalize: Normalize::MinMax, alone: false },
            probability: None,
        };
        let depth = Depth { keep: Some(5), gap: Some(0.1) };
        FusedScorer::new(vec![signal("first", first, Depth::default()), signal("then", then, depth)])
    };
    let passages = ["9", "2", "1", "1", "1", "1", "1", "1"];
    let cut_off = fake(|texts: &[String]| {
        let one = std::iter::once(Some(9.0)).chain(std::iter::repeat(None)).take(texts.len());
        Some(Ok(Scored { budget_hit: true, ..scores(one, Scale::AsIs) }))
    });
    for (first, asked) in [(fake(reads(1.0, Scale::AsIs)) as Arc<dyn Scorer>, 3), (cut_off, 5), (fake(GONE), 5)] {
        let then = fake(reads(1.0, Scale::AsIs));
        with_gap(first, then.clone()).score(request(&passages, AMPLE)).await.expect("scores");
        assert_eq!(then.asked.lock().expect("a lock")[0].0.len(), asked);
    }
}

#[tokio::test]
async fn a_long_list_is_asked_for_in_portions_and_fused_as_a_whole() {
    let (first, then) = (fake(reads(1.0, Scale::AsIs)), fake(reads(-1.0, Scale::AsIs)));
    let scorer = fused(first.clone(), then, Some(200));
    let passages: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    let asked = Request { priority: Priority::Background, ..request(&passages, AMPLE) };
    let scored = scorer.score(asked).await.expect("scores");
    assert!(first.asked.lock().expect("a lock").iter().all(|(passages, ..)| passages.len() <= 128));
    assert!(raws(&scored)[100..].iter().all(|raw| *raw == Some(0.5)), "they cancel each other out");
    assert!(scorer.compares_passages());
}

fn any_scale() -> impl Strategy<Value = Scale> {
    prop_oneof![Just(Scale::Logit), Just(Scale::AsIs)]
}

/// Scores as models have them, and as they do not.
fn any_raw() -> impl Strategy<Value = Option<f32>> {
    let few = prop::sample::select(vec![-0.0, 0.0, 1.0, f32::MIN_POSITIVE, -1e-45, f32::MAX, f32::MIN / 2.0, f32::NAN]);
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
            runtime.block_on(cascade(first, then, keep).score(request(&passages, AMPLE))).expect("scores")
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
        falling(&mut expected, &|place| finite(then[place]).map_or(f32::NEG_INFINITY, |raw| raw.max(f32::MIN / 2.0)));
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
