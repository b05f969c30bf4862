//! The pool under models that hang, panic, fail and return nonsense.

#[cfg(feature = "shuttle")]
mod interleavings;
mod stress;

use std::{
    sync::{
        Condvar, Mutex,
        atomic::AtomicUsize,
        mpsc::{self, Receiver, Sender},
    },
    time::Instant,
};

use super::*;
use crate::{
    backend::{BackendError, Inference},
    cache::Keys,
    encode::Encoded,
    model_output::{ModelOutput, Output},
    request::{LongPassages, Priority},
    score::Span,
};
use work::Outcome;

type Run = dyn Fn(&[&Encoded]) -> Result<Vec<Output>, BackendError> + Send + Sync;

/// A model whose tokens are the bytes of the text, and which runs a closure.
struct Fake {
    run: Arc<Run>,
    loads: AtomicUsize,
    /// Loads that fail before one succeeds.
    failing_loads: usize,
}

struct FakeModel(Arc<Run>);

impl Fake {
    fn new(run: impl Fn(&[&Encoded]) -> Result<Vec<Output>, BackendError> + Send + Sync + 'static) -> Arc<Fake> {
        Arc::new(Fake { run: Arc::new(run), loads: AtomicUsize::new(0), failing_loads: 0 })
    }
}

impl Loader for Fake {
    fn load(&self, _threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        if self.loads.fetch_add(1, Ordering::SeqCst) < self.failing_loads {
            return Err(BackendError::Start(String::from("no such model")));
        }
        Ok(Box::new(FakeModel(Arc::clone(&self.run))))
    }
}

impl Inference for FakeModel {
    fn encode(&self, _query: Option<&str>, texts: &[&str], _long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        let encode = |text: &&str| match *text {
            "untokenizable" => Err(String::from("refused")),
            text => {
                let ids: Vec<i64> = text.bytes().map(i64::from).collect();
                Ok(vec![Encoded { type_ids: vec![0; ids.len()], ids, truncated: false, span: None }])
            }
        };
        texts.iter().map(encode).collect()
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        (self.0)(group)
    }
}

/// What the pool is asked, in the name of a model of its own.
fn keys() -> Keys {
    Keys::of_texts("revision", LongPassages::Truncate)
}

/// Closed until opened; tells who arrives.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

fn text_of(encoded: &Encoded) -> String {
    encoded.ids.iter().map(|&id| char::from(u8::try_from(id).unwrap())).collect()
}

/// The first byte as logit.
fn first_byte(group: &[&Encoded]) -> Vec<Output> {
    group.iter().map(|encoded| Output::Logit(encoded.ids[0] as f32)).collect()
}

fn one_worker() -> PoolOptions {
    PoolOptions {
        workers: 1,
        hang_after: Duration::from_millis(50),
        retry_after: Duration::from_millis(2),
        retry_at_most: Duration::from_millis(10),
        ..PoolOptions::default()
    }
}

fn started(loader: Arc<Fake>, options: PoolOptions) -> Pool {
    let pool = Pool::start(loader, Arc::new(ScoreCache::new(1 << 20)), options);
    wait_until(|| pool.readiness().is_ready());
    pool
}

