//! Calibration: the logistic curve that makes a probability of models' numbers, fitted to judgements, so that a threshold means
//! something. Owns the fit and what it is worth; the curve itself is [`ranking::calibration`]'s.
//!
//! Platt, "Probabilistic outputs for support vector machines", 1999, with his targets, which keep a curve from becoming a step where
//! judgements can be told apart; Newton's method with halved steps, as in Lin, Lin and Weng, "A note on Platt's probabilistic outputs",
//! 2007.

use ranking::calibration::Curve;

/// What is known of one hit that was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The numbers of the signals, all finite and as many for every hit.
    pub numbers: Vec<f32>,
    /// Whether it is good.
    pub good: bool,
}

/// What a curve is worth on hits that it was not fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// The mean of −ln(the probability that was given to what turned out): 0 is perfect.
    pub log_loss: f64,
    /// The same of somebody who gives each hit the share of good ones: a curve that is no better knows nothing.
    pub log_loss_of_the_share: f64,
}

/// A threshold, and what is above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The probability.
    pub least: f32,
    /// How many of what is above are good; 1 where nothing is above.
    pub precision: f64,
    /// How many of the good ones are above.
    pub recall: f64,
}

const STEPS: usize = 100;
const HALVINGS: usize = 30;
/// Keeps the matrix one that has an inverse where two signals say the same.
const RIDGE: f64 = 1e-9;

/// The curve that fits these hits best; `signals` are the places that its slopes get, one for each number. `None` where all are good,
/// or none is, or there are no numbers.
pub fn fit(judged: &[Judged], signals: &[usize]) -> Option<Curve> {
    let good = judged.iter().filter(|hit| hit.good).count();
    let poor = judged.len() - good;
    if good == 0 || poor == 0 || signals.is_empty() {
        return None;
    }
    // Platt's targets.
    let (high, low) = ((good as f64 + 1.0) / (good as f64 + 2.0), 1.0 / (poor as f64 + 2.0));
    let scaling = Scaling::of(judged, signals.len());
    let rows: Vec<(Vec<f64>, f64)> =
        judged.iter().map(|hit| (scaling.scaled(&hit.numbers), if hit.good { high } else { low })).collect();
    let mut weights = vec![0.0; signals.len() + 1];
    weights[0] = ((good as f64 + 1.0) / (poor as f64 + 1.0)).ln();
    let mut loss = loss_of(&rows, &weights);
    for _ in 0..STEPS {
        let step = newton_step(&rows, &weights)?;
        let mut size = 1.0;
        let better = (0..HALVINGS).find_map(|_| {
            let tried: Vec<f64> = weights.iter().zip(&step).map(|(weight, step)| weight - size * step).collect();
            size /= 2.0;
            let found = loss_of(&rows, &tried);
            (found < loss).then_some((tried, found))
        });
        let Some((tried, found)) = better else { break };
        let is_settled = loss - found < 1e-12 * (1.0 + loss);
        (weights, loss) = (tried, found);
        if is_settled {
            break;
        }
    }
    Some(scaling.curve(&weights, signals))
}

/// What curves are worth that are fitted to other queries' hits: each fifth of `queries`, in turn, is measured by the curve of the
/// rest. `None` where some part cannot be fitted.
pub fn worth(queries: &[Vec<Judged>], signals: &[usize]) -> Option<Worth> {
    const FOLDS: usize = 5;
    let (mut loss, mut of_share, mut count) = (0.0, 0.0, 0);
    for fold in 0..FOLDS {
        let (held, train): (Vec<_>, Vec<_>) = queries.iter().enumerate().partition(|(at, _)| at % FOLDS == fold);
        let train: Vec<Judged> = train.into_iter().flat_map(|(_, hits)| hits.iter().cloned()).collect();
        let curve = fit(&train, signals)?;
        let share = train.iter().filter(|hit| hit.good).count() as f64 / train.len() as f64;
        for hit in held.into_iter().flat_map(|(_, hits)| hits) {
            let of = |probability: f64| -(if hit.good { probability } else { 1.0 - probability }).max(1e-12).ln();
            loss += of(f64::from(probability(&curve, hit)));
            of_share += of(share);
            count += 1;
        }
    }
    let count = f64::from(u32::try_from(count).ok().filter(|count| *count > 0)?);
    Some(Worth { log_loss: loss / count, log_loss_of_the_share: of_share / count })
}

