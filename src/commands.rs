//! The subcommands: for each a file with its flags and its `run`. Owns what several of them need.

#[cfg(feature = "bench")]
pub mod bench;
pub mod check;
pub mod config_args;
#[cfg(feature = "demo")]
pub mod demo;
pub mod health;
pub mod models;
pub mod rerank;
pub mod serve;

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::state::Process;

/// The time that models may take to load.
const LOADING: Duration = Duration::from_mins(5);

/// Waits until every model is loaded. `serve` forwards in the meantime; the other subcommands have nothing else to do.
async fn wait_until_ready(process: &Process) -> anyhow::Result<()> {
    let began = Instant::now();
    while let Some(Err(why)) = process.snapshot().scorers.values().map(|scorer| scorer.ready()).find(Result::is_err) {
        // A server would try again, as somebody may put a file in place.
        if why != "loading" || began.elapsed() > LOADING {
            bail!("the model is not there: {why}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