/// For states that change without a signal to the outside.
fn wait_until(condition: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < limit, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(150)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn work(texts: Vec<String>, deadline: Instant) -> Work {
    let keys = texts.iter().map(|text| keys().key(text)).collect();
    Work { query: None, texts, keys, long: LongPassages::Truncate, deadline, priority: Priority::Search }
}

fn submit(pool: &Pool, passages: &[&str], deadline: Instant) -> Result<Ticket, ScoreError> {
    pool.submit(work(texts(passages), deadline))
}

fn logits(outcome: &Outcome) -> Vec<Option<f32>> {
    let logit = |output: &Option<ModelOutput>| match output {
        Some(ModelOutput { output: Output::Logit(logit), .. }) => Some(*logit),
        _ => None,
    };
    outcome.outputs.iter().map(logit).collect()
}

/// A model that notes what it runs, and lets each run pass a gate after telling of it.
fn gated() -> (Arc<Fake>, Receiver<String>, Arc<Gate>) {
    let (began, begins): (Sender<String>, _) = mpsc::channel();
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let fake = Fake::new(move |group| {
        began.send(text_of(group[0])).ok();
        its_gate.pass();
        Ok(first_byte(group))
    });
    (fake, begins, gate)
}

#[tokio::test]
async fn outputs_come_in_the_order_of_the_texts() {
    let pool = started(Fake::new(|group| Ok(first_byte(group))), PoolOptions { workers: 3, ..one_worker() });
    let many: Vec<String> =
        (0..100_usize).map(|index| char::from(b' ' + (index % 90) as u8).to_string().repeat(1 + index)).collect();
    let ticket = pool.submit(work(many.clone(), later())).unwrap();
    let outcome = ticket.outcome().await;
    let expected: Vec<_> = many.iter().map(|text| Some(f32::from(text.as_bytes()[0]))).collect();
    assert_eq!(logits(&outcome), expected);
    assert_eq!((outcome.open, pool.queued_pairs()), (0, 0));
}

#[tokio::test]
async fn the_earliest_deadline_goes_first_then_arrival_then_rank() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    let now = later();
    let blocker = submit(&pool, &["blocker"], now).unwrap();
    begins.recv().unwrap();
    let relaxed = submit(&pool, &["r1", "r22"], now + Duration::from_secs(2)).unwrap();
    let tight = submit(&pool, &["t1", "t22"], now + Duration::from_secs(1)).unwrap();
    let tight_too = submit(&pool, &["u1"], now + Duration::from_secs(1)).unwrap();
    gate.open();
    for ticket in [blocker, relaxed, tight, tight_too] {
        assert_eq!(ticket.outcome().await.open, 0);
    }
    assert_eq!(begins.try_iter().collect::<Vec<_>>(), ["t1", "t22", "u1", "r1", "r22"]);
}

#[tokio::test]
async fn background_work_goes_last_though_it_is_due_first_and_takes_no_time_from_searches() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    pool.shared.cost_model.ran(1, 1, Duration::from_millis(100));
    let blocker = submit(&pool, &["blocker"], later()).unwrap();
    begins.recv().unwrap();
    let now = Instant::now();
    let background = |name: &str| {
        let texts = (10..50).map(|number| format!("{name}{number}")).collect();
        pool.submit(Work { priority: Priority::Background, ..work(texts, now + Duration::from_secs(4)) })
    };
    let first = background("p").unwrap();
    let many = (10..30).map(|number| number.to_string()).collect();
    let search = pool.submit(work(many, now + Duration::from_secs(5))).unwrap();
    assert_eq!(search.depth(), 20, "whatever else there is to do by then");
    assert_eq!(background("q").err(), Some(ScoreError::Overloaded));
    gate.open();
    for ticket in [blocker, search] {
        assert_eq!(ticket.outcome().await.open, 0);
    }
    assert_eq!(begins.try_iter().next().as_deref(), Some("10"));
    drop(first);
}

#[tokio::test]
async fn background_work_leaves_half_of_the_queue_to_searches() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, PoolOptions { queue_tokens: 4, ..one_worker() });
    let first = submit(&pool, &["a"], later()).unwrap();
    begins.recv().unwrap();
    let background = |name| pool.submit(Work { priority: Priority::Background, ..work(texts(&[name]), later()) });
    let second = background("b").unwrap();
    assert_eq!(background("c").err(), Some(ScoreError::Overloaded));
    let third = submit(&pool, &["d", "e"], later()).unwrap();
    assert_eq!(third.depth(), 2);
    gate.open();
    drop((first, second, third));
}

#[tokio::test]
async fn at_the_deadline_the_best_ranked_are_scored() {
    let (began, begins) = mpsc::channel();
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let runs = AtomicUsize::new(0);
    let pool = started(
        Fake::new(move |group| {
            if runs.fetch_add(1, Ordering::SeqCst) == 3 {
                began.send(()).ok();
                its_gate.pass();
            }
            Ok(first_byte(group))
        }),
        one_worker(),
    );
    let long: Vec<String> = "abcdefgh".chars().map(|letter| letter.to_string().repeat(100)).collect();
    let ticket = pool.submit(work(long, soon())).unwrap();
    let outcome = ticket.outcome().await;
    begins.recv().unwrap();
    assert_eq!(logits(&outcome)[..4], [Some(97.0), Some(98.0), Some(99.0), None]);
    assert_eq!(outcome.open, 5);
    assert_eq!(pool.queued_pairs(), 0);
    gate.open();
}

