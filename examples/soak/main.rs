//! The soak: the real program under saturation and chaos, every answer checked. `make soak` runs it. Owns the course of a run; what is
//! asked is in [`doors`], who asks in [`clients`], what goes wrong in [`chaos`], what stands behind the proxy in [`cluster`], [`scorer`] and
//! [`redis`], the program in [`proxy`], and what is told at the end in [`report`].
//!
//! `cargo run --example soak -- PROGRAM [--seconds N] [--seed N] [--json FILE]`. A seed fixes which requests each client sends, in
//! which order, and which faults come when; how they meet is a matter of time. Ends with 1 where something was found.

#![allow(unreachable_pub, reason = "a program of several files")]

mod chaos;
mod clients;
mod cluster;
mod doors;
mod faults;
mod hostile;
mod proxy;
mod redis;
mod report;
mod scorer;
mod verdict;
mod wire;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use chaos::Stage;
use clients::Clients;
use cluster::Node;
use faults::Faults;
use proxy::Proxy;
use report::Report;
use tokio::signal::unix::{SignalKind, signal};

/// How many clients ask at any time. More than the proxy has cores, by far.
const CLIENTS: u64 = 24;
/// How long what the proxy holds may take to be let go of, once nobody asks any more.
const SETTLING: Duration = Duration::from_secs(8);

struct Arguments {
    program: PathBuf,
    seconds: u64,
    seed: u64,
    json: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let program = words.next().context("usage: soak PROGRAM [--seconds N] [--seed N] [--json FILE]")?.into();
        let mut arguments = Self { program, seconds: 900, seed: 1, json: None };
        while let Some(flag) = words.next() {
            let value = words.next().with_context(|| format!("{flag} wants a value"))?;
            match flag.as_str() {
                "--seconds" => arguments.seconds = value.parse()?,
                "--seed" => arguments.seed = value.parse()?,
                "--json" => arguments.json = Some(value.into()),
                _ => bail!("{flag} is none of --seconds, --seed, --json"),
            }
        }
        Ok(arguments)
    }
}

// One thread: on a small machine the proxy needs the others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    // Whoever interrupts it leaves neither proxy nor Redis behind: they end with what the run holds.
    let mut ended = signal(SignalKind::terminate())?;
    let report = tokio::select! {
        report = soak(&arguments) => report?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = ended.recv() => bail!("interrupted"),
    };
    println!("{}", report.table());
    if let Some(file) = &arguments.json {
        std::fs::write(file, report.json().to_string())?;
    }
    if !report.findings.is_empty() {
        bail!("{} findings", report.findings.len());
    }
    Ok(())
}

async fn soak(arguments: &Arguments) -> Result<Report> {
    let lasts = Duration::from_secs(arguments.seconds);
    let nodes = [Node::start().await?, Node::start().await?, Node::start().await?];
    let scorer = scorer::RerankServer::start().await?;
    let redis = redis::Redis::start().await?;
    let proxy = Arc::new(Proxy::start(&arguments.program, &nodes, scorer.address, redis.port).await?);
    let faults = Arc::new(Faults::default());
    let clients = Arc::new(Clients::new(proxy.clone(), faults.clone()));
    eprintln!(
        "soaking for {} s, seed {}; the log is {}",
        arguments.seconds,
        arguments.seed,
        proxy.log_file().display()
    );

    let began = Instant::now();
    let ends = began + lasts;
    let asking: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let rng = fastrand::Rng::with_seed(arguments.seed.wrapping_mul(1_000_003).wrapping_add(number));
            tokio::spawn(clients.clone().ask_until(ends, number, rng))
        })
        .collect();
    let samples = tokio::spawn(proxy.clone().observe_until(ends));
    let mut stage = Stage { nodes, scorer, redis, proxy: proxy.clone(), faults: faults.clone(), seed: arguments.seed };
    let mistakes = stage.run(lasts).await;
    for client in asking {
        client.await?;
    }
    let samples = samples.await?;
    stage.set_right().await?;

    let mut report = Report::new(arguments.seed, lasts, &clients.records(), &faults, samples);
    report.findings.extend(mistakes);
    report.judge_memory();
    report.findings.extend(proxy.left_behind(SETTLING).await?);
    report.judge_lost_searches(proxy.metric("rerank_proxy_upstream_retries_denied_total").await?);
    report.findings.extend(proxy.end().await?);
    Ok(report)
}
