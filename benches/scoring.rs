//! Pairs a second of the whole proxy with a cold cache, against a bare ONNX Runtime loop in the same process: the same
//! model, the same queries and passages. A search goes over HTTP to a server in front of a scripted engine, which answers
//! at once, and comes back reordered; the bare loop has its texts in memory, one session on all cores, and batches that
//! are sorted by length over all searches of its turn (which a loop can do and a server cannot). Tokenization counts on
//! both sides; client, engine and HTTP count against the proxy. The ways take turns, round after round, and medians are
//! compared, so that foreign load hits all alike. Prints one JSON object a line.
//!
//! `cargo bench --bench scoring -- [--rounds N] [--window N] [--variant NAME] [--compiled PRECISION] [--provider NAME] [--scorer]
//! [MODEL FOLDER…]`; `--compiled int8` has the proxy run that compiled graph, and the bare loop the stock file, as a repository
//! carries it; `--scorer` also measures the scorer alone, without HTTP and engine; `--provider cuda` has both sides run on the
//! first GPU (ONNX Runtime 1.31.1 crashes there on the way out, when all is printed).

#[path = "scoring/bare.rs"]
mod bare;
#[path = "scoring/proxy.rs"]
mod proxy;
#[path = "scoring/searches.rs"]
mod searches;

use std::{
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bare::Bare;
use futures_util::{StreamExt, TryStreamExt, stream};
use proxy::Proxy;
use scoring::{
    LocalScorer, LongPassages, Priority, Provider, Providers, Request, Runtime, ScoreCache, Scorer, ScoringOptions,
    models::{Choice, GraphChoice, ModelFolder, search_folders},
};
use searches::{Corpus, Search};

const CONCURRENCY: [usize; 3] = [1, 4, 16];

/// How much a turn takes: enough to last, and to be batched well.
struct Size {
    /// Searches a turn, or as many as run at once if that is more.
    searches: usize,
    /// Inputs that the bare loop runs at a time.
    batches: [usize; 2],
}

const ON_A_PROCESSOR: Size = Size { searches: 4, batches: [32, 16] };
const ON_AN_ACCELERATOR: Size = Size { searches: 32, batches: [256, 64] };

type Failure = Box<dyn std::error::Error>;

/// What the command line asks for.
struct Options {
    rounds: usize,
    /// Hits of a search.
    window: usize,
    scorer: bool,
}

fn main() -> Result<(), Failure> {
    let mut options = Options { rounds: 5, window: 100, scorer: false };
    let (mut variant, mut compiled) = (None, None);
    let mut provider = Provider::Cpu;
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => options.rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
            "--window" => options.window = arguments.next().ok_or("--window needs a number")?.parse()?,
            "--compiled" => compiled = Some(arguments.next().ok_or("--compiled needs a precision")?),
            "--variant" => variant = Some(arguments.next().ok_or("--variant needs a name")?),
            "--provider" => {
                let name = arguments.next().ok_or("--provider needs a name")?;
                let named = Provider::NAMES.iter().find(|(known, _)| *known == name);
                provider = named.ok_or_else(|| format!("no provider is called {name}"))?.1;
            }
            "--scorer" => options.scorer = true,
            _ => folders.push(PathBuf::from(argument)),
        }
    }
    if folders.is_empty() {
        let search = search_folders(None);
        for name in ["all-MiniLM-L6-v2", "tiny-deberta-v2"] {
            folders.push(scoring::models::locate(name, &search)?);
        }
    }
    let runtime = Runtime::load(None)?;
    for path in folders {
        let providers = Providers { list: vec![provider], device: 0 };
        let stock = Choice { variant: variant.clone(), graph: Some(GraphChoice::Stock), providers: providers.clone() };
        let stock = ModelFolder::open_as(&path, stock)?;
        let served = match &compiled {
            Some(_) => {
                let graph = Some(GraphChoice::Compiled);
                ModelFolder::open_as(&path, Choice { variant: compiled.clone(), graph, providers })?
            }
            None => stock.clone(),
        };
        measure(&served, &stock, &runtime, &options)?;
    }
    Ok(())
}