#[tokio::test]
async fn short_texts_of_equal_length_run_together_and_long_ones_alone() {
    let (sizes, seen) = mpsc::channel();
    let pool = started(
        Fake::new(move |group| {
            sizes.send((group[0].len(), group.len())).ok();
            Ok(first_byte(group))
        }),
        PoolOptions { grouping: Grouping::Equal { longest: 95, tokens: 200 }, ..one_worker() },
    );
    let long = "l".repeat(96);
    let half = "h".repeat(40);
    let (half2, half3, long2) = (half.replace('h', "i"), half.replace('h', "j"), long.replace('l', "m"));
    let window = [&long, "aa", &half, "bbb", &half2, "cc", &half3, &long2];
    submit(&pool, &window, later()).unwrap().outcome().await;
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(96, 1), (2, 2), (40, 3), (3, 1), (96, 1)]);
}

#[tokio::test]
async fn a_hung_model_costs_the_budget_and_then_refuses_at_once() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    let outcome = submit(&pool, &["a"], soon()).unwrap().outcome().await;
    begins.recv().unwrap();
    assert_eq!((logits(&outcome), outcome.open), (vec![None], 1));
    wait_until(|| !pool.readiness().is_ready());
    let refusal = submit(&pool, &["b"], later()).err();
    assert!(matches!(&refusal, Some(ScoreError::Unavailable(why)) if why.contains("stuck")), "{refusal:?}");
    gate.open();
    wait_until(|| pool.readiness().is_ready());
    assert_eq!(logits(&submit(&pool, &["b"], later()).unwrap().outcome().await), [Some(98.0)]);
}

#[tokio::test]
async fn one_hung_worker_of_two_does_not_stop_the_other() {
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let pool = started(
        Fake::new(move |group| {
            if text_of(group[0]) == "hang" {
                its_gate.pass();
            }
            Ok(first_byte(group))
        }),
        PoolOptions { workers: 2, ..one_worker() },
    );
    wait_until(|| pool.shared.workers.iter().all(|worker| worker.loaded.load(Ordering::SeqCst)));
    let hung = submit(&pool, &["hang"], soon()).unwrap();
    assert_eq!(hung.outcome().await.open, 1);
    assert_eq!(pool.busy_workers(), 1);
    assert_eq!(logits(&submit(&pool, &["a"], later()).unwrap().outcome().await), [Some(97.0)]);
    gate.open();
}

#[tokio::test]
async fn a_panic_fails_its_own_texts_and_the_worker_lives_on() {
    let fake = Fake::new(|group| {
        assert!(text_of(group[0]) != "bad", "cannot read this");
        Ok(first_byte(group))
    });
    let pool = started(Arc::clone(&fake) as _, one_worker());
    let outcome = submit(&pool, &["a", "bad", "cc"], later()).unwrap().outcome().await;
    assert_eq!(logits(&outcome), [Some(97.0), None, Some(99.0)]);
    assert_eq!(outcome.open, 0);
    let failure = outcome.failure.unwrap();
    assert!(failure.contains("panicked") && failure.contains("cannot read this"), "{failure}");
    assert_eq!(fake.loads.load(Ordering::SeqCst), 2, "the model is loaded afresh after a panic");
}

#[tokio::test]
async fn a_model_that_panics_whatever_it_is_given_is_not_loaded_again_at_once() {
    let hour = Duration::from_hours(1);
    let options = || PoolOptions { retry_after: hour, retry_at_most: hour, ..one_worker() };
    let useless = Fake::new(|_| panic!("always"));
    let pool = started(Arc::clone(&useless) as _, options());
    assert!(submit(&pool, &["a"], later()).unwrap().outcome().await.failure.unwrap().contains("always"));
    wait_until(|| !pool.readiness().is_ready());
    assert_eq!(pool.readiness().to_string(), "it panicked at its first run after it was loaded");
    assert_eq!(useless.loads.load(Ordering::SeqCst), 1);
    drop(pool);

    // One that is of use otherwise is loaded again at once.
    let useful = Fake::new(|group| {
        assert!(text_of(group[0]) != "bad", "cannot read this");
        Ok(first_byte(group))
    });
    let pool = started(Arc::clone(&useful) as _, options());
    let outcome = submit(&pool, &["a", "bad", "cc"], later()).unwrap().outcome().await;
    assert_eq!((logits(&outcome), outcome.open), (vec![Some(97.0), None, Some(99.0)], 0));
}

