//! Groups of hits that go before or behind others, whatever their scores. Owns the order of the groups, and that scores
//! still never increase down the page.

use crate::ranked::{Ranked, level_down};

/// A group of hits of the window, in the order in which groups are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Group {
    /// The rule puts them first.
    Pinned,
    /// All others.
    #[default]
    Ordered,
    /// They say what a hit before them says.
    Duplicate,
    /// Their score is below the rule's lowest.
    Poor,
    /// The rule puts them last.
    Buried,
}

/// The hits with the groups of the window one after the other, each in the order that it had. The first `pinned` hits and
/// those behind the `window` stay where they are. A hit that comes behind others shows no higher score than they do; what
/// the rule pins shows no lower one than what follows.
pub fn arrange(mut ranked: Vec<Ranked>, pinned: usize, window: usize, group: impl Fn(usize) -> Group) -> Vec<Ranked> {
    let end = window.min(ranked.len());
    let start = pinned.min(end);
    let best = ranked[start..end].iter().map(|hit| hit.score).reduce(f32::max);
    ranked[start..end].sort_by_key(|hit| group(hit.hit));
    let Some(best) = best else { return ranked };
    for hit in ranked[start..end].iter_mut().take_while(|hit| group(hit.hit) == Group::Pinned) {
        hit.score = best;
    }
    level_down(&mut ranked[start..]);
    ranked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranked(scores: &[f32]) -> Vec<Ranked> {
        scores.iter().enumerate().map(|(hit, &score)| Ranked { hit, score }).collect()
    }

    fn told(ranked: &[Ranked]) -> Vec<(usize, f32)> {
        ranked.iter().map(|hit| (hit.hit, hit.score)).collect()
    }

    #[test]
    fn groups_follow_each_other_and_keep_their_order() {
        let groups = [Group::Buried, Group::Ordered, Group::Poor, Group::Pinned, Group::Ordered, Group::Pinned];
        let arranged = arrange(ranked(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), 0, 6, |hit| groups[hit]);
        assert_eq!(told(&arranged), [(3, 6.0), (5, 6.0), (1, 5.0), (4, 2.0), (2, 2.0), (0, 2.0)]);
    }

    #[test]
    fn the_cluster_s_pins_and_what_is_behind_the_window_stay() {
        let arranged = arrange(ranked(&[9.0, 5.0, 4.0, 3.0]), 1, 3, |hit| match hit {
            0 | 1 => Group::Buried,
            3 => Group::Pinned,
            _ => Group::Ordered,
        });
        assert_eq!(told(&arranged), [(0, 9.0), (2, 4.0), (1, 4.0), (3, 3.0)]);
    }

    proptest! {
        #[test]
        fn it_is_a_permutation_and_scores_never_increase(
            scores in prop::collection::vec(-9.0f32..9.0, 0..30),
            groups in prop::collection::vec(0usize..5, 30),
            (pinned, window) in (0usize..4, 0usize..40),
        ) {
            let all = [Group::Pinned, Group::Ordered, Group::Duplicate, Group::Poor, Group::Buried];
            let mut scores = scores;
            scores.sort_by(|a, b| b.total_cmp(a));
            let before = ranked(&scores);
            let after = arrange(before.clone(), pinned, window, |hit| all[groups[hit]]);
            let mut hits: Vec<usize> = after.iter().map(|hit| hit.hit).collect();
            prop_assert!(hits.iter().take(pinned.min(scores.len())).copied().eq(0..pinned.min(scores.len())));
            prop_assert!(hits.iter().enumerate().skip(window).all(|(place, &hit)| place == hit));
            hits.sort_unstable();
            prop_assert_eq!(hits, (0..scores.len()).collect::<Vec<_>>());
            prop_assert!(after.windows(2).all(|pair| pair[0].score >= pair[1].score), "{:?}", after);
            let same = arrange(before.clone(), pinned, window, |_| Group::Ordered);
            prop_assert_eq!(same, before);
        }
    }
}
