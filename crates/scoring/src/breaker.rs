//! A circuit breaker: after several failures in a row a server is left alone for a while, then tried with one call. Owns
//! the states and their times; reads no clock and makes no call.

use std::time::{Duration, Instant};

/// The number of failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// The time for which the circuit stays open at first; each probe that fails doubles it.
const SHORTEST: Duration = Duration::from_secs(1);
/// The time for which it stays open at most.
const LONGEST: Duration = Duration::from_secs(30);

/// The state of a circuit.
#[derive(Debug)]
pub(crate) struct Breaker(State);

#[derive(Debug)]
enum State {
    /// Calls go through.
    Closed { failures: u32 },
    /// No call before `until`.
    Open { until: Instant, pause: Duration },
    /// One call is in flight, and decides.
    HalfOpen { pause: Duration },
}

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed { failures: 0 })
    }
}

impl Breaker {
    /// True where calls go through.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.0, State::Closed { .. })
    }

    /// True where [`Self::admit`] would let a call through now.
    pub(crate) fn would_admit(&self, now: Instant) -> bool {
        match self.0 {
            State::Closed { .. } => true,
            State::Open { until, .. } => now >= until,
            State::HalfOpen { .. } => false,
        }
    }

    /// Tells whether a call may be made now. After the pause one may, and no other until its end is told with
    /// [`Self::succeeded`], [`Self::failed`] or [`Self::given_up`].
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        let is_admitted = self.would_admit(now);
        if let State::Open { pause, .. } = self.0
            && is_admitted
        {
            self.0 = State::HalfOpen { pause };
        }
        is_admitted
    }

    /// The end of the pause, while there is one.
    pub(crate) fn pause_ends(&self) -> Option<Instant> {
        match self.0 {
            State::Open { until, .. } => Some(until),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Notes that a call was answered. True where that closed the circuit.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_closed = self.is_closed();
        self.0 = State::Closed { failures: 0 };
        !was_closed
    }

    /// Notes that a call failed. Returns the pause, where that opened the circuit.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Duration> {
        let pause = match self.0 {
            State::Closed { failures } if failures + 1 < FAILURES => {
                self.0 = State::Closed { failures: failures + 1 };
                return None;
            }
            State::Closed { .. } => SHORTEST,
            State::HalfOpen { pause } => (pause * 2).min(LONGEST),
            // A call that began while it was closed; that it fails is no news.
            State::Open { .. } => return None,
        };
        self.0 = State::Open { until: now + pause, pause };
        Some(pause)
    }

    /// Notes that a call was given up before anything could be told from it; the next may try.
    pub(crate) fn given_up(&mut self, now: Instant) {
        if let State::HalfOpen { pause } = self.0 {
            self.0 = State::Open { until: now, pause };
        }
    }
}

#[cfg(test)]
mod tests;