#[tokio::test]
async fn a_failed_run_and_a_refused_text_have_no_output() {
    let pool = started(
        Fake::new(|group| {
            if group[0].len() == 3 {
                Err(BackendError::Run(String::from("out of memory")))
            } else {
                Ok(first_byte(group))
            }
        }),
        one_worker(),
    );
    let outcome = submit(&pool, &["bad", "a", "untokenizable"], later()).unwrap().outcome().await;
    assert_eq!((logits(&outcome), outcome.open), (vec![None, Some(97.0), None], 0));
    assert!(outcome.failure.is_some());
}

#[tokio::test]
async fn numbers_that_are_none_are_no_output() {
    let pool = started(Fake::new(|group| Ok(group.iter().map(|_| Output::Logit(f32::NAN)).collect())), one_worker());
    let outcome = submit(&pool, &["a"], later()).unwrap().outcome().await;
    assert_eq!((logits(&outcome), outcome.open), (vec![None], 0));
    assert_eq!(outcome.failure.as_deref(), Some("the model's output is not finite"));
}

#[tokio::test]
async fn a_model_that_loads_at_the_third_attempt_serves() {
    let fake = Arc::new(Fake {
        run: Arc::new(|group: &[&Encoded]| Ok(first_byte(group))),
        loads: AtomicUsize::new(0),
        failing_loads: 2,
    });
    let options = PoolOptions { retry_after: Duration::from_millis(100), ..one_worker() };
    let pool = Pool::start(Arc::clone(&fake) as _, Arc::new(ScoreCache::new(1 << 20)), options);
    wait_until(|| fake.loads.load(Ordering::SeqCst) > 0);
    wait_until(|| pool.readiness() == Readiness::Failed(String::from("no such model")));
    assert_eq!(submit(&pool, &["a"], later()).err(), Some(ScoreError::Unavailable(String::from("no such model"))));
    wait_until(|| pool.readiness().is_ready());
    assert_eq!(logits(&submit(&pool, &["a"], later()).unwrap().outcome().await), [Some(97.0)]);
    assert_eq!(fake.loads.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn where_the_operator_names_no_numbers_the_layout_is_measured_even_if_that_fails_at_first() {
    let fake = Arc::new(Fake {
        run: Arc::new(|group: &[&Encoded]| Ok(first_byte(group))),
        loads: AtomicUsize::new(0),
        failing_loads: 1,
    });
    let pool = started(fake, PoolOptions { workers: 0, ..one_worker() });
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!((1..=cores).contains(&pool.workers()), "{}", pool.workers());
    assert_eq!(logits(&submit(&pool, &["a"], later()).unwrap().outcome().await), [Some(97.0)]);
    assert!(matches!(pool.shared.grouping(), Grouping::Equal { .. }), "{:?}", pool.shared.grouping());
}

#[tokio::test]
async fn a_model_that_panics_when_groups_are_measured_is_loaded_afresh_and_given_none() {
    let fake = Fake::new(|group| {
        assert!(group.len() == 1, "cannot read several");
        Ok(first_byte(group))
    });
    let pool = started(fake, PoolOptions { workers: 0, ..one_worker() });
    assert_eq!(pool.shared.grouping(), Grouping::Alone);
    assert_eq!(logits(&submit(&pool, &["a", "b"], later()).unwrap().outcome().await), [Some(97.0), Some(98.0)]);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_turned_away() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, PoolOptions { queue_tokens: 3, ..one_worker() });
    let first = submit(&pool, &["a", "b", "c", "d"], later()).expect("an empty queue takes any job");
    begins.recv().unwrap();
    assert_eq!(submit(&pool, &["e"], later()).err(), Some(ScoreError::Overloaded));
    gate.open();
    first.outcome().await;
    assert_eq!(pool.queued_pairs(), 0);
    assert!(submit(&pool, &["e"], later()).is_ok());
}

#[tokio::test]
async fn work_whose_client_has_gone_is_dropped() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    let running = submit(&pool, &["running"], later()).unwrap();
    begins.recv().unwrap();
    let gone = submit(&pool, &["gone", "gone too"], later()).unwrap();
    assert_eq!(pool.queued_pairs(), 3);
    drop(gone);
    assert_eq!(pool.queued_pairs(), 1, "its place in the queue is free at once");
    gate.open();
    running.outcome().await;
    submit(&pool, &["last"], later()).unwrap().outcome().await;
    assert_eq!(begins.try_iter().collect::<Vec<_>>(), ["last"]);
}

