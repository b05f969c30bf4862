//! Whether a difference between two runs may be chance: the paired randomisation test. Pure.

/// The number of random assignments that the observed one is held against.
pub const ROUNDS: u32 = 10_000;

/// The two-sided p of a paired randomisation test: how often the mean of the differences is at least as far from zero where
/// each difference has a sign by chance. In 1/([`ROUNDS`] + 1)..=1; the same for the same differences.
///
/// Fisher's test, as Smucker, Allan and Carterette compare it with others ("A comparison of statistical significance tests for
/// information retrieval evaluation", 2007).
pub fn randomisation_p(differences: &[f64]) -> f64 {
    // What rounding makes of equal sums in different orders is no difference.
    let tolerance = 1e-9;
    let observed = differences.iter().sum::<f64>().abs() - tolerance;
    let mut chance = SplitMix(0x5EED);
    let as_far = (0..ROUNDS).filter(|_| {
        let sum: f64 =
            differences.iter().map(|difference| if chance.next() >> 63 == 0 { *difference } else { -difference }).sum();
        sum.abs() >= observed
    });
    (as_far.count() + 1) as f64 / f64::from(ROUNDS + 1)
}

/// Steele, Lea and Flood's generator ("Fast splittable pseudorandom number generators", 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_pairs_have_the_p_of_all_their_signs() {
        // Of the 16 ways to give four equal differences their signs, two have a sum as far from zero.
        let p = randomisation_p(&[0.1; 4]);
        assert!((p - 2.0 / 16.0).abs() < 0.015, "{p}");
        // Of 1, 1 and -1, all but the two of three equal signs are as near as the observed one, and these are farther.
        assert!((randomisation_p(&[1.0, 1.0, -1.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_always_better_is_no_chance_and_what_is_as_often_worse_is() {
        assert!(randomisation_p(&[0.1; 30]) < 0.001);
        let even: Vec<f64> = (0..40).map(|n| if n % 2 == 0 { 0.2 } else { -0.2 }).collect();
        assert!(randomisation_p(&even) > 0.9);
        assert!((randomisation_p(&[]) - 1.0).abs() < 1e-12, "nothing was observed");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn it_does_not_matter_which_of_the_two_runs_is_the_first(differences in proptest::collection::vec(-1.0..1.0_f64, 0..20)) {
            let turned: Vec<f64> = differences.iter().map(|difference| -difference).collect();
            let p = randomisation_p(&differences);
            prop_assert!(p > 0.0 && p <= 1.0);
            prop_assert!((p - randomisation_p(&turned)).abs() < 1e-12);
        }
    }
}
