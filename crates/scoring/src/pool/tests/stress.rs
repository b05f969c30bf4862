//! The pool under all of it at once: many threads whose searches overlap, are dropped at any moment, run out of time and
//! want what panics, fails or is no number. Whatever the interleaving, whoever waits long enough is answered, and at the
//! end nothing is left behind.

use std::{sync::atomic::AtomicU64, thread};

use super::*;

/// A model that reads texts in windows of ten bytes, takes its time, and whose word on a window is its first byte; but what
/// holds a `!` makes it panic now and then, a `?` fails, and a `~` is no number. A `#` is more than its tokenizer bears.
struct Moody(Arc<AtomicU64>);

impl Moody {
    /// Some number below `most`, another one each time.
    fn some(&self, most: u64) -> u64 {
        Dice(self.0.fetch_add(1, Ordering::Relaxed)).below(most)
    }
}

impl Inference for Moody {
    fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        assert!(self.some(4) != 0 || !texts.iter().any(|text| text.contains('#')), "cannot bear it");
        Windowed.encode(query, texts, long)
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        let holds = |letter: u8| group.iter().any(|encoded| encoded.ids.contains(&i64::from(letter)));
        thread::sleep(Duration::from_micros(self.some(200)));
        assert!(self.some(2) != 0 || !holds(b'!'), "enough");
        if holds(b'?') {
            return Err(BackendError::Run(String::from("does not want to")));
        }
        let word = |encoded: &&Encoded| match encoded.ids.contains(&i64::from(b'~')) {
            true => f32::NAN,
            false => encoded.ids[0] as f32,
        };
        Ok(group.iter().map(word).map(Output::Logit).collect())
    }
}

struct MoodyLoader(Arc<AtomicU64>);

impl Loader for MoodyLoader {
    fn load(&self, _threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        let moody = Moody(Arc::clone(&self.0));
        match moody.some(4) {
            0 => Err(BackendError::Start(String::from("not now"))),
            1 => panic!("not like this"),
            _ => Ok(Box::new(moody)),
        }
    }
}

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    /// Some of few texts, none twice; some of them are trouble.
    fn window(&mut self) -> Vec<String> {
        let mut window: Vec<String> = Vec::new();
        for _ in 0..=self.below(12) {
            let letter = char::from(b'a' + self.below(20) as u8).to_string();
            let text = match self.below(24) {
                0 => letter + "!",
                1 => letter + "?",
                2 => letter + "~",
                3 => letter + "#",
                4..12 => letter.repeat(35),
                _ => letter,
            };
            if !window.contains(&text) {
                window.push(text);
            }
        }
        window
    }
}

/// What a text comes to, if to anything.
fn expected(text: &str) -> Option<f32> {
    (!text.contains(['?', '~'])).then(|| f32::from(text.as_bytes()[0]))
}

/// One search, whose client may go away.
async fn search(pool: &Pool, dice: &mut Dice) {
    let window = dice.window();
    let has_time = dice.below(3) != 0;
    let deadline = if has_time { later() } else { Instant::now() + Duration::from_micros(dice.below(4000)) };
    let ticket = match pool.submit(work(window.clone(), deadline)) {
        Ok(ticket) => ticket,
        // Every worker may be loading.
        Err(ScoreError::Unavailable(_)) => return thread::sleep(Duration::from_micros(dice.below(1000))),
        Err(ScoreError::Overloaded) => return assert!(!has_time, "there was all the time in the world"),
    };
    let outcome = match dice.below(4) {
        0 => return thread::sleep(Duration::from_micros(dice.below(500))),
        1 => {
            let goes = Duration::from_micros(dice.below(2000));
            let Ok(outcome) = tokio::time::timeout(goes, ticket.outcome()).await else { return };
            outcome
        }
        _ => ticket.outcome().await,
    };
    assert!(!has_time || (outcome.open, outcome.shed) == (0, 0), "{window:?} is {outcome:?}");
    for (text, logit) in window.iter().zip(logits(&outcome)) {
        let is_right = logit.map_or(outcome.failure.is_some() || !has_time, |_| logit == expected(text));
        assert!(is_right, "{text} of {window:?} is {outcome:?}");
    }
}

#[test]
fn whoever_waits_is_answered_and_nothing_is_left_behind() {
    for (seed, cache, grouping) in [
        (1, 0, PoolOptions::default().grouping),
        (2, 1 << 20, Grouping::Padded { tokens: 200 }),
        (3, 0, Grouping::Alone),
    ] {
        let loader = Arc::new(MoodyLoader(Arc::new(AtomicU64::new(seed))));
        let options = PoolOptions { workers: 3, grouping, hang_after: Duration::from_mins(1), ..one_worker() };
        let pool = Pool::start(loader, Arc::new(ScoreCache::new(cache)), options);
        thread::scope(|scope| {
            for number in 0..6 {
                let pool = &pool;
                scope.spawn(move || {
                    // As the threads that serve do it.
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    let mut dice = Dice(seed << 32 | number << 16);
                    for _ in 0..60 {
                        runtime.block_on(search(pool, &mut dice));
                    }
                });
            }
        });
        // What was being run when its last client went is run to its end.
        wait_until(|| pool.shared.pairs.len() == 0 && pool.shared.lock_queue().waiting() == 0);
        wait_until(|| pool.busy_workers() == 0);
        assert_eq!((pool.queued_pairs(), pool.queued_tokens()), (0, 0));
    }
}
