//! Worker threads that score: as many as cores, each with a model of its own, fed from one queue with the most urgent
//! work first. Owns admission (how much may wait) and the threads' end; the state that all share belongs to [`state`], the
//! life of a thread to [`thread`], what it does with its model to [`worker`], one request to [`job`], the order of work to
//! [`queue`], its cost to [`cost_model`], that no pair is run twice at a time to [`pairs`].

mod backlog;
mod cost_model;
mod grouping;
mod job;
mod layout;
mod locks;
mod measuring;
mod options;
mod pairs;
mod queue;
mod state;
mod thread;
mod ticket;
mod work;
mod worker;

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use cost_model::Estimate;
use job::Job;
use layout::Layout;
use queue::Queue;
use state::{Health, Shared};

pub(crate) use grouping::Grouping;
pub(crate) use options::PoolOptions;
pub(crate) use ticket::Ticket;
pub(crate) use work::Work;

use crate::{backend::Loader, cache::ScoreCache, readiness::Readiness, request::Priority, score::ScoreError};

/// The worker threads. Dropping it stops them; queued work is dropped unscored.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads. They load in the background: the first one alone, so that a model that cannot be loaded
    /// fails once and not once per core, then the others. Their outputs go to `cache`.
    pub(crate) fn start(loader: Arc<dyn Loader>, cache: Arc<ScoreCache>, options: PoolOptions) -> Pool {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let layout = Layout::configured(options.workers, options.threads, cores);
        let workers = layout.map_or(cores, |layout| layout.workers);
        let shared = Arc::new(Shared::new(loader, cache, options, layout, workers));
        let threads = (0..workers).filter_map(|index| thread::spawn(&shared, index)).collect();
        Pool { shared, threads }
    }

    /// Queues as many of the texts, first ones first, as can be admitted; they are answered best-first until the deadline.
    ///
    /// # Errors
    /// [`ScoreError::Unavailable`] where nobody could run it, [`ScoreError::Overloaded`] where none can be
    /// admitted.
    pub(crate) fn submit(&self, work: Work) -> Result<Ticket, ScoreError> {
        match self.readiness() {
            Readiness::Ready => {}
            other => return Err(ScoreError::Unavailable(other.to_string())),
        }
        let shared = &self.shared;
        let workers = self.loaded_workers().max(1);
        let mut estimates = shared.cost_model.estimates(&work);
        let mut queue = shared.lock_queue();
        // Pairs that others will have run before are reckoned with once, and cost this one nothing. Those that others have
        // time for until later, this one has to run.
        for (estimate, wanted) in estimates.iter_mut().zip(shared.pairs.wanted(&work.keys, work.deadline)) {
            if wanted {
                *estimate = Estimate::default();
            }
        }
        let whole: Estimate = estimates.iter().copied().sum();
        let admission = queue.admission(&work, whole.time, workers);
        let in_time = admission.depth(estimates.iter().map(|estimate| estimate.time));
        let depth = in_time.min(self.depth_in_memory(&estimates, work.priority));
        if depth == 0 && !estimates.is_empty() {
            return Err(ScoreError::Overloaded);
        }
        estimates.truncate(depth);
        let chunk = shared.options.grouping.chunk(work.long);
        let job = Arc::new(Job::new(work, estimates, Arc::clone(&shared.backlog)));
        shared.pairs.want(&job);
        queue.admit(&job, workers, chunk);
        drop(queue);
        shared.changed.notify_all();
        Ok(Ticket::new(job, Arc::clone(&shared.pairs)))
    }

    /// The number of first texts that the queue has memory for. Background work leaves half of it to searches.
    fn depth_in_memory(&self, estimates: &[Estimate], priority: Priority) -> usize {
        let waiting = self.shared.backlog.tokens();
        if waiting == 0 {
            return estimates.len();
        }
        let share = if priority == Priority::Background { 2 } else { 1 };
        let most = self.shared.options.queue_tokens / share;
        let mut left = most.saturating_sub(waiting);
        let fits = |estimate: &&Estimate| match left.checked_sub(estimate.tokens) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        estimates.iter().take_while(fits).count()
    }

    /// The readiness for work that is sent now.
    pub(crate) fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// Inputs that wait or are being run.
    pub(crate) fn queued_pairs(&self) -> usize {
        self.shared.backlog.texts()
    }

    /// Their tokens, estimated.
    pub(crate) fn queued_tokens(&self) -> usize {
        self.shared.backlog.tokens()
    }

    /// Inputs that were run, since the start.
    pub(crate) fn runs(&self) -> u64 {
        self.shared.runs.load(Ordering::Relaxed)
    }

    /// How often a worker got its model.
    pub(crate) fn loads(&self) -> u64 {
        self.shared.loads.load(Ordering::Relaxed)
    }

    /// How often a worker did not.
    pub(crate) fn failed_loads(&self) -> u64 {
        self.shared.failed_loads.load(Ordering::Relaxed)
    }

    /// Inputs a second that all workers do together, by the latest runs; `None` before the first.
    pub(crate) fn pairs_per_second(&self) -> Option<f64> {
        Some(self.shared.cost_model.texts_per_second()? * self.loaded_workers() as f64)
    }

    /// Workers that are running something.
    pub(crate) fn busy_workers(&self) -> usize {
        let busy = |worker: &&Health| worker.busy_since.load(Ordering::Relaxed) != 0;
        self.shared.workers.iter().filter(busy).count()
    }

    /// Workers in all; 0 until that is known.
    pub(crate) fn workers(&self) -> usize {
        self.shared.layout.get().map_or(0, |layout| layout.workers)
    }

    /// Workers that have their model.
    pub(crate) fn loaded_workers(&self) -> usize {
        self.shared.workers.iter().filter(|worker| worker.loaded.load(Ordering::Acquire)).count()
    }
}

impl Drop for Pool {
    /// Waits for runs in progress, but not for one that hangs: its thread is left behind. A load comes to its end, and is
    /// waited for longer: ONNX Runtime may crash where the process ends in the midst of one.
    fn drop(&mut self) {
        const LOAD_PATIENCE: Duration = Duration::from_secs(8);
        let shared = &self.shared;
        let mut queue = shared.lock_queue();
        queue.stop();
        shared.changed.notify_all();
        let loading = |_: &mut Queue| shared.loading.load(Ordering::SeqCst) > 0;
        let waited = shared.ended.wait_timeout_while(queue, LOAD_PATIENCE, loading);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        let patience = Duration::from_secs(2).min(shared.options.hang_after);
        let running = |queue: &mut Queue| queue.threads > 0;
        let waited = shared.ended.wait_timeout_while(queue, patience, running);
        let stuck = waited.unwrap_or_else(PoisonError::into_inner).0.threads;
        if stuck > 0 {
            tracing::warn!(threads = stuck, "scoring threads are stuck; leaving them behind");
            return;
        }
        // Whichever is last gives the model back; whoever drops the pool may rely on that it has been.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
