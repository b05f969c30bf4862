//! Worker threads that score: as many as cores, each with a model of its own, fed from one queue with the most urgent
//! work first. Owns admission (how much may wait), health (loading, failed, stuck) and the threads' life; what a piece
//! of work is belongs to [`job`], the order of work and how deep a request is taken to [`queue`], what work costs to
//! [`pace`], that no pair is run twice at a time to [`pairs`], what a thread does to [`worker`].

mod job;
mod layout;
mod pace;
mod pairs;
mod queue;
mod worker;

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use job::Job;
pub(super) use job::{Ticket, Work};
use layout::Layout;
use pace::{Estimate, Pace};
use pairs::Pairs;
use queue::Queue;

use crate::{LongPassages, ScoreError, cache::ScoreCache, inference::Loader};

/// How a [`Pool`] is set up.
#[derive(Debug, Clone)]
pub(super) struct PoolOptions {
    /// Models loaded, each of which does one run at a time; 0 means what suits the machine.
    pub workers: usize,
    /// Threads that a run takes; 0 means what suits the machine.
    pub threads: usize,
    /// How many tokens may be admitted and not yet answered. A job that finds the pool empty is always admitted.
    pub queue_tokens: usize,
    /// The longest input of the model, in tokens.
    pub max_tokens: usize,
    /// What is run together.
    pub grouping: Grouping,
    /// A run older than this has hung.
    pub hang_after: Duration,
    /// How long to wait before loading again after the first failure; doubles up to `retry_at_most`.
    pub retry_after: Duration,
    /// The longest wait between attempts to load.
    pub retry_at_most: Duration,
}

/// Which inputs are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Short ones of equal length, up to so many tokens; 0 runs every input alone. What suits a core.
    Equal { tokens: usize },
    /// Those of similar length, padded, up to so many tokens. What suits a GPU.
    Padded { tokens: usize },
}

impl Grouping {
    /// Texts that are tokenized in one go: few for a core, so that the first run begins soon and nothing is tokenized
    /// long before its turn, and yet enough to find inputs of equal length among them.
    fn chunk(self, long: LongPassages) -> usize {
        match (self, long) {
            (Grouping::Equal { .. }, LongPassages::Truncate | LongPassages::Beginning { .. }) => 32,
            (Grouping::Equal { .. }, LongPassages::Windows { .. }) => 4,
            (Grouping::Padded { .. }, _) => 256,
        }
    }
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            workers: 0,
            threads: 0,
            queue_tokens: 1 << 20,
            max_tokens: 512,
            grouping: Grouping::Equal { tokens: 512 },
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
    cache: Arc<ScoreCache>,
    queue: Mutex<Queue>,
    pairs: Arc<Pairs>,
    pace: Pace,
    /// Signalled when there is work, when the first model is loaded, and when the pool stops.
    changed: Condvar,
    /// Signalled when a thread ends.
    ended: Condvar,
    load: Arc<Load>,
    /// Threads that are loading a model.
    loading: AtomicUsize,
    /// Inputs that were run, since the start.
    runs: AtomicU64,
    /// Until it is known no model is loaded to stay.
    layout: OnceLock<Layout>,
    /// As many as there can be workers.
    workers: Vec<Health>,
    /// Why the latest attempt to load failed.
    load_failure: Mutex<Option<String>>,
    started: Instant,
}

/// What was admitted and is not yet answered or given up.
#[derive(Default)]
struct Load {
    texts: AtomicUsize,
    tokens: AtomicUsize,
}

impl Load {
    fn add(&self, texts: usize, estimate: Estimate) {
        self.texts.fetch_add(texts, Ordering::Relaxed);
        self.tokens.fetch_add(estimate.tokens, Ordering::Relaxed);
    }

