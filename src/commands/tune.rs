//! `tune`: its flags, and how they become a [`Task`].

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use evaluation::{measures::Measure, tuning::advice::Limit};

use crate::{
    commands::{
        config_args::ConfigArgs,
        judged_args::{QueryArgs, SearchArgs},
    },
    eval::ask::{self, Target},
    telemetry,
    tune::Task,
};

const EXAMPLES: &str = "\
Examples:
  rerank-proxy tune --config rerank-proxy.toml --index docs --judgements beir/mine --search-fields title,text
  rerank-proxy tune --config rerank-proxy.toml --index docs --judgements rank_eval.json --within 100ms --models small,large
  rerank-proxy tune --upstream http://localhost:9200 --index docs --topics topics.tsv --qrels qrels.txt --query search.json --pairs 60
";

/// Find the window, models, blend and depth of a rule that are best on judged queries, and say whether that will hold
///
/// Asks every model once about every judged query, through a proxy of its own, and prints the change to the configuration, or why it
/// recommends none. Nothing is written. docs/tuning.md explains each figure.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TuneArgs {
    /// The index that the judgements are of, or several as the engine takes them; of Solr, the collection
    #[arg(long, value_name = "INDEX")]
    pub index: String,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log_level: String,
    /// Where the queries are from.
    #[command(flatten)]
    pub queries: QueryArgs,
    /// How they are searched for.
    #[command(flatten)]
    pub search: SearchArgs,
    /// What is tuned.
    #[command(flatten)]
    pub tuned: TunedArgs,
    /// Print what was found as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What is tuned, and how far.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tuning")]
pub struct TunedArgs {
    /// The configuration file, as `serve` has it
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The cluster's URL
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Rerank with this model, instead of a configuration file [default: the two bundled ones]
    #[arg(long, value_name = "NAME|FOLDER")]
    pub model: Option<String>,
    /// The models that may be used, of those in the configuration [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub models: Vec<String>,
    /// The widest window to try, in hits; the rule's own where that is wider
    #[arg(long, value_name = "HITS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=10_000))]
    pub widest: u16,
    /// What is to become better, by ir-measures' names
    #[arg(long, value_name = "MEASURE", default_value = "nDCG@10")]
    pub measure: Measure,
    /// The longest that scoring may take where nothing is cached, at the 95th percentile: 100ms
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub within: Option<Duration>,
    /// The most pairs that a search may score, on average, of all models together
    #[arg(long, value_name = "PAIRS")]
    pub pairs: Option<f64>,
}

/// Prints what was found.
pub fn run(args: &TuneArgs) -> anyhow::Result<()> {
    let tuned = &args.tuned;
    let config = ConfigArgs {
        config: tuned.config.clone(),
        upstream: tuned.upstream.clone(),
        model: tuned.model.clone(),
        log_level: Some(args.log_level.clone()),
        ..ConfigArgs::default()
    }
    .load()?;
    let _log = telemetry::start_log_of_command(&config.settings.log)?;
    let judged = args.queries.read("").map_err(anyhow::Error::msg)?;
    let left_out = judged.left_out.to_string();
    if !left_out.is_empty() {
        eprintln!("note: not used: {left_out}");
    }
    if let Some(lacks) = args.search.lacks_a_search(&judged.queries) {
        bail!(lacks);
    }
    let template = args.search.template().map_err(anyhow::Error::msg)?;
    let headers = args.search.headers().map_err(|mistakes| anyhow::Error::msg(mistakes.join("\n")))?;
    let prepared = Task {
        config,
        file: tuned.config.clone(),
        index: args.index.clone(),
        models: tuned.models.clone(),
        widest: usize::from(tuned.widest),
        measure: tuned.measure,
        limit: Limit { seconds: tuned.within.map(|limit| limit.as_secs_f64()), pairs: tuned.pairs },
    }
    .prepare()?;
    let target = async |url: &str, depth| {
        let target = args.search.target(&ask::client()?, url, &args.index, template, headers).await?;
        Ok(Target { depth, ..target })
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let observation = runtime.block_on(prepared.observe(&judged.queries, target))?;
    let found = prepared.work_out(observation)?;
    if args.json {
        println!("{}", found.json());
    } else {
        print!("{found}");
    }
    Ok(())
}
