//! `check`: reads the configuration as `serve` would, model folders and the ONNX Runtime library included, then asks the cluster what
//! each rule catches there, and the models what that costs on this machine. Owns the order of these, and the exit codes.

mod measuring;
mod passages;
mod report;
mod survey;
mod wire;

use http::{HeaderName, HeaderValue};
use net::tls::ServerTls;
use scoring::Runtime;

use crate::{
    commands::{config_args::ConfigArgs, header_arg::header},
    config::BUNDLED,
    open_models::{Config, OpenModel},
};
use report::Report;
use survey::Survey;
use wire::Wire;

/// Shown below the flags.
const EXIT_CODES: &str = "\
Exit codes:
  0  right
  1  a mistake in the configuration, or a model that cannot be used
  2  a mistake in the flags
  3  the cluster is not reachable, or refuses (with --offline it is not asked)
  4  with --strict: right, but a rule catches nothing, names a field that is not there, or finds no text
";

/// The flags cannot be read, as clap has it.
const USAGE: i32 = 2;
/// The exit code where the cluster does not answer.
const UNREACHABLE: i32 = 3;
/// The exit code where all is right and something comes to nothing.
const TO_NOTHING: i32 = 4;

/// Read the configuration as `serve` would, and say what is wrong with it and what it comes to on its cluster
///
/// Prints which indices each rule catches, whether its fields are there, what passages a sample of documents has, and what
/// a first search costs on this machine. Only reads.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Ask neither the cluster nor the models
    #[arg(long)]
    pub offline: bool,
    /// Fail where a rule comes to nothing
    #[arg(long)]
    pub strict: bool,
    /// A header for the cluster, such as 'Authorization: ApiKey …'; may be repeated
    // Read by us: clap repeats in its message what it cannot read.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
}

/// Says on stdout what the configuration amounts to, or fails with everything that is wrong with it.
///
/// # Errors
/// A mistake in the configuration, or a model that cannot be used.
pub fn run(args: &CheckArgs) -> anyhow::Result<i32> {
    let headers = match args.headers.iter().map(|text| header(text)).collect::<Result<Vec<_>, _>>() {
        Ok(headers) => headers,
        Err(why) => {
            eprintln!("error: --header: {why}");
            return Ok(USAGE);
        }
    };
    let config = args.config.load()?;
    check_models(&config)?;
    tell(&config);
    if args.offline {
        return Ok(0);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, online(config, args, headers))
}

/// What the configuration comes to on its cluster and on this machine.
async fn online(config: Config, args: &CheckArgs, headers: Vec<(HeaderName, HeaderValue)>) -> anyhow::Result<i32> {
    let wire = Wire::to(&config.settings, headers)?;
    let survey = match Survey::of(&wire, &config.settings.rules).await {
        Ok(survey) => survey,
        Err(fault) => {
            eprintln!("error: the cluster was not checked: {fault} (--offline leaves it out)");
            return Ok(UNREACHABLE);
        }
    };
    let costs = measuring::measure(config.clone(), &survey).await?;
    let report = Report { settings: &config.settings, survey: &survey, costs: &costs };
    report.print();
    Ok(match (survey.was_refused(), args.strict && survey.comes_to_nothing(&config.settings.rules)) {
        (true, _) => UNREACHABLE,
        (false, true) => TO_NOTHING,
        (false, false) => 0,
    })
}

/// Makes sure that the library can run the models, and tells what is to be known of them.
fn check_models(config: &Config) -> anyhow::Result<()> {
    if !config.models.values().any(|model| matches!(model, OpenModel::Local(_))) {
        return Ok(());
    }
    let runtime = Runtime::load(config.settings.scoring.onnxruntime.as_deref())?;
    config.check_library(&runtime)?;
    for (name, model) in &config.models {
        let OpenModel::Local(folder) = model else { continue };
        if let Some(why) = runtime.second_choice(folder.providers()) {
            eprintln!("note: models.{name}.provider: {why}");
        }
        for note in folder.notes() {
            eprintln!("note: models.{name}: {note}");
        }
    }
    Ok(())
}

fn tell(config: &Config) {
    let settings = &config.settings;
    if let Some(note) = settings.api.note(settings.server.listen) {
        eprintln!("note: {note}");
    }
    if let Some(warning) = settings.server.tls.as_ref().and_then(ServerTls::warning) {
        eprintln!("warning: {warning}");
    }
    if settings.is_bundled() {
        println!("neither a model nor a rule is named: all searches are reranked as with this file\n\n{BUNDLED}");
    }
    let (rules, models) = (settings.rules.len(), config.models.len());
    println!(
        "the configuration can be read: {rules} rule(s), {models} model(s), {} behind {}",
        settings.upstream.urls(),
        settings.server.listen
    );
}
