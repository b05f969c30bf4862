//! Measures of one query's ranking against its graded judgements. Pure: ids and grades in, a number from 0 to 1 out, equal to what
//! `ir-measures` (<https://ir-measur.es>) and the `trec_eval` under it give (`crates/evaluation/tests/reference.rs`).

use std::collections::HashSet;

use crate::judgements::Grades;

pub mod names;

/// A measure: what is counted, of how many results. Its name, to read and to show, is that of `ir-measures`: [`names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measure {
    /// What is counted.
    pub kind: Kind,
    /// The number of results that are looked at, from the first; at least 1. An answer always ends somewhere, so that every measure
    /// has one.
    pub cutoff: usize,
}

/// What is counted of the first k results. `lowest` is the lowest grade of a relevant document, at least 1; documents that were
/// not judged are not relevant. Each is 0 of a query without relevant documents, and of an empty ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Normalised discounted cumulative gain: the sum of each result's gain over log2(rank + 1), divided by that of the ideal order
    /// of all judged documents, cut at k too. Grades below 1 have no gain. Järvelin and Kekäläinen, "Cumulated
    /// gain-based evaluation of IR techniques", 2002; the discount is that of Burges et al., "Learning to rank using gradient
    /// descent", 2005.
    Ndcg(Gain),
    /// Reciprocal rank: one over the rank of the first relevant result; its mean over queries is MRR. Kantor and Voorhees, "The TREC-5
    /// confusion track", 2000.
    ReciprocalRank {
        /// The lowest grade of a relevant document.
        lowest: i32,
    },
    /// Average precision: the sum of the precision at the rank of each relevant result, over the number of all relevant documents,
    /// found or not; its mean over queries is MAP. Buckley and Voorhees, "Evaluating evaluation measure stability", 2000.
    AveragePrecision {
        /// The lowest grade of a relevant document.
        lowest: i32,
    },
    /// Recall: relevant results over all relevant documents, as `trec_eval`'s `recall_k`.
    Recall {
        /// The lowest grade of a relevant document.
        lowest: i32,
    },
    /// Precision: relevant results over k, however many results there are, as `trec_eval`'s `P_k`.
    Precision {
        /// The lowest grade of a relevant document.
        lowest: i32,
    },
    /// Success: 1 with a relevant result, else 0, as `trec_eval`'s `success_k`.
    Success {
        /// The lowest grade of a relevant document.
        lowest: i32,
    },
    /// The share of the results that were judged, whatever their grade: where it is low, the other measures say little. Its k is at
    /// most the number of results, as in `ir-measures`.
    Judged,
}

/// What a grade is worth to [`Kind::Ndcg`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gain {
    /// The grade itself: `trec_eval`'s `ndcg_cut`.
    Linear,
    /// 2^grade − 1 (Burges et al., 2005), which lets the best grades count more.
    Exponential,
}

impl Measure {
    /// The measure of one query: `ranked` are the ids of its results, best first. An id that comes again counts where it came first;
    /// after that it takes its place as one that was not judged.
    pub fn of<Id: AsRef<str>>(&self, ranked: &[Id], grades: &Grades) -> f64 {
        let mut seen = HashSet::new();
        let found: Vec<Option<i32>> = ranked
            .iter()
            .take(self.cutoff)
            .map(|id| if seen.insert(id.as_ref()) { grades.of(id.as_ref()) } else { None })
            .collect();
        let is_relevant = |lowest: i32| move |grade: &Option<i32>| grade.is_some_and(|grade| grade >= lowest);
        let relevant = |lowest: i32| found.iter().filter(|grade| is_relevant(lowest)(grade)).count();
        match self.kind {
            Kind::Ndcg(gain) => {
                let mut ideal: Vec<i32> = grades.values().collect();
                ideal.sort_unstable_by(|left, right| right.cmp(left));
                let found = found.iter().map(|grade| grade.unwrap_or(0));
                share(gain.discounted(found), gain.discounted(ideal.into_iter().take(self.cutoff))).min(1.0)
            }
            Kind::ReciprocalRank { lowest } => {
                let first = found.iter().position(is_relevant(lowest));
                first.map_or(0.0, |position| 1.0 / (position as f64 + 1.0))
            }
            Kind::AveragePrecision { lowest } => {
                let positions = (0..found.len()).filter(|position| is_relevant(lowest)(&found[*position]));
                let precisions = (1_u32..).zip(positions).map(|(so_far, at)| f64::from(so_far) / (at as f64 + 1.0));
                share(precisions.sum(), grades.relevant(lowest) as f64)
            }
            Kind::Recall { lowest } => share(relevant(lowest) as f64, grades.relevant(lowest) as f64),
            Kind::Precision { lowest } => share(relevant(lowest) as f64, self.cutoff as f64),
            Kind::Success { lowest } => f64::from(u8::from(found.iter().any(|grade| is_relevant(lowest)(grade)))),
            Kind::Judged => share(found.iter().flatten().count() as f64, found.len() as f64),
        }
    }
}