    fn remove(&self, texts: usize, estimate: Estimate) {
        self.texts.fetch_sub(texts, Ordering::Relaxed);
        self.tokens.fetch_sub(estimate.tokens, Ordering::Relaxed);
    }
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
    /// fails once and not once per core, then the others. What they make goes to `cache`.
    pub(super) fn start(loader: Arc<dyn Loader>, cache: Arc<ScoreCache>, options: PoolOptions) -> Pool {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let layout = Layout::configured(options.workers, options.threads, cores);
        let workers = layout.map_or(cores, |layout| layout.workers);
        let shared = Arc::new(Shared {
            pace: Pace::new(options.max_tokens),
            options,
            loader,
            cache,
            queue: Mutex::default(),
            pairs: Arc::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
            load: Arc::default(),
            loading: AtomicUsize::new(0),
            runs: AtomicU64::new(0),
            layout: layout.map(OnceLock::from).unwrap_or_default(),
            workers: (0..workers).map(|_| Health::default()).collect(),
            load_failure: Mutex::new(None),
            started: Instant::now(),
        });
        for index in 0..workers {
            worker::spawn(&shared, index);
        }
        Pool { shared }
    }

    /// Queues as many of the texts, first ones first, as there is room for; they are answered best-first until the
    /// deadline.
    ///
    /// # Errors
    /// [`ScoreError::Unavailable`] where nobody could run it, [`ScoreError::Overloaded`] where there is room for none.
    pub(super) fn submit(&self, work: Work) -> Result<Ticket, ScoreError> {
        self.ready().map_err(ScoreError::Unavailable)?;
        let shared = &self.shared;
        let workers = self.loaded_workers().max(1);
        let mut estimates = shared.pace.estimates(&work);
        let mut queue = shared.lock_queue();
        // What others will have done before is reckoned with once, and costs this one nothing. What they have time for
        // until later, this one has to do.
        for (estimate, wanted) in estimates.iter_mut().zip(shared.pairs.wanted(&work.keys, work.deadline)) {
            if wanted {
                *estimate = Estimate::default();
            }
        }
        let whole: Estimate = estimates.iter().copied().sum();
        let room = queue.room(&work, whole.time, workers);
        let depth =
            room.depth(estimates.iter().map(|estimate| estimate.time)).min(self.tokens_for(&estimates, work.patient));
        if depth == 0 && !estimates.is_empty() {
            return Err(ScoreError::Overloaded);
        }
        estimates.truncate(depth);
        let chunk = shared.options.grouping.chunk(work.long);
        let job = Arc::new(Job::new(work, estimates, Arc::clone(&shared.load)));
        shared.pairs.want(&job);
        queue.admit(&job, workers, chunk);
        drop(queue);
        shared.changed.notify_all();
        Ok(Ticket::new(job, Arc::clone(&shared.pairs)))
    }

    /// How many of the first texts the queue has memory for. What is patient leaves half of it to the others.
    fn tokens_for(&self, estimates: &[Estimate], patient: bool) -> usize {
        let waiting = self.shared.load.tokens.load(Ordering::Relaxed);
        if waiting == 0 {
            return estimates.len();
        }
        let most = self.shared.options.queue_tokens / if patient { 2 } else { 1 };
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
        self.shared.load.texts.load(Ordering::Relaxed)
    }

    /// Their tokens, estimated.
    pub(super) fn queued_tokens(&self) -> usize {
        self.shared.load.tokens.load(Ordering::Relaxed)
    }

    /// Inputs that were run, since the start.
    pub(super) fn runs(&self) -> u64 {
        self.shared.runs.load(Ordering::Relaxed)
    }

    /// Inputs a second that all workers do together, by the latest runs; `None` before the first.
    pub(super) fn pairs_per_second(&self) -> Option<f64> {
        Some(self.shared.pace.texts_per_second()? * self.loaded_workers() as f64)
    }

    /// Workers that are running something.
    pub(super) fn busy_workers(&self) -> usize {
        let busy = |worker: &&Health| worker.busy_since.load(Ordering::Relaxed) != 0;
        self.shared.workers.iter().filter(busy).count()
    }

    /// Workers in all; 0 until that is known.
    pub(super) fn workers(&self) -> usize {
        self.shared.layout.get().map_or(0, |layout| layout.workers)
    }

    /// Workers that have their model.
    pub(super) fn loaded_workers(&self) -> usize {
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
