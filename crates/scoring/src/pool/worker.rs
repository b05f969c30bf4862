//! One loaded model at work: it does the most urgent task, again and again. Owns that a panic fails its inputs and ends the
//! model, and that a pair which somebody else has answered is not run.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{PoisonError, atomic::Ordering},
    time::Instant,
};

use super::{
    job::Job,
    queue::{Input, Step, Task},
    state::{Health, Shared},
};
use crate::{
    backend::{BackendError, Inference},
    cache::Key,
    encode::Encoded,
    model_output::{ModelOutput, Output},
    panics::message,
};

/// The model has panicked, and is in no state to go on with.
pub(super) struct Panicked;

/// A loaded model at work.
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    health: &'a Health,
    model: Box<dyn Inference>,
    is_proven: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared, health: &'a Health, model: Box<dyn Inference>) -> Worker<'a> {
        Worker { shared, health, model, is_proven: false }
    }

    /// True once a run has succeeded.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Does what there is to do until the pool stops.
    pub(super) fn serve(&mut self) -> Result<(), Panicked> {
        while let Some(task) = self.next() {
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
        let open: Vec<usize> = texts.filter(|&index| self.is_open(job.key(index))).collect();
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
        self.learn_lengths(job, &inputs);
        let runs = task.runs(inputs, shared.grouping());
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
            self.is_open(key) && self.shared.pairs.begin(key)
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
                Err(error) => {
                    self.shared.pairs.fail(key, &error.to_string());
                    return end_of(&error);
                }
            }
        }
        self.finish(key, outputs, windows);
        Ok(())
    }

    /// Runs several texts of one window each together.
    fn run_group(&mut self, job: &Job, inputs: &[&Input]) -> Result<(), Panicked> {
        let group: Vec<&Encoded> = inputs.iter().flat_map(|input| &input.windows).collect();
        match self.timed(&group) {
            Ok(outputs) => {
                for (input, output) in inputs.iter().zip(outputs) {
                    self.finish(job.key(input.index), vec![output], &input.windows);
                }
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                inputs.iter().for_each(|input| self.shared.pairs.fail(job.key(input.index), &reason));
                end_of(&error)
            }
        }
    }

    /// One run, from which the cost model learns.
    fn timed(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        self.begin();
        let began = Instant::now();
        self.shared.runs.fetch_add(group.len() as u64, Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(|| self.model.run(group))) {
            Ok(Ok(outputs)) if outputs.len() == group.len() => {
                let longest = group.iter().map(|encoded| encoded.len()).max().unwrap_or(0);
                self.shared.cost_model.ran(group.len(), longest, began.elapsed());
                self.is_proven = true;
                Ok(outputs)
            }
            Ok(Ok(_)) => Err(BackendError::Run(String::from("the model gave too few outputs"))),
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(BackendError::Panicked(format!("the model panicked: {}", message(&*panic)))),
        }
    }

    /// The most urgent task; waits for one. `None` when the pool stops.
    fn next(&self) -> Option<Task> {
        let mut queue = self.shared.lock_queue();
        loop {
            if queue.stopping {
                return None;
            }
            if let Some(task) = queue.next() {
                return Some(task);
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// True where the pair is still to be done, by whoever comes first. Answers it from the cache where that knows it by now.
    fn is_open(&self, key: Key) -> bool {
        if let Some(output) = self.shared.cache.peek(key) {
            self.shared.pairs.answer(key, &output);
            return false;
        }
        self.shared.pairs.waits(key)
    }

    fn learn_lengths(&self, job: &Job, inputs: &[Input]) {
        let query = job.work.query.as_deref().map_or(0, str::len);
        // What was cut short, or is read in parts that overlap, would tell something else.
        let whole = inputs.iter().filter(|input| matches!(input.windows.as_slice(), [only] if !only.truncated));
        let (bytes, tokens) = whole.fold((0, 0), |(bytes, tokens), input| {
            (bytes + query + job.work.texts[input.index].len(), tokens + input.windows[0].len())
        });
        self.shared.cost_model.tokenized(bytes, tokens);
    }

    /// Answers a pair with the outputs of its windows. An output that is not finite is a failure.
    fn finish(&self, key: Key, outputs: Vec<Output>, windows: &[Encoded]) {
        match ModelOutput::of(outputs, windows) {
            Some(output) => {
                // Kept first: who comes in between finds it in one place or the other.
                self.shared.cache.insert(key, output.clone());
                self.shared.pairs.answer(key, &output);
            }
            None => self.shared.pairs.fail(key, "the model's output is not finite"),
        }
    }
}

/// The end of a model whose run failed so, or `Ok` where it can go on.
fn end_of(error: &BackendError) -> Result<(), Panicked> {
    if matches!(error, BackendError::Panicked(_)) { Err(Panicked) } else { Ok(()) }
}
