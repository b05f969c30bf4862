//! Whether a node takes part, and with what share of the requests. Owns the rules by which it goes out (so many failures in a
//! row) and comes back (after a while, with a share that grows). Asks no clock: whoever calls says what time it is.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::config::HealthConfig;

/// The share of a node that takes part as all others do.
pub(super) const WHOLE: u32 = 100;
/// The share of a node that has just come back: with less, it would not be tried in a small cluster.
const FIRST: u32 = 10;
/// How often the time for which a node is out doubles at most, where it fails again as soon as it is back.
const DOUBLINGS: u32 = 3;

/// The standing of one node. Requests only read its atomics; the rest changes with failures, checks and time.
#[derive(Debug)]
pub(super) struct Standing {
    /// The share of the requests, up to [`WHOLE`]; 0: the node is out.
    share: AtomicU32,
    /// Requests in a row that failed.
    failures: AtomicU32,
    course: Mutex<Course>,
}

/// How it came to this standing.
#[derive(Debug, Default)]
struct Course {
    /// Checks in a row that failed.
    failed_checks: u32,
    /// The time before which a node that is out does not come back.
    out_until: Option<Instant>,
    /// When it came back, until it is as good as one that never was out.
    back_since: Option<Instant>,
    /// How often it went out since it was last steady.
    times_out: u32,
}

/// What a check means for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// Nothing: it is well, or has not failed often enough.
    Stands,
    /// It went out.
    WentOut,
    /// It stays out.
    StaysOut,
}

impl Default for Standing {
    fn default() -> Self {
        Self { share: AtomicU32::new(WHOLE), failures: AtomicU32::new(0), course: Mutex::default() }
    }
}

impl Standing {
    /// Its share of the requests, up to [`WHOLE`]; 0: it is out.
    pub(super) fn share(&self) -> u32 {
        self.share.load(Relaxed)
    }

    /// Whether it gets requests at all.
    pub(super) fn takes_part(&self) -> bool {
        self.share() > 0
    }

