//! The pool's queue and the pairs in flight under one interleaving of the threads after the other: three searches that want some of the
//! same pairs, one of which goes, and two workers. Whatever comes first, no pair is run twice, and whoever waits is answered.
//!
//! `cargo test --workspace --lib --features scoring/shuttle interleavings`: shuttle draws which thread goes on at each lock, atomic and signal, and
//! names the schedule that fails. With that feature no other test of the pool can run.

use std::{
    collections::HashMap,
    task::{Context, Poll, Waker},
};

use shuttle::thread;

use super::*;

/// How many interleavings are tried.
const SCHEDULES: usize = 2_000;

/// How often each text was run.
type Runs = Arc<shuttle::sync::Mutex<HashMap<String, usize>>>;

/// A pool without threads of its own, for workers that shuttle drives.
fn threadless(run: impl Fn(&[&Encoded]) -> Result<Vec<Output>, BackendError> + Send + Sync + 'static) -> Pool {
    let options = PoolOptions { workers: 2, threads: 1, hang_after: Duration::from_hours(1), ..one_worker() };
    let layout = Layout::configured(options.workers, options.threads, 2);
    let cache = Arc::new(ScoreCache::new(1 << 20));
    let shared = Shared::new(Fake::new(run), cache, options, layout, 2);
    for worker in &shared.workers {
        worker.loaded.store(true, Ordering::Release);
    }
    Pool { shared: Arc::new(shared), threads: Vec::new() }
}

fn work_off(shared: &Shared, worker: usize) {
    let model = shared.loader.load(1).unwrap();
    let ended = worker::Worker::new(shared, &shared.workers[worker], model).serve();
    assert!(ended.is_ok());
}

/// The outcome of a job. What waits for it gives way to shuttle's threads: a runtime that waits would stop them all.
fn outcome(ticket: Ticket) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _within = runtime.enter();
    let mut outcome = Box::pin(ticket.outcome());
    loop {
        if let Poll::Ready(outcome) = outcome.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
        thread::yield_now();
    }
}

fn searches_that_overlap() {
    let runs = Runs::default();
    let noted = Arc::clone(&runs);
    let pool = Arc::new(threadless(move |group| {
        for encoded in group {
            *noted.lock().unwrap().entry(text_of(encoded)).or_default() += 1;
        }
        thread::yield_now();
        Ok(first_byte(group))
    }));
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let shared = Arc::clone(&pool.shared);
            thread::spawn(move || work_off(&shared, worker))
        })
        .collect();
    let search = |passages: &'static [&'static str]| {
        let pool = Arc::clone(&pool);
        thread::spawn(move || submit(&pool, passages, later()).unwrap())
    };
    let (one, other, leaving) = (search(&["a", "b", "c"]), search(&["b", "c", "d"]), search(&["c", "e"]));
    drop(leaving.join().unwrap());
    let (one, other) = (one.join().unwrap(), other.join().unwrap());
    let logit = |letter: u8| Some(f32::from(letter));
    assert_eq!(logits(&outcome(one)), [b'a', b'b', b'c'].map(logit));
    assert_eq!(logits(&outcome(other)), [b'b', b'c', b'd'].map(logit));

    pool.shared.lock_queue().stop();
    pool.shared.changed.notify_all();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(pool.shared.pairs.len(), 0, "pairs that nobody waits for");
    assert_eq!(pool.queued_tokens(), 0);
    for (text, times) in &*runs.lock().unwrap() {
        assert_eq!(*times, 1, "{text} was run {times} times");
    }
}

#[test]
fn overlapping_searches_are_answered_and_no_pair_runs_twice_in_any_interleaving() {
    shuttle::check_pct(searches_that_overlap, SCHEDULES, 3);
}

#[test]
fn nor_where_every_step_is_drawn_anew() {
    shuttle::check_random(searches_that_overlap, 10 * SCHEDULES);
}
