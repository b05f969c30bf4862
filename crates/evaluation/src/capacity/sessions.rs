//! Runs inputs on several sessions at once, each on a thread of its own, for so long, and times them. Owns the threads
//! and that they begin together; what is worth running is the business of [`super::measure`].

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use scoring::{
    backend::{BackendError, Inference, Loader},
    encode::Encoded,
};

/// Inputs of equal length that are run together, over and over.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) group: Vec<Encoded>,
    /// The time to go on for; at least one run is made.
    pub(super) time: Duration,
}

/// Seconds of running that are too few to hold against ticks of 10 ms.
const SHORT: f64 = 0.5;

/// The figures of one [`Cell`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timing {
    /// The time until one group is done, in milliseconds: the median over all runs.
    pub(super) group_ms: f64,
    /// The rate of all sessions together.
    pub(super) pairs_per_second: f64,
}

/// The figures of several cells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Driven {
    /// The figures of each cell.
    pub(super) timings: Vec<Timing>,
    /// Processor time that the sessions' threads got, of what they wanted, 0 to 1: less where other programs are busy.
    /// Unknown elsewhere than on Linux, and of a moment too short to tell.
    pub(super) processor_share: Option<f64>,
}

/// Opens `workers` sessions of `session_threads` each, waits until all are there, and then has all of them do the cells in turn.
///
/// # Errors
/// A session cannot be opened, or a run fails.
pub(super) fn run(
    loader: &dyn Loader,
    workers: usize,
    session_threads: usize,
    cells: &[Cell],
) -> Result<Driven, BackendError> {
    thread::scope(|scope| {
        let (loaded, when_loaded) = mpsc::channel();
        let mut starts = Vec::with_capacity(workers);
        let mut threads = Vec::with_capacity(workers);
        for _ in 0..workers {
            let (start, when_started) = mpsc::channel::<()>();
            let loaded = loaded.clone();
            starts.push(start);
            threads.push(scope.spawn(move || {
                let model = loader.load(session_threads);
                // Nobody listens any more once another session has failed.
                let _ = loaded.send(model.as_ref().map(|_| ()).map_err(Clone::clone));
                drop(loaded);
                match (model, when_started.recv()) {
                    (Ok(mut model), Ok(())) => cells.iter().map(|cell| repeat(&mut *model, cell)).collect(),
                    _ => Ok(Vec::new()),
                }
            }));
        }
        drop(loaded);
        when_loaded.iter().collect::<Result<Vec<()>, BackendError>>()?;
        // All are told at once; each then keeps its own time, so that none waits for another.
        let processor_before = processor_seconds();
        for start in &starts {
            let _ = start.send(());
        }
        let mut of_each = Vec::with_capacity(workers);
        for thread in threads {
            let panicked = |_| BackendError::Panicked(String::from("the model panicked"));
            let runs: Result<Vec<Vec<f64>>, BackendError> = thread.join().map_err(panicked)?;
            of_each.push(runs?);
        }
        let wanted: f64 = of_each.iter().flatten().flatten().sum();
        let got = processor_before.and_then(|before| Some(processor_seconds()? - before));
        let processor_share = got.filter(|_| wanted > SHORT).map(|got| (got / wanted).min(1.0));
        let timings = (0..cells.len()).map(|cell| together(&of_each, cell, cells[cell].group.len())).collect();
        Ok(Driven { timings, processor_share })
    })
}

/// Processor time of this process so far, in seconds: user and system time in `/proc/self/stat`, which counts in ticks of
/// 10 ms; nothing elsewhere than on Linux.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let mut fields = stat.rsplit(") ").next()?.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

/// The seconds that each run took. The first, which allocates, is left out where there is time for another.
fn repeat(model: &mut dyn Inference, cell: &Cell) -> Result<Vec<f64>, BackendError> {
    let group: Vec<&Encoded> = cell.group.iter().collect();
    let began = Instant::now();
    let mut runs = Vec::new();
    while runs.is_empty() || began.elapsed() < cell.time {
        let run_began = Instant::now();
        std::hint::black_box(model.run(&group)?);
        runs.push(run_began.elapsed().as_secs_f64());
    }
    if runs.len() > 1 {
        runs.remove(0);
    }
    Ok(runs)
}

fn together(of_each: &[Vec<Vec<f64>>], cell: usize, size: usize) -> Timing {
    let runs = of_each.iter().map(|cells| &cells[cell]);
    let rate = |runs: &Vec<f64>| (runs.len() * size) as f64 / runs.iter().sum::<f64>().max(1e-9);
    let pairs_per_second = runs.clone().map(rate).sum();
    Timing { group_ms: median(runs.flatten().copied().collect()) * 1e3, pairs_per_second }
}

/// The middle one; NaN of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use scoring::{LongPassages, model_output::Output};

    /// Loads until it has been asked `loads` times, and fails at runs of more than two.
    struct Scripted {
        loads: usize,
        asked: AtomicUsize,
    }

    impl Loader for Scripted {
        fn load(&self, _threads: usize) -> Result<Box<dyn Inference>, BackendError> {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            if asked < self.loads { Ok(Box::new(Model)) } else { Err(BackendError::Start("no memory".to_owned())) }
        }
    }

    struct Model;

    impl Inference for Model {
        fn encode(&self, _: Option<&str>, _: &[&str], _: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
            Vec::new()
        }

        fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
            if group.len() > 2 {
                Err(BackendError::Run("too many".to_owned()))
            } else {
                Ok(vec![Output::Logit(0.0); group.len()])
            }
        }
    }

    fn cell(size: usize) -> Cell {
        let encoded = Encoded { ids: vec![1], type_ids: vec![0], truncated: false, span: None };
        Cell { group: vec![encoded; size], time: Duration::ZERO }
    }

    fn run_with(loads: usize, cells: &[Cell]) -> Result<Vec<Timing>, BackendError> {
        run(&Scripted { loads, asked: AtomicUsize::new(0) }, 3, 1, cells).map(|driven| driven.timings)
    }

    #[test]
    fn every_cell_is_run_even_where_there_is_no_time() {
        let timings = run_with(3, &[cell(1), cell(2)]).unwrap();
        assert_eq!(timings.len(), 2);
        assert!(timings.iter().all(|timing| timing.pairs_per_second > 0.0 && timing.group_ms >= 0.0));
    }

    #[test]
    fn a_session_that_cannot_be_opened_ends_the_measurement() {
        assert_eq!(run_with(2, &[cell(1)]), Err(BackendError::Start("no memory".to_owned())));
    }

    #[test]
    fn a_run_that_fails_ends_the_measurement() {
        assert_eq!(run_with(3, &[cell(1), cell(3)]), Err(BackendError::Run("too many".to_owned())));
    }
}
