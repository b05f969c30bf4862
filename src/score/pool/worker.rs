//! The life of one scoring thread: load a model, do the most urgent task, again. Owns what happens when a load fails
//! (wait, try again) and when a run panics (its inputs fail, the model is loaded afresh); never ends but when the pool
//! does.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    Shared,
    job::Job,
    queue::{Input, Step, Task},
};
use crate::score::{encode::Encoded, inference::Inference};

/// Why a worker put its model down.
enum Ended {
    Stopped,
    Panicked,
}

/// Starts worker `index`.
pub(super) fn spawn(shared: &Arc<Shared>, index: usize) {
    shared.lock_queue().threads += 1;
    let its_own = Arc::clone(shared);
    let live = move || {
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
            let not_yet = |queue: &mut super::Queue| !queue.proven && !queue.stopping;
            drop(self.changed.wait_while(queue, not_yet).unwrap_or_else(PoisonError::into_inner));
        }
        let mut wait = self.options.retry_after;
        while !self.lock_queue().stopping {
            let loaded = catch_unwind(AssertUnwindSafe(|| self.loader.load()));
            match loaded.unwrap_or_else(|panic| Err(format!("loading panicked: {}", message(&*panic)))) {
                Ok(mut model) => {
                    self.report_loaded(index);
                    wait = self.options.retry_after;
                    if matches!(self.serve(index, &mut *model), Ended::Stopped) {
                        return;
                    }
                    self.workers[index].loaded.store(false, Ordering::Release);
                }
                Err(reason) => {
                    tracing::error!(reason, retry_in = ?wait, "cannot load the model");
                    *self.load_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                    self.pause(wait);
                    wait = (wait * 2).min(self.options.retry_at_most);
                }
            }
        }
    }

    fn report_loaded(&self, index: usize) {
        *self.load_failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.workers[index].loaded.store(true, Ordering::Release);
        let mut queue = self.lock_queue();
        if !queue.proven {
            tracing::info!(workers = self.workers.len(), took = ?self.started.elapsed(), "the model is loaded");
        }
        queue.proven = true;
        self.changed.notify_all();
    }

    fn pause(&self, time: Duration) {
        let until_stop = |queue: &mut super::Queue| !queue.stopping;
        drop(self.changed.wait_timeout_while(self.lock_queue(), time, until_stop));
    }

    fn serve(&self, index: usize, model: &mut dyn Inference) -> Ended {
        let health = &self.workers[index];
        while let Some(task) = self.next() {
            let now = self.started.elapsed().as_millis() as u64;
            health.busy_since.store(now + 1, Ordering::Relaxed);
            let (job, count) = (Arc::clone(&task.job), task.len());
            let mut settled = 0;
            let done = catch_unwind(AssertUnwindSafe(|| self.perform(&task, model, &mut settled)));
            health.busy_since.store(0, Ordering::Relaxed);
            if let Err(panic) = done {
                job.fail(count - settled, &format!("the model panicked: {}", message(&*panic)));
                return Ended::Panicked;
            }
        }
        Ended::Stopped
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

    /// Does `task`, counting in `settled` the texts that it has answered, failed or passed on.
    fn perform(&self, task: &Task, model: &mut dyn Inference, settled: &mut usize) {
        match &task.step {
            Step::Encode(texts) => {
                let encoded = encode(&task.job, texts.clone(), model, settled);
                let runs = task.runs(encoded, self.options.group_tokens);
                *settled = task.len();
                let more = runs.len() > 1;
                self.lock_queue().extend(runs);
                if more {
                    self.changed.notify_all();
                }
            }
            Step::Run(members) => run(&task.job, members, model, settled),
        }
    }
}

/// Tokenizes those texts of a chunk that nobody has answered in the meantime.
fn encode(job: &Job, texts: std::ops::Range<usize>, model: &dyn Inference, settled: &mut usize) -> Vec<Input> {
    let work = &job.work;
    let unanswered: Vec<usize> = texts.filter(|&index| !count_if(job.recall(index), settled)).collect();
    let texts: Vec<&str> = unanswered.iter().map(|&index| work.texts[index].as_str()).collect();
    let results = model.encode(work.query.as_deref(), &texts, work.long);
    let mut inputs = Vec::with_capacity(results.len());
    for (index, result) in unanswered.into_iter().zip(results) {
        match result {
            Ok(windows) => inputs.push(Input { index, windows }),
            Err(reason) => {
                job.fail(1, &format!("cannot tokenize: {reason}"));
                *settled += 1;
            }
        }
    }
    inputs
}

/// Runs those members of a group that nobody has answered in the meantime.
fn run(job: &Job, members: &[Input], model: &mut dyn Inference, settled: &mut usize) {
    let unanswered: Vec<&Input> = members.iter().filter(|input| !count_if(job.recall(input.index), settled)).collect();
    // A text of several windows is alone in its run, and its windows differ in length.
    let groups: Vec<Vec<&Encoded>> = match unanswered.as_slice() {
        [] => return,
        [one] => one.windows.iter().map(|window| vec![window]).collect(),
        several => vec![several.iter().flat_map(|input| &input.windows).collect()],
    };
    let mut outputs = Vec::with_capacity(unanswered.len());
    for group in groups {
        match model.run(&group) {
            Ok(made) if made.len() == group.len() => outputs.extend(made),
            result => {
                let reason = result.err().unwrap_or_else(|| String::from("the model gave too few outputs"));
                job.fail(unanswered.len(), &reason);
                *settled += unanswered.len();
                return;
            }
        }
    }
    for input in unanswered {
        let others = outputs.split_off(input.windows.len());
        job.answer(input.index, std::mem::replace(&mut outputs, others), &input.windows);
        *settled += 1;
    }
}

fn count_if(condition: bool, counter: &mut usize) -> bool {
    *counter += usize::from(condition);
    condition
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
