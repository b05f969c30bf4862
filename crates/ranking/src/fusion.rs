//! Fusion: several signals on the hits of one window become one score for each hit. Owns which hits a signal is asked for,
//! whose word counts where, and how hits that only some signals know follow those that all of them know.
//!
//! A signal is *given* for every hit from the beginning (the cluster's score, a field of the document), or it is *asked for*
//! (a model). Each asked signal makes a tier: the hits that it has a number for. Within a tier, every signal that is
//! known there is normalised among the hits of the tier, weighted and added up. The tiers follow each other, the last one
//! first, so a hit that went on to a later model is never behind one that did not; a tier's scores are shifted so that
//! they go on just below those of the tier before.
//!
//! ```text
//! signals     cluster ─ given        first model ─ asked for all    second model ─ asked for the best 3
//! tiers                              a b c d e f g                  a b c
//! order       [a b c] by all three signals, then [d e f g] by the cluster and the first model
//! ```

use crate::{
    normalize::{Normalize, best_first},
    value::{Scale, Value},
};

/// How a signal counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighting {
    /// The factor of the normalised number, 0 or more.
    pub weight: f32,
    /// The normalisation.
    pub normalize: Normalize,
    /// True for a model whose word replaces that of all signals before it, where it has one; its numbers then stay as they
    /// are, in their own scale.
    pub alone: bool,
}

impl Weighting {
    /// The weighting of a model that replaces what is before it.
    pub fn alone() -> Self {
        Self { weight: 1.0, normalize: Normalize::Off, alone: true }
    }
}

/// The signals on the hits of one window, one after the other.
#[derive(Debug, Clone)]
pub struct Fusion {
    hits: usize,
    signals: Vec<Signal>,
}

#[derive(Debug, Clone)]
struct Signal {
    weighting: Weighting,
    is_asked: bool,
    values: Vec<Option<Value>>,
}

/// What the signals make of one hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The score that hits are ordered by, always finite.
    pub score: Value,
    /// The signal, by its place, whose tier the hit is in.
    pub tier: usize,
    /// What each signal adds to the score, by its place, before a tier is shifted: nothing where it does not count.
    pub shares: Vec<Option<f32>>,
}

/// The lowest score that a model's own number counts as. There are floats enough below it for the scores that follow, and
/// no model means anything by such a number.
const FLOOR: f32 = f32::MIN / 2.0;

/// Hits that a signal has numbers for, best first.
struct Tier {
    /// The signal, by its place.
    signal: usize,
    hits: Vec<(usize, Value)>,
}

impl Fusion {
    /// No signal on `hits` hits, which are in the cluster's order.
    pub fn of(hits: usize) -> Self {
        Self { hits, signals: Vec::new() }
    }

    /// Adds a signal that is known of every hit: one number for each, in the cluster's order.
    pub fn give(&mut self, weighting: Weighting, values: Vec<Option<Value>>) {
        self.add(weighting, false, values);
    }

    /// Adds what a model says of the hits that it was asked for; `None` for all others, and where it has no answer.
    pub fn answer(&mut self, weighting: Weighting, values: Vec<Option<Value>>) {
        self.add(weighting, true, values);
    }

    fn add(&mut self, weighting: Weighting, is_asked: bool, mut values: Vec<Option<Value>>) {
        values.resize(self.hits, None);
        values.iter_mut().for_each(|value| *value = value.filter(|value| value.raw.is_finite()));
        self.signals.push(Signal { weighting, is_asked, values });
    }

    /// The number that a signal, by its place, has for a hit, as it came.
    pub fn number(&self, signal: usize, hit: usize) -> Option<f32> {
        self.signals.get(signal)?.values.get(hit)?.map(|value| value.raw)
    }

