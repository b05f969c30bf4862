//! Measures of a ranking against graded judgements. Pure: grades in, numbers out.

/// The highest grade a judgement may have.
pub const MAX_GRADE: u8 = 3;

/// The lowest grade that counts as an answer for [`reciprocal_rank_at`]. Grade 1 means "on the subject, but does not
/// answer": finding only that is no success. TREC's deep learning tracks binarise their 0–3 passage grades at 2 for the
/// same reason (Craswell et al., "Overview of the TREC 2019 deep learning track", 2020).
pub const ANSWER_GRADE: u8 = 2;

/// Normalised discounted cumulative gain of the first `k` results, in 0..=1; 1 is an order that could not be better.
///
/// `ranked` are the grades of the results in their order, 0 for unjudged ones; `judged` the grades of all judged
/// passages of the query, in any order, from which the ideal ranking is made. `None` when no passage has a grade above
/// 0 (nothing can be found, so nothing can be measured) or `k` is 0.
///
/// Cumulated gain and its discount are Järvelin and Kekäläinen's ("Cumulated gain-based evaluation of IR techniques",
/// 2002); the exponential gain 2^grade − 1 and the discount log2(rank + 1) are those of Burges et al. ("Learning to rank
/// using gradient descent", 2005).
pub fn ndcg_at(k: usize, ranked: &[u8], judged: &[u8]) -> Option<f64> {
    let mut ideal = judged.to_vec();
    ideal.sort_unstable_by(|left, right| right.cmp(left));
    let best = dcg_at(k, &ideal);
    (best > 0.0).then(|| (dcg_at(k, ranked) / best).min(1.0))
}

/// Discounted cumulative gain of the first `k` grades, not normalised.
fn dcg_at(k: usize, grades: &[u8]) -> f64 {
    let gains = grades.iter().take(k).map(|grade| f64::from(*grade).exp2() - 1.0);
    gains.zip(2_u32..).map(|(gain, discount)| gain / f64::from(discount).log2()).sum()
}

/// One over the rank of the first answer among the first `k` results, 0 without one; its mean over queries is MRR@k.
/// An answer is a passage of at least [`ANSWER_GRADE`].
pub fn reciprocal_rank_at(k: usize, ranked: &[u8]) -> f64 {
    let first = ranked.iter().take(k).position(|grade| *grade >= ANSWER_GRADE);
    first.map_or(0.0, |position| 1.0 / (position as f64 + 1.0))
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

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn ndcg_agrees_with_a_calculation_by_hand() {
        // Gains 7, 0, 3, 1 at ranks 1 to 4; ideal 7, 3, 1.
        let found = 7.0 + 3.0 / 4.0_f64.log2() + 1.0 / 5.0_f64.log2();
        let ideal = 7.0 + 3.0 / 3.0_f64.log2() + 1.0 / 4.0_f64.log2();
        assert_close(ndcg_at(10, &[3, 0, 2, 1], &[1, 2, 3, 0]).unwrap(), found / ideal);
        // Cut at 2, the ideal is cut too.
        assert_close(ndcg_at(2, &[3, 0, 2, 1], &[1, 2, 3, 0]).unwrap(), 7.0 / (7.0 + 3.0 / 3.0_f64.log2()));
        // A relevant passage at rank 2 instead of 1.
        assert_close(ndcg_at(10, &[0, 3], &[3]).unwrap(), 1.0 / 3.0_f64.log2());
    }

    #[test]
    fn nothing_relevant_cannot_be_measured() {
        assert_eq!(ndcg_at(10, &[0, 0], &[0, 0]), None);
        assert_eq!(ndcg_at(10, &[], &[]), None);
        assert_eq!(ndcg_at(0, &[3], &[3]), None);
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_first_answer() {
        assert_close(reciprocal_rank_at(10, &[0, 1, 2, 3]), 1.0 / 3.0);
        assert_close(reciprocal_rank_at(10, &[3, 3]), 1.0);
        assert_close(reciprocal_rank_at(2, &[1, 0, 3]), 0.0);
        assert_close(reciprocal_rank_at(10, &[]), 0.0);
    }

    fn grades() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(0..=MAX_GRADE, 1..30)
    }

    proptest! {
        #[test]
        fn every_order_scores_between_zero_and_one(judged in grades(), k in 1..15_usize) {
            if let Some(ndcg) = ndcg_at(k, &judged, &judged) {
                prop_assert!((0.0..=1.0).contains(&ndcg));
            }
            prop_assert!((0.0..=1.0).contains(&reciprocal_rank_at(k, &judged)));
        }

        #[test]
        fn the_ideal_order_scores_one_and_no_order_scores_more(judged in grades(), k in 1..15_usize) {
            let mut ideal = judged.clone();
            ideal.sort_unstable_by(|left, right| right.cmp(left));
            if let Some(best) = ndcg_at(k, &ideal, &judged) {
                prop_assert!((best - 1.0).abs() < 1e-12);
                prop_assert!(ndcg_at(k, &judged, &judged).unwrap() <= best);
            }
        }

        #[test]
        fn an_irrelevant_result_cannot_be_told_from_another(judged in grades(), extra in grades()) {
            let unjudged: Vec<u8> = judged.iter().copied().chain(extra.iter().map(|_| 0)).collect();
            prop_assert_eq!(ndcg_at(10, &judged, &judged), ndcg_at(10, &unjudged, &judged));
        }

        #[test]
        fn moving_a_better_passage_up_never_hurts(judged in grades(), at in 0..29_usize, k in 1..15_usize) {
            let mut improved = judged.clone();
            if at + 1 < improved.len() && improved[at] < improved[at + 1] {
                improved.swap(at, at + 1);
            }
            prop_assert!(ndcg_at(k, &improved, &judged) >= ndcg_at(k, &judged, &judged));
            prop_assert!(reciprocal_rank_at(k, &improved) >= reciprocal_rank_at(k, &judged));
        }
    }
}