/// What thresholds of .1, .2, … .9 let through.
pub fn thresholds(judged: &[Judged], curve: &Curve) -> Vec<Threshold> {
    let known: Vec<(f32, bool)> = judged.iter().map(|hit| (probability(curve, hit), hit.good)).collect();
    let good = known.iter().filter(|(_, good)| *good).count();
    let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    let at = |tenths: u8| {
        let least = f32::from(tenths) / 10.0;
        let above = known.iter().filter(|(probability, _)| *probability >= least);
        let (count, hits) = above.fold((0, 0), |(count, hits), (_, good)| (count + 1, hits + usize::from(*good)));
        Threshold { least, precision: share(hits, count), recall: share(hits, good) }
    };
    (1..10).map(at).collect()
}

fn probability(curve: &Curve, hit: &Judged) -> f32 {
    let mut place = hit.numbers.iter();
    // The slopes are in the order of the numbers.
    let numbers: Vec<(usize, f32)> =
        curve.slopes.iter().filter_map(|(signal, _)| Some((*signal, *place.next()?))).collect();
    let number = |signal| numbers.iter().find(|(of, _)| *of == signal).map(|(_, number)| *number);
    curve.probability(number).unwrap_or_default()
}

/// Makes numbers of any unit ones around 0, as wide as 1, where Newton's method is at ease.
struct Scaling {
    means: Vec<f64>,
    widths: Vec<f64>,
}

impl Scaling {
    fn of(judged: &[Judged], signals: usize) -> Scaling {
        let count = judged.len() as f64;
        let column = |signal: usize| judged.iter().map(move |hit| f64::from(hit.numbers[signal]));
        let means: Vec<f64> = (0..signals).map(|signal| column(signal).sum::<f64>() / count).collect();
        let width = |(signal, mean): (usize, &f64)| {
            let variance = column(signal).map(|number| (number - mean).powi(2)).sum::<f64>() / count;
            if variance > 0.0 { variance.sqrt() } else { 1.0 }
        };
        Scaling { widths: means.iter().enumerate().map(width).collect(), means }
    }

    fn scaled(&self, numbers: &[f32]) -> Vec<f64> {
        let scaled = numbers.iter().zip(self.means.iter().zip(&self.widths));
        scaled.map(|(number, (mean, width))| (f64::from(*number) - mean) / width).collect()
    }

    /// The curve over the numbers as they come.
    fn curve(&self, weights: &[f64], signals: &[usize]) -> Curve {
        let slopes: Vec<f64> = weights[1..].iter().zip(&self.widths).map(|(weight, width)| weight / width).collect();
        let shift: f64 = slopes.iter().zip(&self.means).map(|(slope, mean)| slope * mean).sum();
        let slopes = signals.iter().copied().zip(slopes.iter().map(|slope| *slope as f32)).collect();
        Curve { slopes, offset: (weights[0] - shift) as f32 }
    }
}

fn sum_of(row: &[f64], weights: &[f64]) -> f64 {
    weights[0] + row.iter().zip(&weights[1..]).map(|(number, weight)| number * weight).sum::<f64>()
}

/// The cross-entropy, in a form that does not overflow.
fn loss_of(rows: &[(Vec<f64>, f64)], weights: &[f64]) -> f64 {
    rows.iter()
        .map(|(row, target)| {
            let sum = sum_of(row, weights);
            let soft = if sum > 0.0 { sum + (-sum).exp().ln_1p() } else { sum.exp().ln_1p() };
            soft - target * sum
        })
        .sum()
}

/// The step that Newton's method takes: the inverse of the Hessian times the gradient.
fn newton_step(rows: &[(Vec<f64>, f64)], weights: &[f64]) -> Option<Vec<f64>> {
    let size = weights.len();
    let mut system = vec![vec![0.0; size + 1]; size];
    for (row, target) in rows {
        let probability = 1.0 / (1.0 + (-sum_of(row, weights)).exp());
        let number = |at: usize| if at == 0 { 1.0 } else { row[at - 1] };
        for (down, line) in system.iter_mut().enumerate() {
            for (across, cell) in line[..size].iter_mut().enumerate() {
                *cell += probability * (1.0 - probability) * number(down) * number(across);
            }
            line[size] += (probability - target) * number(down);
        }
    }
    for (place, line) in system.iter_mut().enumerate() {
        line[place] += RIDGE * rows.len() as f64;
    }
    solved(system)
}

