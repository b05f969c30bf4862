//! The scorer with small models made of closures.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::*;
use crate::{
    backend::{BackendError, Inference},
    encode::Encoded,
    models::{Choice, GraphChoice, Pooling},
};

/// Tokens are bytes, and windows end at a bar; counts what it runs.
struct Fake {
    output: fn(&Encoded) -> Output,
    runs: Arc<AtomicUsize>,
}

impl Loader for Fake {
    fn load(&self, _threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        Ok(Box::new(Fake { output: self.output, runs: Arc::clone(&self.runs) }))
    }
}

impl Inference for Fake {
    fn encode(&self, _query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        let encoded = |text: &str, truncated, span| {
            let ids: Vec<i64> = text.bytes().map(i64::from).collect();
            Encoded { type_ids: vec![0; ids.len()], ids, truncated, span }
        };
        let encode = |text: &&str| match (text.split_once('|'), long) {
            (_, LongPassages::Beginning { tokens }) if text.len() > tokens => {
                Ok(vec![encoded(&text[..tokens], true, None)])
            }
            (None, _) => Ok(vec![encoded(text, false, None)]),
            (Some((first, _)), LongPassages::Truncate | LongPassages::Beginning { .. }) => {
                Ok(vec![encoded(first, true, None)])
            }
            (Some(_), LongPassages::Windows { at_most, .. }) => {
                let count = text.split('|').count();
                let mut start = 0;
                let window = |(place, part): (usize, &str)| {
                    let span = Span { start, end: start + part.len() as u32 };
                    start = span.end + 1;
                    encoded(part, place + 1 == at_most && at_most < count, Some(span))
                };
                Ok(text.split('|').take(at_most).enumerate().map(window).collect())
            }
        };
        texts.iter().map(encode).collect()
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        self.runs.fetch_add(group.len(), Ordering::SeqCst);
        Ok(group.iter().map(|encoded| (self.output)(encoded)).collect())
    }
}

struct Setting {
    scorer: LocalScorer,
    runs: Arc<AtomicUsize>,
}

fn raws(scored: &Scored) -> Vec<Option<f32>> {
    scored.scores.iter().map(|score| score.map(|score| score.raw)).collect()
}

fn setting(kind: Kind, output: fn(&Encoded) -> Output) -> Setting {
    setting_with(kind, PoolOptions::default().queue_tokens, output)
}

fn setting_with(kind: Kind, queue_tokens: usize, output: fn(&Encoded) -> Output) -> Setting {
    let runs = Arc::new(AtomicUsize::new(0));
    let fake = Arc::new(Fake { output, runs: Arc::clone(&runs) });
    let cache = Arc::new(ScoreCache::new(1 << 20));
    let options = PoolOptions { workers: 1, queue_tokens, ..PoolOptions::default() };
    let scorer = LocalScorer::with_loader(fake, kind, options, cache);
    while !scorer.readiness().is_ready() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Setting { scorer, runs }
}

/// The logit is the length.
fn cross_encoder() -> Setting {
    setting(Kind::CrossEncoder, |encoded| Output::Logit(encoded.len() as f32))
}

/// The vector points along the first byte's place in the alphabet.
fn bi_encoder() -> Setting {
    setting(Kind::BiEncoder { pooling: Pooling::Mean, normalise: true }, |encoded| {
        let mut vector = [0.0; 26];
        vector[usize::try_from(encoded.ids[0] - 97).unwrap()] = 2.0;
        Output::Embedding(vector.into())
    })
}

