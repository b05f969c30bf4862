//! The new order of a window, from the scores of its hits. Owns which step comes after which: blend, diversity, then the groups
//! that go before or behind others.

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

/// All hits of an answer in their new order, and why hits of the window are not where their scores put them. Hits below
/// `lowest` are behind all others, so that they can be cut off.
pub(super) fn new_order(
    planned: &Planned,
    candidates: &Candidates,
    scored: &Scored,
    lowest: Option<f32>,
) -> (Vec<Ranked>, Vec<Option<Moved>>) {
    let mut ranked = order::order(&candidates.scores, &outputs(&scored.scores), candidates.pinned, planned.blend);
    let window = scored.scores.len();
    let mut groups: Vec<Group> = (0..window).map(|hit| planned.fields.group(candidates.values.get(hit))).collect();
    for Ranked { hit, score } in &ranked {
        if *hit < window && groups[*hit] == Group::Ordered && lowest.is_some_and(|lowest| *score < lowest) {
            groups[*hit] = Group::Poor;
        }
    }
    let mut moved = Vec::new();
    if let Some(config) = &planned.diversity {
        let hits = Hits {
            pinned: candidates.pinned,
            page: planned.plan.page.size,
            vectors: &scored.vectors,
            values: &planned.fields.texts_to_keep_apart(&candidates.values),
        };
        moved = diversify(&mut ranked, &mut groups, hits, config.diversity);
    }
    (arrange(ranked, candidates.pinned, window, |hit| groups.get(hit).copied().unwrap_or_default()), moved)
}
