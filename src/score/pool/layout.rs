//! How the cores are shared out: workers, and threads to each. Owns the choice, which is measured where the operator has
//! not made it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::score::{
    LongPassages,
    encode::Encoded,
    inference::{Inference, Loader},
};

/// Workers, and threads that the model of each runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) workers: usize,
    pub(super) threads: usize,
}

/// Two threads on one pair must beat two pairs at a time by so much before they are preferred: what is measured varies,
/// and a worker to each core leaves none idle at the end of a window.
const MARGIN: f64 = 1.1;

/// How long each way is tried, and how many runs it is given at least.
const TRIAL: Duration = Duration::from_millis(100);
const RUNS: usize = 3;

impl Layout {
    /// What the operator's numbers say, 0 standing for what suits the machine; `None` where that is to be measured.
    pub(super) fn configured(workers: usize, threads: usize, cores: usize) -> Option<Layout> {
        match (workers, threads) {
            (0, 0) if cores > 1 => None,
            (0, 0) => Some(Layout { workers: 1, threads: 1 }),
            (0, threads) => Some(Layout { workers: (cores / threads).max(1), threads }),
            (workers, threads) => Some(Layout { workers, threads: threads.max(1) }),
        }
    }

    /// Whichever of two ways to use two cores does more pairs a second: a worker on each, or one worker on both. More
    /// than two threads on one pair are not tried: what is lost in waiting for each other grows with their number.
    ///
    /// # Errors
    /// Why the model could not be loaded or run.
    pub(super) fn measured(loader: &dyn Loader, cores: usize) -> Result<Layout, String> {
        let apart = rate(loader, Layout { workers: 2, threads: 1 })?;
        let together = rate(loader, Layout { workers: 1, threads: 2 })?;
        let layout = if together > apart * MARGIN {
            Layout { workers: cores.div_ceil(2), threads: 2 }
        } else {
            Layout { workers: cores, threads: 1 }
        };
        tracing::debug!(
            workers = layout.workers,
            threads = layout.threads,
            "on two cores, {apart:.0} pairs/s by two workers and {together:.0} by one with two threads"
        );
        Ok(layout)
    }
}

/// Pairs a second of about 128 tokens.
fn rate(loader: &dyn Loader, layout: Layout) -> Result<f64, String> {
    let ready = Barrier::new(layout.workers);
    let trial = || -> Result<f64, String> {
        let load = || {
            let mut model = loader.load(layout.threads)?;
            let sample = sample(&*model)?;
            // The first run allocates.
            run(&mut *model, &sample)?;
            Ok((model, sample))
        };
        // Who failed, in whichever way, must not keep the others waiting.
        let loaded = catch_unwind(AssertUnwindSafe(load));
        ready.wait();
        let (mut model, sample) = loaded.unwrap_or_else(|_| Err(String::from("loading panicked")))?;
        let (began, mut runs) = (Instant::now(), 0);
        while runs < RUNS || began.elapsed() < TRIAL {
            run(&mut *model, &sample)?;
            runs += 1;
        }
        Ok(runs as f64 / began.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..layout.workers).map(|_| scope.spawn(trial)).collect();
        let rates =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(String::from("it panicked"))));
        rates.sum()
    })
}

fn sample(model: &dyn Inference) -> Result<Encoded, String> {
    let text = "how long does it take here to read this ".repeat(14);
    let mut windows = model.encode(None, &[&text], LongPassages::Truncate).remove(0)?;
    Ok(windows.remove(0))
}

fn run(model: &mut dyn Inference, sample: &Encoded) -> Result<(), String> {
    model.run(&[sample]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_says_is_not_measured() {
        let layout = |workers, threads| Some(Layout { workers, threads });
        assert_eq!(Layout::configured(0, 0, 16), None);
        assert_eq!(Layout::configured(0, 0, 1), layout(1, 1));
        assert_eq!(Layout::configured(4, 0, 16), layout(4, 1));
        assert_eq!(Layout::configured(4, 2, 16), layout(4, 2));
        assert_eq!(Layout::configured(0, 4, 16), layout(4, 4));
        assert_eq!(Layout::configured(0, 4, 2), layout(1, 4));
    }
}
