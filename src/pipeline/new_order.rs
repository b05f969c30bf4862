//! The new order of a window, from the scores of its hits. Owns which step comes after which: blend, then the groups that go
//! before or behind others.

use engines::candidates::Candidates;
use ranking::{
    arrange::{Group, arrange},
    order,
    ranked::Ranked,
};
use scoring::Scored;

use super::planned::Planned;
use crate::document_ranking::outputs;

/// All hits of an answer in their new order, but for those that the client wants left out.
pub(super) fn new_order(planned: &Planned, candidates: &Candidates, scored: &Scored) -> Vec<Ranked> {
    let window = scored.scores.len();
    let ranked = order::order(&candidates.scores, &outputs(&scored.scores), candidates.pinned, planned.blend);
    let probability = |hit: usize| scored.scores.get(hit).copied().flatten().and_then(|score| score.probability);
    let by_conditions: Vec<Group> = (0..window).map(|hit| planned.fields.group(candidates.values.get(hit))).collect();
    let group = |hit: usize| {
        let is_poor = planned.min_score.zip(probability(hit)).is_some_and(|(lowest, probability)| probability < lowest);
        match by_conditions.get(hit).copied().unwrap_or_default() {
            Group::Ordered if is_poor => Group::Poor,
            group => group,
        }
    };
    let mut ranked = arrange(ranked, candidates.pinned, window, group);
    if planned.cut {
        // What is not known to reach it is left out, too; but for what is there by name.
        let lowest = planned.min_score.unwrap_or_default();
        let is_good = |hit: usize| probability(hit).is_some_and(|probability| probability >= lowest);
        ranked.retain(|ranked| {
            let hit = ranked.hit;
            hit < candidates.pinned || group(hit) == Group::Pinned || is_good(hit)
        });
    }
    ranked
}
