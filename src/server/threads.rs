//! The serving threads: one per core, each with a runtime, a share of the connections and a pool of upstream connections
//! of its own. Both legs of a request run on one thread, so no step of it has to wake another core; on small answers
//! that wake-up is most of what a proxy costs.

use std::{convert::Infallible, io, net::SocketAddr, net::TcpStream, num::NonZero, sync::Arc, thread};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::{api, app::App, pipeline, tcp, upstream::headers::MAX_HEADERS};

/// Who answers on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Front {
    /// The pipeline, as the cluster would.
    Proxy,
    /// The rerank API.
    Api,
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    front: Front,
}

/// All serving threads.
pub(super) struct Threads {
    threads: Vec<(mpsc::UnboundedSender<Connection>, oneshot::Receiver<()>)>,
    next: usize,
}

impl Threads {
    /// One thread per core. Fails where the system gives no thread or no reactor.
    pub(super) fn start(app: &App) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..cores).map(|number| start(number, app.for_thread())).collect::<io::Result<_>>()?;
        Ok(Self { threads, next: 0 })
    }

    /// Hands a connection to the next thread in turn.
    pub(super) fn deal(&mut self, stream: TcpStream, peer: SocketAddr, front: Front) {
        self.next = (self.next + 1) % self.threads.len();
        // A thread ends only after its sender was dropped; a connection it cannot take is closed by being dropped.
        let _ = self.threads[self.next].0.send(Connection { stream, peer, front });
    }

    /// Resolves when every thread has answered its open requests and closed its connections.
    pub(super) async fn finish(self) {
        let (senders, done): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(senders);
        for done in done {
            let _ = done.await;
        }
    }
}

fn start(number: usize, app: Arc<App>) -> io::Result<(mpsc::UnboundedSender<Connection>, oneshot::Receiver<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (finished, done) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
        runtime.block_on(serve(receiver, app));
        let _ = finished.send(());
    })?;
    Ok((sender, done))
}

/// Serves connections until no more can come, then waits for the open requests.
async fn serve(mut connections: mpsc::UnboundedReceiver<Connection>, app: Arc<App>) {
    let server = http_server();
    let open = GracefulShutdown::new();
    while let Some(connection) = connections.recv().await {
        serve_connection(&server, &open, &app, connection);
    }
    open.shutdown().await;
}

fn http_server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    // No `Date` of our own, no limit on idle connections: what the cluster does not do, the proxy does not either.
    server.http1().timer(TokioTimer::new()).auto_date_header(false).header_read_timeout(None).max_headers(MAX_HEADERS);
    server.http2().timer(TokioTimer::new()).auto_date_header(false);
    server
}

fn serve_connection(
    server: &auto::Builder<TokioExecutor>,
    open: &GracefulShutdown,
    app: &Arc<App>,
    Connection { stream, peer, front }: Connection,
) {
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return debug!(%peer, %error, "cannot take a connection"),
    };
    tcp::prepare(&stream);
    let service = {
        let app = app.clone();
        service_fn(move |request| {
            let app = app.clone();
            async move {
                Ok::<_, Infallible>(match front {
                    Front::Proxy => pipeline::handle(app, request).await,
                    Front::Api => api::handle_at_root(app, request).await,
                })
            }
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
