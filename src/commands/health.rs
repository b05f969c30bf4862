//! `health`: asks a running proxy how it is, so that a container needs no other program to check it.

use anyhow::{Context, ensure};
use clap::Args;

/// Ask a running proxy whether it is there (for container health checks)
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its URL
    #[arg(long, default_value = "http://127.0.0.1:9700")]
    pub url: String,
}

/// Prints the answer of `/_rerank/health`; fails where there is none.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let url = format!("{}/_rerank/health", args.url.trim_end_matches('/'));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let response = reqwest::get(&url).await.with_context(|| format!("no answer from {url}"))?;
        let status = response.status();
        print!("{}", response.text().await?);
        ensure!(status.is_success(), "{url} answered {status}");
        Ok(())
    })
}
