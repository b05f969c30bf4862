//! How many requests may be sent once more. Owns the rule that keeps a cluster in trouble from getting much more to do than its
//! clients ask for.
//!
//! Each request puts a part of a retry in, each retry takes one out; what is saved bounds how many there may be at once. So the
//! burst of retries when a node dies is allowed, and a cluster that keeps failing gets a fifth more requests, not twice as many.
//! (A part of the requests that are in flight, as Envoy has it, would not do: of three nodes one has a third of them.)

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many requests allow one retry, which is a request again: five of clients allow one.
const REQUESTS_PER_RETRY: u64 = 6;
/// The most retries that are saved up, and those that are there at the start: as many requests as may well be in flight at a node
/// that dies.
const SAVED: u64 = 500;

/// The retries that were taken out, or that were allowed and are no more.
#[derive(Debug, Default)]
pub(super) struct RetryBudget(AtomicU64);

impl RetryBudget {
    /// Takes one retry out, where there is one. `requests` is how many were sent in all so far.
    pub(super) fn withdraw(&self, requests: u64) -> bool {
        let earned = requests / REQUESTS_PER_RETRY;
        let withdrawn = self.0.fetch_update(Relaxed, Relaxed, |spent| {
            // What was earned beyond the most that is saved is gone.
            let spent = spent.max(earned);
            (spent < earned + SAVED).then_some(spent + 1)
        });
        withdrawn.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &RetryBudget, requests: u64) -> u64 {
        (0..10 * SAVED).take_while(|_| budget.withdraw(requests)).count() as u64
    }

    #[test]
    fn a_burst_is_allowed_and_then_a_part_of_the_requests() {
        let budget = RetryBudget::default();
        assert_eq!(taken(&budget, 0), SAVED);
        assert_eq!(taken(&budget, 5), 0);
        assert_eq!(taken(&budget, 6), 1);
        assert_eq!(taken(&budget, 1206), 200);
    }

    #[test]
    fn no_more_is_saved_than_the_bound() {
        let budget = RetryBudget::default();
        assert_eq!(taken(&budget, 1_000_000), SAVED);
        assert_eq!(taken(&budget, 1_000_060), 10);
    }

    #[test]
    fn threads_that_take_at_once_get_no_more_than_there_is() {
        let budget = RetryBudget::default();
        let all: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| taken(&budget, 0))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, SAVED);
    }
}
