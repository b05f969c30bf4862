//! One request to the pool: its texts, the output of each so far, and whether anybody still waits. Owns the hand-over from
//! the worker threads to the waiting task; knows neither queue nor model.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    backlog::Backlog,
    cost_model::Estimate,
    locks::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    work::{Outcome, Work},
};
use crate::{cache::Key, model_output::ModelOutput};

/// One request to the pool, shared between the queue, the workers and the waiting task.
pub(super) struct Job {
    pub(super) work: Work,
    /// The estimates of the texts that are to be run, which are the first ones.
    estimates: Vec<Estimate>,
    abandoned: AtomicBool,
    progress: Mutex<Progress>,
    finished: Notify,
    backlog: Arc<Backlog>,
}

struct Progress {
    outputs: Vec<Option<ModelOutput>>,
    /// The number of texts to be run that have neither an output nor a failure.
    open: usize,
    /// The cost that is expected of them.
    ahead: Estimate,
    failure: Option<String>,
}

impl Job {
    /// `estimates` are those of the texts that are to be run, the first ones.
    pub(super) fn new(work: Work, estimates: Vec<Estimate>, backlog: Arc<Backlog>) -> Job {
        let ahead = estimates.iter().copied().sum();
        let progress = Progress { outputs: vec![None; work.texts.len()], open: estimates.len(), ahead, failure: None };
        backlog.add(estimates.len(), ahead);
        Job {
            work,
            estimates,
            abandoned: AtomicBool::new(false),
            progress: Mutex::new(progress),
            finished: Notify::new(),
            backlog,
        }
    }

    /// The number of texts that are to be run.
    pub(super) fn depth(&self) -> usize {
        self.estimates.len()
    }

    pub(super) fn key(&self, index: usize) -> Key {
        self.work.keys[index]
    }

    /// True where the answer would come too late for anybody.
    pub(super) fn is_pointless(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.work.deadline
    }

    /// The time on one worker that the rest of it will take, by all that is known.
    pub(super) fn ahead(&self) -> Duration {
        if self.is_pointless() { Duration::ZERO } else { self.lock_progress().ahead.time }
    }

    /// Answers text `index`.
    pub(super) fn answer(&self, index: usize, output: ModelOutput) {
        self.settle(index, |progress| progress.outputs[index] = Some(output));
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

    /// Waits until every text is answered or has failed, or until the deadline, and tells what there is.
    pub(super) async fn outcome(&self) -> Outcome {
        let deadline = tokio::time::Instant::from_std(self.work.deadline);
        // On time-out the outcome is what there is by now.
        let _ = tokio::time::timeout_at(deadline, self.finished.notified()).await;
        let mut progress = self.lock_progress();
        Outcome {
            outputs: progress.outputs.clone(),
            open: progress.open,
            shed: self.work.texts.len() - self.depth(),
            failure: progress.failure.take(),
        }
    }

    /// Marks that nobody waits any more, and takes what is open off the backlog. True where some of it was.
    pub(super) fn abandon(&self) -> bool {
        let progress = self.lock_progress();
        self.abandoned.store(true, Ordering::Relaxed);
        self.backlog.remove(progress.open, progress.ahead);
        progress.open > 0
    }

    fn settle(&self, index: usize, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.lock_progress();
        change(&mut progress);
        progress.open -= 1;
        progress.ahead = progress.ahead - self.estimates[index];
        if !self.abandoned.load(Ordering::Relaxed) {
            self.backlog.remove(1, self.estimates[index]);
        }
        if progress.open == 0 {
            self.finished.notify_one();
        }
    }

    fn lock_progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
