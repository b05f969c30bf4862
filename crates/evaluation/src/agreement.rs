//! How far two rankings of the same query agree, without any judgement. Pure: ids in, best first, numbers out. Ids that come again in a
//! ranking count where they came first.

use std::collections::{HashMap, HashSet};

/// The persistence that [`rank_biased_overlap`] is usually told with: the first ten ranks have 86 % of the weight.
pub const PERSISTENCE: f64 = 0.9;

/// The share of the first `k` results that both rankings have, in 0..=1; where the rankings are shorter, of as many as the longer one
/// has. 1 of two empty ones.
pub fn overlap_at<Id: AsRef<str>>(k: usize, left: &[Id], right: &[Id]) -> f64 {
    let (left, right) = (distinct(left), distinct(right));
    let top = |ids: &[&str]| ids.len().min(k);
    let (left, right) = (&left[..top(&left)], &right[..top(&right)]);
    let longer = left.len().max(right.len());
    if longer == 0 {
        return 1.0;
    }
    let there: HashSet<&&str> = left.iter().collect();
    right.iter().filter(|id| there.contains(id)).count() as f64 / longer as f64
}

/// Rank-biased overlap, extrapolated (RBO_ext), in 0..=1: the mean overlap of the two rankings' tops over all depths, where depth d + 1 weighs
/// `persistence` (between 0 and 1) times as much as d, so that the first ranks count most; what lies beyond the ends is taken to agree
/// as the ends do. 1 of two empty rankings, 0 where one is empty.
///
/// Equation 32 of Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", 2010, which allows for lengths that
/// differ: with s and l the lengths, X_d the overlap at depth d and p the persistence,
///
/// ```text
/// RBO_ext = (1 − p)/p · (Σ_{d=1..l} X_d/d · p^d  +  Σ_{d=s+1..l} X_s·(d − s)/(s·d) · p^d)  +  ((X_l − X_s)/l + X_s/s) · p^l
/// ```
pub fn rank_biased_overlap<Id: AsRef<str>>(persistence: f64, left: &[Id], right: &[Id]) -> f64 {
    let (left, right) = (distinct(left), distinct(right));
    let (shorter, longer) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    if shorter.is_empty() {
        return if longer.is_empty() { 1.0 } else { 0.0 };
    }
    let mut seen = HashSet::new();
    let (mut overlap, mut overlap_at_shorter) = (0.0, 0.0);
    let (mut sum, mut weight) = (0.0, 1.0);
    let short = shorter.len() as f64;
    for (at, id) in longer.iter().enumerate() {
        // An id is in both tops as soon as it comes the second time.
        let new = [Some(id), shorter.get(at)].into_iter().flatten().filter(|id| !seen.insert(**id)).count();
        overlap += new as f64;
        weight *= persistence;
        let depth = at as f64 + 1.0;
        sum += overlap / depth * weight;
        if at < shorter.len() {
            overlap_at_shorter = overlap;
        } else {
            sum += overlap_at_shorter * (depth - short) / (short * depth) * weight;
        }
    }
    let end = (overlap - overlap_at_shorter) / longer.len() as f64 + overlap_at_shorter / short;
    ((1.0 - persistence) / persistence * sum + end * weight).clamp(0.0, 1.0)
}

/// The mean number of places between an id's ranks in both rankings, over the ids that both have; `None` without one. It is Spearman's
/// footrule over those ids, divided by their number (Diaconis and Graham, "Spearman's footrule as a measure of disarray", 1977).
pub fn mean_displacement<Id: AsRef<str>>(left: &[Id], right: &[Id]) -> Option<f64> {
    let places: HashMap<&str, usize> = distinct(left).into_iter().enumerate().map(|(at, id)| (id, at)).collect();
    let moves = distinct(right).into_iter().enumerate().filter_map(|(at, id)| Some(places.get(id)?.abs_diff(at)));
    let (sum, count) = moves.fold((0, 0_usize), |(sum, count), places| (sum + places, count + 1));
    (count > 0).then(|| sum as f64 / count as f64)
}

