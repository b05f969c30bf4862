//! What each subcommand does: one `run` each.

pub mod bench;
pub mod check;
pub mod demo;
pub mod health;
pub mod models;
pub mod serve;

use crate::{cli::ConfigArgs, config::Config};

/// The configuration that the flags, the environment and the file make together.
fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    let config = Config::load(args.config.as_deref(), std::env::vars(), &args.settings());
    config.map_err(|errors| {
        let count = errors.0.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        anyhow::anyhow!("{count} {noun} in the configuration:\n{errors}")
    })
}
