//! What signals make of hits: tiers, missing numbers, and what holds for any numbers.

use proptest::prelude::*;

use super::*;
use crate::{
    order::{self, Blend},
    value::Scale,
};

fn weighting(weight: f32, normalize: Normalize) -> Weighting {
    Weighting { weight, normalize, alone: false }
}

fn half() -> Weighting {
    weighting(0.5, Normalize::MinMax)
}

fn values(raws: &[Option<f32>]) -> Vec<Option<Value>> {
    raws.iter().map(|raw| raw.map(Value::as_is)).collect()
}

fn all(raws: &[f32]) -> Vec<Option<Value>> {
    raws.iter().map(|&raw| Some(Value::as_is(raw))).collect()
}

fn raws(fusion: &Fusion) -> Vec<Option<f32>> {
    fusion.scores().iter().map(|fused| fused.as_ref().map(|fused| fused.score.raw)).collect()
}

#[test]
fn two_models_that_disagree_meet_in_the_middle() {
    let mut fusion = Fusion::of(3);
    fusion.answer(half(), all(&[1.0, 0.9, 0.0]));
    assert_eq!(fusion.order(), [0, 1, 2]);
    fusion.answer(half(), all(&[-5.0, 4.0, 5.0]));
    assert_eq!(fusion.order(), [1, 0, 2]);
    assert_eq!(raws(&fusion), [Some(0.5), Some(0.45 + 0.45), Some(0.5)]);
}

#[test]
fn hits_that_went_on_come_first_and_the_others_follow_as_far_apart_as_they_were() {
    let mut fusion = Fusion::of(5);
    fusion.answer(half(), all(&[0.5, 1.0, 0.0, 0.75, 0.25]));
    assert_eq!(fusion.order(), [1, 3, 0, 4, 2]);
    fusion.answer(half(), values(&[None, Some(2.0), None, Some(7.0), None]));
    assert_eq!(
        fusion.order(),
        [1, 3, 0, 4, 2],
        "1 and 3 tie: each is the best in one signal and the worst in the other"
    );
    let scores = raws(&fusion);
    assert_eq!((scores[1], scores[3]), (Some(0.5), Some(0.5)));
    assert_eq!(scores[0], Some(0.5_f32.next_down()));
    assert_eq!((scores[4], scores[2]), (Some(0.375), Some(0.25)));
    let tiers: Vec<usize> = fusion.scores().into_iter().flatten().map(|fused| fused.tier).collect();
    assert_eq!(tiers, [0, 1, 0, 1, 0]);
}

#[test]
fn a_hit_that_an_earlier_model_does_not_know_counts_as_its_worst() {
    let mut fusion = Fusion::of(3);
    fusion.answer(half(), values(&[Some(0.2), None, Some(0.8)]));
    fusion.answer(half(), all(&[1.0, 3.0, 2.0]));
    assert_eq!(raws(&fusion), [Some(0.0), Some(0.5), Some(0.75)]);
}

#[test]
fn a_hit_that_no_model_knows_has_no_score_whatever_is_given() {
    let mut fusion = Fusion::of(3);
    fusion.give(half(), all(&[9.0, 8.0, 7.0]));
    assert_eq!((fusion.order(), raws(&fusion)), (vec![0, 1, 2], vec![None; 3]));
    fusion.answer(half(), values(&[None, Some(f32::NAN), Some(1.0)]));
    assert_eq!((fusion.order(), raws(&fusion)), (vec![2, 0, 1], vec![None, None, Some(0.0)]));
}

#[test]
fn a_model_that_fails_leaves_the_order_before_it() {
    let mut fusion = Fusion::of(3);
    fusion.answer(half(), all(&[0.1, 0.3, 0.2]));
    let before = (fusion.order(), raws(&fusion));
    fusion.answer(half(), vec![None; 3]);
    assert_eq!((fusion.order(), raws(&fusion)), before);
}

#[test]
fn what_is_given_after_a_model_counts_for_all_hits() {
    let model = values(&[Some(1.0), Some(1.0), None]);
    let mut fusion = Fusion::of(3);
    fusion.answer(half(), all(&[0.4, 0.4, 0.4]));
    fusion.answer(half(), model);
    assert_eq!(fusion.order(), [0, 1, 2]);
    fusion.give(half(), all(&[1.0, 2.0, 3.0]));
    assert_eq!(fusion.order(), [1, 0, 2]);
    assert_eq!(fusion.scores()[2].as_ref().map(|fused| fused.shares.clone()), Some(vec![Some(0.0), None, Some(0.5)]));
}