    /// All hits in the order that the signals give them so far. Those that no model knows follow, by what is given.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::with_capacity(self.hits);
        let mut placed = vec![false; self.hits];
        for (hit, _) in self.tiers().into_iter().flat_map(|tier| tier.hits) {
            if !std::mem::replace(&mut placed[hit], true) {
                order.push(hit);
            }
        }
        let rest: Vec<usize> = (0..self.hits).filter(|&hit| !placed[hit]).collect();
        let sums = sums(&self.shares(|_, signal| !signal.is_asked, &rest), rest.len());
        order.extend(best_first(rest.len(), |place| sums[place]).into_iter().map(|place| rest[place]));
        order
    }

    /// The score of each hit; `None` where no model has a number for it.
    pub fn scores(&self) -> Vec<Option<Fused>> {
        let mut fused = self.placed();
        self.add_shares(&mut fused);
        fused
    }

    /// The scores so far, best first, of the hits that have one.
    pub fn scores_best_first(&self) -> Vec<f32> {
        let mut scores: Vec<f32> = self.placed().into_iter().flatten().map(|fused| fused.score.raw).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores
    }

    /// The score of each hit, without what made it up.
    fn placed(&self) -> Vec<Option<Fused>> {
        let mut fused: Vec<Option<Fused>> = vec![None; self.hits];
        let mut above: Option<Value> = None;
        for tier in self.tiers() {
            let rest: Vec<(usize, Value)> =
                tier.hits.iter().copied().filter(|(hit, _)| fused[*hit].is_none()).collect();
            for (hit, score) in below(above, rest) {
                fused[hit] = Some(Fused { score, tier: tier.signal, shares: Vec::new() });
                above = Some(above.map_or(score, |lowest| if score.raw < lowest.raw { score } else { lowest }));
            }
        }
        fused
    }

    /// The tiers, the last asked signal's first; each holds all hits that its signal has a number for.
    fn tiers(&self) -> Vec<Tier> {
        let asked = (0..self.signals.len()).rev().filter(|&place| self.signals[place].is_asked);
        let mut tiers: Vec<Tier> = asked.map(|place| self.tier(place)).filter(|tier| !tier.hits.is_empty()).collect();
        let lift = self.lift(&tiers);
        if let [first, _, ..] = &mut tiers[..] {
            first.hits.iter_mut().for_each(|(_, score)| score.raw = (score.raw + lift).max(FLOOR));
            // What the floor makes equal is in the cluster's order, as other ties are.
            first.hits.sort_by(|(a, x), (b, y)| (y.raw + 0.0).total_cmp(&(x.raw + 0.0)).then(a.cmp(b)));
        }
        tiers
    }

    /// What is added to the first tier, so that the tiers that go on below it do not go below 0: the engines have no negative
    /// scores, and clients may count on that. Sums that are negative by themselves, and a model's own numbers, stay.
    fn lift(&self, tiers: &[Tier]) -> f32 {
        let Some((first, others)) = tiers.split_first() else { return 0.0 };
        let lowest = first.hits.last().map_or(0.0, |(_, score)| f64::from(score.raw));
        if self.signals[first.signal].weighting.alone || lowest < 0.0 {
            return 0.0;
        }
        let mut placed = vec![false; self.hits];
        first.hits.iter().for_each(|(hit, _)| placed[*hit] = true);
        let mut depth = 0.0;
        for tier in others {
            let rest: Vec<f64> = tier
                .hits
                .iter()
                .filter(|(hit, _)| !placed[*hit])
                .map(|(_, score)| height(*score, Scale::AsIs))
                .collect();
            depth += rest.first().zip(rest.last()).map_or(0.0, |(top, last)| top - last);
            tier.hits.iter().for_each(|(hit, _)| placed[*hit] = true);
        }
        // A little more than that, for what rounding takes away.
        if depth > lowest { ((depth - lowest) * 1.000_01 + 1e-5).min(f64::from(f32::MAX) / 4.0) as f32 } else { 0.0 }
    }

    fn tier(&self, signal: usize) -> Tier {
        let hits = self.hits_of(signal);
        let Signal { weighting, values, .. } = &self.signals[signal];
        let scores: Vec<Value> = if weighting.alone {
            hits.iter().filter_map(|&hit| values[hit]).collect()
        } else {
            sums(&self.shares_in_tier(signal, &hits), hits.len()).into_iter().map(Value::as_is).collect()
        };
        let order = best_first(hits.len(), |place| scores[place].raw);
        Tier { signal, hits: order.into_iter().map(|place| (hits[place], scores[place])).collect() }
    }

    /// The hits that a signal has a number for, in the cluster's order.
    fn hits_of(&self, signal: usize) -> Vec<usize> {
        let values = &self.signals[signal].values;
        (0..self.hits).filter(|&hit| values[hit].is_some()).collect()
    }

    /// What each signal that counts in the tier of `tier` adds to the score of each of these hits. Given signals count in
    /// every tier, wherever they stand among the signals; the models up to the tier's own do.
    fn shares_in_tier(&self, tier: usize, hits: &[usize]) -> Vec<(usize, Vec<f64>)> {
        let is_alone = self.signals[tier].weighting.alone;
        let counts = |place: usize, signal: &Signal| match is_alone {
            true => place == tier,
            false => place <= tier || !signal.is_asked,
        };
        self.shares(counts, hits)
    }

    /// What each signal that `counts` adds to the score of each of these hits.
    fn shares(&self, counts: impl Fn(usize, &Signal) -> bool, hits: &[usize]) -> Vec<(usize, Vec<f64>)> {
        let shares = |(place, Signal { weighting, values, .. }): (usize, &Signal)| {
            let values: Vec<Option<Value>> = hits.iter().map(|&hit| values[hit]).collect();
            let weight = f64::from(weighting.weight);
            let normalized = weighting.normalize.apply(&values);
            (place, normalized.into_iter().map(|number| weight * number).collect())
        };
        self.signals.iter().enumerate().filter(|(place, signal)| counts(*place, signal)).map(shares).collect()
    }

    /// Notes for each hit what made up its score.
    fn add_shares(&self, fused: &mut [Option<Fused>]) {
        for tier in (0..self.signals.len()).filter(|&place| self.signals[place].is_asked) {
            // Normalised among all hits of the tier, though some of them have gone on.
            let hits = self.hits_of(tier);
            let shares = self.shares_in_tier(tier, &hits);
            for (place, hit) in hits.into_iter().enumerate() {
                let Some(fused) = fused[hit].as_mut().filter(|fused| fused.tier == tier) else { continue };
                fused.shares = vec![None; self.signals.len()];
                for (signal, shares) in &shares {
                    fused.shares[*signal] = Some(shares[place] as f32);
                }
            }
        }
    }
}

