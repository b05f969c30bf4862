//! `serve`: stands in front of a cluster until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    admin::AdminThread,
    commands::config_args::ConfigArgs,
    config::Settings,
    panics,
    reload::{Reloader, Seen},
    server::{self, Listeners, Stop},
    state::Process,
    systemd::{self, Sockets},
    telemetry,
};

/// The time that the cluster has to take a connection at the start, before the log says that it does not.
const LOOKING: Duration = Duration::from_secs(10);

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
    let sockets = Sockets::handed_over()?;
    let before = Seen::now(args.config.config.as_deref());
    let config = args.config.load()?;
    let log = telemetry::start_log(&config.settings.log, config.settings.traces.as_ref())?;
    panics::tell_in_log();
    server::raise_descriptor_limit();
    let settings = config.settings.clone();
    let process = Process::start(config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let (stop, stop_now) = Stop::listen()?.into_parts();
        let (reloader, reloads) = Reloader::new(process.clone(), args.config.sources(), Some(log.level()));
        tokio::spawn(reloader.since(before).run());
        server::reload_at_hangup(reloads.clone())?;
        let (listeners, admin) = listen(&settings, sockets).await?;
        tell(&settings, &listeners, admin.as_ref())?;
        let admin = admin.map(|admin| AdminThread::start(admin.into_std()?, process.clone(), reloads)).transpose()?;
        tokio::spawn(look_for_the_cluster(process.clone()));
        systemd::ready("serving; models load in the background");
        let stop = async {
            stop.await;
            systemd::stopping();
        };
        // As a task it runs where the runtime waits for the system: a connection that comes in wakes no second thread.
        let serving = tokio::spawn(server::run(listeners, process, stop));
        let ended = tokio::select! {
            ended = serving => Ok(ended??),
            () = stop_now => Err(anyhow!("a second signal to stop: open requests were cut off")),
        };
        drop(admin);
        ended
    })
}

/// Looks once whether the cluster is there, beside everything else: who mistyped its URL is to know before the first client does.
async fn look_for_the_cluster(process: Arc<Process>) {
    let cluster = process.snapshot().cluster.clone();
    if let Err(why) = cluster.is_reachable(LOOKING).await {
        warn!("the cluster does not answer: {why}; clients get 502 until it does");
    }
}

/// Takes the addresses at which clients and operators come in.
async fn listen(settings: &Settings, mut sockets: Sockets) -> anyhow::Result<(Listeners, Option<TcpListener>)> {
    let proxy = bind(&mut sockets, "proxy", "server.listen", settings.server.listen).await?;
    let api = match settings.api.listen {
        Some(address) => Some(bind(&mut sockets, "api", "api.listen", address).await?),
        None => None,
    };
    let admin = match settings.admin.listen {
        Some(address) => Some(bind(&mut sockets, "admin", "admin.listen", address).await?),
        None => None,
    };
    sockets.finish()?;
    Ok((Listeners { proxy, api }, admin))
}

/// The socket of this name that systemd hands over; else a new one.
async fn bind(sockets: &mut Sockets, name: &str, key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    if let Some(socket) = sockets.take(name, key, address)? {
        return Ok(TcpListener::from_std(socket)?);
    }
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