fn passages(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn request(query: &str, passages: Vec<String>, deadline: Instant) -> Request<'_> {
    Request {
        query,
        passages,
        long: LongPassages::Truncate,
        deadline,
        priority: Priority::Search,
        known: None,
        vectors: false,
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn a_logit_becomes_its_sigmoid() {
    let Setting { scorer, .. } = cross_encoder();
    let scored = scorer.score(request("q", passages(&["a", "bb"]), later())).await.unwrap();
    let values: Vec<_> = scored.scores.iter().flatten().map(|score| (score.raw, score.value())).collect();
    assert_eq!(values, [(1.0, 0.731_058_6), (2.0, 0.880_797)]);
    assert_eq!((scored.cached(), scored.budget_hit), (0, false));
}

#[tokio::test]
async fn equal_passages_are_scored_once_and_known_ones_not_at_all() {
    let Setting { scorer, runs } = cross_encoder();
    let first = scorer.score(request("red  shoes", passages(&["a", "bb", "a"]), later())).await.unwrap();
    assert_eq!((runs.load(Ordering::SeqCst), first.scores[0]), (2, first.scores[2]));
    let again = scorer.score(request(" red shoes", passages(&["bb", "a", "ccc"]), later())).await.unwrap();
    assert_eq!((runs.load(Ordering::SeqCst), again.cached()), (3, 2));
    assert_eq!(raws(&again)[..2], [raws(&first)[1], raws(&first)[0]]);
    scorer.score(request("blue shoes", passages(&["a"]), later())).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 4, "another query is another pair");
}

#[tokio::test]
async fn what_is_cached_needs_no_time() {
    let Setting { scorer, .. } = cross_encoder();
    let scored = scorer.score(request("q", passages(&["a"]), later())).await.unwrap();
    let known = scorer.score(request("q", passages(&["a"]), Instant::now())).await.unwrap();
    assert_eq!((raws(&known), known.cached(), known.budget_hit), (raws(&scored), 1, false));
    let unknown = scorer.score(request("q", passages(&["b", "a"]), Instant::now())).await.unwrap();
    assert!(unknown.scores[0].is_none() && unknown.scores[1].is_some() && unknown.budget_hit);
}

#[tokio::test]
async fn what_is_cached_is_there_though_the_queue_has_no_room() {
    let Setting { scorer, .. } = setting_with(Kind::CrossEncoder, 1, |encoded| {
        if encoded.len() > 1 {
            std::thread::sleep(Duration::from_millis(200));
        }
        Output::Logit(1.0)
    });
    let known = scorer.score(request("q", passages(&["a"]), later())).await.unwrap();
    let busy = scorer.score(request("q", passages(&["bb", "cc"]), later()));
    let scored = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let nothing_known = scorer.score(request("q", passages(&["dd"]), later())).await;
        (nothing_known, scorer.score(request("q", passages(&["dd", "a"]), later())).await.unwrap())
    };
    let (_, (nothing_known, scored)) = tokio::join!(busy, scored);
    assert_eq!(nothing_known, Err(ScoreError::Overloaded));
    assert_eq!((raws(&scored), scored.shed, scored.budget_hit), (vec![None, raws(&known)[0]], 1, true));
}

#[tokio::test]
async fn a_hundred_cached_passages_take_well_under_half_a_millisecond() {
    let Setting { scorer, .. } = cross_encoder();
    let window: Vec<String> = (0..100).map(|index| format!("{index} {}", "x".repeat(1000))).collect();
    scorer.score(request("q", window.clone(), later())).await.unwrap();
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let window = window.clone();
        let before = Instant::now();
        let scored = scorer.score(request("q", window, later())).await.unwrap();
        best = best.min(before.elapsed());
        assert_eq!(scored.cached(), 100);
    }
    assert!(best < Duration::from_micros(500), "{best:?}");
}

#[tokio::test]
async fn vectors_are_compared_by_cosine() {
    let Setting { scorer, runs } = bi_encoder();
    let scored = scorer.score(request("apple", passages(&["ant", "bee"]), later())).await.unwrap();
    let values: Vec<_> = scored.scores.iter().flatten().map(|score| (score.raw, score.value())).collect();
    assert_eq!(values, [(1.0, 1.0), (0.0, 0.0)]);
    let other_query = scorer.score(request("banana", passages(&["bee", "ant"]), later())).await.unwrap();
    assert_eq!(other_query.cached(), 2, "a passage's vector serves every query");
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}

fn in_windows(query: &str, passages: Vec<String>, at_most: usize) -> Request<'_> {
    Request { long: LongPassages::Windows { overlap: 0, at_most }, ..request(query, passages, later()) }
}

fn told(scored: &Scored) -> Vec<(f32, bool, Option<Span>)> {
    scored.scores.iter().flatten().map(|score| (score.raw, score.truncated, score.span)).collect()
}

#[tokio::test]
async fn the_best_window_of_a_long_passage_counts() {
    let Setting { scorer, .. } = cross_encoder();
    let window = passages(&["a|ccc|bb", "dddd"]);
    let scored = scorer.score(in_windows("q", window.clone(), 3)).await.unwrap();
    assert_eq!(told(&scored), [(3.0, false, Some(Span { start: 2, end: 5 })), (4.0, false, None)]);
    let again = scorer.score(in_windows("q", window.clone(), 3)).await.unwrap();
    assert_eq!((told(&again), again.cached()), (told(&scored), 2));
    let fewer = scorer.score(in_windows("q", window.clone(), 1)).await.unwrap();
    assert_eq!(told(&fewer)[0], (1.0, true, Some(Span { start: 0, end: 1 })), "other windows are other scores");
    let truncated = scorer.score(request("q", window, later())).await.unwrap();
    assert_eq!((told(&truncated)[0], truncated.truncated()), ((1.0, true, None), 1));
}

