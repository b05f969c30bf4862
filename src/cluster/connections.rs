//! Connections to the cluster: those that one serving thread keeps for later requests, and what happens to a request on its
//! way there and to a response on its way back: nothing, but for the headers that end at this hop.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, Version, header::HOST};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use net::connect::Connector;

use super::{
    Cluster,
    body::Body,
    error::UpstreamError,
    headers,
    request::{Attempts, Outgoing},
};

/// Idle connections to the cluster are closed before a load balancer between would do it (AWS and Azure: 60 s and more).
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a connection buffers at most on its way in and on its way out, in bytes; a head must fit. hyper's own is 400 KiB,
/// which a thousand clients that read nothing would make 400 MiB.
pub(crate) const MAX_BUFFER: usize = 128 * 1024;

/// The connections of one serving thread to the nodes of a cluster. All dialects share them.
#[derive(Debug)]
pub struct Connections {
    cluster: Arc<Cluster>,
    pool: Client<Connector, Body>,
    /// Makes a connection for each request.
    unpooled: Client<Connector, Body>,
}

impl Connections {
    /// No connection is made yet. At most `idle` of them are kept for later requests, for each node.
    pub fn new(cluster: Arc<Cluster>, idle: usize) -> Self {
        Self { pool: client(&cluster.connector, idle), unpooled: client(&cluster.connector, 0), cluster }
    }

    /// The cluster at their other end.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Sends a request and answers with the response as soon as its head is there; its body streams.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<Incoming>, UpstreamError> {
        let Outgoing { method, path_and_query, mut headers, client_authority, body, attempts } = outgoing;
        headers::strip_hop_by_hop(&mut headers);
        if !self.cluster.preserve_host {
            headers.remove(HOST);
        } else if let Some(authority) = client_authority.filter(|_| !headers.contains_key(HOST))
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            headers.insert(HOST, host);
        }
        let node = self.cluster.node();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = node.uri(path_and_query);
        *request.headers_mut() = headers;
        let client = if attempts == Attempts::Last { &self.unpooled } else { &self.pool };
        let answered = client.request(request).await;
        let mut response = answered.map_err(|source| UpstreamError::of(source, node.authority.clone()))?;
        let protocol = |what| UpstreamError::Protocol { authority: node.authority.clone(), what };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(protocol("another protocol"));
        }
        if headers::has_foreign_coding(response.headers()) {
            return Err(protocol("a transfer coding besides `chunked`"));
        }
        headers::strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }
}

/// A client that keeps at most `idle` connections for later requests.
fn client(connector: &Connector, idle: usize) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(idle)
        .http1_max_headers(headers::MAX_HEADERS)
        .http1_max_buf_size(MAX_BUFFER)
        .build(connector.clone())
}