#[tokio::test]
async fn what_another_job_has_made_is_not_made_again() {
    let (runs, seen) = mpsc::channel();
    let pool = started(
        Fake::new(move |group| {
            runs.send(text_of(group[0])).ok();
            Ok(first_byte(group))
        }),
        one_worker(),
    );
    for text in ["x", "y"] {
        let known = ModelOutput { output: Output::Logit(1.5), truncated: false, span: None, tokens: 3 };
        pool.shared.cache.insert(keys().key(text), known);
    }
    let ticket = submit(&pool, &["x", "y", "zz"], later()).unwrap();
    assert_eq!(logits(&ticket.outcome().await), [Some(1.5), Some(1.5), Some(122.0)]);
    assert_eq!((seen.try_iter().collect::<Vec<_>>(), pool.runs()), (vec![String::from("zz")], 1));
}

#[tokio::test]
async fn a_pair_that_several_want_at_the_same_time_is_run_once() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, PoolOptions { workers: 2, ..one_worker() });
    wait_until(|| pool.loaded_workers() == 2);
    let first = submit(&pool, &["a"], later()).unwrap();
    begins.recv().unwrap();
    // One that finds it being run, and two that find each other waiting behind it.
    let second = submit(&pool, &["a", "b"], later()).unwrap();
    begins.recv().unwrap();
    let (third, fourth) = (submit(&pool, &["b", "c"], later()).unwrap(), submit(&pool, &["c"], later()).unwrap());
    gate.open();
    let mut all = Vec::new();
    for ticket in [first, second, third, fourth] {
        all.push(logits(&ticket.outcome().await));
    }
    let [a, b, c] = [Some(97.0), Some(98.0), Some(99.0)];
    assert_eq!(all, [vec![a], vec![a, b], vec![b, c], vec![c]]);
    assert_eq!((pool.runs(), pool.queued_pairs(), pool.queued_tokens(), pool.shared.pairs.len()), (3, 0, 0, 0));
}

