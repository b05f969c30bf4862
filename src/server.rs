//! The listeners. Owns accepting connections, dealing them out to the serving threads, and ending in an orderly way. What
//! a connection speaks and who answers on it is the business of `threads`.

mod owed;
mod threads;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::app::App;
use threads::{Front, Threads};

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

/// Serves until `shutdown` resolves; then accepts nothing more, lets open requests finish within the configured time,
/// and returns.
pub async fn run(listeners: impl Into<Listeners>, app: Arc<App>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let listeners = listeners.into();
    let mut threads = Threads::start(&app)?;
    tokio::pin!(shutdown);
    loop {
        let (accepted, front) = tokio::select! {
            accepted = listeners.proxy.accept() => (accepted, Front::Proxy),
            accepted = accept(listeners.api.as_ref()) => (accepted, Front::Api),
            () = &mut shutdown => break,
        };
        // The thread that serves the connection registers it with its own reactor.
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => threads.deal(stream, peer, front),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    let drain = app.config.server.drain;
    info!(?drain, "shutting down: no new connections, open requests may finish");
    if tokio::time::timeout(drain, threads.finish()).await.is_err() {
        warn!(?drain, "some requests did not finish in time and were cut off");
    }
    Ok(())
}

/// The next connection of a listener that there may be.
async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Resolves at the first SIGTERM or SIGINT.
///
/// Fails where the signals cannot be listened for.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
