//! `serve`: stands in front of a cluster until told to stop.

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    app::App,
    cli::ConfigArgs,
    panics,
    server::{self, Listeners},
    telemetry,
};

/// Reads the configuration, starts everything, and serves until SIGTERM or SIGINT.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = super::load(args)?;
    telemetry::start_log(&config.log);
    panics::tell_in_log();
    let app = App::start(config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shutdown = server::shutdown_signal()?;
        let listen = app.config.server.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let api = match app.config.api.listen {
            Some(listen) => Some(
                TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (api.listen)"))?,
            ),
            None => None,
        };
        let upstream = &app.config.upstream;
        info!(upstream = %format_args!("{}://{}", upstream.scheme, upstream.authority), "forwarding");
        println!("listening on http://{}", listener.local_addr()?);
        if let Some(note) = app.config.note_on_api() {
            warn!("{note}");
        }
        if let Some(api) = &api {
            println!("the rerank API is on http://{}", api.local_addr()?);
        }
        server::run(Listeners { proxy: listener, api }, app, shutdown).await?;
        Ok(())
    })
}
