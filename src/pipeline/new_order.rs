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
    let mut groups = vec![Group::Ordered; window];
    for hit in ranked.iter().filter(|hit| hit.hit < window && lowest.is_some_and(|lowest| hit.score < lowest)) {
        groups[hit.hit] = Group::Poor;
    }
    let mut moved = Vec::new();
    if let Some(config) = &planned.diversity {
        let hits = Hits {
            pinned: candidates.pinned,
            page: planned.plan.page.size,
            vectors: &scored.vectors,
            values: &[],
        };
        moved = diversify(&mut ranked, &mut groups, hits, config.diversity);
    }
    (arrange(ranked, candidates.pinned, window, |hit| groups[hit]), moved)
}