/// The sums of shares, one for each of `hits` hits.
fn sums(shares: &[(usize, Vec<f64>)], hits: usize) -> Vec<f32> {
    let sum = |hit: usize| shares.iter().map(|(_, shares)| shares[hit]).sum::<f64>();
    // Rounded before it is compared: what cancels out but for the last digits is a tie.
    (0..hits).map(|hit| sum(hit).clamp(f64::from(FLOOR), f64::from(-FLOOR)) as f32).collect()
}

/// A score on another scale: logits stay among logits, and what is measured in something else is as it is shown.
fn height(score: Value, scale: Scale) -> f64 {
    f64::from(if score.scale == scale { score.raw } else { score.shown() })
}

/// The scores of a tier, shifted so that they go on just below `above`, the lowest of the tiers before, in their order and
/// about as far apart as they were. Without tiers before they stand as they are.
fn below(above: Option<Value>, hits: Vec<(usize, Value)>) -> Vec<(usize, Value)> {
    let (Some(lowest), Some(&(_, top))) = (above, hits.first()) else { return hits };
    let (mut last, mut shifted) = (f32::INFINITY, lowest.raw);
    let shift = |(hit, score): (usize, Value)| {
        let own = score.raw + 0.0;
        if own < last {
            let wanted = f64::from(lowest.raw) - (height(top, lowest.scale) - height(score, lowest.scale));
            shifted = (wanted as f32).max(FLOOR).min(shifted.next_down());
            last = own;
        }
        (hit, Value { raw: shifted, scale: lowest.scale })
    };
    hits.into_iter().map(shift).collect()
}

#[cfg(test)]
mod tests;
