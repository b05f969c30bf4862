//! Scores → order: blends the model's word with the cluster's, breaks ties, and lets what was not scored follow. Owns
//! the rules for pins, ties, saturated scores and the unscored tail.

use crate::{
    normalize::Normalize,
    ranked::{Ranked, level_down},
    value::Value,
};

/// The way in which the model's score and the cluster's become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Blend {
    /// The model's score alone.
    Replace,
    /// `weight` × model + (1 − `weight`) × cluster, each scaled to 0..1 first, among the hits that the model scored; the
    /// model's as it put it out: a sigmoid would press the best of them together. With 1
    /// the order is exactly the model's, with 0 exactly the cluster's.
    Linear {
        /// The model's share, 0 to 1.
        weight: f32,
    },
    /// Reciprocal rank fusion of the two orders: Σ 1 / (`k` + rank), ranks from 1 among the hits that the model scored
    /// (Cormack, Clarke, Büttcher, 2009).
    Rrf {
        /// The larger it is, the less the very first ranks stand out; 60 in the paper.
        k: f32,
    },
}

impl Blend {
    /// The model's share of a linear blend where nobody says.
    pub const USUAL_WEIGHT: f32 = 0.7;
    /// The `k` of reciprocal rank fusion in its paper, and in both engines.
    pub const USUAL_K: f32 = 60.0;
}

/// The new order of all `cluster` hits.
///
/// `cluster` holds the cluster's own score of each hit (`None` where it gave none), `model` what the model says of the
/// first ones of them, all in one scale. The first `pinned` hits stay where they are, with the cluster's scores. Of the
/// others, what has a finite model score comes first, best first, ties in the cluster's order; the rest follows in the
/// cluster's order, its scores scaled to continue below. The cluster's word is its order: where its scores do not fall
/// along it, the lowest so far holds.
pub fn order(cluster: &[Option<f32>], model: &[Option<Value>], pinned: usize, blend: Blend) -> Vec<Ranked> {
    let (pins, others) = cluster.split_at(pinned.min(cluster.len()));
    let mut scored: Vec<(usize, Value)> = model
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
    let mut ranked: Vec<Ranked> = match blend {
        Blend::Replace => scored.iter().map(|&(hit, score)| Ranked { hit, score: score.shown() }).collect(),
        Blend::Linear { weight } => {
            let weight = f64::from(weight);
            sum(&falling(others.iter().copied()), pins.len(), &scored, Normalize::MinMax, (weight, 1.0 - weight))
        }
        Blend::Rrf { k } => {
            sum(&falling(others.iter().copied()), pins.len(), &scored, Normalize::Rank { k }, (1.0, 1.0))
        }
    };
    // What the model decides alone is in its order already, which tells more apart than what is shown.
    if !matches!(blend, Blend::Replace | Blend::Linear { weight: 1.0 }) {
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.hit.cmp(&b.hit)));
    }
    // A sigmoid may be off by its last digit.
    level_down(&mut ranked);
    let tail = tail(cluster, pins.len(), &ranked);
    let best = ranked.first().or(tail.first()).map_or(f32::MIN, |hit| hit.score);
    // Pins are shown no lower than what follows them.
    let pins = falling(pins.iter().copied()).into_iter().enumerate();
    pins.map(|(hit, score)| Ranked { hit, score: score.max(best) }).chain(ranked).chain(tail).collect()
}

/// The cluster's scores of some hits as its order has them: none is higher than the one before. A hit without a finite
/// one is as good as the one before it; in front, as the first that has one; 0 where none has.
pub fn falling(scores: impl Iterator<Item = Option<f32>> + Clone) -> Vec<f32> {
    let known = |score: Option<f32>| score.filter(|score| score.is_finite());
    let mut lowest = scores.clone().find_map(known).unwrap_or(0.0);
    scores
        .map(|score| {
            lowest = known(score).map_or(lowest, |score| score.min(lowest));
            lowest
        })
        .collect()
}

/// The weighted sums of what the model and the cluster say of the scored hits, in the order of those. `lexical` holds the cluster's scores from hit
/// `offset` on. Both are normalised among the scored hits: counted among all, pins and hits without text would push the
/// cluster's down to where they hardly differ.
fn sum(
    lexical: &[f32],
    offset: usize,
    scored: &[(usize, Value)],
    normalize: Normalize,
    (of_model, of_cluster): (f64, f64),
) -> Vec<Ranked> {
    // Ranks are given in the cluster's order where numbers are equal.
    let mut by_hit: Vec<usize> = (0..scored.len()).collect();
    by_hit.sort_unstable_by_key(|&place| scored[place].0);
    let by_model: Vec<Option<Value>> = by_hit.iter().map(|&place| Some(scored[place].1)).collect();
    let own = |hit: usize| Value::as_is(lexical[hit - offset]);
    let by_cluster: Vec<Option<Value>> = by_hit.iter().map(|&place| Some(own(scored[place].0))).collect();
    let mut sums = vec![0.0; scored.len()];
    for ((place, model), cluster) in
        by_hit.into_iter().zip(normalize.apply(&by_model)).zip(normalize.apply(&by_cluster))
    {
        // Rounded before it is compared: what cancels out but for the last digits is a tie.
        sums[place] = (of_model * model + of_cluster * cluster) as f32;
    }
    scored.iter().zip(sums).map(|(&(hit, _), score)| Ranked { hit, score }).collect()
}

/// The hits that were not scored, in the cluster's order. The first of them gets the last ranked score; the others fall
/// below it as they fall below the first in the cluster's eyes. Where nothing is ranked, the cluster's own scores
/// stand.
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

#[cfg(test)]
mod tests;
