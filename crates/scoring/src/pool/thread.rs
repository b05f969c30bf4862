//! The life of one scoring thread: load a model, let it work, again. Owns what happens when a load fails (wait, try again)
//! and when a run panics (the model is loaded afresh, after a pause where it had run nothing well); never ends but when the
//! pool does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use super::{
    grouping::Grouping,
    layout::Layout,
    queue::Queue,
    state::{Health, Shared},
    worker::Worker,
};
use crate::{
    backend::{BackendError, Inference},
    panics::message,
    thread_priority::lower_own,
};

/// A load in progress, as the pool counts them.
struct Loading<'a>(&'a Shared);

impl<'a> Loading<'a> {
    /// Nothing once the pool stops, which waits for those that have begun.
    fn begin(shared: &'a Shared) -> Option<Loading<'a>> {
        let queue = shared.lock_queue();
        (!queue.stopping).then(|| {
            shared.loading.fetch_add(1, Ordering::SeqCst);
            Loading(shared)
        })
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.loading.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One scoring thread.
struct ScoringThread {
    shared: Arc<Shared>,
    index: usize,
}

/// Starts thread `index`, where the system gives one.
pub(super) fn spawn(shared: &Arc<Shared>, index: usize) -> Option<JoinHandle<()>> {
    shared.lock_queue().threads += 1;
    let thread = ScoringThread { shared: Arc::clone(shared), index };
    let run = move || {
        lower_own();
        thread.run();
        thread.shared.lock_queue().threads -= 1;
        thread.shared.ended.notify_all();
    };
    let started = std::thread::Builder::new().name(format!("score-{index}")).spawn(run);
    if let Err(error) = &started {
        tracing::error!(%error, worker = index, "cannot start a scoring thread");
        shared.lock_queue().threads -= 1;
    }
    started.ok()
}

impl ScoringThread {
    fn run(&self) {
        let (shared, options) = (&*self.shared, &self.shared.options);
        if self.index > 0 {
            let queue = shared.lock_queue();
            let not_yet = |queue: &mut Queue| !queue.proven && !queue.stopping;
            drop(shared.changed.wait_while(queue, not_yet).unwrap_or_else(PoisonError::into_inner));
        }
        let (mut wait, mut rest) = (options.retry_after, options.retry_after);
        while let Some(loading) = Loading::begin(shared) {
            let Some(layout) = shared.layout.get() else {
                let measured = Layout::measured(&*shared.loader, shared.workers.len());
                drop(loading);
                match measured {
                    Ok(layout) => drop(shared.layout.set(layout)),
                    Err(error) => self.report_failure(&error, &mut wait),
                }
                continue;
            };
            if self.index >= layout.workers {
                return;
            }
            let loaded = catch_unwind(AssertUnwindSafe(|| {
                let mut model = shared.loader.load(layout.threads)?;
                self.choose_grouping(&mut *model)?;
                Ok(model)
            }));
            drop(loading);
            let panicked = |panic: Box<dyn std::any::Any + Send>| {
                Err(BackendError::Panicked(format!("loading panicked: {}", message(&*panic))))
            };
            match loaded.unwrap_or_else(panicked) {
                Ok(model) => {
                    self.report_loaded();
                    wait = options.retry_after;
                    let health = &shared.workers[self.index];
                    let mut worker = Worker::new(shared, health, model);
                    if worker.serve().is_ok() {
                        return;
                    }
                    let was_proven = worker.is_proven();
                    drop(worker);
                    if was_proven {
                        rest = options.retry_after;
                        health.loaded.store(false, Ordering::Release);
                    } else {
                        self.rest(health, &mut rest);
                    }
                }
                Err(error) => self.report_failure(&error, &mut wait),
            }
        }
    }

    /// Measures with the first model that is loaded, before it has work, and never again.
    fn choose_grouping(&self, model: &mut dyn Inference) -> Result<(), BackendError> {
        let (chosen, options) = (&self.shared.grouping, &self.shared.options);
        if chosen.get().is_some() {
            return Ok(());
        }
        let measured = catch_unwind(AssertUnwindSafe(|| options.grouping.measured(model, options.max_tokens)));
        // Where it panics at that, it is loaded afresh and has to do without.
        chosen.set(*measured.as_ref().unwrap_or(&Grouping::Alone)).ok();
        match measured {
            Ok(_) => Ok(()),
            Err(panic) => Err(BackendError::Panicked(format!("the model panicked: {}", message(&*panic)))),
        }
    }

    fn report_failure(&self, error: &BackendError, wait: &mut Duration) {
        let (shared, reason) = (&self.shared, error.to_string());
        tracing::error!(model = shared.loader.name(), reason, retry_in = ?*wait, "cannot load the model");
        shared.set_load_failure(Some(reason));
        shared.pause(*wait);
        *wait = (*wait * 2).min(shared.options.retry_at_most);
    }

    /// Waits before a model is loaded again that panics whatever it is given: loading takes all of a core.
    fn rest(&self, health: &Health, rest: &mut Duration) {
        let shared = &self.shared;
        let (model, reason) = (shared.loader.name(), "it panicked at its first run after it was loaded");
        tracing::error!(model, reason, retry_in = ?*rest, "the model is taken out of use for a while");
        shared.set_load_failure(Some(reason.to_owned()));
        health.loaded.store(false, Ordering::Release);
        shared.pause(*rest);
        *rest = (*rest * 2).min(shared.options.retry_at_most);
    }

    fn report_loaded(&self) {
        let shared = &self.shared;
        shared.set_load_failure(None);
        shared.workers[self.index].loaded.store(true, Ordering::Release);
        let mut queue = shared.lock_queue();
        if !queue.proven {
            let (workers, threads) = shared.layout.get().map_or((1, 1), |layout| (layout.workers, layout.threads));
            let model = shared.loader.name();
            tracing::info!(model, workers, threads, took = ?shared.started.elapsed(), "the model is loaded");
        }
        queue.proven = true;
        shared.changed.notify_all();
    }
}
