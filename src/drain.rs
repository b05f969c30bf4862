//! Whether the process is about to end: from then on it is not ready, so that nobody sends it anything new, and serves what comes
//! nevertheless. Owns since when.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Whether the process is about to end.
#[derive(Debug, Default)]
pub struct Drain(OnceLock<Instant>);

impl Drain {
    /// From now on it is about to end, if it was not already.
    pub fn begin(&self) {
        self.0.get_or_init(Instant::now);
    }

    /// True once it is about to end.
    pub fn has_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// Resolves when it has been about to end for `delay`.
    pub(crate) async fn lasted(&self, delay: Duration) {
        let begun = *self.0.get_or_init(Instant::now);
        tokio::time::sleep_until((begun + delay).into()).await;
    }
}
