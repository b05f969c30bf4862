//! One request to the pool: its texts, what has come of each of them, and whether anybody still waits. Owns the
//! hand-over between worker threads and the waiting task; knows neither queue nor model.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Load, pace::Estimate, pairs::Pairs};
use crate::{LongPassages, cache::Key, inference::Made};

/// What is asked of the pool.
pub(crate) struct Work {
    /// Each text is run as a pair with it; alone where there is none.
    pub query: Option<String>,
    /// First ones first.
    pub texts: Vec<String>,
    /// What each text (with the query) is known by; none twice.
    pub keys: Vec<Key>,
    /// What becomes of long ones.
    pub long: LongPassages,
    /// The outcome is what is there by then.
    pub deadline: Instant,
    /// Whether it lets all go first that is not patient.
    pub patient: bool,
}

/// One request to the pool, shared between the queue, the workers and the [`Ticket`].
pub(super) struct Job {
    pub(super) work: Work,
    /// Of the texts that are to be run, which are the first ones.
    estimates: Vec<Estimate>,
    abandoned: AtomicBool,
    progress: Mutex<Progress>,
    finished: Notify,
    load: Arc<Load>,
}

struct Progress {
    outputs: Vec<Option<Made>>,
    /// Texts to be run that have neither an output nor a failure.
    open: usize,
    /// What they are expected to cost.
    ahead: Estimate,
    failure: Option<String>,
}

/// What has come of a job.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// One per text; `None` where there was no time, or the run failed or gave no finite numbers.
    pub outputs: Vec<Option<Made>>,
    /// Texts that were begun with too late.
    pub open: usize,
    /// Texts, the last ones, for which it was clear from the beginning that there would be no time.
    pub shed: usize,
    /// Why the first failed run failed.
    pub failure: Option<String>,
}

impl Job {
    /// `estimates` are those of the texts that are to be run, the first ones.
    pub(super) fn new(work: Work, estimates: Vec<Estimate>, load: Arc<Load>) -> Job {
        let ahead = estimates.iter().copied().sum();
        let progress = Progress { outputs: vec![None; work.texts.len()], open: estimates.len(), ahead, failure: None };
        load.add(estimates.len(), ahead);
        Job {
            work,
            estimates,
            abandoned: AtomicBool::new(false),
            progress: Mutex::new(progress),
            finished: Notify::new(),
            load,
        }
    }

    /// How many of the texts are to be run.
    pub(super) fn depth(&self) -> usize {
        self.estimates.len()
    }

    pub(super) fn key(&self, index: usize) -> Key {
        self.work.keys[index]
    }

    /// Whether its answer would come too late for anybody.
    pub(super) fn is_pointless(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.work.deadline
    }

    /// The time on one worker that what is left of it will take, by all that is known.
    pub(super) fn ahead(&self) -> Duration {
        if self.is_pointless() { Duration::ZERO } else { self.lock_progress().ahead.time }
    }

    /// Answers text `index`.
    pub(super) fn answer(&self, index: usize, made: Made) {
        self.settle(index, |progress| progress.outputs[index] = Some(made));
    }

    /// Gives text `index` up as failed.
    pub(super) fn fail(&self, index: usize, reason: &str) {
        self.settle(index, |progress| {
            if progress.failure.is_none() {
                tracing::warn!(reason, "scoring failed");
                progress.failure = Some(reason.to_owned());
            }
        });
    }

    fn settle(&self, index: usize, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.lock_progress();
        change(&mut progress);
        progress.open -= 1;
        progress.ahead = progress.ahead - self.estimates[index];
        if !self.abandoned.load(Ordering::Relaxed) {
            self.load.remove(1, self.estimates[index]);
        }
        if progress.open == 0 {
            self.finished.notify_one();
        }
    }

    fn lock_progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waiting side of a job. Dropping it drops the work that has not begun and frees its place in the queue.
pub(crate) struct Ticket {
    job: Arc<Job>,
    pairs: Arc<Pairs>,
}

impl Ticket {
    pub(super) fn new(job: Arc<Job>, pairs: Arc<Pairs>) -> Ticket {
        Ticket { job, pairs }
    }

    /// How many of the texts, the first ones, are to be run.
    #[cfg(test)]
    pub(super) fn depth(&self) -> usize {
        self.job.depth()
    }

    /// Waits until every text is answered or has failed, or until the deadline, and tells what there is.
    pub(crate) async fn outcome(self) -> Outcome {
        let deadline = tokio::time::Instant::from_std(self.job.work.deadline);
        // On time-out the outcome is what there is by now.
        let _ = tokio::time::timeout_at(deadline, self.job.finished.notified()).await;
        let mut progress = self.job.lock_progress();
        Outcome {
            outputs: progress.outputs.clone(),
            open: progress.open,
            shed: self.job.work.texts.len() - self.job.depth(),
            failure: progress.failure.take(),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        {
            let progress = self.job.lock_progress();
            self.job.abandoned.store(true, Ordering::Relaxed);
            self.job.load.remove(progress.open, progress.ahead);
            if progress.open == 0 {
                return;
            }
        }
        self.pairs.forget(&self.job);
    }
}
