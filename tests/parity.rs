//! Our scores against those of the reference implementations (torch and transformers; ONNX Runtime from Python for int8),
//! recorded in `fixtures/golden` on another machine. Needs the ONNX Runtime library: `make onnxruntime`. That int8 scores
//! equal those of Python where both are made on one machine is for `e2e/test_parity.py`.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use scoring::{
    LocalScorer, LongPassages, Priority, Request, Runtime, Score, ScoreCache, Scorer, ScoringOptions, Span,
    backend::{self, Inference, Sessions},
    encode::Encoder,
    model_output::Output,
    models::ModelFolder,
};
use serde_json::Value;

const TINY: &str = "tiny-deberta-v2";
const MINILM: &str = "all-MiniLM-L6-v2";
const MS_MARCO: &str = "ms-marco-MiniLM-L12-v2";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn golden(model: &str) -> Value {
    let file = fixtures().join("golden").join(format!("{model}.json"));
    serde_json::from_slice(&std::fs::read(file).expect("fixtures/golden is in the repository")).expect("it is JSON")
}

fn folder(model: &str, variant: &str) -> ModelFolder {
    ModelFolder::open(&fixtures().join("models").join(model), Some(variant)).unwrap()
}

fn runtime() -> Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::load(None).unwrap_or_else(|error| panic!("{error}"))).clone()
}

fn scorer(model: &str, variant: &str) -> LocalScorer {
    started(folder(model, variant))
}

