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
    let mut ranked = order::order(&candidates.scores, &outputs(&scored.scores), candidates.pinned, planned.blend);
    let groups = groups(planned, candidates, scored);
    let group = |hit: usize| groups.get(hit).copied().unwrap_or_default();
    // By their own scores, before groups change places: what comes behind others shows no higher score than they do.
    ranked.retain(|&Ranked { hit, score }| {
        // What is there by name is not measured by a probability.
        let is_named = hit < candidates.pinned || group(hit) == Group::Pinned;
        lowest.is_none_or(|lowest| score >= lowest) && (!planned.cut || is_named || is_good(planned, scored, hit))
    });
    let pinned = ranked.iter().filter(|ranked| ranked.hit < candidates.pinned).count();
    let window = ranked.iter().filter(|ranked| ranked.hit < groups.len()).count();
    let (mut groups, mut moved) = (groups, Vec::new());
    if let Some(config) = &planned.diversity {
        let values = planned.fields.texts_to_keep_apart(&candidates.values);
        let page = planned.plan.page.size;
        let hits = Hits { pinned, window, page, vectors: &scored.vectors, values: &values };
        moved = diversify(&mut ranked, &mut groups, hits, config.diversity);
    }
    (arrange(ranked, pinned, window, |hit| groups.get(hit).copied().unwrap_or_default()), moved)
}

/// The group of each hit of the window.
fn groups(planned: &Planned, candidates: &Candidates, scored: &Scored) -> Vec<Group> {
    let group = |hit: usize| {
        let is_improbable = planned.min_score.zip(probability(scored, hit)).is_some_and(|(least, known)| known < least);
        match planned.fields.group(candidates.values.get(hit)) {
            Group::Ordered if is_improbable => Group::Poor,
            by_conditions => by_conditions,
        }
    };
    (0..scored.scores.len()).map(group).collect()
}

fn probability(scored: &Scored, hit: usize) -> Option<f32> {
    scored.scores.get(hit).copied().flatten()?.probability
}

/// True if the hit is known to have the probability that is asked for.
fn is_good(planned: &Planned, scored: &Scored, hit: usize) -> bool {
    probability(scored, hit).is_some_and(|probability| probability >= planned.min_score.unwrap_or_default())
}
