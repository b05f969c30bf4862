//! `serve`: stands in front of a cluster until told to stop.

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    commands::ConfigArgs,
    panics,
    server::{self, Listeners, Stop},
    state::Process,
    telemetry,
};

/// Reads the configuration, starts everything, and serves until SIGTERM or SIGINT. Fails where a second one comes before all
/// open requests were answered.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = super::load(args)?;
    telemetry::start_log(&config.log);
    panics::tell_in_log();
    server::raise_descriptor_limit();
    let process = Process::start(config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (stop, stop_now) = Stop::listen()?.into_parts();
        server::ignore_hangup()?;
        let snapshot = process.snapshot();
        let config = &snapshot.config;
        let listen = config.server.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let api = match config.api.listen {
            Some(listen) => Some(
                TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (api.listen)"))?,
            ),
            None => None,
        };
        let upstream = &config.upstream;
        info!(upstream = %format_args!("{}://{}", upstream.scheme, upstream.authority), "forwarding");
        println!("listening on http://{}", listener.local_addr()?);
        if let Some(note) = config.note_on_api() {
            warn!("{note}");
        }
        if let Some(api) = &api {
            println!("the rerank API is on http://{}", api.local_addr()?);
        }
        tokio::select! {
            ended = server::run(Listeners { proxy: listener, api }, process, stop) => Ok(ended?),
            () = stop_now => bail!("a second signal to stop: open requests were cut off"),
        }
    })
}