#[test]
fn shares_say_what_made_up_a_score() {
    let mut fusion = Fusion::of(2);
    fusion.give(weighting(0.2, Normalize::MinMax), all(&[3.0, 1.0]));
    fusion.answer(weighting(0.3, Normalize::MinMax), all(&[0.1, 0.9]));
    fusion.answer(weighting(0.5, Normalize::Off), all(&[0.5, -2.0]));
    let shares: Vec<Vec<Option<f32>>> = fusion.scores().into_iter().flatten().map(|fused| fused.shares).collect();
    assert_eq!(shares, [[Some(0.2), Some(0.0), Some(0.25)], [Some(0.0), Some(0.3), Some(-1.0)]]);
}

#[test]
fn a_model_alone_keeps_its_own_numbers_and_replaces_what_came_before() {
    let logit = |raw| Some(Value { raw, scale: Scale::Logit });
    let mut fusion = Fusion::of(3);
    fusion.answer(Weighting::alone(), all(&[0.9, 0.8, 0.1]));
    fusion.answer(Weighting::alone(), vec![logit(-3.0), logit(2.0), None]);
    let scores: Vec<Value> = fusion.scores().into_iter().flatten().map(|fused| fused.score).collect();
    assert_eq!(scores[..2], [Value { raw: -3.0, scale: Scale::Logit }, Value { raw: 2.0, scale: Scale::Logit }]);
    assert!(scores[2].raw < -3.0 && scores[2].scale == Scale::Logit);
    assert_eq!(fusion.scores()[0].as_ref().map(|fused| fused.shares.clone()), Some(vec![None, Some(-3.0)]));
}

#[test]
fn what_goes_on_below_a_tier_does_not_go_below_nothing() {
    let mut fusion = Fusion::of(6);
    fusion.answer(half(), all(&[1.0, 0.9, 0.5, 0.3, 0.1, 0.0]));
    fusion.answer(half(), values(&[Some(1.0), Some(5.0), None, None, None, None]));
    let scores: Vec<f32> = raws(&fusion).into_iter().flatten().collect();
    assert!(scores.iter().all(|score| *score >= 0.0), "{scores:?}");
    assert_eq!(fusion.order(), [0, 1, 2, 3, 4, 5]);
    assert!((scores[2] - scores[5] - 0.25).abs() < 1e-5, "as far apart as they were: {scores:?}");
}

