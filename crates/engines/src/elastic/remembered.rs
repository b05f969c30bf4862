//! The memory of the dialect from one request to the next: the indices of points in time, and the engine that the
//! cluster is.

use super::{engine::Engine, points_in_time::PointsInTime};

/// The memory of a dialect.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(super) points_in_time: PointsInTime,
    pub(super) engine: Engine,
}
