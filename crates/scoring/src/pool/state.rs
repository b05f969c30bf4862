//! The state that the pool's handle and its threads share.

use std::{
    sync::{Arc, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use super::{
    backlog::Backlog,
    cost_model::CostModel,
    grouping::Grouping,
    layout::Layout,
    locks::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    options::PoolOptions,
    pairs::Pairs,
    queue::Queue,
};
use crate::{backend::Loader, cache::ScoreCache, readiness::Readiness};

/// The state that the pool's handle and its threads share.
pub(super) struct Shared {
    pub(super) options: PoolOptions,
    pub(super) loader: Arc<dyn Loader>,
    pub(super) cache: Arc<ScoreCache>,
    queue: Mutex<Queue>,
    pub(super) pairs: Arc<Pairs>,
    pub(super) cost_model: CostModel,
    /// Signalled when there is work, when the first model is loaded, and when the pool stops.
    pub(super) changed: Condvar,
    /// Signalled when a thread ends.
    pub(super) ended: Condvar,
    pub(super) backlog: Arc<Backlog>,
    /// The number of threads that are loading a model.
    pub(super) loading: AtomicUsize,
    /// The number of inputs that were run, since the start.
    pub(super) runs: AtomicU64,
    /// How often a worker got its model.
    pub(super) loads: AtomicU64,
    /// How often it could not, or had it taken out of use.
    pub(super) failed_loads: AtomicU64,
    /// No model is loaded to stay before it is known.
    pub(super) layout: OnceLock<Layout>,
    /// Known as soon as a model is loaded.
    pub(super) grouping: OnceLock<Grouping>,
    /// As many as there can be workers.
    pub(super) workers: Vec<Health>,
    /// The reason why the latest attempt to load failed.
    load_failure: Mutex<Option<String>>,
    pub(super) started: Instant,
}

/// The state of one worker, as it is seen from outside.
#[derive(Default)]
pub(super) struct Health {
    pub(super) loaded: AtomicBool,
    /// The beginning of its run, in milliseconds since the pool started, plus one; 0 when idle.
    pub(super) busy_since: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        loader: Arc<dyn Loader>,
        cache: Arc<ScoreCache>,
        options: PoolOptions,
        layout: Option<Layout>,
        workers: usize,
    ) -> Shared {
        let grouping = options.is_layout_given().then_some(options.grouping);
        Shared {
            grouping: grouping.map(OnceLock::from).unwrap_or_default(),
            cost_model: CostModel::new(options.max_tokens),
            options,
            loader,
            cache,
            queue: Mutex::default(),
            pairs: Arc::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
            backlog: Arc::default(),
            loading: AtomicUsize::new(0),
            runs: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            failed_loads: AtomicU64::new(0),
            layout: layout.map(OnceLock::from).unwrap_or_default(),
            workers: (0..workers).map(|_| Health::default()).collect(),
            load_failure: Mutex::new(None),
            started: Instant::now(),
        }
    }

    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inputs that are run together.
    pub(super) fn grouping(&self) -> Grouping {
        self.grouping.get().copied().unwrap_or(self.options.grouping)
    }

    /// Notes that a worker has its model; else why not.
    pub(super) fn set_load_failure(&self, failure: Option<String>) {
        let count = if failure.is_none() { &self.loads } else { &self.failed_loads };
        count.fetch_add(1, Ordering::Relaxed);
        *self.load_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// The readiness for work that is sent now.
    pub(super) fn readiness(&self) -> Readiness {
        let loaded = |worker: &&Health| worker.loaded.load(Ordering::Acquire);
        let mut loaded = self.workers.iter().filter(loaded).peekable();
        if loaded.peek().is_none() {
            let failure = self.load_failure.lock().unwrap_or_else(PoisonError::into_inner);
            return failure.clone().map_or(Readiness::Loading, Readiness::Failed);
        }
        let limit = self.options.hang_after;
        if loaded.all(|worker| self.busy_for(worker).is_some_and(|time| time > limit)) {
            return Readiness::Stuck(limit);
        }
        Readiness::Ready
    }

    /// Waits for a time, or until the pool stops.
    pub(super) fn pause(&self, time: Duration) {
        let until_stop = |queue: &mut Queue| !queue.stopping;
        drop(self.changed.wait_timeout_while(self.lock_queue(), time, until_stop));
    }

    fn busy_for(&self, worker: &Health) -> Option<Duration> {
        let since = worker.busy_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}
