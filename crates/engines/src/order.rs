//! Scores → order: blends the model's word with the cluster's, breaks ties, and lets what was not scored follow. Owns
//! the rules of DESIGN's "window, page, scores"; knows no bytes and no HTTP. Pure and deterministic.

/// How the model's score and the cluster's become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Blend {
    /// The model's score alone.
    Replace,
    /// `weight` × model + (1 − `weight`) × cluster, each scaled to 0..1 first, among the hits that the model scored. With 1
    /// the order is exactly the model's, with 0 exactly the cluster's.
    Linear {
        /// The model's share, 0 to 1.
        weight: f32,
    },
    /// Reciprocal rank fusion of the two orders: Σ 1 / (`k` + rank), ranks from 1 among the hits that the model scored
    /// (Cormack, Clarke, Büttcher, 2009).
    Rrf {
        /// How little the very first ranks stand out; 60 in the paper.
        k: f32,
    },
}

/// What a model says of one hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelScore {
    /// What the model put out. The order is by this: a logit does not saturate.
    pub raw: f32,
    /// What is shown of it; never falls where `raw` rises.
    pub shown: f32,
}

/// One hit in its new place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Which hit, as its rank in the cluster's order from 0.
    pub hit: usize,
    /// Its final score; never higher than that of the hit before.
    pub score: f32,
}

/// The new order of all `cluster` hits.
///
/// `cluster` holds the cluster's own score of each hit (`None` where it gave none), `model` what the model says of the
/// first ones of them, all in one scale. The first `pinned` hits stay where they are, with the cluster's scores. Of the
/// others, what has a finite model score comes first, best first, ties in the cluster's order; the rest follows in the
/// cluster's order, its scores scaled to continue below. The cluster's word is its order: where its scores do not fall
/// along it, the lowest so far holds.
pub fn order(cluster: &[Option<f32>], model: &[Option<ModelScore>], pinned: usize, blend: Blend) -> Vec<Ranked> {
    let (pins, others) = cluster.split_at(pinned.min(cluster.len()));
    let mut scored: Vec<(usize, ModelScore)> = model
        .iter()
        .take(cluster.len())
        .enumerate()
        .skip(pins.len())
        .filter_map(|(hit, score)| Some((hit, (*score)?)))
        .filter(|(_, score)| score.raw.is_finite())
        .collect();
    // A stable sort on the raw value: ties keep the cluster's order, saturated values keep the model's. The sum makes
    // one of the two zeros, which no model means to tell apart.
    scored.sort_by(|(_, a), (_, b)| (b.raw + 0.0).total_cmp(&(a.raw + 0.0)));
    let mut ranked = match blend {
        Blend::Replace => scored.iter().map(|&(hit, score)| Ranked { hit, score: score.shown }).collect(),
        Blend::Linear { weight } => linear(&falling(others.iter().copied()), pins.len(), &scored, weight),
        Blend::Rrf { k } => fuse(&scored, k),
    };
    // What the model decides alone is in its order already, which tells more apart than what is shown.
    if !matches!(blend, Blend::Replace | Blend::Linear { weight: 1.0 }) {
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.hit.cmp(&b.hit)));
    }
    // A sigmoid may be off by its last digit.
    let mut lowest = f32::MAX;
    for hit in &mut ranked {
        lowest = lowest.min(hit.score);
        hit.score = lowest;
    }
    let tail = tail(cluster, pins.len(), &ranked);
    let best = ranked.first().or(tail.first()).map_or(f32::MIN, |hit| hit.score);
    // Pins are shown no lower than what follows them.
    let pins = falling(pins.iter().copied()).into_iter().enumerate();
    pins.map(|(hit, score)| Ranked { hit, score: score.max(best) }).chain(ranked).chain(tail).collect()
}

/// The cluster's scores of some hits as its order has them: none is higher than the one before. A hit without a finite
/// one is as good as the one before it; in front, as the first that has one; 0 where none has.
fn falling(scores: impl Iterator<Item = Option<f32>> + Clone) -> Vec<f32> {
    let known = |score: Option<f32>| score.filter(|score| score.is_finite());
    let mut lowest = scores.clone().find_map(known).unwrap_or(0.0);
    scores
        .map(|score| {
            lowest = known(score).map_or(lowest, |score| score.min(lowest));
            lowest
        })
        .collect()
}