    /// A request was answered as it should be.
    pub(super) fn succeeded(&self) {
        // Mostly there is nothing to change, and a line of the cache that only is read is no cost to other threads.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A request failed for a reason that is the node's. True where that put it out.
    pub(super) fn failed(&self, terms: &HealthConfig, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        failures >= terms.failures && self.put_out(&mut self.course(), terms, now)
    }

    /// A check came to this end.
    pub(super) fn checked(&self, is_well: bool, terms: &HealthConfig, now: Instant) -> Checked {
        let mut course = self.course();
        if is_well {
            course.failed_checks = 0;
            return Checked::Stands;
        }
        course.failed_checks = course.failed_checks.saturating_add(1);
        if course.failed_checks < terms.failures {
            return Checked::Stands;
        }
        if self.put_out(&mut course, terms, now) { Checked::WentOut } else { Checked::StaysOut }
    }

    /// Does what is due by now: a node that was out for long enough comes back, unless its last check failed, and one that came
    /// back gets more of the requests. True where it came back.
    pub(super) fn advance(&self, terms: &HealthConfig, now: Instant) -> bool {
        let mut course = self.course();
        if !self.takes_part() {
            if course.failed_checks > 0 || course.out_until.is_some_and(|until| now < until) {
                return false;
            }
            self.come_in(&mut course, terms, now);
            return true;
        }
        if let Some(since) = course.back_since {
            let back_for = now.saturating_duration_since(since);
            self.share.store(grown(back_for, terms.slow_start), Relaxed);
            if back_for >= terms.slow_start.max(terms.ejection) {
                (course.back_since, course.times_out) = (None, 0);
            }
        }
        false
    }

    /// Has a node that others were there before begin with a small share, as one that comes back.
    pub(super) fn begin_slowly(&self, terms: &HealthConfig, now: Instant) {
        self.come_in(&mut self.course(), terms, now);
    }

    fn come_in(&self, course: &mut Course, terms: &HealthConfig, now: Instant) {
        // One failure more puts it out again; one answer makes it as good as others.
        self.failures.store(terms.failures - 1, Relaxed);
        course.back_since = Some(now);
        self.share.store(grown(Duration::ZERO, terms.slow_start), Relaxed);
    }

    /// Puts it out, unless it is out.
    fn put_out(&self, course: &mut Course, terms: &HealthConfig, now: Instant) -> bool {
        if self.share.swap(0, Relaxed) == 0 {
            return false;
        }
        course.out_until = now.checked_add(terms.ejection * 2_u32.pow(course.times_out.min(DOUBLINGS)));
        course.times_out = course.times_out.saturating_add(1);
        course.back_since = None;
        true
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of a node that has been back for so long.
fn grown(back_for: Duration, slow_start: Duration) -> u32 {
    if back_for >= slow_start {
        return WHOLE;
    }
    let part = back_for.as_secs_f64() / slow_start.as_secs_f64();
    ((part * f64::from(WHOLE)) as u32).clamp(FIRST, WHOLE)
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn terms() -> HealthConfig {
        HealthConfig {
            path: PathAndQuery::from_static("/"),
            interval: Some(SECOND),
            timeout: SECOND,
            failures: 3,
            ejection: 10 * SECOND,
            slow_start: 20 * SECOND,
        }
    }

    #[test]
    fn failures_in_a_row_put_a_node_out_and_it_comes_back_slowly() {
        let (node, terms, start) = (Standing::default(), terms(), Instant::now());
        assert!(!node.failed(&terms, start) && !node.failed(&terms, start));
        node.succeeded();
        assert!(!node.failed(&terms, start) && !node.failed(&terms, start), "they are counted from the last success");
        assert!(node.failed(&terms, start));
        assert!(!node.failed(&terms, start), "it is out already");
        assert!(!node.advance(&terms, start + 9 * SECOND));
        assert_eq!(node.share(), 0);
        assert!(node.advance(&terms, start + 10 * SECOND));
        assert_eq!(node.share(), FIRST);
        assert!(!node.advance(&terms, start + 20 * SECOND));
        assert_eq!(node.share(), WHOLE / 2);
        assert!(!node.advance(&terms, start + 30 * SECOND));
        assert_eq!(node.share(), WHOLE);
    }

    #[test]
    fn one_that_fails_again_at_once_is_out_for_longer_and_longer_up_to_a_bound() {
        let (node, terms, mut now) = (Standing::default(), terms(), Instant::now());
        node.failed(&terms, now);
        node.failed(&terms, now);
        for times in [1, 2, 4, 8, 8] {
            assert!(node.failed(&terms, now), "a node that is back is put out by its first failure");
            now += (10 * times - 1) * SECOND;
            assert!(!node.advance(&terms, now), "{times}");
            now += SECOND;
            assert!(node.advance(&terms, now), "{times}");
        }
        now += 20 * SECOND;
        node.succeeded();
        node.advance(&terms, now);
        for _ in 0..3 {
            node.failed(&terms, now);
        }
        assert!(node.advance(&terms, now + 10 * SECOND), "what was long ago does not count");
    }

    #[test]
    fn a_node_whose_checks_fail_stays_out_until_one_succeeds() {
        let (node, terms, start) = (Standing::default(), terms(), Instant::now());
        let check = |is_well, after: u32| node.checked(is_well, &terms, start + after * SECOND);
        assert_eq!([check(false, 0), check(false, 1)], [Checked::Stands; 2]);
        assert_eq!([check(false, 2), check(false, 3)], [Checked::WentOut, Checked::StaysOut]);
        assert!(!node.advance(&terms, start + 1000 * SECOND));
        assert_eq!(check(true, 1000), Checked::Stands);
        assert!(node.advance(&terms, start + 1001 * SECOND));
    }

    #[test]
    fn a_node_that_joins_others_begins_slowly() {
        let (node, terms, start) = (Standing::default(), terms(), Instant::now());
        node.begin_slowly(&terms, start);
        assert_eq!(node.share(), FIRST);
        node.advance(&terms, start + 20 * SECOND);
        assert_eq!(node.share(), WHOLE);
    }

    #[test]
    fn without_a_slow_start_a_node_is_back_as_a_whole() {
        assert_eq!(grown(Duration::ZERO, Duration::ZERO), WHOLE);
        assert_eq!(grown(SECOND, 4 * SECOND), WHOLE / 4);
    }
}