fn started(folder: ModelFolder) -> LocalScorer {
    let options =
        ScoringOptions { workers: 2, threads: 1, queue_tokens: 1 << 20, cache: Arc::new(ScoreCache::new(1 << 24)) };
    let scorer = LocalScorer::start(folder, &runtime(), options);
    let limit = Instant::now() + Duration::from_mins(1);
    while !scorer.readiness().is_ready() {
        assert!(Instant::now() < limit, "{}", scorer.readiness());
        std::thread::sleep(Duration::from_millis(5));
    }
    scorer
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn ids(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

async fn raw_scores(scorer: &LocalScorer, query: &str, passages: Vec<String>) -> Vec<f32> {
    let deadline = Instant::now() + Duration::from_mins(2);
    let scored = scorer
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
        .unwrap();
    scored.scores.into_iter().map(|score| score.expect("there is time for all").raw).collect()
}

fn order(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

#[test]
fn pairs_are_encoded_as_the_reference_does() {
    let golden = golden(TINY);
    let folder = folder(TINY, "model");
    assert_eq!(folder.max_length() as u64, golden["max_length"].as_u64().unwrap());
    let encoder = Encoder::load(&folder.tokenizer(), folder.max_length()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let (query, passage) = (case["query"].as_str().unwrap(), case["passage"].as_str().unwrap());
        let encoded = encoder.encode(Some(query), &[passage], LongPassages::Truncate).remove(0).unwrap().remove(0);
        assert_eq!(encoded.ids, ids(&case["input_ids"]), "{}", case["name"]);
    }
}

/// BERT reads which of the two texts a token is of; a DeBERTa-v2 does not.
#[test]
fn pairs_of_a_bert_are_encoded_as_the_reference_does_token_types_included() {
    let golden = golden(MS_MARCO);
    let folder = folder(MS_MARCO, "model_quantized");
    assert_eq!(folder.max_length() as u64, golden["max_length"].as_u64().unwrap());
    let encoder = Encoder::load(&folder.tokenizer(), folder.max_length()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let (query, passage) = (case["query"].as_str().unwrap(), case["passage"].as_str().unwrap());
        let encoded = encoder.encode(Some(query), &[passage], LongPassages::Truncate).remove(0).unwrap().remove(0);
        assert_eq!(encoded.ids, ids(&case["input_ids"]), "{}", case["name"]);
        let of_query = case["first_len"].as_u64().unwrap() as usize;
        let types: Vec<i64> = (0..encoded.ids.len()).map(|place| i64::from(place >= of_query)).collect();
        assert_eq!(encoded.type_ids, types, "{}", case["name"]);
    }
}

#[test]
fn texts_are_encoded_as_the_reference_does() {
    let golden = golden(MINILM);
    let folder = folder(MINILM, "model_quantized");
    assert_eq!(folder.max_length() as u64, golden["max_length"].as_u64().unwrap());
    let encoder = Encoder::load(&folder.tokenizer(), folder.max_length()).unwrap();
    for case in golden["texts"].as_array().unwrap() {
        let encoded = encoder
            .encode(None, &[case["text"].as_str().unwrap()], LongPassages::Truncate)
            .remove(0)
            .unwrap()
            .remove(0);
        assert_eq!(encoded.ids, ids(&case["input_ids"]), "{}", case["name"]);
    }
}

#[test]
fn a_very_long_passage_is_encoded_as_if_all_of_it_had_been_read() {
    let folder = folder(TINY, "model");
    let encoder = Encoder::load(&folder.tokenizer(), folder.max_length()).unwrap();
    // Only the beginning is read, if it fills the model; white space alone does not.
    let words = "the committee forgot the minutes again ";
    let spaces = " ".repeat(40_000);
    for passage in [words.repeat(5_000), format!("{spaces}{}", words.repeat(200)), "x".repeat(40_000)] {
        let mut whole = tokenizers::Tokenizer::from_file(folder.tokenizer()).unwrap();
        let truncation = tokenizers::TruncationParams { max_length: folder.max_length(), ..Default::default() };
        whole.with_truncation(Some(truncation)).unwrap();
        let expected = whole.encode(("what was forgotten", passage.as_str()), true).unwrap();
        let encoded = encoder
            .encode(Some("what was forgotten"), &[&passage], LongPassages::Truncate)
            .remove(0)
            .unwrap()
            .remove(0);
        let expected: Vec<i64> = expected.get_ids().iter().map(|&id| i64::from(id)).collect();
        assert_eq!(encoded.ids, expected);
    }
}

/// A case's windows as we make them, and as transformers does.
fn windows_of(encoder: &Encoder, query: Option<&str>, case: &Value, of: &str) -> [Vec<(Vec<i64>, Span)>; 2] {
    let overlap = case["overlap"].as_u64().unwrap() as usize;
    let long = LongPassages::Windows { overlap, at_most: 100 };
    let windows = encoder.encode(query, &[case["passage"].as_str().unwrap()], long).remove(0).unwrap();
    assert!(windows.iter().all(|window| !window.truncated));
    let ours = windows.into_iter().map(|window| (window.ids, window.span.unwrap())).collect();
    let theirs = case[of].as_array().unwrap().iter();
    [ours, theirs.map(|window| (ids(&window["input_ids"]), span(window))).collect()]
}

fn span(window: &Value) -> Span {
    let place = |key: &str| window[key].as_u64().unwrap() as u32;
    Span { start: place("start"), end: place("end") }
}

#[test]
fn long_texts_are_cut_into_windows_as_the_reference_does() {
    let golden = golden("windows");
    for (model, variant, query, of) in
        [(TINY, "model", golden["query"].as_str(), "tiny"), (MINILM, "model_quantized", None, "minilm")]
    {
        let folder = folder(model, variant);
        let encoder = Encoder::load(&folder.tokenizer(), folder.max_length()).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let [ours, theirs] = windows_of(&encoder, query, case, of);
            assert_eq!(ours, theirs, "{model}: {}", case["name"]);
        }
    }
}

/// What the scorer says of a long passage, and the value of each window in `fixtures/golden` with its place.
async fn scored_in_windows(scorer: &LocalScorer, case: &Value, of: &str, key: &str) -> (Score, Vec<(f32, Span)>) {
    let overlap = case["overlap"].as_u64().unwrap() as usize;
    let golden = golden("windows");
    let request = Request {
        query: golden["query"].as_str().unwrap(),
        passages: vec![case["passage"].as_str().unwrap().to_owned()],
        long: LongPassages::Windows { overlap, at_most: 16 },
        priority: Priority::Search,
        known: None,
        vectors: false,
        deadline: Instant::now() + Duration::from_mins(2),
    };
    let score = scorer.score(request).await.unwrap().scores[0].unwrap();
    let windows = case[of].as_array().unwrap().iter();
    (score, windows.map(|window| (window[key].as_f64().unwrap() as f32, span(window))).collect())
}

#[tokio::test]
async fn a_long_passage_has_the_logit_of_its_best_window() {
    let scorer = scorer(TINY, "model");
    for case in golden("windows")["cases"].as_array().unwrap() {
        let (score, windows) = scored_in_windows(&scorer, case, "tiny", "logit_onnx_fp32").await;
        let (logit, place) = windows.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap();
        assert!((score.raw - logit).abs() < 1e-4, "{}: {} is not {logit}", case["name"], score.raw);
        assert_eq!((score.span, score.truncated), (Some(place), false), "{}", case["name"]);
    }
}

/// The bounds are those of `assert_near`.
#[tokio::test]
async fn a_long_passage_is_as_close_as_its_closest_window() {
    let (tiny, minilm) = (scorer(TINY, "model_quantized"), scorer(MINILM, "model_quantized"));
    for case in golden("windows")["cases"].as_array().unwrap() {
        for (scorer, of, key, tolerance) in
            [(&tiny, "tiny", "logit_onnx_int8", 0.3), (&minilm, "minilm", "cosine_int8", 0.04)]
        {
            let (score, windows) = scored_in_windows(scorer, case, of, key).await;
            let best = windows.iter().map(|(value, _)| *value).fold(f32::MIN, f32::max);
            assert!((score.raw - best).abs() <= tolerance, "{}: {} is far from {best}", case["name"], score.raw);
            let (value, _) = windows.iter().find(|(_, span)| Some(*span) == score.span).expect("one of the windows");
            assert!((value - best).abs() <= 2.0 * tolerance, "{}: {value} is far from {best}", case["name"]);
        }
    }
}

#[tokio::test]
async fn float_logits_are_those_of_torch() {
    let scorer = scorer(TINY, "model");
    let golden = golden(TINY);
    let mut lengths = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let passage = case["passage"].as_str().unwrap().to_owned();
        let logit = raw_scores(&scorer, case["query"].as_str().unwrap(), vec![passage]).await[0];
        let expected = case["logit_torch"].as_f64().unwrap() as f32;
        assert!((logit - expected).abs() < 1e-4, "{}: {logit} is not {expected}", case["name"]);
        lengths.push(case["attention_len"].as_u64().unwrap());
    }
    for length in [127, 128, 129, 511, 512] {
        assert!(lengths.contains(&length), "no case of {length} tokens");
    }
}

#[tokio::test]
async fn unpadded_runs_equal_the_padded_batches_of_the_reference() {
    let scorer = scorer(TINY, "model");
    let golden = golden(TINY);
    for batch in golden["padded_batches"].as_array().unwrap() {
        let expected = floats(&batch["logits_torch"]);
        for (pair, expected) in batch["pairs"].as_array().unwrap().iter().zip(expected) {
            let pair = strings(pair);
            let logit = raw_scores(&scorer, &pair[0], vec![pair[1].clone()]).await[0];
            assert!((logit - expected).abs() < 1e-4, "{}: {logit} is not {expected}", batch["name"]);
        }
    }
}

#[tokio::test]
async fn a_float_window_scored_in_groups_is_that_of_torch() {
    let golden = &golden(TINY)["ranking"];
    let scorer = scorer(TINY, "model");
    let logits = raw_scores(&scorer, golden["query"].as_str().unwrap(), strings(&golden["passages"])).await;
    for (logit, expected) in logits.iter().zip(floats(&golden["logits_torch"])) {
        assert!((logit - expected).abs() < 1e-4, "{logit} is not {expected}");
    }
}

/// Int8 values differ by CPU, in Python's ONNX Runtime as in ours, and near ties change places with them. How far is
/// measured in `fixtures/golden/README.md`, "How near is near enough"; the bounds here are its. On one machine they do
/// not differ: `e2e/test_parity.py`.
fn assert_near(scores: &[f32], expected: &[f32], tolerance: f32) {
    for (rank, (score, expected)) in scores.iter().zip(expected).enumerate() {
        assert!((score - expected).abs() <= tolerance, "passage {rank}: {score} is far from {expected}");
    }
    let spearman = spearman(&order(scores), &order(expected));
    assert!(spearman > 0.99, "Spearman's coefficient is {spearman}");
}

/// Spearman's rank correlation of two orders of the same entries.
fn spearman(left: &[usize], right: &[usize]) -> f64 {
    assert_eq!(left.len(), right.len());
    let place = |order: &[usize], entry| order.iter().position(|&other| other == entry).unwrap() as f64;
    let count = left.len() as f64;
    let squares: f64 = left.iter().map(|&entry| (place(left, entry) - place(right, entry)).powi(2)).sum();
    1.0 - 6.0 * squares / (count * (count * count - 1.0))
}

#[tokio::test]
async fn quantised_logits_rank_as_those_of_onnx_runtime_in_python() {
    let golden = &golden(TINY)["ranking"];
    let scorer = scorer(TINY, "model_quantized");
    let logits = raw_scores(&scorer, golden["query"].as_str().unwrap(), strings(&golden["passages"])).await;
    assert_near(&logits, &floats(&golden["logits_onnx_int8"]), 0.3);
}

/// How far the trained cross-encoder's values may be from those of another CPU: `fixtures/golden/README.md`.
const MS_MARCO_NEAR: f32 = 0.8;

#[tokio::test]
async fn the_trained_cross_encoder_has_the_logits_of_onnx_runtime_in_python() {
    let golden = golden(MS_MARCO);
    let scorer = scorer(MS_MARCO, "model_quantized");
    for case in golden["cases"].as_array().unwrap() {
        let passage = case["passage"].as_str().unwrap().to_owned();
        let logit = raw_scores(&scorer, case["query"].as_str().unwrap(), vec![passage]).await[0];
        let expected = case["logit_onnx_int8"].as_f64().unwrap() as f32;
        assert!((logit - expected).abs() < MS_MARCO_NEAR, "{}: {logit} is far from {expected}", case["name"]);
    }
    let ranking = &golden["ranking"];
    let logits = raw_scores(&scorer, ranking["query"].as_str().unwrap(), strings(&ranking["passages"])).await;
    assert_near(&logits, &floats(&ranking["logits_onnx_int8"]), MS_MARCO_NEAR);
}

#[tokio::test]
async fn the_trained_cross_encoder_has_about_the_logits_that_its_card_gives() {
    let golden = &golden(MS_MARCO)["card"];
    let scorer = scorer(MS_MARCO, "model_quantized");
    for entry in golden["passages"].as_array().unwrap() {
        let passage = entry["passage"].as_str().unwrap().to_owned();
        let logit = raw_scores(&scorer, golden["query"].as_str().unwrap(), vec![passage]).await[0];
        let published = entry["logit_published_fp32"].as_f64().unwrap() as f32;
        assert!((logit - published).abs() < MS_MARCO_NEAR, "{logit} is far from the published {published}");
    }
}

#[tokio::test]
async fn embeddings_are_those_of_onnx_runtime_in_python() {
    let golden = golden(MINILM);
    let mut model = backend::open(folder(MINILM, "model_quantized"), &runtime(), Sessions::Several).load(1).unwrap();
    for case in golden["texts"].as_array().unwrap() {
        let vector = embed(&mut *model, case["text"].as_str().unwrap());
        let expected = floats(&case["embedding_int8"]);
        let cosine: f32 = vector.iter().zip(&expected).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.98, "{}: cosine {cosine}", case["name"]);
        assert_eq!(vector.len(), expected.len());
    }
    let reference = embed(&mut *model, golden["reference"]["text"].as_str().unwrap());
    for (value, published) in reference.iter().zip(floats(&golden["reference"]["published_first3"])) {
        assert!((value - published).abs() < 0.02, "{value} is far from the published {published}");
    }
}

