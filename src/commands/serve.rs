//! `serve`: stands in front of a cluster until told to stop.

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    app::App,
    commands::config_args::ConfigArgs,
    panics,
    server::{self, Listeners, Stop},
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
    telemetry::start_log(&config.settings.log);
    panics::tell_in_log();
    server::raise_descriptor_limit();
    let app = App::start(config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (stop, stop_now) = Stop::listen()?.into_parts();
        server::ignore_hangup()?;
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
        if let Some(note) = app.config.api.note(app.config.server.listen) {
            warn!("{note}");
        }
        if let Some(api) = &api {
            println!("the rerank API is on http://{}", api.local_addr()?);
        }
        tokio::select! {
            ended = server::run(Listeners { proxy: listener, api }, app, stop) => Ok(ended?),
            () = stop_now => bail!("a second signal to stop: open requests were cut off"),
        }
    })
}
