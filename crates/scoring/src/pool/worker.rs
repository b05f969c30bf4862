//! The life of one scoring thread: load a model, do the most urgent task, again. Owns what happens when a load fails
//! (wait, try again) and when a run panics (its inputs fail, the model is loaded afresh, after a pause where it had run
//! nothing well); never ends but when the pool does.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    Health, Shared,
    job::Job,
    layout::Layout,
    queue::{Input, Queue, Step, Task},
};
use crate::{
    cache::Key,
    encode::Encoded,
    inference::{Inference, Made, Output},
    panics::message,
    priority::step_back,
};

/// The model has panicked, and is in no state to go on with.
struct Panicked;

/// A thread with a model.
struct Worker<'a> {
    shared: &'a Shared,
    health: &'a Health,
    model: Box<dyn Inference>,
    /// Whether a run has succeeded.
    is_proven: bool,
}

/// A load that is under way, as the pool counts them.
struct Loading<'a>(&'a AtomicUsize);

impl<'a> Loading<'a> {
    fn begin(count: &'a AtomicUsize) -> Loading<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        Loading(count)
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts worker `index`.
pub(super) fn spawn(shared: &Arc<Shared>, index: usize) {
    shared.lock_queue().threads += 1;
    let its_own = Arc::clone(shared);
    let live = move || {
        step_back();
        its_own.live(index);
        its_own.lock_queue().threads -= 1;
        its_own.ended.notify_all();
    };
    if let Err(error) = std::thread::Builder::new().name(format!("score-{index}")).spawn(live) {
        tracing::error!(%error, worker = index, "cannot start a scoring thread");
        shared.lock_queue().threads -= 1;
    }
}

impl Shared {
    fn live(&self, index: usize) {
        if index > 0 {
            let queue = self.lock_queue();
            let not_yet = |queue: &mut Queue| !queue.proven && !queue.stopping;
            drop(self.changed.wait_while(queue, not_yet).unwrap_or_else(PoisonError::into_inner));
        }
        let (mut wait, mut rest) = (self.options.retry_after, self.options.retry_after);
        while !self.lock_queue().stopping {
            let Some(layout) = self.layout.get() else {
                self.choose_layout(&mut wait);
                continue;
            };
            if index >= layout.workers {
                return;
            }
            let loading = Loading::begin(&self.loading);
            let loaded = catch_unwind(AssertUnwindSafe(|| self.loader.load(layout.threads)));
            drop(loading);
            match loaded.unwrap_or_else(|panic| Err(format!("loading panicked: {}", message(&*panic)))) {
                Ok(model) => {
                    self.report_loaded(index);
                    wait = self.options.retry_after;
                    let health = &self.workers[index];
                    let mut worker = Worker { shared: self, health, model, is_proven: false };
                    if worker.serve().is_ok() {
                        return;
                    }
                    let was_proven = worker.is_proven;
                    drop(worker);
                    if was_proven {
                        rest = self.options.retry_after;
                        health.loaded.store(false, Ordering::Release);
                    } else {
                        self.rest(health, &mut rest);
                    }
                }
                Err(reason) => self.report_failure(reason, &mut wait),
            }
        }
    }

    fn choose_layout(&self, wait: &mut Duration) {
        let loading = Loading::begin(&self.loading);
        let measured = Layout::measured(&*self.loader, self.workers.len());
        drop(loading);
        match measured {
            Ok(layout) => {
                self.layout.set(layout).ok();
            }
            Err(reason) => self.report_failure(reason, wait),
        }
    }

    fn report_failure(&self, reason: String, wait: &mut Duration) {
        tracing::error!(model = self.loader.name(), reason, retry_in = ?*wait, "cannot load the model");
        *self.load_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.pause(*wait);
        *wait = (*wait * 2).min(self.options.retry_at_most);
    }

    /// Waits before a model is loaded again that panics whatever it is given: loading takes all of a core.
    fn rest(&self, health: &Health, rest: &mut Duration) {
        let (model, reason) = (self.loader.name(), "it panicked at its first run after it was loaded");
        tracing::error!(model, reason, retry_in = ?*rest, "the model is taken out of use for a while");
        *self.load_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        health.loaded.store(false, Ordering::Release);
        self.pause(*rest);
        *rest = (*rest * 2).min(self.options.retry_at_most);
    }

    fn report_loaded(&self, index: usize) {
        *self.load_failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.workers[index].loaded.store(true, Ordering::Release);
        let mut queue = self.lock_queue();
        if !queue.proven {
            let (workers, threads) = self.layout.get().map_or((1, 1), |layout| (layout.workers, layout.threads));
            let model = self.loader.name();
            tracing::info!(model, workers, threads, took = ?self.started.elapsed(), "the model is loaded");
        }
        queue.proven = true;
        self.changed.notify_all();
    }

    fn pause(&self, time: Duration) {
        let until_stop = |queue: &mut Queue| !queue.stopping;
        drop(self.changed.wait_timeout_while(self.lock_queue(), time, until_stop));
    }

    /// The most urgent task; waits for one. `None` when the pool stops.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock_queue();
        loop {
            if queue.stopping {
                return None;
            }
            if let Some(task) = queue.next() {
                return Some(task);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the pair is still to be done, by whoever comes first. Answers it from the cache where that knows it by now.
    fn is_open(&self, key: Key) -> bool {
        if let Some(made) = self.cache.peek(key) {
            self.pairs.answer(key, &made);
            return false;
        }
        self.pairs.waits(key)
    }

    fn learn_lengths(&self, job: &Job, inputs: &[Input]) {
        let query = job.work.query.as_deref().map_or(0, str::len);
        // What was cut short, or is read in parts that overlap, would tell something else.
        let whole = inputs.iter().filter(|input| matches!(input.windows.as_slice(), [only] if !only.truncated));
        let (bytes, tokens) = whole.fold((0, 0), |(bytes, tokens), input| {
            (bytes + query + job.work.texts[input.index].len(), tokens + input.windows[0].len())
        });
        self.pace.tokenized(bytes, tokens);
    }

    /// Answers a pair with what has come of its windows. Numbers that are none count as a failure.
    fn finish(&self, key: Key, outputs: Vec<Output>, windows: &[Encoded]) {
        match Made::of(outputs, windows) {
            Some(made) => {
                // Kept first: who comes in between finds it in one place or the other.
                self.cache.insert(key, made.clone());
                self.pairs.answer(key, &made);
            }
            None => self.pairs.fail(key, "the model's output is not finite"),
        }
    }
}

impl Worker<'_> {
    /// Does what there is to do until the pool stops.
    fn serve(&mut self) -> Result<(), Panicked> {
        while let Some(task) = self.shared.next() {
            self.begin();
            let done = match &task.step {
                Step::Encode(texts) => self.encode(&task, texts.clone()),
                Step::Run(inputs) => self.run(&task.job, inputs),
            };
            self.health.busy_since.store(0, Ordering::Relaxed);
            done?;
        }
        Ok(())
    }

    /// Notes when the model was called last: a call that does not come back has hung.
    fn begin(&self) {
        let now = self.shared.started.elapsed().as_millis() as u64;
        self.health.busy_since.store(now + 1, Ordering::Relaxed);
    }

    /// Tokenizes those texts of a chunk that nobody has answered or taken on in the meantime, and queues their runs.
    fn encode(&self, task: &Task, texts: Range<usize>) -> Result<(), Panicked> {
        let (shared, job, work) = (self.shared, &task.job, &task.job.work);
        let open: Vec<usize> = texts.filter(|&index| self.shared.is_open(job.key(index))).collect();
        let texts: Vec<&str> = open.iter().map(|&index| work.texts[index].as_str()).collect();
        let encoded = catch_unwind(AssertUnwindSafe(|| self.model.encode(work.query.as_deref(), &texts, work.long)));
        let encoded = encoded.map_err(|panic| {
            let reason = format!("the tokenizer panicked: {}", message(&*panic));
            open.iter().for_each(|&index| self.shared.pairs.fail(job.key(index), &reason));
            Panicked
        })?;
        let mut inputs = Vec::with_capacity(encoded.len());
        for (index, result) in open.into_iter().zip(encoded) {
            match result {
                Ok(windows) => inputs.push(Input { index, windows }),
                Err(reason) => self.shared.pairs.fail(job.key(index), &format!("cannot tokenize: {reason}")),
            }
        }
        shared.learn_lengths(job, &inputs);
        let runs = task.runs(inputs, shared.options.grouping);
        let more = runs.len() > 1;
        shared.lock_queue().extend(runs);
        if more {
            shared.changed.notify_all();
        }
        Ok(())
    }

    /// Runs those inputs of a group that nobody has answered or taken on in the meantime.
    fn run(&mut self, job: &Job, inputs: &[Input]) -> Result<(), Panicked> {
        let begun = |input: &&Input| {
            let key = job.key(input.index);
            self.shared.is_open(key) && self.shared.pairs.begin(key)
        };
        match inputs.iter().filter(begun).collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            [one] => self.run_windows(job.key(one.index), &one.windows),
            several => self.run_group(job, several),
        }
    }

    /// Runs one text: its windows one after another, as long as anybody waits for it.
    fn run_windows(&mut self, key: Key, windows: &[Encoded]) -> Result<(), Panicked> {
        let mut outputs = Vec::with_capacity(windows.len());
        for (number, window) in windows.iter().enumerate() {
            if number > 0 && self.shared.pairs.give_up(key) {
                return Ok(());
            }
            match self.timed(&[window]) {
                Ok(output) => outputs.extend(output),
                Err((reason, ended)) => {
                    self.shared.pairs.fail(key, &reason);
                    return ended;
                }
            }
        }
        self.shared.finish(key, outputs, windows);
        Ok(())
    }

    /// Runs several texts of one window each together.
    fn run_group(&mut self, job: &Job, inputs: &[&Input]) -> Result<(), Panicked> {
        let group: Vec<&Encoded> = inputs.iter().flat_map(|input| &input.windows).collect();
        match self.timed(&group) {
            Ok(outputs) => {
                for (input, output) in inputs.iter().zip(outputs) {
                    self.shared.finish(job.key(input.index), vec![output], &input.windows);
                }
                Ok(())
            }
            Err((reason, ended)) => {
                inputs.iter().for_each(|input| self.shared.pairs.fail(job.key(input.index), &reason));
                ended
            }
        }
    }

    /// One run, of which the pace is learned. Fails with the reason, and with whether the model can go on.
    fn timed(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, (String, Result<(), Panicked>)> {
        self.begin();
        let began = Instant::now();
        self.shared.runs.fetch_add(group.len() as u64, Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(|| self.model.run(group))) {
            Ok(Ok(outputs)) if outputs.len() == group.len() => {
                let longest = group.iter().map(|encoded| encoded.len()).max().unwrap_or(0);
                self.shared.pace.ran(group.len(), longest, began.elapsed());
                self.is_proven = true;
                Ok(outputs)
            }
            Ok(Ok(_)) => Err((String::from("the model gave too few outputs"), Ok(()))),
            Ok(Err(reason)) => Err((reason, Ok(()))),
            Err(panic) => Err((format!("the model panicked: {}", message(&*panic)), Err(Panicked))),
        }
    }
}
