//! One request to the pool: its texts, what has come of each of them, and whether anybody still waits. Owns the
//! hand-over between worker threads and the waiting task; knows neither queue nor model.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Notify;

use crate::score::{
    LongPassages,
    encode::Encoded,
    inference::{Made, Output},
};

/// Where a job's outputs live on, whoever still waits for them.
pub(in crate::score) trait Keeper: Send + Sync {
    /// The output of text `index`, if another job has made it in the meantime.
    fn recall(&self, index: usize) -> Option<Made>;

    /// Keeps the output of text `index`, which is finite.
    fn keep(&self, index: usize, made: &Made);
}

/// What is asked of the pool.
pub(in crate::score) struct Work {
    /// Each text is run as a pair with it; alone where there is none.
    pub query: Option<String>,
    /// First ones first.
    pub texts: Vec<String>,
    /// What becomes of long ones.
    pub long: LongPassages,
    /// The outcome is what is there by then.
    pub deadline: Instant,
}

/// One request to the pool, shared between the queue, the workers and the [`Ticket`].
pub(in crate::score) struct Job {
    pub(super) work: Work,
    keeper: Box<dyn Keeper>,
    abandoned: AtomicBool,
    progress: Mutex<Progress>,
    finished: Notify,
    admitted: Arc<AtomicUsize>,
}

struct Progress {
    outputs: Vec<Option<Made>>,
    /// Texts that have neither an output nor a failure.
    open: usize,
    failure: Option<String>,
}

/// What has come of a job.
#[derive(Debug, Clone)]
pub(in crate::score) struct Outcome {
    /// One per text; `None` where there was no time, or the run failed or gave no finite numbers.
    pub outputs: Vec<Option<Made>>,
    /// Texts for which there was no time.
    pub open: usize,
    /// Why the first failed run failed.
    pub failure: Option<String>,
}

impl Job {
    pub(super) fn new(work: Work, keeper: Box<dyn Keeper>, admitted: Arc<AtomicUsize>) -> Job {
        let count = work.texts.len();
        let progress = Progress { outputs: vec![None; count], open: count, failure: None };
        Job {
            work,
            keeper,
            abandoned: AtomicBool::new(false),
            progress: Mutex::new(progress),
            finished: Notify::new(),
            admitted,
        }
    }

    /// Whether its answer would come too late for anybody.
    pub(super) fn is_pointless(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.work.deadline
    }

    /// Answers text `index` with what another job has made of it, if one has.
    pub(super) fn recall(&self, index: usize) -> bool {
        let Some(made) = self.keeper.recall(index) else { return false };
        self.settle(|progress| progress.outputs[index] = Some(made), 1);
        true
    }

    /// Answers text `index` with what has come of its windows. Numbers that are none count as a failure.
    pub(super) fn answer(&self, index: usize, outputs: Vec<Output>, windows: &[Encoded]) {
        let Some(made) = Made::of(outputs, windows) else {
            self.fail(1, "the model's output is not finite");
            return;
        };
        self.keeper.keep(index, &made);
        self.settle(|progress| progress.outputs[index] = Some(made), 1);
    }

    /// Gives `count` texts up as failed.
    pub(super) fn fail(&self, count: usize, reason: &str) {
        let note = |progress: &mut Progress| {
            if progress.failure.is_none() {
                tracing::warn!(reason, "scoring failed");
                progress.failure = Some(reason.to_owned());
            }
        };
        self.settle(note, count);
    }

    fn settle(&self, change: impl FnOnce(&mut Progress), count: usize) {
        let mut progress = self.lock_progress();
        change(&mut progress);
        progress.open -= count;
        if !self.abandoned.load(Ordering::Relaxed) {
            self.admitted.fetch_sub(count, Ordering::Relaxed);
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
pub(in crate::score) struct Ticket(Arc<Job>);

impl Ticket {
    pub(super) fn new(job: Arc<Job>) -> Ticket {
        Ticket(job)
    }

    /// Waits until every text is answered or has failed, or until the deadline, and tells what there is.
    pub(in crate::score) async fn outcome(self) -> Outcome {
        let deadline = tokio::time::Instant::from_std(self.0.work.deadline);
        // On time-out the outcome is what there is by now.
        let _ = tokio::time::timeout_at(deadline, self.0.finished.notified()).await;
        let progress = self.0.lock_progress();
        Outcome { outputs: progress.outputs.clone(), open: progress.open, failure: progress.failure.clone() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let progress = self.0.lock_progress();
        self.0.abandoned.store(true, Ordering::Relaxed);
        self.0.admitted.fetch_sub(progress.open, Ordering::Relaxed);
    }
}
