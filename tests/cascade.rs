//! A cascade of the two bundled models: the bi-encoder, then the tiny DeBERTa. Needs the ONNX Runtime library: `make
//! onnxruntime`.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use scoring::{
    FusedScorer, LocalScorer, LongPassages, Priority, Request, Runtime, ScoreCache, Scored, Scorer, ScoringOptions,
    Stage, models::ModelFolder,
};

const QUERY: &str = "how do wolves hunt";
const PASSAGES: [&str; 6] = [
    "Sourdough needs a starter of flour and water.",
    "Wolves hunt in packs and wear out large prey.",
    "The moon turns once on its axis in each orbit.",
    "A pack of wolves follows a herd for days before it attacks.",
    "Hunting wolves was banned in most of Europe.",
    "Granite is an igneous rock.",
];

fn scorer(runtime: &Runtime, model: &str, cache: &Arc<ScoreCache>) -> Arc<dyn Scorer> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(model);
    let folder = ModelFolder::open(&path, None).unwrap();
    let options = ScoringOptions { workers: 1, threads: 1, queue_tokens: 1 << 20, cache: cache.clone() };
    let scorer = LocalScorer::start(folder, runtime, options);
    let limit = Instant::now() + Duration::from_mins(1);
    while !scorer.readiness().is_ready() {
        assert!(Instant::now() < limit, "{}", scorer.readiness());
        std::thread::sleep(Duration::from_millis(5));
    }
    Arc::new(scorer)
}

async fn scored(scorer: &dyn Scorer) -> Scored {
    let passages = PASSAGES.map(str::to_owned).to_vec();
    let deadline = Instant::now() + Duration::from_mins(2);
    scorer
        .score(Request {
            query: QUERY,
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

/// The passages' places, best first.
fn order(scored: &Scored) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scored.scores.len()).collect();
    places.sort_by(|&a, &b| scored.scores[b].unwrap().raw.total_cmp(&scored.scores[a].unwrap().raw));
    places
}

#[tokio::test]
async fn the_bi_encoder_chooses_and_the_cross_encoder_decides() {
    let runtime = Runtime::load(None).unwrap_or_else(|error| panic!("{error}"));
    let cache = Arc::new(ScoreCache::new(1 << 24));
    let first = scorer(&runtime, "all-MiniLM-L6-v2", &cache);
    let then = scorer(&runtime, "tiny-deberta-v2", &cache);
    let cascade = FusedScorer::cascade(("first", first.clone()), ("then", then.clone()), 3);
    let fresh = scored(&cascade).await;
    let (by_first, by_then) = (scored(&*first).await, scored(&*then).await);
    let raw = |scored: &Scored, place: usize| scored.scores[place].unwrap().raw;

    let (mut kept, rest) = (order(&by_first)[..3].to_vec(), order(&by_first)[3..].to_vec());
    assert!(kept.contains(&1) && kept.contains(&3), "both about wolves that hunt: {kept:?}");
    kept.sort_by(|&a, &b| raw(&by_then, b).total_cmp(&raw(&by_then, a)));
    assert_eq!(order(&fresh), [kept.clone(), rest.clone()].concat());
    for place in kept {
        let score = fresh.scores[place].unwrap();
        assert_eq!(score.raw.to_bits(), raw(&by_then, place).to_bits(), "as the model says alone");
        assert_eq!(score.stage, Some(Stage::Then(Some(raw(&by_first, place)))));
    }
    for place in rest {
        let score = fresh.scores[place].unwrap();
        assert_eq!(score.stage, Some(Stage::First(raw(&by_first, place))));
        assert_eq!(score.scale, by_then.scores[place].unwrap().scale);
    }

    // Both models' scores are in the cache now, and make the same order.
    let again = scored(&cascade).await;
    assert_eq!((order(&again), again.cached(), again.budget_hit), (order(&fresh), PASSAGES.len(), false));
}
