//! The order of work, and how much of it is admitted: background work last, earliest due first, then arrival, then the
//! cluster's order within a request. Owns the heap, how a request is cut into tasks, and what earlier requests take of the
//! time; runs nothing.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    ops::Range,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{grouping::Grouping, job::Job, work::Work};
use crate::{
    admission::Admission,
    encode::Encoded,
    request::Priority::{self, Background, Search},
};

/// A request is due when it could have been done this many times over by all workers, or at its deadline if that is
/// sooner: a small one need not wait until a large one is through.
const PATIENCE: u32 = 2;

/// The work that waits, and the state of the threads.
#[derive(Default)]
pub(super) struct Queue {
    tasks: BinaryHeap<Task>,
    /// Jobs that were admitted and may not be done yet.
    jobs: Vec<Admitted>,
    arrivals: u64,
    pub(super) stopping: bool,
    /// True once any worker has loaded a model.
    pub(super) proven: bool,
    /// The number of threads that have not ended.
    pub(super) threads: usize,
}

struct Admitted {
    job: Weak<Job>,
    due: Instant,
}

/// A piece of a job for one worker.
pub(super) struct Task {
    pub(super) job: Arc<Job>,
    pub(super) step: Step,
    due: Instant,
    arrival: u64,
    /// The cluster's rank of its best member.
    rank: usize,
}

/// The step that a task is.
pub(super) enum Step {
    /// Tokenize these texts and queue their runs.
    Encode(Range<usize>),
    /// Run these inputs together; or the windows of a single one, one after another.
    Run(Vec<Input>),
}

/// A text as the model reads it.
pub(super) struct Input {
    /// The place among the job's texts.
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

impl Queue {
    /// The time that a request has, and the part of it that earlier ones take; `time` is what the request would take on one
    /// worker.
    pub(super) fn admission(&mut self, work: &Work, time: Duration, workers: usize) -> Admission {
        let (now, deadline) = (Instant::now(), work.deadline);
        let due = due(now, deadline, time, workers);
        self.jobs.retain(|admitted| admitted.job.upgrade().is_some_and(|job| !job.is_pointless()));
        let until =
            |deadline: Instant| deadline.saturating_duration_since(now) * u32::try_from(workers).unwrap_or(u32::MAX);
        let mut earlier: Vec<(Instant, Duration)> = self
            .jobs
            .iter()
            .filter_map(|admitted| Some((admitted.job.upgrade()?, admitted.due)))
            .filter(|(job, others_due)| match (job.work.priority, work.priority) {
                (Search, Background) => true,
                (Background, Search) => false,
                (Search, Search) | (Background, Background) => job.work.deadline <= deadline || *others_due <= due,
            })
            .map(|(job, _)| (job.work.deadline, job.ahead()))
            .collect();
        earlier.sort_unstable();
        // Work that there is no time for before its own deadline is dropped then, and takes nothing from those after it.
        let ahead =
            earlier.iter().fold(Duration::ZERO, |ahead, (deadline, work)| (ahead + *work).min(until(*deadline)));
        Admission { total: until(deadline), ahead }
    }

    /// Queues a new job. It is tokenized in chunks of `chunk` texts.
    pub(super) fn admit(&mut self, job: &Arc<Job>, workers: usize, chunk: usize) {
        self.arrivals += 1;
        let (arrival, count) = (self.arrivals, job.depth());
        let due = due(Instant::now(), job.work.deadline, job.ahead(), workers);
        self.jobs.push(Admitted { job: Arc::downgrade(job), due });
        self.tasks.extend((0..count).step_by(chunk).map(|rank| Task {
            job: Arc::clone(job),
            step: Step::Encode(rank..count.min(rank + chunk)),
            due,
            arrival,
            rank,
        }));
    }

    /// Queues the tasks that follow from another.
    pub(super) fn extend(&mut self, tasks: Vec<Task>) {
        self.tasks.extend(tasks);
    }

    /// The most urgent task that somebody still waits for; those that nobody waits for are dropped on the way.
    pub(super) fn next(&mut self) -> Option<Task> {
        loop {
            let task = self.tasks.pop()?;
            if !task.job.is_pointless() {
                return Some(task);
            }
        }
    }

    /// The number of tasks.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.tasks.len()
    }

