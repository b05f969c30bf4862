//! Scores → order: blends the model's word with the cluster's, breaks ties, and lets what was not scored follow. Owns
//! the rules of DESIGN's "window, page, scores"; knows no bytes and no HTTP. Pure and deterministic.

use crate::score::Score;

/// How the model's score and the cluster's become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Blend {
    /// The model's score alone.
    Replace,
    /// `weight` × model + (1 − `weight`) × cluster, each scaled to 0..1 within the window first.
    Linear {
        /// The model's share, 0 to 1.
        weight: f32,
    },
    /// Reciprocal rank fusion of the two orders: Σ 1 / (`k` + rank), ranks from 1 (Cormack, Clarke, Büttcher, 2009).
    Rrf {
        /// How little the very first ranks stand out; 60 in the paper.
        k: f32,
    },
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
/// first ones of them. The first `pinned` hits stay where they are, with the cluster's scores. Of the others, what has a
/// finite model score comes first, best first, ties in the cluster's order; the rest follows in the cluster's order, its
/// scores scaled to continue below.
pub fn order(cluster: &[Option<f32>], model: &[Option<Score>], pinned: usize, blend: Blend) -> Vec<Ranked> {
    let pinned = pinned.min(cluster.len());
    let mut scored: Vec<(usize, Score)> = model
        .iter()
        .take(cluster.len())
        .enumerate()
        .skip(pinned)
        .filter_map(|(hit, score)| Some((hit, (*score)?)))
        .filter(|(_, score)| score.raw.is_finite())
        .collect();
    // A stable sort on the raw value: ties keep the cluster's order, saturated values keep the model's.
    scored.sort_by(|(_, a), (_, b)| b.raw.total_cmp(&a.raw));
    let mut ranked = match blend {
        Blend::Replace => scored.iter().map(|&(hit, score)| Ranked { hit, score: score.value() }).collect(),
        Blend::Linear { weight } => linear(cluster, &scored, weight),
        Blend::Rrf { k } => fuse(&scored, k),
    };
    if blend != Blend::Replace {
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.hit.cmp(&b.hit)));
    }
    let tail = tail(cluster, pinned, &ranked);
    let best = ranked.first().or(tail.first()).map_or(f32::MIN, |hit| hit.score);
    pins(&cluster[..pinned], best).into_iter().chain(ranked).chain(tail).collect()
}

/// The hits that stay in front, their scores never increasing, nor below the `best` of those that follow.
fn pins(cluster: &[Option<f32>], best: f32) -> Vec<Ranked> {
    let mut lowest = f32::MAX;
    let pin = |(hit, score): (usize, &Option<f32>)| {
        lowest = score.filter(|score| score.is_finite()).map_or(lowest, |score| score.min(lowest)).max(best);
        Ranked { hit, score: lowest }
    };
    cluster.iter().enumerate().map(pin).collect()
}

fn linear(cluster: &[Option<f32>], scored: &[(usize, Score)], weight: f32) -> Vec<Ranked> {
    let own = |hit: usize| cluster[hit].filter(|score| score.is_finite()).unwrap_or(0.0);
    let model = Scale::of(scored.iter().map(|(_, score)| score.value()));
    let lexical = Scale::of(scored.iter().map(|&(hit, _)| own(hit)));
    scored
        .iter()
        .map(|&(hit, score)| Ranked {
            hit,
            score: weight * model.apply(score.value()) + (1.0 - weight) * lexical.apply(own(hit)),
        })
        .collect()
}

fn fuse(scored: &[(usize, Score)], k: f32) -> Vec<Ranked> {
    let part = |rank: usize| 1.0 / (k + rank as f32 + 1.0);
    scored.iter().enumerate().map(|(rank, &(hit, _))| Ranked { hit, score: part(rank) + part(hit) }).collect()
}

/// What was not scored, in the cluster's order. The best of it gets the last ranked score; the others fall below it as
/// they fall below the best in the cluster's eyes.
fn tail(cluster: &[Option<f32>], pinned: usize, ranked: &[Ranked]) -> Vec<Ranked> {
    let mut placed = vec![false; cluster.len()];
    placed[..pinned].fill(true);
    for hit in ranked {
        placed[hit.hit] = true;
    }
    let rest: Vec<usize> = (0..cluster.len()).filter(|&hit| !placed[hit]).collect();
    let last = ranked.last().map_or(0.0, |hit| f64::from(hit.score));
    let score = |hit: usize| cluster[hit].map(f64::from).filter(|score| score.is_finite() && *score > 0.0);
    let best = rest.iter().filter_map(|&hit| score(hit)).fold(0.0, f64::max);
    let mut floor = 1.0_f64;
    rest.into_iter()
        .map(|hit| {
            // A cluster may list hits against their scores (pinned, rescored): the lowest share so far holds.
            if let Some(score) = score(hit) {
                floor = floor.min(score / best);
            }
            Ranked { hit, score: (last - (1.0 - floor) * last.abs()) as f32 }
        })
        .collect()
}

/// Min–max scaling; a constant says nothing and becomes 0.
struct Scale {
    min: f32,
    span: f32,
}

impl Scale {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let min = values.clone().fold(f32::INFINITY, f32::min);
        let max = values.fold(f32::NEG_INFINITY, f32::max);
        Self { min, span: max - min }
    }

    fn apply(&self, value: f32) -> f32 {
        if self.span > 0.0 && self.span.is_finite() { (value - self.min) / self.span } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Scale;
    use proptest::prelude::*;

    #[expect(clippy::unnecessary_wraps, reason = "every use wants an Option")]
    fn score(raw: f32) -> Option<Score> {
        Some(Score::fresh(raw, Scale::Logit))
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
        let model = [Some(Score::fresh(-0.5, Scale::AsIs)), None, None];
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

    fn blends() -> impl Strategy<Value = Blend> {
        prop_oneof![
            Just(Blend::Replace),
            (0.0f32..=1.0).prop_map(|weight| Blend::Linear { weight }),
            Just(Blend::Rrf { k: 60.0 }),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_permutation_and_scores_never_increase(
            cluster in prop::collection::vec(prop::option::weighted(0.9, prop::num::f32::ANY), 0..40),
            raws in prop::collection::vec(prop::option::weighted(0.8, prop::num::f32::ANY), 0..50),
            pinned in 0usize..4,
            blend in blends(),
        ) {
            let model: Vec<Option<Score>> = raws.iter().map(|raw| raw.and_then(score)).collect();
            let ranked = order(&cluster, &model, pinned, blend);
            let mut seen = hits(&ranked);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..cluster.len()).collect::<Vec<_>>());
            prop_assert!(ranked.iter().all(|hit| hit.score.is_finite()));
            prop_assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score), "{:?}", ranked);
            prop_assert!(hits(&ranked).into_iter().take(pinned).eq(0..pinned.min(cluster.len())));
            prop_assert_eq!(&ranked, &order(&cluster, &model, pinned, blend));
        }
    }
}
