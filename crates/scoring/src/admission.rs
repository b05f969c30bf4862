//! Admission: how many pairs of a window are scored. Owns the rule that shrinks windows under load; measures nothing itself.

use std::time::Duration;

/// The part of the time until a deadline that is planned with: estimates err, and a run in progress may end later.
const PLANNED: f64 = 0.85;

/// The workers' time that a search may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The time of all workers until the search's deadline.
    pub total: Duration,
    /// The part that earlier searches take of it.
    pub ahead: Duration,
}

impl Admission {
    /// The number of first pairs that are admitted; `times` is the time that each will take one worker.
    ///
    /// All that can be done by the deadline, as long as earlier searches leave half of the time. Beyond that, less and
    /// less, but one as long as there is time for it: the next search is to find some time too, so that under overload
    /// every search is reranked a little rather than some in full and others not at all.
    pub fn depth(&self, times: impl Iterator<Item = Duration> + Clone) -> usize {
        if self.ahead.is_zero() {
            // Nobody waits: what there is no time for is dropped at the deadline, and an estimate may be wrong.
            return times.count();
        }
        let total = self.total.as_secs_f64() * PLANNED;
        let free = (total - self.ahead.as_secs_f64()).max(0.0);
        let needed: f64 = times.clone().map(|time| time.as_secs_f64()).sum();
        let share = if total > 0.0 { (2.0 * free / total).min(1.0) } else { 0.0 };
        // A pair is not divided: one that lacks but a few would get none of them, though there is time.
        let one = times.clone().next().unwrap_or_default().as_secs_f64();
        let mut left = free.min((needed * share).max(one));
        let fits = |time: &Duration| {
            left -= time.as_secs_f64();
            // Sums of floating numbers: all of it must fit where all of it is wanted.
            left >= -1e-9
        };
        times.take_while(fits).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The depth of a window of 20 pairs of 8.5 ms each.
    fn depth(total: u64, ahead: u64) -> usize {
        let admission = Admission { total: Duration::from_millis(total), ahead: Duration::from_millis(ahead) };
        admission.depth(std::iter::repeat_n(Duration::from_micros(8500), 20))
    }

    #[test]
    fn a_window_is_taken_whole_while_half_of_the_time_is_left_and_shrinks_beyond() {
        assert_eq!(depth(600, 1), 20);
        assert_eq!(depth(600, 255), 20);
        assert_eq!(depth(600, 382), 10, "about half of what it wants");
        assert_eq!(depth(600, 459), 4);
        assert_eq!(depth(600, 510), 0);
        assert_eq!(depth(600, 1000), 0);
        assert_eq!(depth(120, 50), 6, "what can be done by the deadline");
    }

    #[test]
    fn a_search_that_lacks_a_single_pair_gets_it_as_long_as_there_is_time_for_one() {
        let one = |ahead| {
            let admission = Admission { total: Duration::from_millis(600), ahead: Duration::from_millis(ahead) };
            admission.depth(std::iter::once(Duration::from_micros(8500)))
        };
        assert_eq!((one(300), one(382), one(500), one(502)), (1, 1, 1, 0));
    }

    #[test]
    fn where_nobody_waits_all_is_taken_on() {
        assert_eq!(depth(100, 0), 20);
        assert_eq!(depth(0, 0), 20);
    }

    #[test]
    fn what_is_unknown_is_let_in() {
        let admission = Admission { total: Duration::from_millis(600), ahead: Duration::from_millis(599) };
        assert_eq!(admission.depth(std::iter::repeat_n(Duration::ZERO, 20)), 20);
    }
}
