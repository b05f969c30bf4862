//! Orders of hits: what each blend makes of scores, and what holds for any scores.

use super::*;
use crate::value::Scale;
use proptest::prelude::*;

#[expect(clippy::unnecessary_wraps, reason = "every use wants an Option")]
fn score(raw: f32) -> Option<Value> {
    Some(Value { raw, scale: Scale::Logit })
}

fn hits(ranked: &[Ranked]) -> Vec<usize> {
    ranked.iter().map(|hit| hit.hit).collect()
}

#[test]
fn the_model_s_best_comes_first_and_ties_keep_the_cluster_s_order() {
    let cluster = [Some(9.0), Some(8.0), Some(7.0), Some(6.0)];
    let model = [score(0.0), score(2.0), score(0.0), score(3.0)];
    assert_eq!(hits(&order(&cluster, &model, 0, Blend::Replace)), [3, 1, 0, 2]);
}

#[test]
fn saturated_values_are_told_apart_by_the_raw_value() {
    let model = [score(40.0), score(50.0)];
    let ranked = order(&[Some(2.0), Some(1.0)], &model, 0, Blend::Replace);
    assert_eq!(hits(&ranked), [1, 0]);
    assert_eq!(ranked[0].score.to_bits(), ranked[1].score.to_bits());
}

#[test]
fn what_was_not_scored_follows_in_the_cluster_s_order_and_below() {
    let cluster = [Some(9.0), Some(8.0), Some(4.0), Some(2.0)];
    let model = [None, score(1.0), score(f32::NAN)];
    let ranked = order(&cluster, &model, 0, Blend::Replace);
    assert_eq!(hits(&ranked), [1, 0, 2, 3]);
    assert!((ranked[1].score - ranked[0].score).abs() < 1e-6);
    assert!((ranked[2].score - ranked[0].score * 4.0 / 9.0).abs() < 1e-6);
}

#[test]
fn a_tail_below_a_negative_score_still_falls() {
    let model = [as_is(-0.5), None, None];
    let ranked = order(&[Some(3.0), Some(2.0), Some(1.0)], &model, 0, Blend::Replace);
    assert_eq!(ranked.iter().map(|hit| hit.score).collect::<Vec<_>>(), [-0.5, -0.5, -0.75]);
}

#[test]
fn a_linear_blend_with_no_weight_is_the_cluster_s_order() {
    let cluster = [Some(9.0), Some(8.0), Some(7.0)];
    let model = [score(-1.0), score(0.0), score(1.0)];
    assert_eq!(hits(&order(&cluster, &model, 0, Blend::Linear { weight: 0.0 })), [0, 1, 2]);
    assert_eq!(hits(&order(&cluster, &model, 0, Blend::Linear { weight: 1.0 })), [2, 1, 0]);
}

#[test]
fn pinned_hits_stay_in_front_whatever_the_model_says() {
    let cluster = [Some(1.7e38), Some(1.6e38), Some(8.0), Some(7.0)];
    let model = [score(-3.0), score(-2.0), score(0.0), score(1.0)];
    for blend in [Blend::Replace, Blend::Linear { weight: 0.5 }, Blend::Rrf { k: 60.0 }] {
        let ranked = order(&cluster, &model, 2, blend);
        assert_eq!(hits(&ranked)[..2], [0, 1]);
        assert_eq!(ranked[1].score.to_bits(), 1.6e38_f32.to_bits());
    }
    assert_eq!(hits(&order(&cluster, &model, 2, Blend::Replace)), [0, 1, 3, 2]);
    assert_eq!(hits(&order(&cluster[..1], &model, 2, Blend::Replace)), [0]);
}

#[test]
fn reciprocal_ranks_add_up() {
    let cluster = [Some(9.0), Some(8.0), Some(7.0)];
    let model = [score(0.0), score(-1.0), score(3.0)];
    let ranked = order(&cluster, &model, 0, Blend::Rrf { k: 60.0 });
    assert_eq!(hits(&ranked), [0, 2, 1]);
    assert!((ranked[0].score - (1.0 / 61.0 + 1.0 / 62.0)).abs() < 1e-6);
}