impl Gain {
    /// The discounted cumulative gain of these grades in this order, not normalised.
    fn discounted(self, grades: impl Iterator<Item = i32>) -> f64 {
        let gains = grades.map(|grade| match (self, grade.max(0)) {
            (Self::Linear, grade) => f64::from(grade),
            (Self::Exponential, grade) => f64::from(grade).exp2() - 1.0,
        });
        gains.zip(2_u32..).map(|(gain, discount)| gain / f64::from(discount).log2()).sum()
    }
}

/// `part` of `whole`; 0 of nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The mean of `values`; 0 of none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOWEST: i32 = 1;

    fn all_kinds() -> [Kind; 8] {
        let lowest = LOWEST;
        [
            Kind::Ndcg(Gain::Linear),
            Kind::Ndcg(Gain::Exponential),
            Kind::ReciprocalRank { lowest },
            Kind::AveragePrecision { lowest },
            Kind::Recall { lowest },
            Kind::Precision { lowest },
            Kind::Success { lowest },
            Kind::Judged,
        ]
    }

    fn measure(kind: Kind, cutoff: usize, ranked: &[&str], grades: &[(&str, i32)]) -> f64 {
        Measure { kind, cutoff }.of(ranked, &grades.iter().copied().collect())
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    const GRADES: [(&str, i32); 4] = [("best", 3), ("good", 2), ("fair", 1), ("bad", 0)];

    #[test]
    fn ndcg_agrees_with_a_calculation_by_hand() {
        let ranked = ["best", "unknown", "good", "fair"];
        // Gains 7, 0, 3, 1 at ranks 1 to 4; ideal 7, 3, 1.
        let found = 7.0 + 3.0 / 4.0_f64.log2() + 1.0 / 5.0_f64.log2();
        let ideal = 7.0 + 3.0 / 3.0_f64.log2() + 1.0 / 4.0_f64.log2();
        assert_close(measure(Kind::Ndcg(Gain::Exponential), 10, &ranked, &GRADES), found / ideal);
        let found = 3.0 + 2.0 / 4.0_f64.log2() + 1.0 / 5.0_f64.log2();
        let ideal = 3.0 + 2.0 / 3.0_f64.log2() + 1.0 / 4.0_f64.log2();
        assert_close(measure(Kind::Ndcg(Gain::Linear), 10, &ranked, &GRADES), found / ideal);
        // Cut at 2, the ideal is cut too.
        let ideal = 3.0 + 2.0 / 3.0_f64.log2();
        assert_close(measure(Kind::Ndcg(Gain::Linear), 2, &ranked, &GRADES), 3.0 / ideal);
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_first_result_of_the_lowest_grade() {
        let ranked = ["bad", "fair", "good", "best"];
        for (lowest, cutoff, expected) in [(1, 10, 1.0 / 2.0), (2, 10, 1.0 / 3.0), (2, 2, 0.0)] {
            assert_close(measure(Kind::ReciprocalRank { lowest }, cutoff, &ranked, &GRADES), expected);
        }
    }

    #[test]
    fn precision_is_of_all_places_and_judged_of_those_that_are_taken() {
        let ranked = ["fair", "unknown", "bad"];
        assert_close(measure(Kind::Precision { lowest: 1 }, 10, &ranked, &GRADES), 0.1);
        assert_close(measure(Kind::Judged, 10, &ranked, &GRADES), 2.0 / 3.0);
        assert_close(measure(Kind::Judged, 1, &ranked, &GRADES), 1.0);
        assert_close(measure(Kind::Recall { lowest: 1 }, 10, &ranked, &GRADES), 1.0 / 3.0);
        assert_close(
            measure(Kind::AveragePrecision { lowest: 1 }, 10, &["x", "good", "best"], &GRADES),
            (0.5 + 2.0 / 3.0) / 3.0,
        );
    }

    #[test]
    fn a_document_that_comes_twice_counts_once() {
        let ranked = ["best", "best", "best"];
        assert_close(measure(Kind::Recall { lowest: 1 }, 10, &ranked, &GRADES), 1.0 / 3.0);
        assert_close(measure(Kind::Precision { lowest: 1 }, 3, &ranked, &GRADES), 1.0 / 3.0);
        assert_close(measure(Kind::Judged, 3, &ranked, &GRADES), 1.0 / 3.0);
    }

    #[test]
    fn nothing_relevant_and_nothing_found_are_worth_nothing() {
        for kind in all_kinds() {
            assert_close(measure(kind, 10, &[], &GRADES), 0.0);
            if kind != Kind::Judged {
                assert_close(measure(kind, 10, &["a", "b"], &[("a", 0), ("b", -2)]), 0.0);
            }
        }
    }

    /// Grades of documents 0, 1, 2, …, of which `None` were not judged.
    fn judged() -> impl Strategy<Value = Vec<Option<i32>>> {
        proptest::collection::vec(proptest::option::weighted(0.8, -1..=3_i32), 1..30)
    }

    fn grades_of(judged: &[Option<i32>]) -> Grades {
        judged.iter().enumerate().filter_map(|(id, grade)| Some((id.to_string(), (*grade)?))).collect()
    }

    fn ids(judged: &[Option<i32>]) -> Vec<String> {
        (0..judged.len()).map(|id| id.to_string()).collect()
    }

    proptest! {
        #[test]
        fn every_measure_of_every_order_is_between_zero_and_one(judged in judged(), k in 1..40_usize) {
            let (ranked, grades) = (ids(&judged), grades_of(&judged));
            for kind in all_kinds() {
                let value = Measure { kind, cutoff: k }.of(&ranked, &grades);
                prop_assert!((0.0..=1.0).contains(&value), "{kind:?}: {value}");
            }
        }

        #[test]
        fn the_ideal_order_has_the_most_of_everything(judged in judged(), k in 1..40_usize) {
            let grades = grades_of(&judged);
            let ranked = ids(&judged);
            let mut ideal = ranked.clone();
            ideal.sort_by_key(|id| std::cmp::Reverse(grades.of(id).unwrap_or(0)));
            for kind in all_kinds().into_iter().filter(|kind| *kind != Kind::Judged) {
                let of = |ranked: &[String]| Measure { kind, cutoff: k }.of(ranked, &grades);
                prop_assert!(of(&ranked) <= of(&ideal) + 1e-12, "{kind:?}");
                if grades.relevant(1) > 0 && matches!(kind, Kind::Ndcg(_) | Kind::ReciprocalRank { .. } | Kind::Success { .. }) {
                    prop_assert!((of(&ideal) - 1.0).abs() < 1e-12, "{kind:?}");
                }
            }
        }

        #[test]
        fn results_behind_the_cutoff_do_not_count(judged in judged(), k in 1..15_usize) {
            let (ranked, grades) = (ids(&judged), grades_of(&judged));
            for kind in all_kinds() {
                let measure = Measure { kind, cutoff: k };
                let top = measure.of(&ranked[..k.min(ranked.len())], &grades);
                prop_assert!((measure.of(&ranked, &grades) - top).abs() < 1e-12);
            }
        }

        #[test]
        fn moving_a_better_document_up_never_hurts(judged in judged(), at in 0..29_usize, k in 1..15_usize) {
            let (ranked, grades) = (ids(&judged), grades_of(&judged));
            let grade = |at: usize| judged[at].unwrap_or(0);
            let mut improved = ranked.clone();
            if at + 1 < improved.len() && grade(at) < grade(at + 1) {
                improved.swap(at, at + 1);
            }
            for kind in all_kinds().into_iter().filter(|kind| *kind != Kind::Judged) {
                let measure = Measure { kind, cutoff: k };
                prop_assert!(measure.of(&improved, &grades) >= measure.of(&ranked, &grades) - 1e-12, "{kind:?}");
            }
        }
    }
}
