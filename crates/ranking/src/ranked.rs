//! A hit in its new place.

/// One hit in its new place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The hit, as its rank in the cluster's order from 0.
    pub hit: usize,
    /// Its final score; never higher than that of the hit before.
    pub score: f32,
}

/// Lowers what is higher than a score before it.
pub(crate) fn level_down(ranked: &mut [Ranked]) {
    let mut lowest = f32::MAX;
    for hit in ranked {
        lowest = lowest.min(hit.score);
        hit.score = lowest;
    }
}