#[tokio::test]
async fn a_pair_is_run_for_who_still_wants_it_though_who_asked_first_has_gone() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    let blocker = submit(&pool, &["blocker"], later()).unwrap();
    begins.recv().unwrap();
    let gone = submit(&pool, &["a", "b"], later()).unwrap();
    let stays = submit(&pool, &["b"], later() + Duration::from_secs(1)).unwrap();
    drop(gone);
    assert_eq!(pool.shared.pairs.len(), 2, "of what nobody wants nothing is left");
    gate.open();
    assert_eq!(logits(&stays.outcome().await), [Some(98.0)]);
    drop(blocker);
    assert_eq!(begins.try_iter().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn a_failed_pair_fails_for_all_who_want_it() {
    let (began, begins) = mpsc::channel();
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let pool = started(
        Fake::new(move |_| {
            began.send(()).ok();
            its_gate.pass();
            Err(BackendError::Run(String::from("out of memory")))
        }),
        one_worker(),
    );
    let first = submit(&pool, &["a"], later()).unwrap();
    begins.recv().unwrap();
    let second = submit(&pool, &["a"], later()).unwrap();
    gate.open();
    for ticket in [first, second] {
        let outcome = ticket.outcome().await;
        assert_eq!((outcome.open, outcome.failure.as_deref()), (0, Some("out of memory")));
    }
    assert_eq!(pool.runs(), 1);
}

#[tokio::test]
async fn under_overload_windows_shrink_before_searches_are_refused() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    // Every text of two tokens takes 10 ms, as far as is known.
    (0..100).for_each(|_| pool.shared.cost_model.ran(1, 1, Duration::from_millis(5)));
    let budget = || Instant::now() + Duration::from_secs(1);
    let window =
        |search: usize| ('A'..='Z').map(|letter| format!("{letter}{}", char::from(97 + search as u8))).collect();
    let mut depths = Vec::new();
    let mut tickets = vec![submit(&pool, &["blocker"], budget()).unwrap()];
    begins.recv().unwrap();
    loop {
        match pool.submit(work(window(depths.len()), budget())) {
            Ok(ticket) => {
                depths.push(ticket.depth());
                tickets.push(ticket);
            }
            Err(error) => {
                assert_eq!(error, ScoreError::Overloaded);
                break;
            }
        }
    }
    assert_eq!(depths[0], 26, "{depths:?}");
    assert!(depths.len() > 4 && depths.is_sorted_by(|a, b| a >= b), "{depths:?}");
    assert!((80..=100).contains(&depths.iter().sum::<usize>()), "what a second has room for: {depths:?}");
    drop(tickets);
    gate.open();
}

#[tokio::test]
async fn searches_that_want_the_same_are_not_shed_for_it() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    (0..100).for_each(|_| pool.shared.cost_model.ran(1, 1, Duration::from_millis(20)));
    let deadline = Instant::now() + Duration::from_secs(20);
    let window: Vec<String> = (0..100).map(|number| format!("{number:4}")).collect();
    let first = pool.submit(work(window.clone(), deadline)).unwrap();
    begins.recv().unwrap();
    let others: Vec<Ticket> = (0..9).map(|_| pool.submit(work(window.clone(), deadline)).unwrap()).collect();
    assert!(others.iter().all(|ticket| ticket.depth() == 100));
    gate.open();
    for ticket in others.into_iter().chain([first]) {
        assert_eq!(ticket.outcome().await.open, 0);
    }
    assert_eq!((pool.runs(), pool.queued_tokens()), (100, 0));
}

#[tokio::test]
async fn what_a_search_has_no_time_for_is_not_reckoned_with() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    (0..100).for_each(|_| pool.shared.cost_model.ran(1, 1, Duration::from_millis(5)));
    // Alone in an empty queue it is taken whole, though it would take ten times its budget.
    let now = Instant::now();
    let endless =
        pool.submit(work((0..500).map(|number| format!("{number:4}")).collect(), now + Duration::from_secs(1)));
    let endless = endless.unwrap();
    begins.recv().unwrap();
    assert_eq!(endless.depth(), 500);
    let later =
        pool.submit(work((500..600).map(|number| format!("{number:4}")).collect(), now + Duration::from_secs(4)));
    assert_eq!(later.unwrap().depth(), 100);
    gate.open();
}

#[tokio::test]
async fn what_a_search_with_more_time_wants_too_costs_a_tighter_one_as_much_as_ever() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    pool.shared.cost_model.ran(1, 1, Duration::from_millis(200));
    let tight = Instant::now() + Duration::from_secs(5);
    let blocker = submit(&pool, &["blocker"], tight).unwrap();
    begins.recv().unwrap();
    let many: Vec<String> = (10..60).map(|number| number.to_string()).collect();
    let relaxed = pool.submit(work(many.clone(), later())).unwrap();
    let shallow = pool.submit(work(many.clone(), tight)).unwrap();
    assert!((1..25).contains(&shallow.depth()), "50 runs of 200 ms in 5 s, {} admitted", shallow.depth());
    // Now some of it is to be done by then anyway.
    let known = shallow.depth();
    let same = pool.submit(work(many[..known].to_vec(), tight)).unwrap();
    assert_eq!(same.depth(), known);
    gate.open();
    drop((blocker, relaxed, shallow, same));
}

