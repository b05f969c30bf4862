//! The accept loop: HTTP/1.1 on one listener, each request answered on a blocking thread.

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;

use crate::{
    endpoints,
    engine::Engine,
    error::ApiError,
    exchange::{Call, Form},
};

/// The time that open connections get to finish when the engine stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// The pause after a failed `accept`, which is usually a lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves `engine` on `listener` over HTTP/1.1 until `shutdown` resolves, then lets open requests finish for at most
/// two seconds. A single connection's failure ends that connection only.
///
/// # Errors
/// The listener has no address any more, that is, never in practice.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    listener.local_addr()?;
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the demo engine could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Answers are single writes; Nagle's algorithm would only hold them back.
        let _ = stream.set_nodelay(true);
        let engine = Arc::clone(&engine);
        let service = service_fn(move |request| answer(Arc::clone(&engine), request));
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the demo engine ended early");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_LIMIT, graceful.shutdown()).await;
    Ok(())
}

/// Reads one request, answers it on a blocking thread (building a snapshot may take tens of milliseconds).
async fn answer(engine: Arc<Engine>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let form = Form::of(&request);
    let reply = match Call::read(request).await {
        Ok(call) => tokio::task::spawn_blocking(move || endpoints::dispatch(&engine, &call))
            .await
            .unwrap_or_else(|panic| Err(ApiError::internal(format!("the request failed: {panic}")))),
        Err(error) => Err(error),
    };
    Ok(form.response(reply))
}