    /// Drops all work that waits.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.tasks.clear();
    }
}

fn due(now: Instant, deadline: Instant, work: Duration, workers: usize) -> Instant {
    let alone = work / u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
    // Where nothing is known of the time that it takes, the deadline is all there is.
    if alone.is_zero() { deadline } else { deadline.min(now + alone * PATIENCE) }
}

impl Task {
    /// The runs that follow from tokenizing a chunk.
    pub(super) fn runs(&self, inputs: Vec<Input>, grouping: Grouping) -> Vec<Task> {
        let task = |run: Vec<Input>| Task {
            job: Arc::clone(&self.job),
            due: self.due,
            arrival: self.arrival,
            rank: run.iter().map(|input| input.index).min().unwrap_or(self.rank),
            step: Step::Run(run),
        };
        let runs = match grouping {
            Grouping::Alone => inputs.into_iter().map(|input| vec![input]).collect(),
            Grouping::Equal { longest, tokens } => of_equal_length(inputs, longest, tokens),
            Grouping::Padded { tokens } => of_similar_length(inputs, tokens),
        };
        runs.into_iter().map(task).collect()
    }

    /// The task that compares smallest is done first.
    fn urgency(&self) -> (Priority, Instant, u64, usize) {
        (self.job.work.priority, self.due, self.arrival, self.rank)
    }
}

/// An input of more than `longest` tokens alone, shorter ones of equal length together up to `most` tokens.
fn of_equal_length(inputs: Vec<Input>, longest: usize, most: usize) -> Vec<Vec<Input>> {
    let mut runs: Vec<Vec<Input>> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let length = input.tokens();
        let fits = |run: &&mut Vec<Input>| {
            let is_alike = run[0].windows.len() == 1 && run[0].tokens() == length;
            is_alike && (run.len() + 1) * length <= most
        };
        let is_short = input.windows.len() == 1 && length <= longest;
        match runs.iter_mut().find(fits).filter(|_| is_short) {
            Some(run) => run.push(input),
            None => runs.push(vec![input]),
        }
    }
    runs
}

/// Inputs in the order of their lengths, together up to `most` tokens with the padding that they need.
fn of_similar_length(mut inputs: Vec<Input>, most: usize) -> Vec<Vec<Input>> {
    inputs.sort_by_key(|input| std::cmp::Reverse((input.windows.len() > 1, input.tokens())));
    let mut runs: Vec<Vec<Input>> = Vec::new();
    for input in inputs {
        // The first of a run is its longest.
        let fits = |run: &&mut Vec<Input>| run[0].windows.len() == 1 && (run.len() + 1) * run[0].tokens() <= most;
        match runs.last_mut().filter(fits) {
            Some(run) => run.push(input),
            None => runs.push(vec![input]),
        }
    }
    runs
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

#[cfg(test)]
mod tests {
    use super::*;

    fn input(index: usize, lengths: &[usize]) -> Input {
        let window =
            |&length: &usize| Encoded { ids: vec![7; length], type_ids: vec![0; length], truncated: false, span: None };
        Input { index, windows: lengths.iter().map(window).collect() }
    }

    fn shape(runs: &[Vec<Input>]) -> Vec<Vec<usize>> {
        runs.iter().map(|run| run.iter().map(|input| input.index).collect()).collect()
    }

    #[test]
    fn short_inputs_of_equal_length_go_together_and_long_ones_alone() {
        let inputs = vec![
            input(0, &[41]),
            input(1, &[2]),
            input(2, &[40]),
            input(3, &[3]),
            input(4, &[40]),
            input(5, &[2]),
            input(6, &[40]),
            input(7, &[2, 2]),
            input(8, &[41]),
        ];
        assert_eq!(
            shape(&of_equal_length(inputs, 40, 100)),
            [vec![0], vec![1, 5], vec![2, 4], vec![3], vec![6], vec![7], vec![8]]
        );
    }

    #[test]
    fn padded_groups_hold_what_is_of_similar_length_within_the_budget_of_tokens() {
        let inputs = vec![input(0, &[10]), input(1, &[50]), input(2, &[9]), input(3, &[40]), input(4, &[60, 60])];
        assert_eq!(shape(&of_similar_length(inputs, 100)), [vec![4], vec![1, 3], vec![0, 2]]);
    }
}