/// The solution of a system of linear equations, by elimination with the largest pivot.
fn solved(mut system: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = system.len();
    for column in 0..size {
        let pivot = (column..size).max_by(|a, b| system[*a][column].abs().total_cmp(&system[*b][column].abs()))?;
        system.swap(column, pivot);
        if system[column][column].abs() < f64::MIN_POSITIVE {
            return None;
        }
        let line = system[column].clone();
        for other in (0..size).filter(|other| *other != column) {
            let factor = system[other][column] / line[column];
            for (cell, value) in system[other].iter_mut().zip(&line) {
                *cell -= factor * value;
            }
        }
    }
    Some((0..size).map(|place| system[place][size] / system[place][place]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Hits whose probability is that of a curve.
    fn drawn(count: usize, slopes: &[f64], offset: f64, seed: u64) -> Vec<Judged> {
        let mut chance = Random::new(seed);
        (0..count)
            .map(|_| {
                let numbers: Vec<f32> = slopes.iter().map(|_| (chance.unit() * 8.0 - 4.0) as f32).collect();
                let sum: f64 = numbers.iter().zip(slopes).map(|(number, slope)| f64::from(*number) * slope).sum();
                Judged { numbers, good: chance.unit() < 1.0 / (1.0 + (-(sum + offset)).exp()) }
            })
            .collect()
    }

    #[test]
    fn the_curve_that_hits_were_drawn_from_is_found() {
        let curve = fit(&drawn(20_000, &[1.5, -0.5], -1.0, 1), &[3, 7]).expect("a curve");
        assert_eq!(curve.slopes.iter().map(|(signal, _)| *signal).collect::<Vec<_>>(), [3, 7]);
        let [(_, first), (_, second)] = curve.slopes[..] else { panic!("{curve:?}") };
        assert!(
            (first - 1.5).abs() < 0.1 && (second + 0.5).abs() < 0.05 && (curve.offset + 1.0).abs() < 0.1,
            "{curve:?}"
        );
    }

    #[test]
    fn hits_that_can_be_told_apart_make_no_step() {
        let hits: Vec<Judged> = (0..40).map(|at| Judged { numbers: vec![at as f32], good: at >= 20 }).collect();
        let curve = fit(&hits, &[0]).expect("a curve");
        let at = |number: f32| curve.probability(|_| Some(number)).expect("a number");
        assert!(at(0.0) < 0.1 && at(39.0) > 0.9 && (0.3..0.7).contains(&at(19.5)), "{curve:?}");
    }

    #[test]
    fn there_is_none_where_there_is_nothing_to_tell() {
        let one = |good| Judged { numbers: vec![1.0], good };
        assert_eq!(fit(&[one(true), one(true)], &[0]), None);
        assert_eq!(fit(&[one(false)], &[0]), None);
        assert_eq!(fit(&[], &[0]), None);
        // The same number for all: the share of good ones.
        let curve = fit(&[one(true), one(false), one(false), one(false)], &[0]).expect("a curve");
        assert!((curve.probability(|_| Some(1.0)).expect("a number") - 0.3).abs() < 0.05, "{curve:?}");
    }

    #[test]
    fn a_curve_is_worth_more_than_the_share_only_where_numbers_say_something() {
        let by_query = |hits: Vec<Judged>| hits.chunks(20).map(<[Judged]>::to_vec).collect::<Vec<_>>();
        let known = worth(&by_query(drawn(2000, &[1.5], -1.0, 2)), &[0]).expect("curves");
        assert!(known.log_loss < known.log_loss_of_the_share - 0.1, "{known:?}");
        let unknown = worth(&by_query(drawn(2000, &[0.0], -1.0, 3)), &[0]).expect("curves");
        assert!((unknown.log_loss - unknown.log_loss_of_the_share).abs() < 0.01, "{unknown:?}");
    }

    #[test]
    fn a_higher_threshold_lets_less_through() {
        let hits = drawn(2000, &[1.5], -1.0, 4);
        let curve = fit(&hits, &[0]).expect("a curve");
        let found = thresholds(&hits, &curve);
        assert!(found.windows(2).all(|two| two[0].recall >= two[1].recall && two[0].least < two[1].least), "{found:?}");
        // What is calibrated is at least as good as it says.
        assert!(found.iter().all(|threshold| threshold.precision >= f64::from(threshold.least) - 0.05), "{found:?}");
    }
}
