//! A warning that may come a thousand times a second is told once a minute, with how often it would have come.

use std::time::{Duration, Instant};

/// The time that one warning stands for all of its kind.
const QUIET: Duration = Duration::from_mins(1);

/// One kind of warning.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    untold: u64,
    told: Option<Instant>,
}

impl Seldom {
    /// It happened at `now`. How often it happened since it was last told, where it is to be told again: at the first time,
    /// and then at most once a minute.
    pub(crate) fn happened(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < QUIET) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_at_once_and_then_once_a_minute_with_its_count() {
        let (mut seldom, began) = (Seldom::default(), Instant::now());
        let told: Vec<Option<u64>> =
            [0, 1, 59, 60, 61, 200].map(|second| seldom.happened(began + Duration::from_secs(second))).into();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
