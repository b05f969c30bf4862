//! What may be chance in the difference between two runs over the same queries: an interval, tests, and what several tests at once
//! make of them. Pure: a difference for each query in, the same numbers out each time.

use crate::random::Random;

/// The number of random draws, of a test as of an interval.
pub const ROUNDS: u32 = 10_000;

/// The confidence of [`bootstrap_interval`].
pub const CONFIDENCE: f64 = 0.95;

/// The most differences other than 0 whose signs are all tried, rather than drawn: 2^14 ways, about as many as [`ROUNDS`].
const ALL_SIGNS_UP_TO: usize = 14;

/// Two measurements closer than this are a tie, and two sums equal: what rounding makes of them is no difference.
const TIE: f64 = 1e-9;

/// Seeds, so that equal differences give equal results.
const TEST_SEED: u64 = 0x5EED;
const INTERVAL_SEED: u64 = 0xB007;

/// The numbers of queries by which of two runs is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Queries that got a better measure, by more than 1e-9.
    pub wins: usize,
    /// Queries that got the same.
    pub ties: usize,
    /// Queries that got a worse one.
    pub losses: usize,
}

impl Outcomes {
    /// Counts differences, each after less before.
    pub fn of(differences: impl IntoIterator<Item = f64>) -> Self {
        let mut outcomes = Self::default();
        for difference in differences {
            let count = match difference {
                difference if difference > TIE => &mut outcomes.wins,
                difference if difference < -TIE => &mut outcomes.losses,
                _ => &mut outcomes.ties,
            };
            *count += 1;
        }
        outcomes
    }
}

/// The bounds that a mean lies within, with [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// The percentile bootstrap interval of the mean of the differences: queries are drawn [`ROUNDS`] times with replacement, as many as there
/// are, and the outermost means are left out. Both bounds are 0 of no differences.
///
/// Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; of retrieval measures, Sakai, "Evaluating evaluation
/// metrics based on the bootstrap", 2006. With few queries (below about 20) it comes out too narrow.
pub fn bootstrap_interval(differences: &[f64]) -> Interval {
    if differences.is_empty() {
        return Interval { low: 0.0, high: 0.0 };
    }
    let count = differences.len();
    let mut chance = Random::new(INTERVAL_SEED);
    let mut means: Vec<f64> =
        (0..ROUNDS).map(|_| (0..count).map(|_| differences[chance.below(count)]).sum::<f64>() / count as f64).collect();
    means.sort_unstable_by(f64::total_cmp);
    let outside = (f64::from(ROUNDS) * (1.0 - CONFIDENCE) / 2.0).round() as usize;
    Interval { low: means[outside], high: means[means.len() - 1 - outside] }
}

/// The two-sided p of a paired randomisation test: how often the mean of the differences is at least as far from zero where
/// each difference has a sign by chance. Above 0 and at most 1; the same for the same differences. Where at most 14 differ from 0 it is
/// exact, over all their signs; else it is estimated from [`ROUNDS`] draws, as (as far + 1) / (draws + 1).
///
/// Fisher's test, as Smucker, Allan and Carterette compare it with others ("A comparison of statistical significance tests for
/// information retrieval evaluation", 2007).
pub fn randomisation_p(differences: &[f64]) -> f64 {
    let observed = differences.iter().sum::<f64>().abs() - TIE;
    // The sign of 0 changes nothing.
    let signed: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if signed.len() <= ALL_SIGNS_UP_TO {
        let ways = 1_u32 << signed.len();
        let sum = |way: u32| -> f64 {
            let signs = signed.iter().enumerate();
            signs.map(|(at, difference)| if way >> at & 1 == 0 { *difference } else { -difference }).sum()
        };
        let as_far = (0..ways).filter(|way| sum(*way).abs() >= observed).count();
        return as_far as f64 / f64::from(ways);
    }
    let mut chance = Random::new(TEST_SEED);
    let as_far = (0..ROUNDS).filter(|_| {
        let sum: f64 =
            differences.iter().map(|difference| if chance.next() >> 63 == 0 { *difference } else { -difference }).sum();
        sum.abs() >= observed
    });
    (as_far.count() + 1) as f64 / f64::from(ROUNDS + 1)
}