/// `served` is what the proxy runs, `stock` what the bare loop runs.
fn measure(served: &ModelFolder, stock: &ModelFolder, runtime: &Runtime, options: &Options) -> Result<(), Failure> {
    let providers = served.providers();
    let size = if providers.prefer_accelerator() { ON_AN_ACCELERATOR } else { ON_A_PROCESSOR };
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cache = Arc::new(ScoreCache::new(256 << 20));
    let scoring = ScoringOptions { workers: 0, threads: 0, queue_tokens: 1 << 28, cache };
    let scorer = Arc::new(LocalScorer::start(served.clone(), runtime, scoring));
    while !scorer.readiness().is_ready() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let proxy = tokio.block_on(Proxy::start(served, options.window, scorer.clone()))?;
    let mut bare = Bare::load(stock, runtime)?;
    let corpus = Corpus::load(options.window);

    // Each way runs once before it is measured.
    let first = corpus.searches(2, "first");
    let lengths = bare.lengths(&first)?;
    bare.rate(&first, size.batches[0])?;
    tokio.block_on(proxy.rate(first, 2))?;

    let mut bare_rates: Vec<Vec<Rate>> = vec![Vec::new(); size.batches.len()];
    let mut proxy_rates: Vec<Vec<Rate>> = vec![Vec::new(); CONCURRENCY.len()];
    let mut scorer_rates = proxy_rates.clone();
    let others = Others::start();
    for round in 0..options.rounds {
        let lot = |at_once: usize, name: &str| {
            corpus.searches(size.searches.max(at_once), &format!("{round}{name}{at_once}"))
        };
        for (which, batch) in size.batches.into_iter().enumerate() {
            bare_rates[which].push(bare.rate(&lot(CONCURRENCY[which], "p"), batch)?);
        }
        for (which, at_once) in CONCURRENCY.into_iter().enumerate() {
            proxy_rates[which].push(tokio.block_on(proxy.rate(lot(at_once, "p"), at_once))?);
        }
        for (which, at_once) in CONCURRENCY.into_iter().enumerate().filter(|_| options.scorer) {
            let score = |search| score(&scorer, search);
            scorer_rates[which].push(tokio.block_on(rate(lot(at_once, "s"), at_once, score))?);
        }
    }
    let others = others.cores();

    let bare: Vec<Rate> = bare_rates.iter().map(|rates| Rate::median(rates)).collect();
    let best = |get: fn(&Rate) -> f64| bare.iter().map(get).fold(0.0, f64::max);
    for (way, rates) in [("proxy", proxy_rates), ("scorer", scorer_rates)] {
        for (concurrency, rates) in CONCURRENCY.into_iter().zip(rates).filter(|(_, rates)| !rates.is_empty()) {
            let rate = Rate::median(&rates);
            let line = serde_json::json!({
                "model": served.name(),
                "onnx": served.onnx().file_name().map(|name| name.to_string_lossy()),
                "device": scorer.device(),
                "bare_onnx": stock.onnx().file_name().map(|name| name.to_string_lossy()),
                "through": way,
                "window": options.window,
                "concurrency": concurrency,
                "pairs_per_second": tenths(rate.wall),
                "onnxruntime_pairs_per_second": {
                    (format!("batch_{}", size.batches[0])): tenths(bare[0].wall),
                    (format!("batch_{}", size.batches[1])): tenths(bare[1].wall),
                },
                "pairs_per_second_vs_onnxruntime": thousandths(rate.wall / best(|rate| rate.wall)),
                "pairs_per_cpu_second_vs_onnxruntime": thousandths(rate.cpu / best(|rate| rate.cpu)),
                "tokens": { "p50": lengths[lengths.len() / 2], "p95": lengths[lengths.len() * 95 / 100] },
                "rounds": options.rounds,
                "cores_taken_by_others": tenths(others),
            });
            println!("{line}");
        }
    }
    let micros = tokio.block_on(cached_window(&scorer, &corpus))?;
    println!("{}", serde_json::json!({ "model": served.name(), "cached_window_us_p50": micros.round() }));
    Ok(())
}

/// Pairs per second of wall time, and per second of processor time (of all cores together), which foreign load sways less.
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

    fn rate(&self, pairs: usize) -> Rate {
        let pairs = pairs as f64;
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

/// How busy the machine is with other things: a wall time is worth as much as this is little.
struct Others {
    began: Instant,
    cpu: f64,
}

impl Others {
    fn start() -> Others {
        Others { began: Instant::now(), cpu: Others::cpu_seconds() }
    }

    /// How many cores other processes have had since, on average.
    fn cores(&self) -> f64 {
        (Others::cpu_seconds() - self.cpu) / self.began.elapsed().as_secs_f64()
    }

    /// Processor time of all processes but this one: the machine's ticks of 10 ms in `/proc/stat`, less those idle and
    /// waiting for disks.
    fn cpu_seconds() -> f64 {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks: Vec<f64> =
            stat.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
        let busy: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&field| ticks.get(field)).sum();
        if ticks.is_empty() { f64::NAN } else { busy / 100.0 - cpu_seconds() }
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Has `searches` answered, `concurrency` of them at once.
async fn rate<F>(searches: Vec<Search>, concurrency: usize, answer: impl Fn(Search) -> F) -> Result<Rate, String>
where
    F: Future<Output = Result<(), String>>,
{
    let pairs = searches.iter().map(|search| search.passages.len()).sum();
    let clock = Clock::start();
    stream::iter(searches).map(answer).buffer_unordered(concurrency).try_collect::<Vec<()>>().await?;
    Ok(clock.rate(pairs))
}

fn request(query: &str, passages: Vec<String>) -> Request<'_> {
    let deadline = Instant::now() + Duration::from_mins(10);
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

/// The scorer alone.
async fn score(scorer: &LocalScorer, search: Search) -> Result<(), String> {
    let scored = scorer.score(request(&search.query, search.passages)).await.map_err(|error| error.to_string())?;
    match scored.cached() == 0 && scored.scores.iter().all(Option::is_some) {
        true => Ok(()),
        false => Err(format!("{} cached, budget hit: {}", scored.cached(), scored.budget_hit)),
    }
}

/// Microseconds that the scorer takes for a window of 1 KB passages that are all cached.
async fn cached_window(scorer: &LocalScorer, corpus: &Corpus) -> Result<f64, String> {
    let search = corpus.searches(1, "cached").remove(0);
    let long = |passage: &String| passage.repeat(8).chars().take(1024).collect();
    let window: Vec<String> = search.passages.iter().map(long).collect();
    let mut times = Vec::new();
    for _ in 0..200 {
        let window = window.clone();
        let began = Instant::now();
        let scored = scorer.score(request("query", window)).await.map_err(|error| error.to_string())?;
        if scored.cached() == search.passages.len() {
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(times))
}