#[tokio::test]
async fn a_small_request_is_not_stuck_behind_a_large_one() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    (0..100).for_each(|_| pool.shared.cost_model.ran(1, 1, Duration::from_millis(1)));
    let deadline = later();
    let blocker = submit(&pool, &["blocker"], deadline).unwrap();
    begins.recv().unwrap();
    let many: Vec<String> = (0..200).map(|number| format!("large {number}")).collect();
    let large = pool.submit(work(many, deadline)).unwrap();
    let small = submit(&pool, &["small"], deadline).unwrap();
    gate.open();
    for ticket in [blocker, large, small] {
        assert_eq!(ticket.outcome().await.open, 0);
    }
    assert_eq!(begins.try_iter().next().as_deref(), Some("small"));
}

/// A model that reads texts in windows of ten bytes, and whose word on a window is its first byte.
struct Windowed;

impl Inference for Windowed {
    fn encode(&self, _query: Option<&str>, texts: &[&str], _long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        let window = |(number, part): (usize, &[u8])| {
            let start = u32::try_from(number * 10).unwrap();
            let span = Some(Span { start, end: start + u32::try_from(part.len()).unwrap() });
            let ids: Vec<i64> = part.iter().copied().map(i64::from).collect();
            Encoded { type_ids: vec![0; ids.len()], ids, truncated: false, span }
        };
        texts.iter().map(|text| Ok(text.as_bytes().chunks(10).enumerate().map(window).collect())).collect()
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        Ok(first_byte(group))
    }
}

impl Loader for Windowed {
    fn load(&self, _threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        Ok(Box::new(Windowed))
    }
}

#[tokio::test]
async fn of_the_windows_of_a_text_the_best_counts() {
    let pool = Pool::start(Arc::new(Windowed), Arc::new(ScoreCache::new(1 << 20)), one_worker());
    wait_until(|| pool.readiness().is_ready());
    let long = format!("{}{}{}{}", "a".repeat(10), "z".repeat(10), "z".repeat(10), "bb");
    let outcome = submit(&pool, &["q", &long], later()).unwrap().outcome().await;
    assert_eq!(logits(&outcome), [Some(113.0), Some(122.0)]);
    let span = outcome.outputs[1].as_ref().unwrap().span;
    assert_eq!(span, Some(Span { start: 10, end: 20 }), "the first of equals");
}

#[test]
fn dropping_the_pool_ends_its_threads() {
    let fake = Fake::new(|group| Ok(first_byte(group)));
    let pool = started(Arc::clone(&fake) as _, PoolOptions { workers: 4, ..one_worker() });
    let shared = Arc::clone(&pool.shared);
    drop(pool);
    assert_eq!(shared.lock_queue().threads, 0);
}

#[test]
fn dropping_the_pool_waits_for_a_model_that_is_being_loaded() {
    struct Slow(Arc<Gate>, Sender<()>);
    impl Loader for Slow {
        fn load(&self, _threads: usize) -> Result<Box<dyn Inference>, BackendError> {
            self.1.send(()).ok();
            self.0.pass();
            Err(BackendError::Start(String::from("too late")))
        }
    }
    let (gate, (began, begins)) = (Arc::new(Gate::default()), mpsc::channel());
    let loader = Slow(Arc::clone(&gate), began);
    let pool = Pool::start(Arc::new(loader), Arc::new(ScoreCache::new(1 << 20)), one_worker());
    begins.recv().unwrap();
    let shared = Arc::clone(&pool.shared);
    let dropping = std::thread::spawn(move || drop(pool));
    // Twice as long as a run is waited for here.
    std::thread::sleep(2 * one_worker().hang_after);
    assert!(!dropping.is_finished());
    gate.open();
    dropping.join().unwrap();
    assert_eq!((shared.lock_queue().threads, shared.loading.load(Ordering::SeqCst)), (0, 0));
}

#[test]
fn dropping_the_pool_does_not_wait_for_a_model_that_hangs() {
    let (fake, begins, gate) = gated();
    let pool = started(fake, one_worker());
    let _ticket = submit(&pool, &["a"], later()).unwrap();
    begins.recv().unwrap();
    let before = Instant::now();
    drop(pool);
    assert!(before.elapsed() < Duration::from_secs(5));
    gate.open();
}
