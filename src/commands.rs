//! What each subcommand does: one `run` each.

#[cfg(feature = "bench")]
pub mod bench;
pub mod check;
mod config_args;
#[cfg(feature = "demo")]
pub mod demo;
pub mod health;
pub mod models;
pub mod rerank;
pub mod serve;

use std::time::Duration;

use anyhow::bail;
use scoring::{Readiness, loaded};

pub use config_args::ConfigArgs;

use crate::{config::Config, state::Process};

/// How long models may take to load.
const LOADING: Duration = Duration::from_mins(5);

/// The configuration that the flags, the environment and the file make together.
fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    let config = Config::load(args.config.as_deref(), std::env::vars(), &args.settings());
    config.map_err(|errors| {
        let count = errors.0.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        anyhow::anyhow!("{count} {noun} in the configuration:\n{errors}")
    })
}

/// `serve` forwards until its models are loaded; who has nothing else to do waits.
async fn wait_until_ready(process: &Process) -> anyhow::Result<()> {
    let snapshot = process.snapshot();
    let all = || {
        let mut states = snapshot.scorers.values().map(|scorer| scorer.readiness());
        states.find(|state| !state.is_ready()).unwrap_or(Readiness::Ready)
    };
    match loaded(LOADING, all).await {
        Readiness::Ready => Ok(()),
        why => bail!("the model is not there: {why}"),
    }
}
