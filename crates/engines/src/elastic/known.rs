//! What the dialect remembers from one request to the next: which indices points in time stand for, and which engine it is.

use super::{engine::Engine, points_in_time::PointsInTime};

/// What is remembered. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(super) points_in_time: PointsInTime,
    pub(super) engine: Engine,
}
