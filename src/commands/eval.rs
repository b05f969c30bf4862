//! `eval`: the order of its steps: read everything and tell all mistakes, ask, tell the figures. Owns that what was asked whole is told
//! though the rest was not; the work is that of [`crate::eval`].

mod args;
mod inputs;

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context, bail};
use engines::plan::SkipReason;

use crate::{
    api::because,
    eval::{
        ask::{self, Target},
        figures::{Figures, Order},
        own_proxy::OwnProxy,
        report::{self, Report, Subject},
        run::{Plan, Position, Run},
    },
    panics, server, telemetry,
};
pub use args::EvalArgs;
use args::ToldArgs;
use inputs::Inputs;

/// Reads everything, asks, and tells.
pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let inputs = Inputs::read(args).map_err(|mistakes| {
        let noun = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
        anyhow::anyhow!("{} {noun} before anything was asked:\n{}", mistakes.len(), mistakes.join("\n"))
    })?;
    let [first, ..] = &inputs.configurations[..] else { bail!("there is nothing to compare") };
    let _log = telemetry::start_log_of_command(&first.config.settings.log)?;
    panics::tell_in_log();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(ask_and_tell(args, inputs))
}

async fn ask_and_tell(args: &EvalArgs, inputs: Inputs) -> anyhow::Result<()> {
    let (stop, _) = server::Stop::listen()?.into_parts();
    let (position, mut runs) = (Position::default(), Vec::new());
    let upstream = inputs.configurations[0].config.settings.upstream.clone();
    let subject = Subject {
        cluster: upstream.urls(),
        index: args.index.clone(),
        queries: args.source(),
        left_out: inputs.queries.left_out.to_string(),
        depth: args.depth(&inputs.measures),
        at_once: args.at_once.max(1),
        made: humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace('T', " ").replace('Z', " UTC"),
    };
    let (queries, measures) = (inputs.queries.queries.clone(), inputs.measures.clone());
    let orders = 1 + inputs.baselines.len() + inputs.configurations.len();
    let ended = tokio::select! {
        ended = ask_all(args, inputs, &position, &mut runs) => ended,
        () = stop => Err(stopped(&position, orders, queries.len())),
    };
    // What was asked whole is worth telling, whatever ended the rest.
    if runs.len() > 1 {
        let figures = Figures::of(&queries, &measures, &runs);
        let report = Report { subject, queries: &queries, runs: &runs, figures };
        tell(&args.told, &report)?;
        let idle: Vec<String> = report.figures.idle().map(|order| idle(order, queries.len())).collect();
        if ended.is_ok() && !idle.is_empty() {
            bail!(
                "not one search was reranked, so that what is told is the cluster's own order, with:\n{}",
                idle.join("\n")
            );
        }
    }
    ended
}

/// A configuration that reranked nothing, and why.
fn idle(order: &Order, searches: usize) -> String {
    let what = |reason: &String| SkipReason::ALL.into_iter().find(|known| known.as_str() == reason).map(because);
    let reasons = order.skipped.iter().map(|(reason, count)| {
        let what = what(reason).map(|what| format!(" ({what})")).unwrap_or_default();
        format!("{count} of {searches}: {reason}{what}")
    });
    format!("  {}: {}", order.name, reasons.collect::<Vec<_>>().join("; "))
}

fn stopped(position: &Position, orders: usize, queries: usize) -> anyhow::Error {
    let (name, done, whole) = position.get();
    match name.is_empty() {
        true => anyhow::anyhow!("stopped before the first search"),
        false => anyhow::anyhow!(
            "stopped at `{name}`, after {done} of {queries} searches; {whole} of {orders} orders were whole"
        ),
    }
}

async fn ask_all(args: &EvalArgs, inputs: Inputs, position: &Position, runs: &mut Vec<Run>) -> anyhow::Result<()> {
    let Inputs { queries, measures, template, baselines, headers, configurations } = inputs;
    let client = ask::client()?;
    let first = &configurations[0];
    let cluster =
        OwnProxy::start(first.config.clone()).await.with_context(|| format!("configuration `{}`", first.name))?;
    let target = args.search.target(&client, &cluster.url, &args.index, template, headers).await?;
    let target = Target { depth: args.depth(&measures), ..target };
    let plan = Plan { target, queries: queries.queries, baselines, configurations, at_once: args.at_once };
    plan.ask(&client, cluster, position, runs).await
}

/// Prints the table, and writes what else is wanted.
fn tell(args: &ToldArgs, report: &Report) -> anyhow::Result<()> {
    let write =
        |path: &Path, text: &str| fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
    let json = || format!("{}\n", report::json(report));
    match &args.json {
        Some(path) if path.as_os_str() == "-" => print!("{}", json()),
        path => {
            print!("{}", report::table(report));
            path.iter().try_for_each(|path| write(path, &json()))?;
        }
    }
    if let Some(path) = &args.html {
        write(path, &report::html(report))?;
        eprintln!("the report is in {}", path.display());
    }
    if let Some(folder) = &args.runs {
        let written = report::write_runs(report, folder)?;
        eprintln!("{} run files are in {}", written.len(), folder.display());
    }
    Ok(())
}