fn embed(model: &mut dyn Inference, text: &str) -> Arc<[f32]> {
    let encoded = model.encode(None, &[text], LongPassages::Truncate).remove(0).unwrap().remove(0);
    match model.run(&[&encoded]).unwrap().remove(0) {
        Output::Embedding(vector) => vector,
        _ => panic!("a bi-encoder gives one vector a text"),
    }
}

#[tokio::test]
async fn cosines_rank_as_those_of_onnx_runtime_in_python() {
    let golden = &golden(MINILM)["ranking"];
    let scorer = scorer(MINILM, "model_quantized");
    let cosines = raw_scores(&scorer, golden["query"].as_str().unwrap(), strings(&golden["passages"])).await;
    assert_near(&cosines, &floats(&golden["cosine_int8"]), 0.04);
}

#[tokio::test]
async fn a_quantised_score_does_not_depend_on_the_company_it_keeps() {
    let golden = &golden(TINY)["ranking"];
    let (query, passages) = (golden["query"].as_str().unwrap(), strings(&golden["passages"]));
    let together = raw_scores(&scorer(TINY, "model_quantized"), query, passages.clone()).await;
    let alone = scorer(TINY, "model_quantized");
    for (passage, expected) in passages.into_iter().zip(together) {
        assert_eq!(raw_scores(&alone, query, vec![passage]).await, [expected]);
    }
}

#[tokio::test]
async fn a_folder_without_config_json_gives_the_same_scores() {
    for (model, variant) in [(TINY, "model"), (MINILM, "model_quantized"), (MS_MARCO, "model_quantized")] {
        let whole = folder(model, variant);
        let copied = tempfile::tempdir().unwrap();
        for name in [
            &format!("onnx/{variant}.onnx"),
            "tokenizer.json",
            "tokenizer_config.json",
            "modules.json",
            "sentence_bert_config.json",
            "1_Pooling/config.json",
        ] {
            let (from, to) = (whole.path().join(name), copied.path().join(name));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            assert_eq!(from.is_file(), std::fs::copy(from, to).is_ok());
        }
        let bare = ModelFolder::open(copied.path(), None).unwrap();
        assert_eq!((bare.kind(), bare.max_length(), bare.pad_id()), (whole.kind(), whole.max_length(), whole.pad_id()));
        let passages = ["Paris is the capital of France.", "Bananas are yellow.", ""].map(str::to_owned).to_vec();
        let query = "capital of france";
        let expected = raw_scores(&started(whole), query, passages.clone()).await;
        assert_eq!(raw_scores(&started(bare), query, passages).await, expected, "{model}");
    }
}
