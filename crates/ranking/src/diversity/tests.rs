//! Diversity as a whole: what moves, why, and what must hold for any hits.

use proptest::prelude::*;

use super::*;
use crate::arrange::arrange;

/// Hits with these scores, best first.
fn ranked(scores: &[f32]) -> Vec<Ranked> {
    scores.iter().enumerate().map(|(hit, &score)| Ranked { hit, score }).collect()
}

fn order(ranked: &[Ranked]) -> Vec<usize> {
    ranked.iter().map(|hit| hit.hit).collect()
}

/// A vector at this angle, in degrees; no angle, no vector.
fn at(angle: impl Into<Option<f32>>) -> Option<Arc<[f32]>> {
    let (sin, cos) = angle.into()?.to_radians().sin_cos();
    Some([cos, sin].into())
}

const NONE: Diversity = Diversity { lambda: 1.0, duplicates: None, at_most: None };

/// The hits after all of it, and why they were moved.
fn after(
    scores: &[f32],
    mut groups: Vec<Group>,
    hits: Hits<'_>,
    diversity: Diversity,
) -> (Vec<Ranked>, Vec<Option<Moved>>) {
    let mut ranked = ranked(scores);
    let moved = diversify(&mut ranked, &mut groups, hits, diversity);
    (arrange(ranked, hits.pinned, groups.len(), |hit| groups[hit]), moved)
}

#[test]
fn near_duplicates_go_behind_all_others_and_one_of_each_stays() {
    let vectors = [at(0.0), at(90.0), at(5.0), at(0.0), at(50.0), at(95.0)];
    let hits = Hits { pinned: 0, window: usize::MAX, page: 10, vectors: &vectors, values: &[] };
    let diversity = Diversity { duplicates: Some(0.99), ..NONE };
    let (ranked, moved) = after(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], vec![Group::Ordered; 6], hits, diversity);
    assert_eq!(order(&ranked), [0, 1, 4, 2, 3, 5]);
    assert_eq!(moved, [None, None, Some(Moved::Duplicate), Some(Moved::Duplicate), None, Some(Moved::Duplicate)]);
    assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score), "{ranked:?}");
}

#[test]
fn a_chain_of_likeness_is_no_likeness() {
    // Each is like the one before it, the third is not like the first: it is no duplicate of anything that stays.
    let vectors = [at(0.0), at(8.0), at(16.0)];
    let hits = Hits { pinned: 0, window: usize::MAX, page: 10, vectors: &vectors, values: &[] };
    let diversity = Diversity { duplicates: Some(0.98), ..NONE };
    let (ranked, _) = after(&[3.0, 2.0, 1.0], vec![Group::Ordered; 3], hits, diversity);
    assert_eq!(order(&ranked), [0, 2, 1]);
}

#[test]
fn a_cosine_of_1_finds_equal_vectors_whatever_their_rounding() {
    let vector: Arc<[f32]> = (0..384).map(|x| (x as f32 * 0.37).sin()).collect();
    let twice: Arc<[f32]> = vector.iter().map(|x| x * 3.7).collect();
    let vectors = [Some(vector), at(1.0), Some(twice)];
    let hits = Hits { pinned: 0, window: usize::MAX, page: 10, vectors: &vectors, values: &[] };
    let (_, moved) =
        after(&[3.0, 2.0, 1.0], vec![Group::Ordered; 3], hits, Diversity { duplicates: Some(1.0), ..NONE });
    assert_eq!(moved[2], Some(Moved::Duplicate));
}

