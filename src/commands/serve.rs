//! `serve`: stands in front of a cluster until told to stop.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    admin::AdminThread,
    commands::config_args::ConfigArgs,
    config::Settings,
    panics,
    reload::Reloader,
    server::{self, Listeners, Stop},
    state::Process,
    telemetry,
};

/// Stand in front of a cluster and rerank its searches
///
/// At SIGTERM or SIGINT it takes no more connections, closes those without an open request, lets the others finish
/// (server.drain), and ends with status 0. A second one ends it at once, with status 1. SIGHUP has it read its configuration
/// again, from the same file, environment and flags: what is wrong is told in the log, and the old one stays.
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
    let log = telemetry::start_log(&config.settings.log, config.settings.traces.as_ref())?;
    panics::tell_in_log();
    server::raise_descriptor_limit();
    let settings = config.settings.clone();
    let process = Process::start(config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (stop, stop_now) = Stop::listen()?.into_parts();
        let (reloader, reloads) = Reloader::new(process.clone(), args.config.sources(), Some(log.level()));
        tokio::spawn(reloader.run());
        server::reload_at_hangup(reloads.clone())?;
        let listeners = listen(&settings).await?;
        let admin = match settings.admin.listen {
            Some(address) => Some(bind(address, "admin.listen").await?),
            None => None,
        };
        tell(&settings, &listeners, admin.as_ref())?;
        let admin = admin.map(|admin| AdminThread::start(admin.into_std()?, process.clone(), reloads)).transpose()?;
        let ended = tokio::select! {
            ended = server::run(listeners, process, stop) => Ok(ended?),
            () = stop_now => Err(anyhow!("a second signal to stop: open requests were cut off")),
        };
        drop(admin);
        ended
    })
}

/// Takes the addresses at which clients come in.
async fn listen(settings: &Settings) -> anyhow::Result<Listeners> {
    let proxy = bind(settings.server.listen, "server.listen").await?;
    let api = match settings.api.listen {
        Some(address) => Some(bind(address, "api.listen").await?),
        None => None,
    };
    Ok(Listeners { proxy, api })
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({key})"))
}

/// Says where we are, and what a reader of the log should know.
fn tell(settings: &Settings, listeners: &Listeners, admin: Option<&TcpListener>) -> anyhow::Result<()> {
    info!(upstream = settings.upstream.urls(), "forwarding");
    if settings.is_bundled() {
        info!("neither a model nor a rule is named: every index is reranked with the two bundled models");
    }
    let scheme = settings.server.scheme();
    println!("listening on {scheme}://{}", listeners.proxy.local_addr()?);
    settings.notes().iter().for_each(|note| warn!("{note}"));
    if let Some(api) = &listeners.api {
        println!("the rerank API is on {scheme}://{}", api.local_addr()?);
    }
    if let Some(admin) = admin {
        println!("the admin listener is on http://{}", admin.local_addr()?);
    }
    Ok(())
}
