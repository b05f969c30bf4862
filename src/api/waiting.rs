//! Whether anybody still waits for an answer, as work on another thread can ask. Owns the two ways in which waiting ends: the
//! deadline, and the client, which hangs up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Held by who waits: dropping it says that nobody does any more.
#[derive(Debug)]
pub(super) struct Waiting(Arc<AtomicBool>);

/// Asked by who works, as often as a few microseconds of work go by.
#[derive(Debug, Clone)]
pub(super) struct Waited {
    gone: Arc<AtomicBool>,
    deadline: Instant,
}

/// Somebody who waits until `deadline`.
pub(super) fn until(deadline: Instant) -> (Waiting, Waited) {
    let gone = Arc::new(AtomicBool::new(false));
    (Waiting(gone.clone()), Waited { gone, deadline })
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Waited {
    /// Whether an answer would be of no use to anybody.
    pub(super) fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waiting_ends_with_the_deadline_or_with_who_waits() {
        let (waiting, waited) = until(Instant::now() + Duration::from_mins(1));
        assert!(!waited.is_over());
        drop(waiting);
        assert!(waited.is_over());
        let (_waiting, waited) = until(Instant::now());
        assert!(waited.is_over());
    }
}