/// The ids, each where it came first.
fn distinct<Id: AsRef<str>>(ids: &[Id]) -> Vec<&str> {
    let mut seen = HashSet::new();
    ids.iter().map(AsRef::as_ref).filter(|id| seen.insert(*id)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn overlap_is_the_share_of_the_tops_that_both_have() {
        assert_close(overlap_at(3, &ids("a b c d"), &ids("b a d c")), 2.0 / 3.0);
        assert_close(overlap_at(10, &ids("a b"), &ids("a b c d")), 0.5);
        assert_close(overlap_at(10, &ids("a a b"), &ids("a b")), 1.0);
        assert_close(overlap_at(10, &ids(""), &ids("")), 1.0);
        assert_close(overlap_at(10, &ids("a"), &ids("")), 0.0);
    }

    #[test]
    fn rank_biased_overlap_agrees_with_a_calculation_by_hand() {
        // Overlaps 0 and 2 at depths 1 and 2: 0.1/0.9 · (0 + 2/2 · 0.81) + 2/2 · 0.81.
        assert_close(rank_biased_overlap(0.9, &ids("a b"), &ids("b a")), 0.09 + 0.81);
        // Lengths 1 and 2, overlaps 1 and 1: 0.5/0.5 · (0.5 + 1/2 · 0.25 + 1·1/(1·2) · 0.25) + (0 + 1) · 0.25.
        assert_close(rank_biased_overlap(0.5, &ids("a"), &ids("a b")), 1.0);
        // Lengths 1 and 2, overlaps 0 and 1: 0 + 1/2 · 0.25 + 0 + (1/2 + 0) · 0.25.
        assert_close(rank_biased_overlap(0.5, &ids("b"), &ids("a b")), 0.125 + 0.125);
    }

    #[test]
    fn displacement_is_told_of_what_both_have() {
        assert_close(mean_displacement(&ids("a b c x"), &ids("c b a y")).unwrap(), 4.0 / 3.0);
        assert_eq!(mean_displacement(&ids("a"), &ids("b")), None);
    }

    fn ranking() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[a-p]", 0..20)
    }

    proptest! {
        #[test]
        fn a_ranking_agrees_with_itself_wholly(ranking in ranking(), k in 1..30_usize, p in 0.01..0.99_f64) {
            prop_assert!((rank_biased_overlap(p, &ranking, &ranking) - 1.0).abs() < 1e-12);
            prop_assert!((overlap_at(k, &ranking, &ranking) - 1.0).abs() < 1e-12);
            prop_assert!(ranking.is_empty() || mean_displacement(&ranking, &ranking) == Some(0.0));
        }

        #[test]
        fn agreement_has_no_direction(left in ranking(), right in ranking(), k in 1..30_usize, p in 0.01..0.99_f64) {
            let rbo = rank_biased_overlap(p, &left, &right);
            prop_assert!((0.0..=1.0).contains(&rbo));
            prop_assert!((rbo - rank_biased_overlap(p, &right, &left)).abs() < 1e-12);
            prop_assert!((overlap_at(k, &left, &right) - overlap_at(k, &right, &left)).abs() < 1e-12);
            prop_assert_eq!(mean_displacement(&left, &right), mean_displacement(&right, &left));
        }

        #[test]
        fn a_difference_weighs_more_the_higher_it_stands(length in 3..30_usize, at in 0..27_usize) {
            prop_assume!(at + 2 < length);
            let order: Vec<String> = (0..length).map(|id| id.to_string()).collect();
            let swapped = |at: usize| {
                let mut other = order.clone();
                other.swap(at, at + 1);
                rank_biased_overlap(PERSISTENCE, &order, &other)
            };
            prop_assert!(swapped(at) < swapped(at + 1));
        }
    }
}
