//! Pairs a second of [`LocalScorer`] with a cold cache, against a bare ONNX Runtime loop in the same process: the same
//! model and texts, one session on all cores, batches padded to their longest member and sorted by length over the
//! whole round (which a loop can do and a server cannot). Tokenization counts on both sides. Rounds are interleaved and
//! medians compared, so that foreign load hits both alike. Prints one JSON object a line.
//!
//! `cargo bench --bench scoring -- [--rounds N] [--variant NAME] [MODEL FOLDER…]`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ort::{session::Session, value::TensorRef};
use rerank_proxy::{
    models::{Kind, ModelFolder, search_folders},
    score::{LocalScorer, LongPassages, Request, Runtime, ScoreCache, Scorer, ScoringOptions},
};
use tokenizers::{
    EncodeInput, PaddingParams, PaddingStrategy, Tokenizer, TruncationParams, utils::padding::PaddingDirection,
};

const WINDOW: usize = 100;
/// Searches a round, or as many as run at once if that is more.
const SEARCHES: usize = 4;
const CONCURRENCY: [usize; 3] = [1, 4, 16];
const BATCHES: [usize; 2] = [32, 16];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rounds = 5;
    let mut variant = None;
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
            "--variant" => variant = arguments.next(),
            _ => folders.push(PathBuf::from(argument)),
        }
    }
    if folders.is_empty() {
        let search = search_folders(None);
        for name in ["all-MiniLM-L6-v2", "tiny-deberta-v2"] {
            folders.push(rerank_proxy::models::locate(name, &search)?);
        }
    }
    let runtime = Runtime::load(None)?;
    for path in folders {
        measure(&ModelFolder::open(&path, variant.as_deref())?, &runtime, rounds)?;
    }
    Ok(())
}

/// One search: a query and its window.
struct Search {
    query: String,
    passages: Vec<String>,
}

fn measure(folder: &ModelFolder, runtime: &Runtime, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cache = Arc::new(ScoreCache::new(1 << 30));
    let options = ScoringOptions { workers: 0, threads: 0, queue_tokens: 1 << 28, cache };
    let scorer = Arc::new(LocalScorer::start(folder.clone(), runtime, options));
    while scorer.ready().is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut bare = Bare::load(folder, runtime)?;
    let texts = texts();

    let mut bare_rates: Vec<Vec<Rate>> = vec![Vec::new(); BATCHES.len()];
    let mut rates: Vec<Vec<Rate>> = vec![Vec::new(); CONCURRENCY.len()];
    for round in 0..=rounds {
        for (which, batch) in BATCHES.into_iter().enumerate() {
            let searches = searches(&texts, SEARCHES, &format!("{round} {which}"));
            let rate = bare.rate(&searches, batch)?;
            if round > 0 {
                bare_rates[which].push(rate);
            }
        }
        for (which, concurrency) in CONCURRENCY.into_iter().enumerate() {
            let searches = searches(&texts, SEARCHES.max(concurrency), &format!("{round} c{concurrency}"));
            let rate = tokio.block_on(rate(&scorer, searches, concurrency))?;
            // The first round warms up.
            if round > 0 {
                rates[which].push(rate);
            }
        }
    }
    let bare: Vec<Rate> = bare_rates.iter().map(|rates| Rate::median(rates)).collect();
    let best = |get: fn(&Rate) -> f64| bare.iter().map(get).fold(0.0, f64::max);
    for (concurrency, rates) in CONCURRENCY.into_iter().zip(rates) {
        let rate = Rate::median(&rates);
        let line = serde_json::json!({
            "model": folder.name(),
            "onnx": folder.onnx().file_name().map(|name| name.to_string_lossy()),
            "concurrency": concurrency,
            "pairs_per_second": rate.wall.round(),
            "onnxruntime_pairs_per_second": { "batch_32": bare[0].wall.round(), "batch_16": bare[1].wall.round() },
            "pairs_per_second_vs_onnxruntime": thousandths(rate.wall / best(|rate| rate.wall)),
            "pairs_per_cpu_second_vs_onnxruntime": thousandths(rate.cpu / best(|rate| rate.cpu)),
            "rounds": rounds,
        });
        println!("{line}");
    }
    let micros = tokio.block_on(cached_window(&scorer, &texts))?;
    println!("{}", serde_json::json!({ "model": folder.name(), "cached_window_us_p50": micros.round() }));
    Ok(())
}

