//! `bench`: its flags, and the order of its steps: measure (or read an earlier measurement), advise, simulate, print. The
//! work is that of [`evaluation::capacity`].

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, ensure};
use bytesize::ByteSize;
use evaluation::capacity::{
    costs::Costs,
    measure::{self, Task},
    passages::Passages,
    recommend::{Aim, Recommendation},
    replicas::{self, Question},
    report,
    traffic::{Traffic, Zipf},
};
use scoring::{
    Runtime,
    models::{self, ModelFolder, lock},
};

/// Searches a second of a drawn load, where the flags do not say.
const RATE: f64 = 50.0;
/// More searches than these take too much memory and time.
const SEARCHES_AT_MOST: f64 = 20e6;
/// Shown below the flags.
const EXAMPLES: &str = "\
Examples:
  rerank-proxy bench --model mxbai-rerank-xsmall-v1 --passages passages.txt
  rerank-proxy bench --model models/mine --added-latency 150ms --json > costs.json
  rerank-proxy bench --costs costs.json --simulate --log queries.tsv --cache 256MiB,1GiB
  rerank-proxy bench --costs costs.json --simulate --zipf 1.0 --queries 100000 --rate 50 --duration 1h
";

/// Measure a model on this machine: what window, budget, cache and replicas it allows
///
/// Run it on the machine that will carry the proxy, while that has nothing else to do. It measures what scoring
/// costs, recommends a window and a budget, and says how many searches a second one replica carries. With
/// --simulate it also plays a query log, or searches drawn by Zipf's law, against what was measured, and says how
/// many replicas and how much cache they take. docs/capacity.md explains each figure.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// The model: a name or a folder in Hugging Face layout
    #[arg(long, value_name = "NAME|FOLDER", required_unless_present = "costs")]
    pub model: Option<String>,
    /// Which ONNX file, where there are several [default: as `serve` chooses]
    #[arg(long, value_name = "NAME", requires = "model")]
    pub variant: Option<String>,
    /// Where models are looked for by name, before ./models
    #[arg(long, value_name = "FOLDER", env = "RERANK_PROXY_SCORING__MODELS_DIR")]
    pub models_dir: Option<PathBuf>,
    /// Scoring threads of a replica; 0 for one per core [default: 0, or those of --costs]
    #[arg(long, value_name = "THREADS")]
    pub workers: Option<usize>,
    /// Your passages: one a line, or JSON with `text` [default: those of the bundled corpus]
    #[arg(long, value_name = "FILE", conflicts_with = "costs")]
    pub passages: Option<PathBuf>,
    /// What passages are scored against
    #[arg(long, value_name = "TEXT", default_value = "how long does the battery last")]
    pub query: String,
    /// How long to measure; a slow model takes longer
    #[arg(long, value_name = "SECONDS", default_value = "12", value_parser = positive)]
    pub seconds: f64,
    /// Instead of measuring: the file that an earlier `bench --json` was written to
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub costs: Option<PathBuf>,
    /// What reranking may add to a search; the window is chosen to take half of it when the machine is idle
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = humantime::parse_duration)]
    pub added_latency: Duration,
    /// How busy the scoring threads of a replica may be on average, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.7", value_parser = share)]
    pub utilisation: f64,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
    /// Also play searches against what was measured
    #[arg(long)]
    pub simulate: bool,
    /// How, and which searches.
    #[command(flatten)]
    pub simulation: SimulationArgs,
}

/// The searches to play, and what they meet.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --simulate")]
pub struct SimulationArgs {
    /// A query log: JSON with `timestamp` and `query`, or time, tab, query; or queries alone, with --rate
    #[arg(long, value_name = "FILE", requires = "simulate", conflicts_with_all = ["zipf", "queries", "duration"])]
    pub log: Option<PathBuf>,
    /// Searches a second of drawn searches, or of a log without times [default: 50 when drawn]
    #[arg(long, value_name = "RATE", requires = "simulate", value_parser = positive)]
    pub rate: Option<f64>,
    /// Exponent of Zipf's law, by which searches are drawn where there is no log
    #[arg(long, value_name = "EXPONENT", requires = "simulate", default_value = "1.0", value_parser = not_negative)]
    pub zipf: f64,
    /// Different queries to draw from
    #[arg(long, value_name = "COUNT", requires = "simulate", default_value = "100000", value_parser = count)]
    pub queries: usize,
    /// For how long searches are drawn
    #[arg(long, value_name = "DURATION", requires = "simulate", default_value = "1h", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Sizes of each replica's cache to try
    #[arg(
        long,
        value_name = "SIZE,…",
        requires = "simulate",
        value_delimiter = ',',
        default_value = "64MiB,256MiB,1GiB"
    )]
    pub cache: Vec<ByteSize>,
    /// Size of a cache that all replicas share [default: none]
    #[arg(long, value_name = "SIZE", requires = "simulate")]
    pub shared_cache: Option<ByteSize>,
    /// Hits to rerank [default: as recommended]
    #[arg(long, value_name = "HITS", requires = "simulate", value_parser = window)]
    pub window: Option<usize>,
    /// Time that reranking may add to a search [default: as recommended]
    #[arg(long, value_name = "DURATION", requires = "simulate", value_parser = humantime::parse_duration)]
    pub budget: Option<Duration>,
    /// The share of searches that shall be scored in full within the budget, 0 to 1
    #[arg(long, value_name = "SHARE", requires = "simulate", default_value = "0.99", value_parser = share)]
    pub target: f64,
    /// Another number draws other searches
    #[arg(long, value_name = "NUMBER", requires = "simulate", default_value = "1")]
    pub seed: u64,
}

