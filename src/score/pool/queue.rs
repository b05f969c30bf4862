//! The order of work: earliest deadline first, then arrival, then the cluster's order within a request. Owns the heap
//! and how a request is cut into tasks; runs nothing.

use std::{cmp::Ordering, collections::BinaryHeap, ops::Range, sync::Arc, time::Instant};

use super::job::Job;
use crate::score::encode::Encoded;

/// Texts that are tokenized in one go: few, so that the first run begins soon and nothing is tokenized long before its
/// turn; enough to find inputs of equal length among them.
const CHUNK: usize = 32;

/// Inputs of at least this many tokens fill a core on their own.
const LONG: usize = 96;

/// Everything that waits, and whether to go on.
#[derive(Default)]
pub(super) struct Queue {
    tasks: BinaryHeap<Task>,
    arrivals: u64,
    pub(super) stopping: bool,
    /// Whether any worker has ever loaded a model.
    pub(super) proven: bool,
    /// Threads that have not ended.
    pub(super) threads: usize,
}

/// A piece of a job for one worker.
pub(super) struct Task {
    pub(super) job: Arc<Job>,
    pub(super) step: Step,
    arrival: u64,
    /// The cluster's rank of its best member.
    rank: usize,
}

/// What is to be done.
pub(super) enum Step {
    /// Tokenize these texts and queue their runs.
    Encode(Range<usize>),
    /// Run these inputs, which are of equal length, together; or the windows of a single one, one after another.
    Run(Vec<Input>),
}

/// A text as the model reads it.
pub(super) struct Input {
    /// Which of the job's texts.
    pub(super) index: usize,
    /// One, or several where the text is long.
    pub(super) windows: Vec<Encoded>,
}

impl Input {
    /// The tokens of all windows.
    fn tokens(&self) -> usize {
        self.windows.iter().map(Encoded::len).sum()
    }
}

impl Task {
    /// How many texts it deals with.
    pub(super) fn len(&self) -> usize {
        match &self.step {
            Step::Encode(texts) => texts.len(),
            Step::Run(members) => members.len(),
        }
    }

    /// The runs that follow from tokenizing a chunk: an input of [`LONG`] tokens or more alone, shorter ones of equal
    /// length together up to `group_tokens`.
    pub(super) fn runs(&self, inputs: Vec<Input>, group_tokens: usize) -> Vec<Task> {
        let mut runs: Vec<Vec<Input>> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let length = input.tokens();
            let fits = |run: &&mut Vec<Input>| {
                let is_alike = run[0].windows.len() == 1 && run[0].tokens() == length;
                is_alike && (run.len() + 1) * length <= group_tokens
            };
            let is_short = input.windows.len() == 1 && length < LONG;
            match runs.iter_mut().find(fits).filter(|_| is_short) {
                Some(run) => run.push(input),
                None => runs.push(vec![input]),
            }
        }
        let task = |run: Vec<Input>| Task {
            job: Arc::clone(&self.job),
            arrival: self.arrival,
            rank: run[0].index,
            step: Step::Run(run),
        };
        runs.into_iter().map(task).collect()
    }

    /// Whatever compares smallest is done first.
    fn urgency(&self) -> (Instant, u64, usize) {
        (self.job.work.deadline, self.arrival, self.rank)
    }
}

impl Queue {
    /// Queues a new job.
    pub(super) fn admit(&mut self, job: &Arc<Job>) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let count = job.work.texts.len();
        self.tasks.extend((0..count).step_by(CHUNK).map(|rank| Task {
            job: Arc::clone(job),
            step: Step::Encode(rank..count.min(rank + CHUNK)),
            arrival,
            rank,
        }));
    }

    /// Queues what follows from a task.
    pub(super) fn extend(&mut self, tasks: Vec<Task>) {
        self.tasks.extend(tasks);
    }

    /// The most urgent task that somebody still waits for; what nobody waits for is dropped on the way.
    pub(super) fn next(&mut self) -> Option<Task> {
        loop {
            let task = self.tasks.pop()?;
            if !task.job.is_pointless() {
                return Some(task);
            }
        }
    }

    /// Drops everything that waits.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.tasks.clear();
    }
}

impl Ord for Task {
    fn cmp(&self, other: &Task) -> Ordering {
        // The heap hands out its greatest.
        other.urgency().cmp(&self.urgency())
    }
}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Task) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Task) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Task {}