/// The p of each of several tests, corrected for there being several, in the order of `ps`: whoever calls significant what is below a
/// level is wrong about any of them no oftener than that level says, however the tests depend on each other.
///
/// Holm, "A simple sequentially rejective multiple test procedure", 1979, as adjusted p: of m in ascending order the i-th becomes the
/// largest of (m − j + 1) · p_j for j ≤ i, at most 1.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|left, right| ps[*left].total_cmp(&ps[*right]));
    let mut adjusted = vec![1.0; ps.len()];
    let mut largest = 0.0_f64;
    for (rank, place) in order.into_iter().enumerate() {
        largest = largest.max((ps.len() - rank) as f64 * ps[place]).min(1.0);
        adjusted[place] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn a_few_pairs_have_the_p_of_all_their_signs() {
        // Of the 16 ways to give four equal differences their signs, two have a sum as far from zero.
        assert_close(randomisation_p(&[0.1; 4]), 2.0 / 16.0);
        // Of 1, 1 and -1, all but the two of three equal signs are as near as the observed one, and these are farther.
        assert_close(randomisation_p(&[1.0, 1.0, -1.0]), 1.0);
        // 6, 4 and 3 can be 13, 7, 5 and 1 apart; 7 is as far as half of these are.
        assert_close(randomisation_p(&[6.0, 4.0, -3.0]), 0.5);
        assert_close(randomisation_p(&[0.0, 6.0, 0.0, 4.0, -3.0]), 0.5);
    }

    #[test]
    fn drawn_signs_come_near_to_all_signs() {
        // 15 differences of 1, 11 of them better: as far are 0 to 4 and 11 to 15 better, of 2^15 ways.
        let differences: Vec<f64> = (0..15).map(|n| if n < 11 { 1.0 } else { -1.0 }).collect();
        let exact = 2.0 * f64::from(1 + 15 + 105 + 455 + 1365) / f64::from(1 << 15);
        let p = randomisation_p(&differences);
        assert!((p - exact).abs() < 0.012, "{p} is not near {exact}");
    }

    #[test]
    fn what_is_always_better_is_no_chance_and_what_is_as_often_worse_is() {
        assert!(randomisation_p(&[0.1; 30]) < 0.001);
        let even: Vec<f64> = (0..40).map(|n| if n % 2 == 0 { 0.2 } else { -0.2 }).collect();
        assert!(randomisation_p(&even) > 0.9);
        assert_close(randomisation_p(&[]), 1.0);
    }

    #[test]
    fn the_interval_is_as_wide_as_the_deviation_of_the_mean_says() {
        // Means of 400 differences, half of them 0 and half 1, deviate by 0.5 / √400 = 0.025: 95 % lie within 1.96 of that.
        let differences: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let Interval { low, high } = bootstrap_interval(&differences);
        assert!((low - (0.5 - 0.049)).abs() < 0.003 && (high - (0.5 + 0.049)).abs() < 0.003, "{low} to {high}");
    }

    #[test]
    fn equal_runs_have_no_width_and_no_significance() {
        let none = [0.0; 50];
        assert_eq!(bootstrap_interval(&none), Interval { low: 0.0, high: 0.0 });
        assert_close(randomisation_p(&none), 1.0);
        assert_eq!(Outcomes::of(none), Outcomes { wins: 0, ties: 50, losses: 0 });
        assert_eq!(bootstrap_interval(&[]), Interval { low: 0.0, high: 0.0 });
    }

    #[test]
    fn outcomes_do_not_mistake_rounding_for_a_win() {
        let differences = [0.3, -0.1, 0.1 + 0.2 - 0.3, 0.0];
        assert_eq!(Outcomes::of(differences), Outcomes { wins: 1, ties: 2, losses: 1 });
    }

    #[test]
    fn holm_agrees_with_a_calculation_by_hand() {
        // In ascending order 0.005 · 4, 0.01 · 3, 0.03 · 2, and 0.04 · 1, which may not be below the one before it.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert_close(found, expected);
        }
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    fn differences() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(-1.0..1.0_f64, 0..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn swapping_the_two_runs_mirrors_everything(differences in differences()) {
            let swapped: Vec<f64> = differences.iter().map(|difference| -difference).collect();
            let p = randomisation_p(&differences);
            prop_assert!(p > 0.0 && p <= 1.0);
            prop_assert!((p - randomisation_p(&swapped)).abs() < 1e-12);
            let (interval, mirrored) = (bootstrap_interval(&differences), bootstrap_interval(&swapped));
            prop_assert!((interval.low + mirrored.high).abs() < 1e-12 && (interval.high + mirrored.low).abs() < 1e-12);
            let (outcomes, turned) = (Outcomes::of(differences.iter().copied()), Outcomes::of(swapped));
            prop_assert_eq!((outcomes.wins, outcomes.ties, outcomes.losses), (turned.losses, turned.ties, turned.wins));
        }

        #[test]
        fn the_interval_lies_around_the_mean_and_within_the_differences(differences in proptest::collection::vec(-1.0..1.0_f64, 20..60)) {
            let Interval { low, high } = bootstrap_interval(&differences);
            let mean = differences.iter().sum::<f64>() / differences.len() as f64;
            prop_assert!(low - 1e-12 <= mean && mean <= high + 1e-12);
            let (least, most) = differences.iter().fold((1.0_f64, -1.0_f64), |(least, most), d| (least.min(*d), most.max(*d)));
            prop_assert!(least - 1e-12 <= low && high <= most + 1e-12);
        }
    }

    proptest! {
        #[test]
        fn holm_keeps_the_order_and_makes_no_p_smaller(ps in proptest::collection::vec(0.0..=1.0_f64, 0..12)) {
            let adjusted = holm(&ps);
            for (p, after) in ps.iter().zip(&adjusted) {
                prop_assert!(p <= after && *after <= 1.0);
            }
            for (left, left_after) in ps.iter().zip(&adjusted) {
                for (right, right_after) in ps.iter().zip(&adjusted) {
                    prop_assert!(left > right || left_after <= right_after);
                }
            }
        }
    }
}
