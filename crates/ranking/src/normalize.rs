//! Normalisation: the numbers that one signal has for a set of hits, made comparable to those of other signals. Owns what a
//! constant signal and a missing number mean.

use crate::value::{Scale, Value};

/// The way in which a signal's numbers are made comparable.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Normalize {
    /// `(x - min) / (max - min)`: from 0, the worst of the hits, to 1, the best. Of a constant signal 0.
    #[default]
    MinMax,
    /// `(x - mean) / standard deviation`. Of a constant signal 0.
    ZScore,
    /// The logarithm of the odds: a logit as it is, a probability `p` as `ln(p / (1 - p))`. It does not depend on the
    /// other hits.
    Logit,
    /// `1 / (k + rank)`, ranks from 1 (reciprocal rank fusion: Cormack, Clarke, Büttcher, 2009). Equal numbers get ranks
    /// in the order of the hits.
    Rank {
        /// The larger it is, the less the very first ranks stand out; 60 in the paper.
        k: f32,
    },
    /// The numbers as they are.
    Off,
}

/// Probabilities are kept this far away from 0 and 1, which have no logit: about ±16.
const EDGE: f64 = 1e-7;

impl Normalize {
    /// The normalised numbers, one for each of `values`. A hit without a finite number counts as the worst of those that
    /// have one, so that nothing is gained by having none; where none has one, all count 0.
    pub fn apply(self, values: &[Option<Value>]) -> Vec<f64> {
        let known: Vec<(usize, Value)> = values
            .iter()
            .enumerate()
            .filter_map(|(place, value)| Some((place, (*value)?)))
            .filter(|(_, value)| value.raw.is_finite())
            .collect();
        let numbers = self.numbers(&known);
        let worst = numbers.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let mut normalized = vec![worst; values.len()];
        for ((place, _), number) in known.iter().zip(numbers) {
            normalized[*place] = number;
        }
        normalized
    }

    fn numbers(self, known: &[(usize, Value)]) -> Vec<f64> {
        let raws = || known.iter().map(|(_, value)| f64::from(value.raw));
        match self {
            Self::MinMax => {
                let (min, max) =
                    raws().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| (min.min(x), max.max(x)));
                scaled(raws(), min, max - min)
            }
            Self::ZScore => {
                let count = known.len() as f64;
                let mean = raws().sum::<f64>() / count;
                let deviation = (raws().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
                // The mean of equal numbers may differ from them by its last digit.
                let is_constant = known.windows(2).all(|pair| pair[0].1.raw.total_cmp(&pair[1].1.raw).is_eq());
                scaled(raws(), mean, if is_constant { 0.0 } else { deviation })
            }
            Self::Logit => known.iter().map(|(_, value)| log_odds(*value)).collect(),
            Self::Rank { k } => {
                let mut ranks = vec![0.0; known.len()];
                for (rank, place) in best_first(known.len(), |place| known[place].1.raw).into_iter().enumerate() {
                    ranks[place] = 1.0 / (f64::from(k) + rank as f64 + 1.0);
                }
                ranks
            }
            Self::Off => raws().collect(),
        }
    }
}

/// The places from 0 to `count`, highest numbers first, equal ones in their order. The two zeros are one.
pub(crate) fn best_first(count: usize, number: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|&a, &b| (number(b) + 0.0).total_cmp(&(number(a) + 0.0)));
    places
}

/// `(x - zero) / unit`; 0 where the unit is nothing, since a constant says nothing. In f64, which holds every difference of two f32.
fn scaled(numbers: impl Iterator<Item = f64>, zero: f64, unit: f64) -> Vec<f64> {
    numbers.map(|x| if unit > 0.0 { (x - zero) / unit } else { 0.0 }).collect()
}

fn log_odds(value: Value) -> f64 {
    let raw = f64::from(value.raw);
    match value.scale {
        Scale::Logit => raw,
        Scale::AsIs => {
            let p = raw.clamp(EDGE, 1.0 - EDGE);
            (p / (1.0 - p)).ln()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Normalize; 5] =
        [Normalize::MinMax, Normalize::ZScore, Normalize::Logit, Normalize::Rank { k: 60.0 }, Normalize::Off];

    fn values(raws: &[f32]) -> Vec<Option<Value>> {
        raws.iter().map(|&raw| Some(Value::as_is(raw))).collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} is not {expected:?}");
    }

    #[test]
    fn each_method_does_as_its_formula_says() {
        let some = values(&[1.0, 3.0, 2.0]);
        close(&Normalize::MinMax.apply(&some), &[0.0, 1.0, 0.5]);
        close(&Normalize::ZScore.apply(&some), &[-1.224_745, 1.224_745, 0.0]);
        close(&Normalize::Rank { k: 60.0 }.apply(&some), &[1.0 / 63.0, 1.0 / 61.0, 1.0 / 62.0]);
        close(&Normalize::Off.apply(&some), &[1.0, 3.0, 2.0]);
        close(&Normalize::Logit.apply(&values(&[0.5, 0.9, 1.0, -3.0])), &[0.0, 2.197_225, 16.118_096, -16.118_096]);
        let logits = [Some(Value { raw: -7.5, scale: Scale::Logit })];
        close(&Normalize::Logit.apply(&logits), &[-7.5]);
    }

    #[test]
    fn a_constant_says_nothing() {
        for raw in [0.1, -3e38, 3e38] {
            for method in [Normalize::MinMax, Normalize::ZScore] {
                close(&method.apply(&values(&[raw; 7])), &[0.0; 7]);
            }
        }
    }

    #[test]
    fn what_has_no_number_counts_as_the_worst_that_has_one() {
        let some = [None, Some(Value::as_is(3.0)), Some(Value::as_is(f32::NAN)), Some(Value::as_is(1.0))];
        close(&Normalize::MinMax.apply(&some), &[0.0, 1.0, 0.0, 0.0]);
        close(&Normalize::Rank { k: 1.0 }.apply(&some), &[1.0 / 3.0, 0.5, 1.0 / 3.0, 1.0 / 3.0]);
        close(&Normalize::ZScore.apply(&[None, None]), &[0.0, 0.0]);
        assert!(Normalize::MinMax.apply(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_of_a_signal_stays(raws in prop::collection::vec(prop::num::f32::NORMAL, 0..30)) {
            for method in ALL {
                let normalized = method.apply(&values(&raws));
                prop_assert!(normalized.iter().all(|x| x.is_finite()), "{:?}", normalized);
                for (a, b) in raws.iter().zip(&normalized).flat_map(|a| raws.iter().zip(&normalized).map(move |b| (a, b))) {
                    prop_assert!(a.0 <= b.0 || a.1 >= b.1, "{method:?}");
                }
            }
        }

        #[test]
        fn min_max_and_z_score_do_not_depend_on_a_signal_s_unit(
            raws in prop::collection::vec(-100.0f32..100.0, 2..30), factor in 0.5f32..4.0, offset in -50.0f32..50.0,
        ) {
            prop_assume!(raws.iter().any(|raw| (raw - raws[0]).abs() > 1.0));
            let other: Vec<f32> = raws.iter().map(|raw| raw * factor + offset).collect();
            for method in [Normalize::MinMax, Normalize::ZScore] {
                let (a, b) = (method.apply(&values(&raws)), method.apply(&values(&other)));
                prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3), "{:?} {:?}", a, b);
            }
        }
    }
}
