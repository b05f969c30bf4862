//! How far what two graphs say of the same pairs is apart. Pure arithmetic, in double precision.

use std::sync::Arc;

/// What a graph says of all probe pairs.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// For each query the score of each passage: the logit, or the cosine of the two vectors.
    pub(super) scores: Vec<Vec<f64>>,
    /// Every vector, for a bi-encoder.
    pub(super) vectors: Vec<Arc<[f32]>>,
    /// The time of its thread that all runs took, in seconds.
    pub(super) seconds: f64,
    /// The number of runs.
    pub(super) runs: usize,
}

/// The largest distance of a pair: of logits relative to the larger of 1 and the logit, of vectors 1 - cosine.
pub(super) fn worst(a: &Said, reference: &Said) -> f64 {
    let logits = pairs(a, reference).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    let vectors = angles(a, reference);
    // `max` would leave a NaN out.
    let largest = |worst: f64, distance: f64| if distance > worst || distance.is_nan() { distance } else { worst };
    if a.vectors.is_empty() { logits.fold(0.0, largest) } else { vectors.fold(0.0, largest) }
}

/// The root of the mean square of all distances: of logits, or between vectors of length 1.
pub(super) fn rms(a: &Said, reference: &Said) -> f64 {
    match a.vectors.is_empty() {
        true => root_mean(pairs(a, reference).map(|(a, b)| (a - b).powi(2))),
        false => root_mean(angles(a, reference).map(|angle| 2.0 * angle.max(0.0))),
    }
}

/// The length that [`rms`] is compared with: the standard deviation of the logits, or the length of a vector.
pub(super) fn spread(said: &Said) -> f64 {
    if !said.vectors.is_empty() {
        return 1.0;
    }
    let all: Vec<f64> = said.scores.iter().flatten().copied().collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    root_mean(all.iter().map(|score| (score - mean).powi(2)))
}

/// Spearman's rank correlation of the passages of a query, the mean over all queries. No number where a score is none: what cannot be
/// compared would all have one rank.
pub(super) fn rank_correlation(a: &Said, reference: &Said) -> f64 {
    if pairs(a, reference).any(|(a, b)| a.is_nan() || b.is_nan()) {
        return f64::NAN;
    }
    let each = a.scores.iter().zip(&reference.scores).map(|(a, b)| correlation(&ranks(a), &ranks(b)));
    each.sum::<f64>() / a.scores.len() as f64
}

/// The cosine of two vectors.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

fn pairs<'a>(a: &'a Said, b: &'a Said) -> impl Iterator<Item = (f64, f64)> + 'a {
    a.scores.iter().flatten().copied().zip(b.scores.iter().flatten().copied())
}

fn angles<'a>(a: &'a Said, b: &'a Said) -> impl Iterator<Item = f64> + 'a {
    a.vectors.iter().zip(&b.vectors).map(|(a, b)| 1.0 - cosine(a, b))
}

fn root_mean(squares: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = squares.fold((0.0, 0_usize), |(sum, count), square| (sum + square, count + 1));
    (sum / count as f64).sqrt()
}

/// The rank of each value; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let above = values.iter().filter(|other| *other > value).count();
        (below + values.len() - above) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

/// Pearson's correlation; 1 where neither varies.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
    let together = sum(&mut a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)));
    let alone = |values: &[f64], mean: f64| sum(&mut values.iter().map(|value| (value - mean).powi(2)));
    let (a, b) = (alone(a, mean_a), alone(b, mean_b));
    if a == 0.0 && b == 0.0 { 1.0 } else { together / (a * b).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(scores: &[&[f64]]) -> Said {
        Said { scores: scores.iter().map(|scores| scores.to_vec()).collect(), ..Said::default() }
    }

    #[test]
    fn distances_are_relative_to_large_logits_only() {
        let (a, b) = (logits(&[&[0.5, 11.0]]), logits(&[&[0.25, 10.0]]));
        assert!((worst(&a, &b) - 0.25).abs() < 1e-12);
        assert!((rms(&a, &b) - 0.531_25_f64.sqrt()).abs() < 1e-12);
        assert!((spread(&b) - 4.875).abs() < 1e-12);
        assert!(worst(&logits(&[&[f64::NAN, 1.0]]), &b).is_nan());
    }

    #[test]
    fn the_order_counts_and_not_the_distance() {
        let reference = logits(&[&[1.0, 2.0, 3.0, 4.0]]);
        assert!((rank_correlation(&logits(&[&[1.0, 2.0, 3.0, 400.0]]), &reference) - 1.0).abs() < 1e-12);
        assert!((rank_correlation(&logits(&[&[4.0, 3.0, 2.0, 1.0]]), &reference) + 1.0).abs() < 1e-12);
        assert!((rank_correlation(&logits(&[&[1.0, 2.0, 4.0, 3.0]]), &reference) - 0.8).abs() < 1e-12);
        assert!((rank_correlation(&logits(&[&[1.0, 1.0]]), &logits(&[&[2.0, 2.0]])) - 1.0).abs() < 1e-12);
        let none = logits(&[&[f64::NAN; 4]]);
        assert!(rank_correlation(&none, &none).is_nan() && rank_correlation(&reference, &none).is_nan());
    }

    #[test]
    fn vectors_are_compared_by_their_angle() {
        let said = |vector: &[f32]| Said { vectors: vec![vector.into()], ..Said::default() };
        assert!(worst(&said(&[2.0, 0.0]), &said(&[1.0, 0.0])).abs() < 1e-12);
        assert!((rms(&said(&[1.0, 0.0]), &said(&[0.0, 1.0])) - 2.0_f64.sqrt()).abs() < 1e-12);
    }
}
