//! Connections to the cluster: those that one serving thread keeps for later requests, and what happens to a request on its
//! way there and to a response on its way back: nothing, but for the headers that end at this hop.

use std::{fmt, pin::pin, rc::Rc, sync::Arc};

use futures_util::future::{Either, select};
use http::{HeaderValue, Response, StatusCode, Version, header::HOST, request::Parts, uri::Scheme};
use http1::Connection;
use net::stream::Stream;

use super::{
    Cluster,
    answer::Answer,
    body::Body,
    error::UpstreamError,
    headers,
    leg::{InFlight, Legs, Tried},
    node::Node,
    request::{Attempts, Outgoing, is_at_hand},
};

/// The connections of one serving thread to the nodes of a cluster. All dialects share them.
/// Clones are the same connections.
#[derive(Clone)]
pub struct Connections {
    cluster: Arc<Cluster>,
    legs: Rc<Legs>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connections").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Connections {
    /// No connection is made yet. At most `idle` of them are kept for later requests.
    pub fn new(cluster: Arc<Cluster>, idle: usize) -> Self {
        Self { legs: Rc::new(Legs::new(&cluster.nodes, idle)), cluster }
    }

    /// The cluster at their other end.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Whether `others` are these.
    #[cfg(test)]
    pub(crate) fn are(&self, others: &Self) -> bool {
        Rc::ptr_eq(&self.legs, &others.legs)
    }

    /// Takes what is for this hop alone from the head of a request, once for all times that it is sent.
    pub fn strip(&self, head: &mut Parts) {
        headers::strip_hop_by_hop(&mut head.headers);
        if self.cluster.preserve_host && !head.headers.keys().any(|name| *name == HOST) {
            // HTTP/2 has it in the URI.
            let named = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
            if let Some(host) = named.or_else(|| self.legs.any_host()) {
                head.headers.insert(HOST, host);
            }
        }
    }

    /// Whether there is a node that was not tried.
    pub fn has_another(&self, tried: &Tried) -> bool {
        self.legs.has_another(tried)
    }

    /// Sends a request whose head was stripped to a node that was not tried, where there is one, and answers with the response as
    /// soon as its head is there; its body streams. The request's body is gone then, or after an error, unless no connection
    /// could be made.
    pub async fn send(&self, outgoing: &mut Outgoing) -> Result<Response<Answer<Body>>, UpstreamError> {
        let mut in_flight = self.legs.choose(&outgoing.tried);
        let is_counted = in_flight.is_counted;
        outgoing.tried.add(in_flight.leg.clone());
        let kept = if outgoing.attempts == Attempts::Last { None } else { in_flight.leg.kept.take() };
        let is_new = kept.is_none();
        let (born, connection) = match kept {
            Some(kept) => kept,
            None => Box::pin(self.new_one(&in_flight)).await?,
        };
        in_flight.born = born;
        let leg = in_flight.leg.clone();
        let node = &*leg.node;
        if !self.cluster.preserve_host {
            outgoing.head.headers.insert(HOST, node.host.clone());
        }
        let can_be_asked_elsewhere =
            is_counted && outgoing.changes_nothing && outgoing.attempts != Attempts::Last && is_at_hand(&outgoing.body);
        let body = std::mem::replace(&mut outgoing.body, Body::empty());
        let answered = if can_be_asked_elsewhere {
            let exchange = connection.exchange(&outgoing.head, body);
            let answered = Box::pin(self.unless_silent(node, &outgoing.tried, exchange)).await;
            answered.ok_or_else(|| UpstreamError::Silent { authority: node.authority.clone() })?
        } else {
            connection.exchange(&outgoing.head, body).await
        };
        let answered = answered.map_err(|source| {
            let error = match source {
                // A part of a write with TLS may have left before the write failed.
                http1::Error::Unsent(cause) if node.scheme == Scheme::HTTPS => {
                    UpstreamError::of(cause.into(), &node.authority)
                }
                source => UpstreamError::of(source, &node.authority),
            };
            // A kept connection that breaks says nothing of the node: it may have been closed for its age. An answer that cannot
            // be read may be that to one request alone; a node that gives no other is found out by its checks.
            if is_counted && is_new && error.is_broken() {
                node.failed(&self.cluster.health);
            }
            error
        })?;
        if is_counted {
            self.cluster.answered(node, answered.status());
        }
        let mut response = answered.map(|body| Answer::new(body, in_flight));
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

    /// What comes of an exchange with a node; `None` where the node falls silent before, and another may be asked. A node that hangs
    /// keeps its connections open, so that its clients would wait for as long as they have patience.
    async fn unless_silent<T>(&self, node: &Node, tried: &Tried, exchange: impl Future<Output = T>) -> Option<T> {
        let mut exchange = pin!(exchange);
        loop {
            match select(exchange.as_mut(), pin!(node.falls_silent())).await {
                Either::Left((answered, _)) => return Some(answered),
                Either::Right(_) if self.legs.has_a_better(tried) && self.cluster.may_repeat() => return None,
                Either::Right(_) => {}
            }
        }
    }

    /// A new connection to the node of a request, and when it was made.
    async fn new_one(&self, in_flight: &InFlight) -> Result<(u32, Connection<Stream>), UpstreamError> {
        let (node, kept) = (&in_flight.leg.node, &in_flight.leg.kept);
        match self.cluster.connect(node).await {
            Ok(connection) => Ok((kept.now(), connection)),
            Err(source) => {
                if in_flight.is_counted {
                    node.failed(&self.cluster.health);
                }
                Err(UpstreamError::unconnected(source, &node.authority))
            }
        }
    }
}
