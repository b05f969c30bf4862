//! When something that is done again and again is due.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When it is due the next time; at once, where it was not done yet.
#[derive(Debug, Default)]
pub(super) struct Due(Mutex<Option<Instant>>);

impl Due {
    /// Whether it is due. Then it is due again after `interval`, give or take a tenth, so that many proxies do not ask at once.
    pub(super) fn is_now(&self, interval: Duration, now: Instant) -> bool {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = next.is_none_or(|next| next <= now);
        if is_due {
            *next = now.checked_add(interval.mul_f64(0.9 + 0.2 * fastrand::f64()));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_once_and_after_the_interval() {
        let (due, now, interval) = (Due::default(), Instant::now(), Duration::from_secs(10));
        assert!(due.is_now(interval, now));
        assert!(!due.is_now(interval, now + interval.mul_f64(0.89)));
        assert!(due.is_now(interval, now + interval.mul_f64(1.11)));
        assert!(!due.is_now(interval, now + interval.mul_f64(1.11)));
    }
}
