//! What the measurements at the start share: an input to run, and a watch that knows how long its thread waited for a core.
//! What is tried, and what follows from it, belongs to [`super::layout`] and [`super::grouping`].

use std::time::{Duration, Instant};

use crate::{
    backend::{BackendError, Inference},
    encode::Encoded,
    request::LongPassages,
};

/// The share of its time for which a thread may have waited for its core, while others had it.
pub(super) const DISTURBED: f64 = 0.1;

/// A watch on what its thread does from now on.
pub(super) struct Watch {
    began: Instant,
    waited: Duration,
}

/// Time as a watch tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) seconds: f64,
    /// The share of it for which the thread was ready to run while another had the core.
    pub(super) waited: f64,
}

impl Watch {
    pub(super) fn start() -> Watch {
        Watch { began: Instant::now(), waited: waited() }
    }

    /// The time since it was started, and nothing else.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The time since it was started. To be asked for by the thread that started it.
    pub(super) fn time(&self) -> Time {
        let seconds = self.began.elapsed().as_secs_f64();
        Time { seconds, waited: waited().saturating_sub(self.waited).as_secs_f64() / seconds }
    }
}

/// The time for which the calling thread was ready to run in its life while another had the core; nothing where the system
/// does not say (Linux does: `Documentation/scheduler/sched-stats.rst`).
fn waited() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = said.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// An input of about 128 tokens, or as many as the model reads.
pub(super) fn sample(model: &dyn Inference) -> Result<Encoded, BackendError> {
    let text = "how long does it take here to read this ".repeat(14);
    let mut windows = model.encode(None, &[&text], LongPassages::Truncate).remove(0).map_err(BackendError::Run)?;
    Ok(windows.remove(0))
}