#[test]
fn new_subjects_come_forward_and_hits_without_a_vector_keep_their_place() {
    let vectors = [at(0.0), at(10.0), at(None), at(5.0), at(90.0)];
    let hits = Hits { pinned: 0, window: usize::MAX, page: 10, vectors: &vectors, values: &[] };
    let diversity = Diversity { lambda: 0.5, ..NONE };
    let (ranked, moved) = after(&[1.0, 0.9, 0.8, 0.7, 0.6], vec![Group::Ordered; 5], hits, diversity);
    assert_eq!(order(&ranked), [0, 4, 2, 1, 3]);
    let [diversity, stays] = [Some(Moved::Diversity), None];
    assert_eq!(moved, [stays, diversity, stays, diversity, diversity]);
    let scores: Vec<f32> = ranked.iter().map(|hit| hit.score).collect();
    assert_eq!(scores, [1.0, 0.6, 0.6, 0.6, 0.6]);
}

#[test]
fn groups_stay_apart_and_what_the_rule_pins_is_compared_to() {
    let vectors = [at(90.0), at(0.0), at(0.0), at(90.0), at(45.0)];
    let hits = Hits { pinned: 0, window: usize::MAX, page: 10, vectors: &vectors, values: &[] };
    let groups = vec![Group::Buried, Group::Ordered, Group::Pinned, Group::Ordered, Group::Ordered];
    let diversity = Diversity { lambda: 0.5, duplicates: Some(0.9), at_most: None };
    let (ranked, moved) = after(&[5.0, 4.0, 3.0, 2.0, 1.0], groups, hits, diversity);
    // The first of what is ordered says what the pin says; the buried one is like another and is not looked at.
    assert_eq!(order(&ranked), [2, 3, 4, 1, 0]);
    assert_eq!(moved, [None, Some(Moved::Duplicate), None, None, None]);
}

#[test]
fn a_value_has_its_places_on_a_page_and_the_cluster_s_pins_count() {
    let values: Vec<Option<String>> = ["a", "a", "b", "a", "b", ""]
        .iter()
        .map(|&text| Some(text.to_owned()).filter(|text| !text.is_empty()))
        .collect();
    let hits = Hits { pinned: 1, window: usize::MAX, page: 3, vectors: &[], values: &values };
    let diversity = Diversity { at_most: Some(1), ..NONE };
    let (ranked, moved) = after(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], vec![Group::Ordered; 6], hits, diversity);
    assert_eq!(order(&ranked), [0, 2, 5, 1, 4, 3]);
    let moved: Vec<usize> = (0..6).filter(|&hit| moved[hit] == Some(Moved::Field)).collect();
    assert_eq!(moved, [1, 3, 4], "who gains a place by that is not told so");
}

#[test]
fn only_the_first_hits_of_a_window_are_compared() {
    let count = MOST + 50;
    let scores: Vec<f32> = (0..count).map(|hit| (count - hit) as f32).collect();
    let vectors = vec![at(0.0); count];
    let hits = Hits { pinned: 0, window: usize::MAX, page: 10, vectors: &vectors, values: &[] };
    let (_, moved) = after(&scores, vec![Group::Ordered; count], hits, Diversity { duplicates: Some(0.9), ..NONE });
    assert_eq!(moved.iter().position(Option::is_some), Some(1));
    assert_eq!(moved.iter().rposition(Option::is_some), Some(MOST - 1));
}

/// Hits with everything that may be known of them.
#[derive(Debug, Clone)]
struct Any {
    scores: Vec<f32>,
    groups: Vec<Group>,
    vectors: Vec<Option<Arc<[f32]>>>,
    values: Vec<Option<String>>,
    pinned: usize,
    page: usize,
}

impl Any {
    fn hits(&self) -> Hits<'_> {
        Hits {
            pinned: self.pinned,
            window: self.groups.len(),
            page: self.page,
            vectors: &self.vectors,
            values: &self.values,
        }
    }

    fn after(&self, diversity: Diversity) -> (Vec<Ranked>, Vec<Option<Moved>>) {
        after(&self.scores, self.groups.clone(), self.hits(), diversity)
    }
}

