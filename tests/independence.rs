//! The same search has the same scores whatever else goes on: alone, in a window, under load, in another layout of
//! workers and threads, out of the cache. To 1e-5, as a float sum may be formed in another order; in practice to the bit.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use scoring::{
    LocalScorer, LongPassages, Priority, Request, Runtime, ScoreCache, Scored, Scorer, ScoringOptions,
    models::ModelFolder,
};

/// Models, and the variants that are run: int8 ones quantise a whole run together, and would show their company.
const MODELS: [(&str, &str); 3] =
    [("tiny-deberta-v2", "model"), ("tiny-deberta-v2", "model_quantized"), ("all-MiniLM-L6-v2", "model_quantized")];

const QUERY: &str = "how long does the battery last";

fn started((model, variant): (&str, &str), workers: usize, threads: usize) -> LocalScorer {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::load(None).unwrap_or_else(|error| panic!("{error}")));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(model);
    let folder = ModelFolder::open(&folder, Some(variant)).unwrap();
    let cache = Arc::new(ScoreCache::new(1 << 24));
    let scorer = LocalScorer::start(folder, runtime, ScoringOptions { workers, threads, queue_tokens: 1 << 24, cache });
    let limit = Instant::now() + Duration::from_mins(1);
    while !scorer.readiness().is_ready() {
        assert!(Instant::now() < limit, "{}", scorer.readiness());
        std::thread::sleep(Duration::from_millis(5));
    }
    scorer
}

/// Passages of 1 to 700 words, so that some run in groups, some alone, and some are cut short.
fn window() -> Vec<String> {
    const WORDS: [&str; 12] =
        ["battery", "lasts", "a", "week", "when", "it", "is", "charged", "in", "the", "evening", "sun"];
    let word = |passage: usize, at: usize| WORDS[(passage * 7 + at * at + at / 3) % WORDS.len()];
    let lengths = [1, 2, 2, 3, 3, 5, 8, 8, 13, 21, 34, 55, 89, 144, 350, 700];
    let text = |(passage, &length): (usize, &usize)| {
        (0..length).map(|at| word(passage, at)).collect::<Vec<_>>().join(" ") + &format!(" {passage}")
    };
    lengths.iter().enumerate().map(text).collect()
}

async fn scored(scorer: &LocalScorer, query: &str, passages: Vec<String>) -> Scored {
    let deadline = Instant::now() + Duration::from_mins(2);
    scorer
        .score(Request {
            query,
            passages,
            long: LongPassages::Truncate,
            deadline,
            priority: Priority::Search,
            known: None,
            vectors: false,
        })
        .await
        .unwrap()
}

fn raws(scored: &Scored) -> Vec<f32> {
    scored.scores.iter().map(|score| score.expect("there was time enough").raw).collect()
}

#[track_caller]
fn assert_same(model: (&str, &str), how: &str, scores: &[f32], expected: &[f32]) {
    assert_eq!(scores.len(), expected.len());
    for (rank, (score, expected)) in scores.iter().zip(expected).enumerate() {
        assert!((score - expected).abs() <= 1e-5, "{model:?}, {how}, passage {rank}: {score}, not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_do_not_depend_on_batches_load_layout_or_cache() {
    for model in MODELS {
        let scorer = started(model, 1, 1);
        let mut alone = Vec::new();
        for passage in window() {
            alone.extend(raws(&scored(&scorer, QUERY, vec![passage]).await));
        }
        let again = scored(&scorer, QUERY, window()).await;
        assert_eq!(again.cached(), window().len());
        assert_same(model, "out of the cache", &raws(&again), &alone);

        let in_a_window = scored(&started(model, 1, 1), QUERY, window()).await;
        assert_same(model, "in a window", &raws(&in_a_window), &alone);

        let backwards = scored(&started(model, 2, 1), QUERY, window().into_iter().rev().collect()).await;
        let backwards: Vec<f32> = raws(&backwards).into_iter().rev().collect();
        assert_same(model, "backwards, by two workers", &backwards, &alone);

        let by_two_threads = scored(&started(model, 1, 2), QUERY, window()).await;
        assert_same(model, "by two threads on each pair", &raws(&by_two_threads), &alone);

        let busy = started(model, 3, 1);
        let others: Vec<String> = (0..8).map(|search| format!("{QUERY} {search}")).collect();
        let others = join_all(others.iter().map(|query| scored(&busy, query, window())));
        let same = join_all((0..3).map(|_| scored(&busy, QUERY, window())));
        let (_, same) = tokio::join!(others, same);
        for one in same {
            assert_same(model, "under load, three at a time", &raws(&one), &alone);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_that_ask_the_same_at_the_same_time_are_run_once() {
    let scorer = started(MODELS[2], 2, 1);
    let all = join_all((0..16).map(|_| scored(&scorer, QUERY, window()))).await;
    for one in &all {
        assert_same(MODELS[2], "with fifteen others", &raws(one), &raws(&all[0]));
    }
    let runs = || scorer.stats().unwrap().runs;
    assert_eq!(runs(), window().len() as u64 + 1, "each passage once, and the query");
    scored(&scorer, QUERY, window()).await;
    assert_eq!(runs(), window().len() as u64 + 1, "what is known is not run again");
}
