//! `health`: asks a running proxy how it is, so that a container needs no other program to check it. Owns where that proxy is.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, ensure};
use clap::Args;

use crate::config::{Draft, Sources};

/// Ask a running proxy whether it is there (for container health checks)
///
/// Without --url it is looked for where its configuration puts it: at admin.listen where there is one, else at server.listen.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its URL [default: by the configuration, http://127.0.0.1:9700 without one]
    #[arg(long)]
    pub url: Option<String>,
    /// The configuration file that it was started with
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Prints the answer of `/_rerank/health`; fails where there is none.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let base = match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", address(args.config.clone())?),
    };
    // The admin listener knows this path, too.
    let url = format!("{base}/_rerank/health");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let response = reqwest::get(&url).await.with_context(|| format!("no answer from {url}"))?;
        let status = response.status();
        print!("{}", response.text().await?);
        ensure!(status.is_success(), "{url} answered {status}");
        Ok(())
    })
}

/// Where a proxy listens whose configuration is this file, with our environment. What else may be wrong with it does not matter
/// here: flags that it was started with are not known.
fn address(file: Option<PathBuf>) -> anyhow::Result<SocketAddr> {
    let sources = Sources { file, environment: std::env::vars().collect(), ..Sources::default() };
    let settings = Draft::read(&sources).context("where the proxy is cannot be told (--url names it)")?.settings;
    Ok(from_here(settings.admin.listen.unwrap_or(settings.server.listen)))
}

/// The address at which this machine reaches a listener.
fn from_here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_looked_for_where_its_configuration_puts_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let address_of = |text: &str| {
            std::fs::write(file.path(), text).expect("written");
            address(Some(file.path().to_owned())).expect("TOML").to_string()
        };
        assert_eq!(address_of(""), "127.0.0.1:9700");
        assert_eq!(address_of("[server]\nlisten = \"0.0.0.0:1234\"\n"), "127.0.0.1:1234");
        let both = "[server]\nlisten = \"0.0.0.0:1234\"\n[admin]\nlisten = \"[::]:1235\"\n";
        assert_eq!(address_of(both), "[::1]:1235");
    }
}
