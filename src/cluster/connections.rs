//! Connections to the cluster: those that one serving thread keeps for later requests, and what happens to a request on its
//! way there and to a response on its way back: nothing, but for the headers that end at this hop.

use std::{rc::Rc, sync::Arc};

use http::{HeaderValue, Response, StatusCode, Version, header::HOST, request::Parts, uri::Scheme};
use http1::Connection;
use net::{connect::connect, stream::Stream};

use super::{
    Cluster, Node,
    answer::Answer,
    body::Body,
    error::UpstreamError,
    headers,
    kept::Kept,
    request::{Attempts, Outgoing},
};

/// The connections of one serving thread to the nodes of a cluster. All dialects share them.
/// Clones are the same connections.
#[derive(Debug, Clone)]
pub struct Connections {
    cluster: Arc<Cluster>,
    kept: Rc<Kept>,
}

impl Connections {
    /// No connection is made yet. At most `idle` of them are kept for later requests.
    pub fn new(cluster: Arc<Cluster>, idle: usize) -> Self {
        Self { cluster, kept: Rc::new(Kept::new(idle)) }
    }

    /// The cluster at their other end.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Whether `others` are these.
    #[cfg(test)]
    pub(crate) fn are(&self, others: &Self) -> bool {
        Rc::ptr_eq(&self.kept, &others.kept)
    }

    /// Takes what is for this hop alone from the head of a request, and names in it the host that it goes to.
    pub fn address(&self, head: &mut Parts) {
        let headers = &mut head.headers;
        headers::strip_hop_by_hop(headers);
        let node = self.cluster.node();
        if !self.cluster.preserve_host {
            headers.insert(HOST, node.host.clone());
        } else if !headers.contains_key(HOST) {
            // HTTP/2 has it in the URI.
            let named = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
            headers.insert(HOST, named.unwrap_or_else(|| node.host.clone()));
        }
    }

    /// Sends a request that was addressed, and answers with the response as soon as its head is there; its body streams. The
    /// request's body is gone then, or after an error.
    pub async fn send(&self, outgoing: &mut Outgoing) -> Result<Response<Answer<Body>>, UpstreamError> {
        let node = self.cluster.node();
        let connection = match outgoing.attempts {
            Attempts::Last => Box::pin(self.new_one(node)).await?,
            Attempts::One | Attempts::Two => self.kept_or_new(node).await?,
        };
        let body = std::mem::replace(&mut outgoing.body, Body::empty());
        let answered = connection.exchange(&outgoing.head, body).await.map_err(|source| match source {
            // A part of a write with TLS may have left before the write failed.
            http1::Error::Unsent(cause) if node.scheme == Scheme::HTTPS => {
                UpstreamError::of(cause.into(), &node.authority)
            }
            source => UpstreamError::of(source, &node.authority),
        })?;
        let mut response = answered.map(|body| Answer::new(body, self.kept.clone()));
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

    /// The connection that was used last, so that the others grow old; a new one where none is kept.
    async fn kept_or_new(&self, node: &Node) -> Result<Connection<Stream>, UpstreamError> {
        match self.kept.take() {
            Some(connection) => Ok(connection),
            None => Box::pin(self.new_one(node)).await,
        }
    }

    async fn new_one(&self, node: &Node) -> Result<Connection<Stream>, UpstreamError> {
        match connect(&self.cluster.connector, node.uri(), self.cluster.connect_timeout).await {
            Ok(stream) => Ok(Connection::new(stream)),
            Err(source) => Err(UpstreamError::unconnected(source, &node.authority)),
        }
    }
}
