//! The listener. Owns accepting connections, speaking HTTP/1.1 and cleartext HTTP/2 on them, and ending them in an
//! orderly way.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, info, warn};

use crate::{app::App, pipeline};

/// How long to wait after a failed `accept`, for instance when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves; then accepts nothing more, lets open requests finish within the configured time,
/// and returns.
pub async fn run(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let server = http_server();
    let open = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => serve_connection(&server, &open, &app, stream, peer),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drain = app.config.server.drain;
    info!(?drain, "shutting down: no new connections, open requests may finish");
    if tokio::time::timeout(drain, open.shutdown()).await.is_err() {
        warn!(?drain, "some requests did not finish in time and were cut off");
    }
    Ok(())
}

fn http_server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    // No `Date` of our own, no limit on idle connections: what the cluster does not do, the proxy does not either.
    server.http1().timer(TokioTimer::new()).auto_date_header(false).header_read_timeout(None);
    server.http2().timer(TokioTimer::new()).auto_date_header(false);
    server
}

fn serve_connection(
    server: &auto::Builder<TokioExecutor>,
    open: &GracefulShutdown,
    app: &Arc<App>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let service = {
        let app = app.clone();
        service_fn(move |request| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(pipeline::handle(app, request).await) }
        })
    };
    let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = open.watch(connection);
    let app = app.clone();
    app.metrics.open_connections.inc();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%peer, %error, "connection ended early");
        }
        app.metrics.open_connections.dec();
    });
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
