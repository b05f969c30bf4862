//! Diversity: hits that say what others say go back, and what is new comes forward. Owns which hits take part, and in which
//! order the three parts of it follow each other; each part is a file.
//!
//! ```text
//! by score ─ near-duplicates (a group of their own) ─ maximal marginal relevance ─ at most so many of a value on a page
//! ```
//!
//! Hits change places with each other only where neither they nor what they pass is in a group that goes before or behind
//! others. Their scores stay; [`crate::arrange`] then sees to it that none is higher than the one before.

mod marginal;
mod per_page;
mod similarity;

use std::{ops::Range, sync::Arc};

use crate::{arrange::Group, normalize::Normalize, ranked::Ranked, value::Value};
use similarity::Cosines;

/// The most hits whose vectors are compared, the first ones of the window: every hit is compared to every other, so that the
/// work grows with the square. Nobody pages so far that the rest would show.
pub const MOST: usize = 200;

/// The cosine of a vector with itself may miss 1 by this much.
const ROUNDING: f32 = 1e-5;

/// What a rule says of diversity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diversity {
    /// The weight of a hit's score against its likeness to the hits before it, 0 to 1; with 1 the order stays.
    pub lambda: f32,
    /// The cosine from which on a hit is a near-duplicate of one before it, above 0.
    pub duplicates: Option<f32>,
    /// The most hits with one value on a page, 1 or more.
    pub at_most: Option<usize>,
}

impl Diversity {
    /// True if hits are compared by their vectors.
    pub fn needs_vectors(&self) -> bool {
        self.lambda < 1.0 || self.duplicates.is_some()
    }
}

/// What is known of the hits besides their order. The lists have an entry for each hit of the window, in the cluster's order;
/// missing ones count as `None`.
#[derive(Debug, Clone, Copy)]
pub struct Hits<'a> {
    /// The number of first hits that stay where they are.
    pub pinned: usize,
    /// The number of first hits that are those of the window.
    pub window: usize,
    /// The number of hits on a page. Pages are counted from the best hit on.
    pub page: usize,
    /// The vectors that one model made of them.
    pub vectors: &'a [Option<Arc<[f32]>>],
    /// The values of which there are only so many on a page.
    pub values: &'a [Option<String>],
}

/// The reason why a hit is not where its score puts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is like hits before it, or less so than those that it passed.
    Diversity,
    /// It is a near-duplicate of a hit before it.
    Duplicate,
    /// There were enough hits with its value on the page.
    Field,
}

impl Moved {
    /// The name in explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diversity => "diversity",
            Self::Duplicate => "duplicate",
            Self::Field => "field",
        }
    }
}

/// Puts the window's hits that are [`Group::Ordered`] in a more diverse order, and makes near-duplicates a group of their own.
/// `ranked` holds all hits, those of the window first, and `groups` the group of each hit of the window. The answer says of
/// each hit of the window why it was moved.
///
/// The order depends on the length of a page, and not on which page is shown, so that pages continue each other.
pub fn diversify(
    ranked: &mut [Ranked],
    groups: &mut [Group],
    hits: Hits<'_>,
    diversity: Diversity,
) -> Vec<Option<Moved>> {
    let mut moved = vec![None; groups.len()];
    let end = hits.window.min(ranked.len());
    let start = hits.pinned.min(end);
    if diversity.needs_vectors() {
        let compared = start..end.min(start + MOST);
        by_likeness(&mut ranked[compared], groups, hits.vectors, diversity, &mut moved);
    }
    if let Some(at_most) = diversity.at_most {
        by_value(ranked, start..end, groups, hits, at_most, &mut moved);
    }
    moved
}

/// Near-duplicates, then maximal marginal relevance among what is left. A hit without a vector keeps its place: nobody knows
/// what it is like.
fn by_likeness(
    ranked: &mut [Ranked],
    groups: &mut [Group],
    vectors: &[Option<Arc<[f32]>>],
    diversity: Diversity,
    moved: &mut [Option<Moved>],
) {
    let vector = |hit: &Ranked| match groups[hit.hit] {
        Group::Pinned | Group::Ordered => vectors.get(hit.hit)?.as_deref(),
        Group::Duplicate | Group::Poor | Group::Buried => None,
    };
    let vectors: Vec<Option<&[f32]>> = ranked.iter().map(vector).collect();
    let cosines = Cosines::of_all(&vectors);
    let compared = (0..ranked.len()).filter(|&place| vectors[place].is_some());
    let (pinned, others): (Vec<usize>, Vec<usize>) =
        compared.partition(|&place| groups[ranked[place].hit] == Group::Pinned);
    // Pinned hits are shown before all others.
    let mut shown = pinned.clone();
    for place in others {
        let is_like = |least: f32| shown.iter().any(|&other| cosines.of(place, other) >= least - ROUNDING);
        if diversity.duplicates.is_some_and(is_like) {
            groups[ranked[place].hit] = Group::Duplicate;
            moved[ranked[place].hit] = Some(Moved::Duplicate);
        } else {
            shown.push(place);
        }
    }
    let places = &shown[pinned.len()..];
    let scores: Vec<Option<Value>> = places.iter().map(|&place| Some(Value::as_is(ranked[place].score))).collect();
    let relevance = Normalize::MinMax.apply(&scores);
    let closest = |&place: &usize| pinned.iter().map(|&other| cosines.of(place, other)).reduce(f32::max);
    let closest: Vec<Option<f32>> = places.iter().map(closest).collect();
    let order = marginal::order(&relevance, closest, diversity.lambda, |a, b| cosines.of(places[a], places[b]));
    put_in_order(ranked, places, &order);
    for (rank, _) in order.iter().enumerate().filter(|(rank, before)| rank != *before) {
        moved[ranked[places[rank]].hit] = Some(Moved::Diversity);
    }
}

/// At most so many hits with one value on a page.
fn by_value(
    ranked: &mut [Ranked],
    window: Range<usize>,
    groups: &[Group],
    hits: Hits<'_>,
    at_most: usize,
    moved: &mut [Option<Moved>],
) {
    let group = |&place: &usize| groups[ranked[place].hit];
    let pinned = window.clone().filter(|place| group(place) == Group::Pinned);
    let before: Vec<usize> = (0..window.start).chain(pinned).collect();
    let places: Vec<usize> = window.filter(|place| group(place) == Group::Ordered).collect();
    let value = |&place: &usize| hits.values.get(ranked[place].hit).and_then(Option::as_deref);
    let values_at = |places: &[usize]| places.iter().map(value).collect::<Vec<_>>();
    let order = per_page::order(&values_at(&before), &values_at(&places), hits.page, at_most);
    put_in_order(ranked, &places, &order);
    let mut last = 0;
    for (rank, before) in order.into_iter().enumerate() {
        if before < last {
            moved[ranked[places[rank]].hit] = Some(Moved::Field);
        }
        last = last.max(before);
    }
}

/// Puts the hits at `places` in a new order, which says for each of these places which of them its hit was at.
fn put_in_order(ranked: &mut [Ranked], places: &[usize], order: &[usize]) {
    let before: Vec<Ranked> = places.iter().map(|&place| ranked[place]).collect();
    for (&place, &which) in places.iter().zip(order) {
        ranked[place] = before[which];
    }
}

#[cfg(test)]
mod tests;
