//! The demo engine: a BM25 search engine inside this process, over tantivy and in memory only, that speaks as much of
//! the Elasticsearch 9 HTTP API as a first try with curl or an official client needs. Owns the set of indices and the
//! accept loop. It is for demos and tests, thousands of documents, one shard, no disk; nothing of the proxy's depends
//! on it. What it does not know it refuses with a 4xx in Elasticsearch's error shape, never silently.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    io,
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;

mod analysis;
mod bulk;
mod cluster;
mod documents;
mod error;
mod exchange;
mod indices;
mod mapping;
mod query;
mod route;
mod search;
mod snapshot;
mod store;

use error::ApiError;
use store::Index;

/// How long open connections get to finish when the engine stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// The pause after a failed `accept`, which is usually a lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The indices of one demo engine. Shared by all connections; every method takes `&self`.
#[derive(Debug)]
pub struct Engine {
    indices: RwLock<BTreeMap<String, Arc<Index>>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine without indices.
    pub fn new() -> Self {
        Self { indices: RwLock::default() }
    }

    /// The index called `name`.
    fn index(&self, name: &str) -> Result<Arc<Index>, ApiError> {
        let indices = self.indices.read().unwrap_or_else(PoisonError::into_inner);
        indices.get(name).cloned().ok_or_else(|| ApiError::index_not_found(name))
    }

    /// The index called `name`, created on the spot when there is none, as a first write does.
    fn index_or_create(&self, name: &str) -> Result<Arc<Index>, ApiError> {
        if let Ok(index) = self.index(name) {
            return Ok(index);
        }
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indices.get(name) {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(Index::create(name, None)?);
        indices.insert(name.to_owned(), Arc::clone(&index));
        Ok(index)
    }

    /// Adds `index`; refused when its name is taken.
    fn add(&self, index: Index) -> Result<(), ApiError> {
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = indices.get(index.name()) {
            return Err(ApiError::index_exists(present.name(), present.uuid()));
        }
        indices.insert(index.name().to_owned(), Arc::new(index));
        Ok(())
    }

    /// Removes the indices called `names`.
    fn remove(&self, names: &[String]) {
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        indices.retain(|name, _| !names.contains(name));
    }

    /// The indices that an expression such as `products-*,-products-old`, `_all` or `a,b` names, by name. A name
    /// without a wildcard must exist unless `ignore_missing`.
    fn resolve(&self, expression: &str, ignore_missing: bool) -> Result<Vec<Arc<Index>>, ApiError> {
        let indices = self.indices.read().unwrap_or_else(PoisonError::into_inner);
        let mut chosen: BTreeMap<&str, &Arc<Index>> = BTreeMap::new();
        for part in expression.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (pattern, exclude) = match part.strip_prefix('-') {
                Some(rest) if !chosen.is_empty() => (rest, true),
                _ => (part, false),
            };
            let pattern = if pattern == "_all" { "*" } else { pattern };
            if !pattern.contains('*') && !ignore_missing && !indices.contains_key(pattern) {
                return Err(ApiError::index_not_found(pattern));
            }
            for (name, index) in indices.iter().filter(|(name, _)| analysis::wildcard_matches(pattern, name)) {
                if exclude {
                    chosen.remove(name.as_str());
                } else {
                    chosen.insert(name, index);
                }
            }
        }
        Ok(chosen.into_values().cloned().collect())
    }
}

/// Serves `engine` on `listener` over HTTP/1.1 until `shutdown` resolves, then lets open requests finish for at most
/// two seconds. A single connection's failure ends that connection only.
///
/// # Errors
/// When the listener has no address any more, that is, never in practice.
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
    let form = exchange::Form::of(&request);
    let reply = match exchange::Call::read(request).await {
        Ok(call) => tokio::task::spawn_blocking(move || route::dispatch(&engine, &call))
            .await
            .unwrap_or_else(|panic| Err(ApiError::internal(format!("the request failed: {panic}")))),
        Err(error) => Err(error),
    };
    Ok(form.response(reply))
}
