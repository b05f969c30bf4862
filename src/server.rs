//! The listener. Owns accepting connections, dealing them out to the serving threads, and ending in an orderly way. What
//! a connection speaks and what is answered on it is the business of `threads`.

mod threads;

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::app::App;
use threads::Threads;

/// How long to wait after a failed `accept`, for instance when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves; then accepts nothing more, lets open requests finish within the configured time,
/// and returns.
pub async fn run(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let mut threads = Threads::start(&app)?;
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        // The thread that serves the connection registers it with its own reactor.
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => threads.deal(stream, peer),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drain = app.config.server.drain;
    info!(?drain, "shutting down: no new connections, open requests may finish");
    if tokio::time::timeout(drain, threads.finish()).await.is_err() {
        warn!(?drain, "some requests did not finish in time and were cut off");
    }
    Ok(())
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
