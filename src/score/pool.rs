//! Worker threads that score: as many as cores, each with a model of its own, fed from one queue with the most urgent
//! work first. Owns admission (how much may wait), health (loading, failed, stuck) and the threads' life; what a piece
//! of work is belongs to [`job`], the order of work to [`queue`], what a thread does to [`worker`].

mod job;
mod queue;
mod worker;

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub(super) use job::{Job, Keeper, Ticket, Work};
use queue::Queue;

use super::{ScoreError, inference::Loader};

/// How a [`Pool`] is set up.
#[derive(Debug, Clone)]
pub(super) struct PoolOptions {
    /// Threads, and models loaded; 0 means one per core.
    pub workers: usize,
    /// How many inputs may be admitted and not yet answered. A job that finds the pool empty is always admitted.
    pub queue_pairs: usize,
    /// Tokens that a run of several short inputs may have in all; 0 runs every input alone.
    pub group_tokens: usize,
    /// A run older than this has hung.
    pub hang_after: Duration,
    /// How long to wait before loading again after the first failure; doubles up to `retry_at_most`.
    pub retry_after: Duration,
    /// The longest wait between attempts to load.
    pub retry_at_most: Duration,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            workers: 0,
            queue_pairs: 4096,
            group_tokens: 512,
            hang_after: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
            retry_at_most: Duration::from_secs(30),
        }
    }
}

/// The worker threads. Dropping it stops them; queued work is dropped unscored.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

/// What the pool's handle and its threads share.
struct Shared {
    options: PoolOptions,
    loader: Arc<dyn Loader>,
    queue: Mutex<Queue>,
    /// Signalled when there is work, when the first model is loaded, and when the pool stops.
    changed: Condvar,
    /// Signalled when a thread ends.
    ended: Condvar,
    /// Inputs admitted and not yet answered or given up.
    admitted: Arc<AtomicUsize>,
    workers: Vec<Health>,
    /// Why the latest attempt to load failed.
    load_failure: Mutex<Option<String>>,
    started: Instant,
}

/// What is known of one worker from outside.
#[derive(Default)]
struct Health {
    loaded: AtomicBool,
    /// When its run began, in milliseconds since the pool started, plus one; 0 when idle.
    busy_since: AtomicU64,
}

impl Pool {
    /// Starts the threads. They load in the background: the first one alone, so that a model that cannot be loaded
    /// fails once and not once per core, then the others.
    pub(super) fn start(loader: Arc<dyn Loader>, mut options: PoolOptions) -> Pool {
        if options.workers == 0 {
            options.workers = std::thread::available_parallelism().map_or(1, usize::from);
        }
        let workers = options.workers;
        let shared = Arc::new(Shared {
            options,
            loader,
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
            ended: Condvar::new(),
            admitted: Arc::new(AtomicUsize::new(0)),
            workers: (0..workers).map(|_| Health::default()).collect(),
            load_failure: Mutex::new(None),
            started: Instant::now(),
        });
        for index in 0..workers {
            worker::spawn(&shared, index);
        }
        Pool { shared }
    }

    /// Queues texts, to be answered best-first until their deadline.
    ///
    /// # Errors
    /// [`ScoreError::Unavailable`] where nobody could run it, [`ScoreError::Overloaded`] where too much waits already.
    pub(super) fn submit(&self, work: Work, keeper: Box<dyn Keeper>) -> Result<Ticket, ScoreError> {
        self.ready().map_err(ScoreError::Unavailable)?;
        let count = work.texts.len();
        let admit = |waiting: usize| {
            (waiting == 0 || waiting + count <= self.shared.options.queue_pairs).then_some(waiting + count)
        };
        let admitted = &self.shared.admitted;
        admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).map_err(|_| ScoreError::Overloaded)?;
        let job = Arc::new(Job::new(work, keeper, Arc::clone(admitted)));
        self.shared.lock_queue().admit(&job);
        self.shared.changed.notify_all();
        Ok(Ticket::new(job))
    }

    /// Whether work sent now could be done; `Err` says why not.
    pub(super) fn ready(&self) -> Result<(), String> {
        let loaded = |worker: &&Health| worker.loaded.load(Ordering::Acquire);
        let mut loaded = self.shared.workers.iter().filter(loaded).peekable();
        if loaded.peek().is_none() {
            let failure = self.shared.load_failure.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(failure.clone().unwrap_or_else(|| String::from("loading")));
        }
        let limit = self.shared.options.hang_after;
        if loaded.all(|worker| self.shared.busy_for(worker).is_some_and(|time| time > limit)) {
            return Err(format!("every worker has been stuck for more than {} s", limit.as_secs_f32()));
        }
        Ok(())
    }

    /// Inputs that wait or are being run.
    pub(super) fn queued_pairs(&self) -> usize {
        self.shared.admitted.load(Ordering::Relaxed)
    }

    /// Workers that are running something.
    pub(super) fn busy_workers(&self) -> usize {
        let busy = |worker: &&Health| worker.busy_since.load(Ordering::Relaxed) != 0;
        self.shared.workers.iter().filter(busy).count()
    }

    /// Workers in all.
    pub(super) fn workers(&self) -> usize {
        self.shared.workers.len()
    }
}

impl Drop for Pool {
    /// Waits for runs in progress, but not for one that hangs: its thread is left behind.
    fn drop(&mut self) {
        let mut queue = self.shared.lock_queue();
        queue.stop();
        self.shared.changed.notify_all();
        let patience = Duration::from_secs(2).min(self.shared.options.hang_after);
        let running = |queue: &mut Queue| queue.threads > 0;
        let waited = self.shared.ended.wait_timeout_while(queue, patience, running);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        if queue.threads > 0 {
            tracing::warn!(threads = queue.threads, "scoring threads are stuck; leaving them behind");
        }
    }
}

impl Shared {
    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy_for(&self, worker: &Health) -> Option<Duration> {
        let since = worker.busy_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests;
