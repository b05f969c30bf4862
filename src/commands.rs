//! The subcommands: for each a file with its flags and its `run`. Owns what several of them need.

#[cfg(feature = "bench")]
pub mod bench;
pub mod check;
pub mod completions;
pub mod config_args;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "eval")]
pub mod eval;
mod header_arg;
pub mod health;
#[cfg(feature = "eval")]
mod judged_args;
pub mod man;
pub mod models;
pub mod rerank;
pub mod serve;
#[cfg(feature = "eval")]
pub mod tune;

use std::time::Duration;

use anyhow::bail;
use scoring::{Readiness, loaded};

use crate::state::Process;

/// The time that models may take to load.
const LOADING: Duration = Duration::from_mins(5);

/// Waits until every model is loaded. `serve` forwards in the meantime; the other subcommands have nothing else to do.
pub(crate) async fn wait_until_ready(process: &Process) -> anyhow::Result<()> {
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
