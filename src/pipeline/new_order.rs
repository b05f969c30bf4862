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

/// All hits of an answer in their new order.
pub(super) fn new_order(planned: &Planned, candidates: &Candidates, scored: &Scored) -> Vec<Ranked> {
    let window = scored.scores.len();
    let ranked = order::order(&candidates.scores, &outputs(&scored.scores), candidates.pinned, planned.blend);
    arrange(ranked, candidates.pinned, window, |_| Group::Ordered)
}