#[test]
fn the_two_zeros_are_a_tie() {
    let ranked = order(&[Some(2.0), Some(1.0)], &[score(-0.0), score(0.0)], 0, Blend::Replace);
    assert_eq!(hits(&ranked), [0, 1]);
}

#[test]
fn a_model_that_says_the_same_of_all_leaves_the_cluster_s_order() {
    let cluster = [Some(1.7e38), Some(9.0), Some(8.0), Some(8.0), Some(1.0)];
    for pinned in [0, 1] {
        for blend in METHODS {
            let ranked = order(&cluster, &[score(0.3); 5], pinned, blend);
            assert_eq!(hits(&ranked), [0, 1, 2, 3, 4], "{blend:?}");
        }
    }
}

#[test]
fn a_linear_blend_with_all_weight_is_the_model_s_order_even_where_what_is_shown_is_saturated() {
    let model = [score(40.0), score(50.0), score(-2.0), score(60.0)];
    let ranked = order(&[Some(4.0), Some(3.0), Some(2.0), Some(1.0)], &model, 0, Blend::Linear { weight: 1.0 });
    assert_eq!(hits(&ranked), [3, 1, 0, 2]);
}

#[test]
fn a_linear_blend_with_no_weight_is_the_cluster_s_order_even_where_that_is_not_by_score() {
    let model = [score(-2.0), score(-1.0), score(0.0), score(1.0), score(2.0)];
    for cluster in [
        [Some(1.0), Some(3.0), Some(2.0), None, Some(9.0)],
        [None, Some(f32::NAN), Some(f32::INFINITY), Some(-3.0), Some(-4.0)],
        [None; 5],
    ] {
        assert_eq!(hits(&order(&cluster, &model, 0, Blend::Linear { weight: 0.0 })), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_linear_blend_scales_spans_of_any_size() {
    let model = [as_is(f32::MIN), as_is(0.0), as_is(f32::MAX)];
    let level = [Some(1.0); 3];
    let ranked = order(&level, &model, 0, Blend::Linear { weight: 1.0 });
    assert_eq!(ranked.iter().map(|hit| (hit.hit, hit.score)).collect::<Vec<_>>(), [(2, 1.0), (1, 0.5), (0, 0.0)]);
    let tiny = |steps: u32| as_is(f32::from_bits(steps));
    let ranked = order(&level, &[tiny(1), tiny(2), tiny(3)], 0, Blend::Linear { weight: 0.5 });
    assert_eq!(ranked.iter().map(|hit| (hit.hit, hit.score)).collect::<Vec<_>>(), [(2, 0.5), (1, 0.25), (0, 0.0)]);
    let cluster = [Some(f32::MAX), Some(-1.0), Some(f32::MIN)];
    let ranked = order(&cluster, &[as_is(0.2), as_is(0.2), as_is(0.1)], 0, Blend::Linear { weight: 0.5 });
    assert_eq!(ranked.iter().map(|hit| (hit.hit, hit.score)).collect::<Vec<_>>(), [(0, 1.0), (1, 0.75), (2, 0.0)]);
}

#[test]
fn words_that_cancel_each_other_leave_the_cluster_s_order() {
    let cluster: Vec<Option<f32>> = (0..10).map(|hit| Some(10.0 - hit as f32)).collect();
    let model: Vec<Option<Value>> = (0..10).map(|hit| as_is(hit as f32)).collect();
    let ranked = order(&cluster, &model, 0, Blend::Linear { weight: 0.5 });
    assert_eq!(hits(&ranked), (0..10).collect::<Vec<_>>());
}

#[test]
fn ranks_are_counted_among_the_hits_that_are_fused() {
    // A pin, and a hit without text: the cluster's first and second of the others are the third and the fifth.
    let cluster = [Some(1.7e38), Some(9.0), Some(8.0), Some(7.0), Some(6.0)];
    let model = [score(5.0), None, score(1.0), None, score(2.0)];
    let ranked = order(&cluster, &model, 1, Blend::Rrf { k: 60.0 });
    assert_eq!(hits(&ranked), [0, 2, 4, 1, 3]);
    let both = 1.0 / 61.0 + 1.0 / 62.0;
    assert!(ranked[1..3].iter().all(|hit| (hit.score - both).abs() < 1e-9), "{ranked:?}");
}

#[test]
fn one_scored_hit_comes_first_whatever_the_method() {
    for blend in METHODS {
        let ranked = order(&[Some(3.0), Some(2.0), Some(1.0)], &[None, None, score(-9.0)], 0, blend);
        assert_eq!(hits(&ranked), [2, 0, 1], "{blend:?}");
    }
}

#[test]
fn a_tail_below_the_lowest_number_is_still_a_number() {
    let cluster = [Some(3.0), Some(2.0), Some(1.0)];
    let ranked = order(&cluster, &[as_is(f32::MIN)], 0, Blend::Replace);
    assert!(ranked.iter().all(|hit| hit.score.to_bits() == f32::MIN.to_bits()), "{ranked:?}");
}

#[test]
fn where_only_pinned_hits_were_scored_the_cluster_s_scores_stand() {
    let cluster = [Some(1.7e38), Some(9.0), Some(8.0), None, Some(7.0)];
    for blend in METHODS {
        let ranked = order(&cluster, &[score(1.0), None, None], 1, blend);
        let found: Vec<(usize, f32)> = ranked.iter().map(|hit| (hit.hit, hit.score)).collect();
        assert_eq!(found, [(0, 1.7e38), (1, 9.0), (2, 8.0), (3, 8.0), (4, 7.0)]);
    }
}

#[test]
fn pins_of_one_score_and_pins_without_one_stay_in_their_order() {
    let model = [score(0.0), score(1.0), score(2.0), score(3.0)];
    let best = score(3.0).expect("a score").shown();
    for (pins, shown) in [
        ([Some(1.7e38), Some(1.7e38)], [1.7e38, 1.7e38]),
        ([None, Some(5.0)], [5.0, 5.0]),
        ([Some(5.0), Some(f32::NAN)], [5.0, 5.0]),
        ([Some(-1.0), Some(9.0)], [best, best]),
        ([None, None], [best, best]),
    ] {
        let ranked = order(&[pins[0], pins[1], Some(2.0), Some(1.0)], &model, 2, Blend::Replace);
        assert_eq!(hits(&ranked), [0, 1, 3, 2]);
        assert_eq!(ranked.iter().take(2).map(|hit| hit.score).collect::<Vec<_>>(), shown.to_vec());
    }
}

const METHODS: [Blend; 6] = [
    Blend::Replace,
    Blend::Linear { weight: 0.0 },
    Blend::Linear { weight: 0.5 },
    Blend::Linear { weight: 1.0 },
    Blend::Rrf { k: 1.0 },
    Blend::Rrf { k: 60.0 },
];

#[expect(clippy::unnecessary_wraps, reason = "every use wants an Option")]
fn as_is(raw: f32) -> Option<Value> {
    Some(Value::as_is(raw))
}

fn blends() -> impl Strategy<Value = Blend> {
    prop_oneof![
        prop::sample::select(METHODS.to_vec()),
        (0.0f32..=1.0).prop_map(|weight| Blend::Linear { weight }),
        (1.0f32..=f32::MAX).prop_map(|k| Blend::Rrf { k }),
    ]
}

/// What clusters and models say, and what they should not.
fn numbers() -> impl Strategy<Value = f32> {
    let odd = vec![-0.0, 0.0, 1.0, 1e-45, -1e-45, f32::MAX, f32::MIN, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    prop_oneof![-9.0f32..9.0, prop::sample::select(odd), prop::num::f32::ANY]
}

fn clusters() -> impl Strategy<Value = Vec<Option<f32>>> {
    prop::collection::vec(prop::option::weighted(0.9, numbers()), 0..40)
}

fn models() -> impl Strategy<Value = Vec<Option<Value>>> {
    let raws = prop::collection::vec(prop::option::weighted(0.8, numbers()), 0..50);
    let shown: [fn(f32) -> Option<Value>; 2] = [score, as_is];
    (raws, prop::sample::select(shown.to_vec()))
        .prop_map(|(raws, shown)| raws.into_iter().map(|raw| shown(raw?)).collect())
}

/// The hits that are neither pinned nor without a score, in the order that the model would give them.
fn by_model(hits: usize, model: &[Option<Value>], pinned: usize) -> Vec<usize> {
    let raw = |hit: usize| model.get(hit).copied().flatten().map(|score| score.raw).filter(|raw| raw.is_finite());
    let mut scored: Vec<usize> = (pinned.min(hits)..hits).filter(|&hit| raw(hit).is_some()).collect();
    scored.sort_by(|&a, &b| raw(b).partial_cmp(&raw(a)).expect("numbers"));
    scored
}

proptest! {
    #[test]
    fn it_is_a_permutation_and_scores_never_increase(
        cluster in clusters(), model in models(), pinned in 0usize..4, blend in blends(),
    ) {
        let ranked = order(&cluster, &model, pinned, blend);
        let mut seen = hits(&ranked);
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..cluster.len()).collect::<Vec<_>>());
        prop_assert!(ranked.iter().all(|hit| hit.score.is_finite()), "{:?}", ranked);
        prop_assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score), "{:?}", ranked);
        prop_assert!(hits(&ranked).into_iter().take(pinned).eq(0..pinned.min(cluster.len())));
        let texts: Vec<String> = ranked.iter().map(|hit| format!("{:?}", hit.score)).collect();
        prop_assert!(texts.iter().all(|text| serde_json::from_str::<serde_json::Number>(text).is_ok()), "{:?}", texts);
        prop_assert_eq!(&ranked, &order(&cluster, &model, pinned, blend));
    }

    #[test]
    fn what_has_a_score_comes_before_what_has_none_and_the_rest_keeps_the_cluster_s_order(
        cluster in clusters(), model in models(), pinned in 0usize..4, blend in blends(),
    ) {
        let ranked = hits(&order(&cluster, &model, pinned, blend));
        let scored = by_model(cluster.len(), &model, pinned);
        let pinned = pinned.min(cluster.len());
        let (front, tail) = ranked[pinned..].split_at(scored.len());
        prop_assert!(front.iter().all(|hit| scored.contains(hit)));
        prop_assert!(tail.is_sorted());
    }

    #[test]
    fn all_weight_is_the_model_s_order_and_no_weight_the_cluster_s(
        cluster in clusters(), model in models(), pinned in 0usize..4,
    ) {
        let by_model = by_model(cluster.len(), &model, pinned);
        let front = |blend| hits(&order(&cluster, &model, pinned, blend))[pinned.min(cluster.len())..][..by_model.len()].to_vec();
        prop_assert_eq!(&front(Blend::Replace), &by_model);
        prop_assert_eq!(&front(Blend::Linear { weight: 1.0 }), &by_model);
        let by_cluster = front(Blend::Linear { weight: 0.0 });
        prop_assert!(by_cluster.is_sorted());
    }

    #[test]
    fn a_constant_model_leaves_the_cluster_s_order(
        cluster in clusters(), raw in numbers(), pinned in 0usize..4, blend in blends(),
    ) {
        let model = vec![score(raw); cluster.len()];
        prop_assert!(hits(&order(&cluster, &model, pinned, blend)).is_sorted());
    }

    #[test]
    fn values_of_a_blend_are_shares(cluster in clusters(), model in models(), blend in blends()) {
        let scored = by_model(cluster.len(), &model, 0).len();
        let ranked = order(&cluster, &model, 0, blend);
        let top = match blend {
            Blend::Replace => return Ok(()),
            Blend::Linear { .. } => 1.0,
            Blend::Rrf { k } => 2.0 / (k + 1.0),
        };
        let in_range = |hit: &Ranked| (0.0..=top + f32::EPSILON).contains(&hit.score);
        prop_assert!(ranked[..scored].iter().all(in_range), "{:?}", ranked);
    }

    #[test]
    fn a_page_beyond_the_window_shows_the_window_as_the_pages_before_it_did(
        cluster in clusters(), model in models(), pinned in 0usize..4, blend in blends(), more in clusters(),
    ) {
        let model = &model[..model.len().min(cluster.len())];
        // Where nothing is put in order, the cluster's own scores are shown, and those depend on what there is.
        prop_assume!(!by_model(cluster.len(), model, pinned).is_empty());
        let longer = [&cluster[..], &more[..]].concat();
        let (ranked, further) = (order(&cluster, model, pinned, blend), order(&longer, model, pinned, blend));
        prop_assert_eq!(&ranked[..], &further[..ranked.len()]);
    }
}
