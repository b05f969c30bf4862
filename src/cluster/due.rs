//! When something that is done again and again is due. Owns that it never runs twice at a time.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// When it is due the next time; at once, where it was not done yet.
#[derive(Debug, Default)]
pub(super) struct Due(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: Option<Instant>,
    latest: Weak<()>,
}

/// The right to do it now, for as long as it is held.
#[derive(Debug)]
pub(super) struct Turn(Arc<()>);

impl Turn {
    /// Does it, and holds the right until it is done.
    pub(super) async fn of(self, work: impl Future<Output = ()>) {
        work.await;
        drop(self.0);
    }
}

impl Due {
    /// The right to do it, where it is due and nobody is at it. Then it is due again after `interval`, give or take a tenth, so that many
    /// proxies do not ask at once.
    pub(super) fn turn(&self, interval: Duration, now: Instant) -> Option<Turn> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.next.is_none_or(|next| next <= now);
        if !is_due || state.latest.strong_count() > 0 {
            return None;
        }
        let turn = Arc::new(());
        let next = now.checked_add(interval.mul_f64(0.9 + 0.2 * fastrand::f64()));
        *state = State { next, latest: Arc::downgrade(&turn) };
        Some(Turn(turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_once_and_after_the_interval() {
        let (due, now, interval) = (Due::default(), Instant::now(), Duration::from_secs(10));
        let is_due = |at| due.turn(interval, at).is_some();
        assert!(is_due(now));
        assert!(!is_due(now + interval.mul_f64(0.89)));
        assert!(is_due(now + interval.mul_f64(1.11)));
        assert!(!is_due(now + interval.mul_f64(1.11)));
    }

    #[test]
    fn what_takes_longer_than_the_interval_is_not_begun_again_meanwhile() {
        let (due, now, interval) = (Due::default(), Instant::now(), Duration::from_secs(1));
        let turn = due.turn(interval, now);
        assert!(turn.is_some() && due.turn(interval, now + 5 * interval).is_none());
        drop(turn);
        assert!(due.turn(interval, now + 5 * interval).is_some());
    }
}