/// Numbers as models have them, and as they do not.
fn number() -> impl Strategy<Value = Option<f32>> {
    let odd = vec![-0.0, 0.0, 1.0, 1e-45, f32::MAX, f32::MIN, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    prop::option::weighted(0.8, prop_oneof![-9.0f32..9.0, prop::sample::select(odd), prop::num::f32::ANY])
}

fn normalize() -> impl Strategy<Value = Normalize> {
    let few = vec![Normalize::MinMax, Normalize::ZScore, Normalize::Logit, Normalize::Rank { k: 60.0 }, Normalize::Off];
    prop::sample::select(few)
}

#[derive(Debug, Clone)]
struct AnySignal {
    is_asked: bool,
    weighting: Weighting,
    scale: Scale,
    raws: Vec<Option<f32>>,
}

fn signal(hits: usize) -> impl Strategy<Value = AnySignal> {
    let scale = prop_oneof![Just(Scale::Logit), Just(Scale::AsIs)];
    let weighting = (0.0f32..3.0, normalize(), prop::bool::weighted(0.2));
    (any::<bool>(), weighting, scale, prop::collection::vec(number(), hits)).prop_map(
        |(is_asked, (weight, normalize, alone), scale, raws)| AnySignal {
            is_asked,
            weighting: Weighting { weight, normalize, alone: alone && is_asked },
            scale,
            raws,
        },
    )
}

fn window() -> impl Strategy<Value = (usize, Vec<AnySignal>)> {
    (0usize..25).prop_flat_map(|hits| (Just(hits), prop::collection::vec(signal(hits), 0..5)))
}

fn fused(hits: usize, signals: &[AnySignal]) -> Fusion {
    let mut fusion = Fusion::of(hits);
    for AnySignal { is_asked, weighting, scale, raws } in signals {
        let values = raws.iter().map(|raw| raw.map(|raw| Value { raw, scale: *scale })).collect();
        if *is_asked { fusion.answer(*weighting, values) } else { fusion.give(*weighting, values) }
    }
    fusion
}

proptest! {
    #[test]
    fn the_order_is_a_permutation_along_which_scores_never_increase((hits, signals) in window()) {
        let fusion = fused(hits, &signals);
        let (order, scores) = (fusion.order(), fusion.scores());
        let mut seen = order.clone();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..hits).collect::<Vec<_>>());
        let along: Vec<Option<Value>> = order.iter().map(|&hit| scores[hit].as_ref().map(|fused| fused.score)).collect();
        let known: Vec<Value> = along.iter().flatten().copied().collect();
        prop_assert!(along.iter().skip(known.len()).all(Option::is_none), "what has no score comes last");
        if signals.iter().all(|signal| signal.is_asked) {
            prop_assert!(order[known.len()..].is_sorted(), "in the cluster's order");
        }
        prop_assert!(known.iter().all(|score| score.raw.is_finite() && score.scale == known[0].scale));
        prop_assert!(known.windows(2).all(|pair| pair[0].raw >= pair[1].raw), "{:?}", known);
        // What is ordered by the scores alone comes out the same: ties are in the cluster's order.
        let cluster = vec![None; hits];
        let values: Vec<Option<Value>> = scores.iter().map(|fused| fused.as_ref().map(|fused| fused.score)).collect();
        let ranked: Vec<usize> =
            order::order(&cluster, &values, 0, Blend::Replace).into_iter().map(|ranked| ranked.hit).collect();
        prop_assert_eq!(&ranked[..known.len()], &order[..known.len()]);
        prop_assert_eq!(scores, fused(hits, &signals).scores());
    }

    #[test]
    fn a_hit_that_a_later_model_knows_is_never_behind_one_that_it_does_not((hits, signals) in window()) {
        let scores = fused(hits, &signals).scores();
        for (a, b) in scores.iter().flatten().flat_map(|a| scores.iter().flatten().map(move |b| (a, b))) {
            prop_assert!(a.tier <= b.tier || a.score.raw >= b.score.raw);
        }
    }

    #[test]
    fn a_signal_that_says_the_same_of_all_changes_nothing((hits, signals) in window(), raw in -9.0f32..9.0, weighting in (0.0f32..3.0)) {
        let weighting = Weighting { weight: weighting, normalize: Normalize::MinMax, alone: false };
        let mut fusion = fused(hits, &signals);
        let before = fusion.order();
        fusion.give(weighting, vec![Some(Value::as_is(raw)); hits]);
        prop_assert_eq!(fusion.order(), before);
    }

    #[test]
    fn the_words_linear_and_rrf_are_lists_of_two_signals(
        raws in prop::collection::vec((-9.0f32..9.0, 0.0f32..30.0), 1..25), weight in 0.0f32..=1.0, k in 1.0f32..100.0,
    ) {
        let (model, mut cluster): (Vec<f32>, Vec<f32>) = raws.into_iter().unzip();
        cluster.sort_by(|a, b| b.total_cmp(a));
        let of_cluster: Vec<Option<f32>> = cluster.iter().copied().map(Some).collect();
        for (blend, normalize, weights) in [
            (Blend::Linear { weight }, Normalize::MinMax, (weight, 1.0 - weight)),
            (Blend::Rrf { k }, Normalize::Rank { k }, (1.0, 1.0)),
        ] {
            let mut fusion = Fusion::of(model.len());
            fusion.give(weighting(weights.1, normalize), all(&cluster));
            fusion.answer(weighting(weights.0, normalize), all(&model));
            let ranked = order::order(&of_cluster, &all(&model), 0, blend);
            let scores = raws_by_order(&fusion);
            prop_assert!(ranked.iter().zip(&scores).all(|(ranked, score)| (ranked.score - score).abs() < 1e-6));
        }
    }

    #[test]
    fn the_unit_of_a_model_does_not_matter(
        raws in prop::collection::vec((-9.0f32..9.0, -9.0f32..9.0), 1..25), factor in 1u8..4, offset in -9i8..9,
    ) {
        // Whole numbers, so that another unit costs no digits.
        let (a, b): (Vec<f32>, Vec<f32>) = raws.into_iter().map(|(a, b)| (a.round(), b.round())).unzip();
        let other: Vec<f32> = a.iter().map(|raw| raw * f32::from(factor) + f32::from(offset)).collect();
        let order = |first: &[f32]| {
            let mut fusion = Fusion::of(first.len());
            fusion.answer(half(), all(first));
            fusion.answer(half(), all(&b));
            fusion.order()
        };
        prop_assert_eq!(order(&a), order(&other));
    }
}

/// The scores, highest first.
fn raws_by_order(fusion: &Fusion) -> Vec<f32> {
    let scores = raws(fusion);
    fusion.order().into_iter().filter_map(|hit| scores[hit]).collect()
}