fn any_hits() -> impl Strategy<Value = Any> {
    let group = prop_oneof![
        6 => Just(Group::Ordered),
        1 => Just(Group::Pinned),
        1 => Just(Group::Poor),
        1 => Just(Group::Buried),
    ];
    let vector = prop::option::weighted(0.9, prop::collection::vec(-1.0f32..1.0, 3).prop_map(Arc::from));
    let value = prop::option::weighted(0.8, "[a-d]");
    let hit = (-9.0f32..9.0, group, vector, value);
    (prop::collection::vec(hit, 0..40), 0usize..3, 1usize..12, 0usize..10).prop_map(|(hits, pinned, page, beyond)| {
        let mut scores: Vec<f32> = hits.iter().map(|hit| hit.0).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        // Some hits may be behind the window.
        let window = hits.len().saturating_sub(beyond);
        Any {
            scores,
            groups: hits.iter().take(window).map(|hit| hit.1).collect(),
            vectors: hits.iter().take(window).map(|hit| hit.2.clone()).collect(),
            values: hits.iter().take(window).map(|hit| hit.3.clone()).collect(),
            pinned,
            page,
        }
    })
}

fn any_diversity() -> impl Strategy<Value = Diversity> {
    (0.0f32..=1.0, prop::option::of(0.5f32..=1.0), prop::option::of(1usize..4))
        .prop_map(|(lambda, duplicates, at_most)| Diversity { lambda, duplicates, at_most })
}

proptest! {
    #[test]
    fn no_hit_is_lost_and_scores_never_increase(any in any_hits(), diversity in any_diversity()) {
        let (ranked, moved) = any.after(diversity);
        let mut hits = order(&ranked);
        prop_assert!(hits.iter().take(any.pinned).copied().eq(0..any.pinned.min(hits.len())), "pins stay: {:?}", hits);
        prop_assert!(hits.iter().enumerate().skip(any.groups.len()).all(|(place, &hit)| place == hit), "{:?}", hits);
        hits.sort_unstable();
        prop_assert!(hits.into_iter().eq(0..any.scores.len()));
        prop_assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score), "{:?}", ranked);
        prop_assert_eq!(moved.len(), any.groups.len());
        for (hit, _) in moved.iter().enumerate().filter(|(_, moved)| moved.is_some()) {
            prop_assert_eq!(any.groups[hit], Group::Ordered);
        }
    }

    #[test]
    fn the_same_hits_have_the_same_order(any in any_hits(), diversity in any_diversity()) {
        prop_assert_eq!(any.after(diversity), any.after(diversity));
    }

    #[test]
    fn with_a_lambda_of_1_alone_nothing_moves(any in any_hits()) {
        let (ranked, moved) = any.after(NONE);
        let untouched = arrange(self::ranked(&any.scores), any.pinned, any.groups.len(), |hit| any.groups[hit]);
        prop_assert_eq!(ranked, untouched);
        prop_assert!(moved.iter().all(Option::is_none));
    }

    #[test]
    fn a_page_holds_more_of_a_value_only_where_nothing_else_was_left(any in any_hits(), at_most in 1usize..4) {
        let all_ordered = Any { groups: vec![Group::Ordered; any.groups.len()], pinned: 0, ..any };
        let window = all_ordered.groups.len();
        let (ranked, _) = all_ordered.after(Diversity { at_most: Some(at_most), ..NONE });
        let values: Vec<&Option<String>> = ranked[..window].iter().map(|hit| &all_ordered.values[hit.hit]).collect();
        for (number, page) in values.chunks(all_ordered.page).enumerate() {
            let behind = &values[(values.len()).min((number + 1) * all_ordered.page)..];
            let is_full = |value: &Option<String>| value.is_some() && page.iter().filter(|other| **other == value).count() >= at_most;
            let is_overfull = page.iter().any(|value| value.is_some() && page.iter().filter(|other| *other == value).count() > at_most);
            prop_assert!(!is_overfull || behind.iter().all(|value| is_full(value)), "{:?}", values);
        }
    }
}
