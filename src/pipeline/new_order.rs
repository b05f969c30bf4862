//! The new order of a window, from the scores of its hits. Owns which step comes after which: blend, the groups that go before or
//! behind others, diversity among the rest, and what the client wants left out.

use engines::candidates::Candidates;
use ranking::{
    arrange::{Group, arrange},
    diversity::{Hits, Moved, diversify},
    order,
    ranked::Ranked,
};
use scoring::Scored;

use super::planned::Planned;
use crate::document_ranking::outputs;

/// All hits of an answer in their new order, but for those that the client wants left out; and of each hit of the window why
/// it was moved for diversity. `lowest` is the lowest score that the search itself asks for.
pub(super) fn new_order(
    planned: &Planned,
    candidates: &Candidates,
    scored: &Scored,
    lowest: Option<f32>,
) -> (Vec<Ranked>, Vec<Option<Moved>>) {
    let pinned = candidates.pinned;
    let mut ranked = order::order(&candidates.scores, &outputs(&scored.scores), pinned, planned.blend);
    let mut groups = groups(planned, candidates, scored, &ranked, lowest);
    let mut moved = Vec::new();
    if let Some(config) = &planned.diversity {
        let values = planned.fields.texts_to_keep_apart(&candidates.values);
        let page = planned.plan.page.size;
        let hits = Hits { pinned, page, vectors: &scored.vectors, values: &values };
        moved = diversify(&mut ranked, &mut groups, hits, config.diversity);
    }
    let group = |hit: usize| groups.get(hit).copied().unwrap_or_default();
    let mut ranked = arrange(ranked, pinned, groups.len(), group);
    if planned.cut {
        // What is not known to reach it is left out, too; but for what is there by name.
        ranked
            .retain(|&Ranked { hit, .. }| hit < pinned || group(hit) == Group::Pinned || is_good(planned, scored, hit));
    }
    (ranked, moved)
}

/// The group of each hit of the window.
fn groups(
    planned: &Planned,
    candidates: &Candidates,
    scored: &Scored,
    ranked: &[Ranked],
    lowest: Option<f32>,
) -> Vec<Group> {
    let by_conditions = |hit: usize| planned.fields.group(candidates.values.get(hit));
    let mut groups: Vec<Group> = (0..scored.scores.len()).map(by_conditions).collect();
    for &Ranked { hit, score } in ranked {
        let Some(group) = groups.get_mut(hit).filter(|group| **group == Group::Ordered) else { continue };
        let is_improbable = planned.min_score.zip(probability(scored, hit)).is_some_and(|(least, known)| known < least);
        // What will be left out takes no place on a page.
        let is_left_out = planned.cut && !is_good(planned, scored, hit);
        if is_improbable || is_left_out || lowest.is_some_and(|lowest| score < lowest) {
            *group = Group::Poor;
        }
    }
    groups
}

fn probability(scored: &Scored, hit: usize) -> Option<f32> {
    scored.scores.get(hit).copied().flatten()?.probability
}

/// True if the hit is known to have the probability that is asked for.
fn is_good(planned: &Planned, scored: &Scored, hit: usize) -> bool {
    probability(scored, hit).is_some_and(|probability| probability >= planned.min_score.unwrap_or_default())
}
