//! The listeners. Owns accepting connections, dealing them out to the serving threads, and ending in an orderly way.
//!
//! ```text
//! listener ─ admission (a place, or the reserve) ─ threads ─ connection ─ pipeline, or the rerank API
//! ```

mod activity;
mod admission;
mod connection;
mod descriptors;
mod frames;
mod handshake;
mod observed;
mod proxy_protocol;
mod signals;
mod stream;
mod threads;
mod unread;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use net::tcp;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{admin, cluster::upkeep::look_after, state::Process, systemd, telemetry::log_seldom::Seldom};
use admission::Admission;
use connection::{Arrival, Front};
pub use descriptors::raise_limit as raise_descriptor_limit;
pub use signals::{Stop, reload_at_hangup};
use threads::{Pulse, Threads};

/// How long to wait after a failed `accept`, for instance when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in.
#[derive(Debug)]
pub struct Listeners {
    /// In front of the cluster.
    pub proxy: TcpListener,
    /// For clients of the rerank API alone, where the operator wants that.
    pub api: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(proxy: TcpListener) -> Self {
        Self { proxy, api: None }
    }
}

/// Serves until `shutdown` resolves, and for as long afterwards as those who send requests may need to notice
/// (`server.drain_delay`); then accepts nothing more, lets open requests finish within the configured time, and returns.
pub async fn run(
    listeners: impl Into<Listeners>,
    process: Arc<Process>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listeners = listeners.into();
    [Some(&listeners.proxy), listeners.api.as_ref()].into_iter().flatten().for_each(tcp::prepare_listener);
    let settings = process.snapshot().settings.clone();
    let admin = settings.admin.listen.map_or(0, |_| admin::CONNECTIONS);
    let mut admission = Admission::new(&settings.server, settings.limits.in_flight, admin, process.metrics.clone());
    let mut threads = Threads::start(&process, admission.most())?;
    let mut failures = Seldom::default();
    // Ends with this function.
    let mut upkeep = JoinSet::new();
    let serving = Arc::downgrade(&process);
    upkeep.spawn(look_after(move || Some(serving.upgrade()?.snapshot().cluster.clone())));
    if let Some(within) = systemd::watchdog() {
        upkeep.spawn(watched(threads.pulse(), within));
    }
    let mut end = pin!(async {
        shutdown.await;
        process.drain.begin();
        let delay = process.snapshot().settings.server.drain_delay;
        if !delay.is_zero() {
            info!(?delay, "not ready from now on; connections are still taken for so long (server.drain_delay)");
        }
        process.drain.lasted(delay).await;
    });
    loop {
        let (accepted, front) = tokio::select! {
            accepted = listeners.proxy.accept() => (accepted, Front::Proxy),
            accepted = accept(listeners.api.as_ref()) => (accepted, Front::Api),
            () = &mut end => break,
        };
        // The thread that serves the connection registers it with its own reactor.
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                let place = match admission.place() {
                    Some(place) => Some(place),
                    None => {
                        if admission.refused() {
                            threads.make_room();
                        }
                        admission.place_in_reserve().await
                    }
                };
                if let Some(place) = place {
                    threads.deal(Arrival { stream, peer, front, place });
                }
            }
            Err(error) => {
                if let Some(failures) = failures.happened(Instant::now()) {
                    warn!(%error, failures, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    let drain = process.snapshot().settings.server.drain;
    info!(?drain, "shutting down: no new connections, open requests may finish");
    if tokio::time::timeout(drain, threads.finish()).await.is_err() {
        warn!(?drain, "some requests did not finish in time and were cut off");
    }
    Ok(())
}

/// Tells systemd that the serving threads answer, for as long as they do: three times in each `within`, after which it takes the
/// process for dead.
async fn watched(pulse: Pulse, within: Duration) {
    loop {
        pulse.felt().await;
        systemd::alive();
        tokio::time::sleep(within / 3).await;
    }
}

/// The next connection of a listener that there may be.
async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