#[tokio::test]
async fn the_vectors_of_all_windows_are_kept_and_the_closest_counts() {
    let Setting { scorer, runs } = bi_encoder();
    let long = passages(&["ant|bee|cow"]);
    let scored = scorer.score(in_windows("bird", long.clone(), 3)).await.unwrap();
    assert_eq!(told(&scored), [(1.0, false, Some(Span { start: 4, end: 7 }))]);
    let other = scorer.score(in_windows("cat", long.clone(), 3)).await.unwrap();
    assert_eq!((told(&other), other.cached()), (vec![(1.0, false, Some(Span { start: 8, end: 11 }))], 1));
    assert_eq!(runs.load(Ordering::SeqCst), 5, "two queries and three windows");
    let one = scorer.score(in_windows("ape", long, 1)).await.unwrap();
    assert_eq!(told(&one), [(1.0, true, Some(Span { start: 0, end: 3 }))]);
}

#[tokio::test]
async fn vectors_are_told_where_they_are_wanted_those_of_the_best_windows() {
    let Setting { scorer, runs } = bi_encoder();
    let places = |scored: &Scored| -> Vec<Option<usize>> {
        let place = |vector: &Arc<[f32]>| vector.iter().position(|x| *x > 0.0);
        scored.vectors.iter().map(|vector| place(vector.as_ref()?)).collect()
    };
    let request = || in_windows("bird", passages(&["ant|bee|cow", "dog"]), 3);
    let scored = scorer.score(Request { vectors: true, ..request() }).await.unwrap();
    assert_eq!(places(&scored), [Some(1), Some(3)]);
    let unasked = scorer.score(request()).await.unwrap();
    assert_eq!((unasked.scores.len(), unasked.vectors, runs.load(Ordering::SeqCst)), (2, Vec::new(), 5));
    let too_late = Request { vectors: true, deadline: Instant::now(), ..request() };
    let too_late = Request { passages: passages(&["dog", "eel"]), long: LongPassages::Truncate, ..too_late };
    let scored = scorer.score(too_late).await.unwrap();
    assert_eq!(places(&scored), [None, None], "without the query's vector there is no score either");
    let Setting { scorer, .. } = cross_encoder();
    let scored = scorer.score(Request { vectors: true, ..request() }).await.unwrap();
    assert!(scored.vectors.iter().all(Option::is_none) && scored.scores.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_long_query_is_its_beginning_with_windows_as_without() {
    let Setting { scorer, .. } = bi_encoder();
    let window = passages(&["ant", "bee"]);
    for request in [in_windows("a|b", window.clone(), 8), request("a|b", window, later())] {
        assert_eq!(raws(&scorer.score(request).await.unwrap()), [Some(1.0), Some(0.0)]);
    }
}

#[tokio::test]
async fn a_beginning_is_read_of_the_passages_and_all_of_the_query() {
    let beginning = |query, passages, tokens| Request {
        long: LongPassages::Beginning { tokens },
        ..request(query, passages, later())
    };
    let Setting { scorer, .. } = cross_encoder();
    let scored = scorer.score(beginning("q", passages(&["cccc", "dd"]), 3)).await.unwrap();
    assert_eq!((told(&scored), scored.tokens()), (vec![(3.0, true, None), (2.0, false, None)], 5));
    let all = scorer.score(beginning("q", passages(&["cccc"]), 1000)).await.unwrap();
    assert_eq!(told(&all), [(4.0, false, None)], "no beginning is longer than what the model reads");
    let plain = scorer.score(request("q", passages(&["cccc"]), later())).await.unwrap();
    assert_eq!((plain.cached(), plain.tokens()), (1, 4), "which is then the same score, and as many tokens");

    let Setting { scorer, runs } = bi_encoder();
    let scored = scorer.score(beginning("apple", passages(&["ant", "bee"]), 1)).await.unwrap();
    assert_eq!((told(&scored), scored.tokens()), (vec![(1.0, true, None), (0.0, true, None)], 2));
    let other = scorer.score(request("apple", passages(&["bee"]), later())).await.unwrap();
    assert_eq!((other.cached(), runs.load(Ordering::SeqCst)), (0, 4), "the query's vector is that of every search");
}

#[tokio::test]
async fn without_the_query_vector_nothing_has_a_score() {
    let Setting { scorer, .. } = bi_encoder();
    scorer.score(request("apple", passages(&["ant"]), later())).await.unwrap();
    let scored = scorer.score(request("banana", passages(&["ant"]), Instant::now())).await.unwrap();
    assert_eq!((scored.scores, scored.budget_hit), (vec![None], true));
}

#[tokio::test]
async fn a_model_that_gives_no_numbers_is_unavailable() {
    let Setting { scorer, .. } = setting(Kind::CrossEncoder, |_| Output::Logit(f32::NAN));
    let error = scorer.score(request("q", passages(&["a"]), later())).await.unwrap_err();
    assert!(matches!(error, ScoreError::Unavailable(why) if why.contains("finite")));
}

#[tokio::test]
async fn infinite_scores_are_none_and_are_not_kept() {
    let Setting { scorer, .. } =
        setting(Kind::CrossEncoder, |encoded| Output::Logit(if encoded.ids[0] == 97 { f32::INFINITY } else { 0.5 }));
    for _ in 0..2 {
        let scored = scorer.score(request("q", passages(&["a", "b"]), later())).await.unwrap();
        assert_eq!((scored.scores[0], scored.scores[1].map(|score| score.raw)), (None, Some(0.5)));
    }
    assert_eq!(scorer.cache.stats().memory.entries, 1);
}

#[tokio::test]
async fn an_empty_window_has_no_scores() {
    let Setting { scorer, .. } = cross_encoder();
    assert_eq!(scorer.score(request("q", vec![], later())).await, Ok(Scored::default()));
}

/// Tells how many inputs each run of another loader's models has.
struct Telling {
    loader: Arc<dyn Loader>,
    sizes: mpsc::Sender<usize>,
}

struct TellingModel {
    model: Box<dyn Inference>,
    sizes: mpsc::Sender<usize>,
}

impl Loader for Telling {
    fn load(&self, threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        Ok(Box::new(TellingModel { model: self.loader.load(threads)?, sizes: self.sizes.clone() }))
    }
}

impl Inference for TellingModel {
    fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        self.model.encode(query, texts, long)
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        self.sizes.send(group.len()).ok();
        self.model.run(group)
    }
}

#[tokio::test]
async fn of_int8_graphs_of_ours_a_score_is_the_same_to_the_last_bit_in_a_group_and_alone() {
    let runtime = Runtime::load(None).unwrap();
    for name in ["ms-marco-MiniLM-L12-v2", "all-MiniLM-L6-v2"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name);
        let compiled = Choice { graph: Some(GraphChoice::Compiled), ..Choice::default() };
        let folder = ModelFolder::open_as(&path, compiled).unwrap();
        assert_eq!(folder.company(), Company::Ignored);
        let (kind, max_tokens) = (folder.kind(), folder.max_length());
        let (sizes, seen) = mpsc::channel();
        let loader = backend::open(folder, &runtime, Sessions::One);
        let loader = Arc::new(Telling { loader, sizes });
        let scores = async |grouping, window: Vec<String>| {
            let options = PoolOptions { workers: 1, max_tokens, grouping, ..PoolOptions::default() };
            let scorer =
                LocalScorer::with_loader(Arc::clone(&loader) as _, kind, options, Arc::new(ScoreCache::new(1 << 24)));
            while !scorer.readiness().is_ready() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let scored = scorer.score(request("what is red", window, later())).await.unwrap();
            raws(&scored).into_iter().map(|raw| raw.unwrap().to_bits()).collect::<Vec<_>>()
        };
        // Of few lengths, and of very different words.
        let words = ["red", "the", "42", "zebra", "and", "blood"];
        let text = |number: usize| vec![words[number % words.len()]; 1 + number / words.len() * 8].join(" ");
        let window: Vec<String> = (0..18).map(text).collect();
        let together = scores(Grouping::Equal { longest: 128, tokens: 512 }, window.clone()).await;
        assert!(seen.try_iter().max() > Some(4), "there were groups");
        let alone = scores(Grouping::Alone, window).await;
        assert_eq!(seen.try_iter().max(), Some(1));
        assert_eq!(together, alone, "{name}");
    }
}

#[test]
fn what_shares_a_run_with_a_pair_never_changes_its_score() {
    assert_eq!(grouping(Company::Sways, false), Grouping::Alone);
    assert_eq!(grouping(Company::Sways, true), Grouping::Alone);
    assert_eq!(grouping(Company::Ignored, true), Grouping::Alone);
    assert_eq!(grouping(Company::Ignored, false), Grouping::IF_MEASURED);
    assert_eq!(grouping(Company::Rounds, false), Grouping::SHORT);
    assert!(matches!(grouping(Company::Rounds, true), Grouping::Padded { .. }));
}