/// `lexical` holds the cluster's scores from hit `offset` on.
fn linear(lexical: &[f32], offset: usize, scored: &[(usize, ModelScore)], weight: f32) -> Vec<Ranked> {
    let own = |hit: usize| lexical[hit - offset];
    let by_model = Scale::of(scored.iter().map(|(_, score)| score.shown));
    let by_cluster = Scale::of(scored.iter().map(|&(hit, _)| own(hit)));
    let weight = f64::from(weight);
    // Rounded before it is compared: what cancels out but for the last digits is a tie.
    let blended = |hit: usize, score: ModelScore| {
        (weight * by_model.apply(score.shown) + (1.0 - weight) * by_cluster.apply(own(hit))) as f32
    };
    scored.iter().map(|&(hit, score)| Ranked { hit, score: blended(hit, score) }).collect()
}

/// Both ranks are counted among the scored hits: two orders of the same hits. Counted among all, pins and hits without
/// text would push the cluster's ranks down to where they hardly differ.
fn fuse(scored: &[(usize, ModelScore)], k: f32) -> Vec<Ranked> {
    let part = |rank: usize| 1.0 / (f64::from(k) + rank as f64 + 1.0);
    let mut in_cluster: Vec<usize> = scored.iter().map(|(hit, _)| *hit).collect();
    in_cluster.sort_unstable();
    let by_cluster = |hit: usize| in_cluster.partition_point(|&other| other < hit);
    let fused = |rank: usize, hit: usize| (part(rank) + part(by_cluster(hit))) as f32;
    scored.iter().enumerate().map(|(rank, &(hit, _))| Ranked { hit, score: fused(rank, hit) }).collect()
}

/// What was not scored, in the cluster's order. The first of it gets the last ranked score; the others fall below it as
/// they fall below the first in the cluster's eyes. Where nothing is ranked, the cluster's own scores stand.
fn tail(cluster: &[Option<f32>], pinned: usize, ranked: &[Ranked]) -> Vec<Ranked> {
    let mut placed = vec![false; cluster.len()];
    placed[..pinned].fill(true);
    for hit in ranked {
        placed[hit.hit] = true;
    }
    let rest: Vec<usize> = (0..cluster.len()).filter(|&hit| !placed[hit]).collect();
    let Some(last) = ranked.last().map(|hit| f64::from(hit.score)) else {
        let own = falling(rest.iter().map(|&hit| cluster[hit]));
        return rest.into_iter().zip(own).map(|(hit, score)| Ranked { hit, score }).collect();
    };
    // Only of what is above 0 something can be a share.
    let own = falling(rest.iter().map(|&hit| cluster[hit].filter(|score| *score > 0.0)));
    let first = own.first().map_or(0.0, |score| f64::from(*score));
    let continued = |score: f32| {
        let share = if first > 0.0 { f64::from(score) / first } else { 1.0 };
        (last - (1.0 - share) * last.abs()).max(f64::from(f32::MIN)) as f32
    };
    rest.into_iter().zip(own).map(|(hit, score)| Ranked { hit, score: continued(score) }).collect()
}

/// Min–max scaling; a constant says nothing and becomes 0. In f64, which holds every difference of two f32.
struct Scale {
    min: f64,
    span: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let min = values.clone().fold(f32::INFINITY, f32::min);
        let max = values.fold(f32::NEG_INFINITY, f32::max);
        Self { min: f64::from(min), span: f64::from(max) - f64::from(min) }
    }

    fn apply(&self, value: f32) -> f64 {
        if self.span > 0.0 { (f64::from(value) - self.min) / self.span } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::unnecessary_wraps, reason = "every use wants an Option")]
    fn score(raw: f32) -> Option<ModelScore> {
        Some(ModelScore { raw, shown: 1.0 / (1.0 + (-raw).exp()) })
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
        let model: Vec<Option<ModelScore>> = (0..10).map(|hit| as_is(hit as f32)).collect();
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
        let best = score(3.0).expect("a score").shown;
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
    fn as_is(raw: f32) -> Option<ModelScore> {
        Some(ModelScore { raw, shown: raw })
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

    fn models() -> impl Strategy<Value = Vec<Option<ModelScore>>> {
        let raws = prop::collection::vec(prop::option::weighted(0.8, numbers()), 0..50);
        let shown: [fn(f32) -> Option<ModelScore>; 2] = [score, as_is];
        (raws, prop::sample::select(shown.to_vec()))
            .prop_map(|(raws, shown)| raws.into_iter().map(|raw| shown(raw?)).collect())
    }

    /// The hits that are neither pinned nor without a score, in the order that the model would give them.
    fn by_model(hits: usize, model: &[Option<ModelScore>], pinned: usize) -> Vec<usize> {
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
}
