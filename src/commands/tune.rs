//! `tune`: its flags, and how they become a [`Task`].

use std::time::Duration;

use clap::Args;
use evaluation::{measures::Measure, tuning::advice::Limit};

use crate::{
    commands::{config_args::ConfigArgs, judged_args::JudgedArgs},
    telemetry,
    tune::Task,
};

/// Find the window, models, blend and depth of a rule that are best on judged queries, within a cost, and say whether that will hold
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The judged queries.
    #[command(flatten)]
    pub judged: JudgedArgs,
    /// The models that may be used, of those in the configuration [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub models: Vec<String>,
    /// The widest window to try, in hits; the rule's own where that is wider
    #[arg(long, value_name = "HITS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=10_000))]
    pub widest: u16,
    /// What is to become better
    #[arg(long, value_name = "MEASURE", default_value = "nDCG@10")]
    pub measure: Measure,
    /// The longest that scoring may take where nothing is cached, at the 95th percentile: 100ms
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub within: Option<Duration>,
    /// The most pairs that a search may score, on average, of all models together
    #[arg(long, value_name = "PAIRS")]
    pub pairs: Option<f64>,
    /// Print what was found as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Prints what was found.
pub fn run(args: &TuneArgs) -> anyhow::Result<()> {
    let mut config = args.config.load()?;
    if args.config.log_level.is_none() {
        config.settings.log.level = "warn";
    }
    telemetry::start_log(&config.settings.log);
    let queries = args.judged.queries()?;
    let prepared = Task {
        config,
        file: args.config.config.clone(),
        index: args.judged.index.clone(),
        models: args.models.clone(),
        widest: usize::from(args.widest),
        measure: args.measure,
        limit: Limit { seconds: args.within.map(|limit| limit.as_secs_f64()), pairs: args.pairs },
    }
    .prepare()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let target = async |url: &str, depth| args.judged.target(url, &queries, depth).await;
    let observation = runtime.block_on(prepared.observe(&queries, target))?;
    let tuned = prepared.work_out(observation)?;
    if args.json {
        println!("{}", tuned.json());
    } else {
        print!("{tuned}");
    }
    Ok(())
}
