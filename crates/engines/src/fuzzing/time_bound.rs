//! That what the fuzz targets call takes no longer than its input is long: a bound on processor time for each byte, so far
//! from what anything takes that only work which grows faster than its input gets there. Owns that bound only; nothing that
//! runs in production calls it.

use std::time::Duration;

/// The time that any input may take: of a short one, most of the time is not spent on its bytes.
const ANY: Duration = Duration::from_millis(250);
/// The time that each byte may take, in code that is not optimised, with all that the entry points check.
const PER_BYTE: Duration = Duration::from_micros(100);
/// The number of times that an input is tried which took too long. What disturbs a measurement makes it longer, never
/// shorter, so that the shortest of several is nearest to the truth.
const TRIES: usize = 5;

/// Calls the entry point of a fuzz target.
///
/// # Panics
/// Panics if the entry point does, or takes too long.
pub fn hold(entry_point: fn(&[u8]), input: &[u8]) {
    let most = ANY + PER_BYTE * u32::try_from(input.len()).unwrap_or(u32::MAX);
    let shortest = (0..TRIES).map(|_| taken(|| entry_point(input))).find(|taken| *taken <= most);
    assert!(shortest.is_some(), "{} bytes took more than {most:?} each time", input.len());
}

/// The processor time that this thread takes for `work`.
#[cfg(target_os = "linux")]
fn taken(work: impl FnOnce()) -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let start = now();
    work();
    now().saturating_sub(start)
}

/// No time, where it cannot be told.
#[cfg(not(target_os = "linux"))]
fn taken(work: impl FnOnce()) -> Duration {
    work();
    Duration::ZERO
}