/// Measures, advises and simulates; tables or JSON on stdout, progress on stderr.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    // What can be wrong is found before anything takes time.
    let traffic = if args.simulate { Some(traffic(&args.simulation)?) } else { None };
    let mut progress = |what: &str| eprintln!("... {what}");
    let costs = match &args.costs {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Costs::from_json(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?
        }
        None => measured(args, &mut progress)?,
    };
    let aim = Aim { added_latency: args.added_latency.as_secs_f64(), utilisation: args.utilisation };
    let workers = args.workers.filter(|&workers| workers > 0);
    let costs = Costs { workers: workers.unwrap_or(costs.workers), ..costs };
    let advice = Recommendation::of(&costs, aim);
    let forecast = traffic.map(|traffic| {
        let simulation = &args.simulation;
        let mut caches: Vec<u64> = simulation.cache.iter().map(ByteSize::as_u64).collect();
        caches.sort_unstable();
        caches.dedup();
        let question = Question {
            window: simulation.window.unwrap_or(advice.window),
            budget: simulation.budget.map_or(advice.budget_ms / 1e3, |budget| budget.as_secs_f64()),
            workers: costs.workers,
            caches,
            shared_cache: simulation.shared_cache.map_or(0, |size| size.as_u64()),
            target: simulation.target,
        };
        replicas::forecast(&traffic, &costs, &question, &mut progress)
    });
    if args.json {
        println!("{}", report::json(&costs, &advice, forecast.as_ref()));
        return Ok(());
    }
    print!("{}\n{}", report::measured(&costs), report::recommended(&costs, &advice));
    if let Some(forecast) = forecast {
        print!("\n{}", report::planned(&forecast));
    }
    Ok(())
}

fn measured(args: &BenchArgs, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Costs> {
    let model = args.model.as_deref().unwrap_or_default();
    let path = models::locate(model, &models::search_folders(args.models_dir.as_deref()))?;
    let folder = ModelFolder::open(&path, args.variant.as_deref())?;
    lock::check_load(None, None, &folder)?;
    let passages = match &args.passages {
        Some(file) => Passages::read(file),
        None => Passages::bundled(),
    };
    let passages = passages.map_err(anyhow::Error::msg)?;
    let runtime = Runtime::load(None)?;
    if cfg!(debug_assertions) {
        progress("this is a debug build: tokens and look-ups take longer than in a release");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let task = Task {
        folder: &folder,
        workers: args.workers.filter(|&workers| workers > 0).unwrap_or(cores),
        query: &args.query,
        passages: &passages,
        time: Duration::try_from_secs_f64(args.seconds).context("--seconds")?,
    };
    measure::measure(&task, &runtime, progress).map_err(|error| anyhow!("cannot measure {model}: {error}"))
}

fn traffic(args: &SimulationArgs) -> anyhow::Result<Traffic> {
    if let Some(file) = &args.log {
        let log = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        return Traffic::read(&file.display().to_string(), &log, args.rate, args.seed).map_err(anyhow::Error::msg);
    }
    let (rate, duration) = (args.rate.unwrap_or(RATE), args.duration.as_secs_f64());
    let searches = rate * duration;
    ensure!(
        searches <= SEARCHES_AT_MOST,
        "{searches:.0} searches are too many to play: at most {SEARCHES_AT_MOST:.0}; lower --rate or --duration"
    );
    Ok(Zipf { exponent: args.zipf, queries: args.queries, rate, duration, seed: args.seed }.traffic())
}

fn number(text: &str, is_right: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && is_right(*number));
    number.ok_or_else(|| format!("must be {wanted}"))
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0, "a number above 0")
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |number| number >= 0.0, "a number, 0 or more")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0 && number <= 1.0, "a number above 0 and at most 1")
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a number from {least} to {most}"))
}

fn count(text: &str) -> Result<usize, String> {
    within(text, 1, 100_000_000)
}

fn window(text: &str) -> Result<usize, String> {
    within(text, 2, 10_000)
}
