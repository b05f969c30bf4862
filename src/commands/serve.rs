//! `serve`: stands in front of a cluster until told to stop.

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    commands::config_args::ConfigArgs,
    panics,
    server::{self, Listeners, Stop},
    state::Process,
    telemetry,
};

/// Stand in front of a cluster and rerank its searches
///
/// At SIGTERM or SIGINT it takes no more connections, closes those without an open request, lets the others finish
/// (server.drain), and ends with status 0. A second one ends it at once, with status 1. SIGHUP changes nothing.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Reads the configuration, starts everything, and serves until SIGTERM or SIGINT. Fails where a second one comes before all
/// open requests were answered.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let config = args.config.load()?;
    let _log = telemetry::start_log(&config.settings.log, config.settings.traces.as_ref())?;
    panics::tell_in_log();
    server::raise_descriptor_limit();
    let process = Process::start(config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (stop, stop_now) = Stop::listen()?.into_parts();
        server::ignore_hangup()?;
        let snapshot = process.snapshot();
        let config = &snapshot.settings;
        let listen = config.server.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let api = match config.api.listen {
            Some(listen) => Some(
                TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (api.listen)"))?,
            ),
            None => None,
        };
        info!(upstream = config.upstream.urls(), "forwarding");
        if config.is_bundled() {
            info!("neither a model nor a rule is named: every index is reranked with the two bundled models");
        }
        let scheme = config.server.scheme();
        println!("listening on {scheme}://{}", listener.local_addr()?);
        if let Some(note) = config.api.note(config.server.listen) {
            warn!("{note}");
        }
        if let Some(api) = &api {
            println!("the rerank API is on {scheme}://{}", api.local_addr()?);
        }
        tokio::select! {
            ended = server::run(Listeners { proxy: listener, api }, process, stop) => Ok(ended?),
            () = stop_now => bail!("a second signal to stop: open requests were cut off"),
        }
    })
}