/// Pairs per second of wall time, and per second of processor time (of both cores together), which is the steadier number
/// on a machine that has other things to do.
#[derive(Debug, Clone, Copy)]
struct Rate {
    wall: f64,
    cpu: f64,
}

impl Rate {
    fn median(rates: &[Rate]) -> Rate {
        let median_of = |get: fn(&Rate) -> f64| median(rates.iter().map(get).collect());
        Rate { wall: median_of(|rate| rate.wall), cpu: median_of(|rate| rate.cpu) }
    }
}

struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Clock {
        Clock { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn rate(&self, pairs: f64) -> Rate {
        Rate { wall: pairs / self.wall.elapsed().as_secs_f64(), cpu: pairs / (cpu_seconds() - self.cpu) }
    }
}

/// Processor time of this process so far: user and system ticks of 10 ms in `/proc/self/stat`; NaN elsewhere than on
/// Linux.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}

fn request(query: &str, passages: Vec<String>, deadline: Instant) -> Request<'_> {
    Request { query, passages, long: LongPassages::Truncate, deadline }
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

async fn rate(scorer: &Arc<LocalScorer>, searches: Vec<Search>, concurrency: usize) -> Result<Rate, String> {
    let pairs = (searches.len() * WINDOW) as f64;
    let clock = Clock::start();
    let mut lanes: Vec<Vec<Search>> = (0..concurrency).map(|_| Vec::new()).collect();
    for (index, search) in searches.into_iter().enumerate() {
        lanes[index % concurrency].push(search);
    }
    let mut clients = Vec::new();
    for lane in lanes {
        let scorer = Arc::clone(scorer);
        clients.push(tokio::spawn(async move {
            for search in lane {
                let deadline = Instant::now() + Duration::from_mins(2);
                let scored = scorer.score(request(&search.query, search.passages, deadline)).await;
                let scored = scored.map_err(|error| error.to_string())?;
                if scored.cached() > 0 || scored.scores.iter().any(Option::is_none) {
                    return Err(format!("{} cached, budget hit: {}", scored.cached(), scored.budget_hit));
                }
            }
            Ok(())
        }));
    }
    for client in clients {
        client.await.map_err(|error| error.to_string())??;
    }
    Ok(clock.rate(pairs))
}

/// Microseconds for a window of 1 KB passages that are all cached.
async fn cached_window(scorer: &LocalScorer, texts: &[String]) -> Result<f64, String> {
    let long = |index: usize| format!("{index} {}", texts[index % texts.len()]).repeat(8).chars().take(1024).collect();
    let window: Vec<String> = (0..WINDOW).map(long).collect();
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut times = Vec::new();
    for _ in 0..200 {
        let window = window.clone();
        let began = Instant::now();
        let scored = scorer.score(request("query", window, deadline)).await.map_err(|error| error.to_string())?;
        if scored.cached() == WINDOW {
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(times))
}

/// One session on all cores, as a batch job would use it.
struct Bare {
    session: Session,
    tokenizer: Tokenizer,
    pairs: bool,
}

impl Bare {
    fn load(folder: &ModelFolder, runtime: &Runtime) -> Result<Bare, Box<dyn std::error::Error>> {
        let cores = std::thread::available_parallelism()?.get();
        let session = Session::builder(runtime.environment())?
            .with_intra_threads(cores)?
            .with_intra_op_spinning(false)?
            .commit_from_file(folder.onnx())?;
        let mut tokenizer = Tokenizer::from_file(folder.tokenizer()).map_err(|error| error.to_string())?;
        let truncation = TruncationParams { max_length: folder.max_length(), ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        Ok(Bare { session, tokenizer, pairs: folder.kind() == Kind::CrossEncoder })
    }

    fn rate(&mut self, searches: &[Search], batch: usize) -> Result<Rate, Box<dyn std::error::Error>> {
        let clock = Clock::start();
        let inputs: Vec<EncodeInput> = searches
            .iter()
            .flat_map(|search| {
                search.passages.iter().map(|passage| {
                    if self.pairs {
                        EncodeInput::from((search.query.as_str(), passage.as_str()))
                    } else {
                        EncodeInput::from(passage.as_str())
                    }
                })
            })
            .collect();
        let pairs = inputs.len() as f64;
        let mut encoded = self.tokenizer.encode_batch_fast(inputs, true).map_err(|error| error.to_string())?;
        encoded.sort_by_key(tokenizers::Encoding::len);
        for batch in encoded.chunks_mut(batch) {
            let padding = PaddingParams {
                strategy: PaddingStrategy::BatchLongest,
                direction: PaddingDirection::Right,
                ..PaddingParams::default()
            };
            tokenizers::pad_encodings(batch, &padding).map_err(|error| error.to_string())?;
            let shape = [batch.len(), batch[0].len()];
            let column = |get: fn(&tokenizers::Encoding) -> &[u32]| -> Vec<i64> {
                batch.iter().flat_map(|encoding| get(encoding).iter().map(|&id| i64::from(id))).collect()
            };
            let (ids, mask) = (column(|e| e.get_ids()), column(|e| e.get_attention_mask()));
            let types = column(|e| e.get_type_ids());
            let named: Vec<(String, &Vec<i64>)> = self
                .session
                .inputs()
                .iter()
                .map(|input| match input.name() {
                    "input_ids" => (input.name().to_owned(), &ids),
                    "attention_mask" => (input.name().to_owned(), &mask),
                    _ => (input.name().to_owned(), &types),
                })
                .collect();
            let mut inputs = Vec::new();
            for (name, values) in &named {
                inputs.push((name.as_str(), TensorRef::from_array_view((shape, values.as_slice()))?));
            }
            let outputs = self.session.run(inputs)?;
            std::hint::black_box(&outputs[0]);
        }
        Ok(clock.rate(pairs))
    }
}

/// Passages: those of the bundled corpus, or else generated ones of 15 to 150 words.
fn texts() -> Vec<String> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus");
    let files = corpus.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut texts = Vec::new();
    for file in files.filter(|file| file.to_string_lossy().contains("passages")) {
        for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
            let passage: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            texts.extend(["text", "body", "content"].iter().find_map(|key| passage[key].as_str()).map(str::to_owned));
        }
    }
    if texts.len() < WINDOW {
        texts = (0..600).map(generated).collect();
    }
    texts
}

fn generated(seed: u64) -> String {
    const WORDS: [&str; 48] = [
        "the",
        "of",
        "and",
        "water",
        "battery",
        "is",
        "a",
        "returns",
        "within",
        "days",
        "light",
        "when",
        "you",
        "charge",
        "temperature",
        "for",
        "in",
        "oven",
        "with",
        "butter",
        "train",
        "to",
        "station",
        "that",
        "warranty",
        "covers",
        "mountain",
        "because",
        "cells",
        "energy",
        "from",
        "sunlight",
        "press",
        "button",
        "until",
        "display",
        "shows",
        "on",
        "it",
        "slowly",
        "river",
        "north",
        "museum",
        "opens",
        "early",
        "acid",
        "reacts",
        "salt",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let words = 15 + next(70) + next(2) * next(65);
    (0..words).map(|_| WORDS[next(WORDS.len() as u64) as usize]).collect::<Vec<_>>().join(" ")
}

/// Searches that share no text with those of another `nonce`, so that the cache stays cold.
fn searches(texts: &[String], count: usize, nonce: &str) -> Vec<Search> {
    let passage = |index: usize| format!("{} {nonce} {}", texts[index % texts.len()], index / texts.len());
    (0..count)
        .map(|search| Search {
            query: format!("how long does the battery last {nonce} {search}"),
            passages: (0..WINDOW).map(|rank| passage(search * WINDOW + rank)).collect(),
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
