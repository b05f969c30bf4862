//! The cluster: its nodes and how they are reached. Its submodules own the connections to them ([`connections`], and `kept` for
//! those that wait), a request on its way there ([`request`]), the body of an answer on its way back ([`answer`]), what can go
//! wrong ([`error`]), and [`headers`], [`body`] and content codings ([`encoding`]) on both legs.

pub mod answer;
pub mod body;
pub mod connections;
pub mod encoding;
pub mod error;
pub mod headers;
mod kept;
pub mod request;

use std::time::Duration;

use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use net::{
    connect::{Connector, connect, connector},
    tls::TlsError,
};

use crate::config::UpstreamConfig;
pub use connections::Connections;
pub use error::UpstreamError;
pub use request::{Attempts, Outgoing, spare};

/// The cluster, as the proxy reaches it.
#[derive(Debug)]
pub struct Cluster {
    /// At least one. All of them answer alike.
    nodes: Vec<Node>,
    connector: Connector,
    connect_timeout: Duration,
    /// The client's `Host` header reaches the node; else the node's own name does.
    preserve_host: bool,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The same as a `Host` header, without the port that the scheme implies.
    host: HeaderValue,
}

impl Cluster {
    /// The cluster of `config`; no connection is made. Fails where its certificates cannot be used.
    pub fn new(config: &UpstreamConfig) -> Result<Self, TlsError> {
        Ok(Self {
            nodes: vec![Node::new(config.scheme.clone(), config.authority.clone())],
            connector: connector(config.connect_timeout, &config.tls)?,
            connect_timeout: config.connect_timeout,
            preserve_host: config.preserve_host,
        })
    }

    /// Whether a node takes a connection within `at_most`; else why not. Makes one and lets go of it.
    pub async fn is_reachable(&self, at_most: Duration) -> Result<(), String> {
        let node = self.node();
        match connect(&self.connector, node.uri(), at_most.min(self.connect_timeout)).await {
            Ok(_) => Ok(()),
            Err(source) => Err(UpstreamError::unconnected(source, &node.authority).to_string()),
        }
    }

    /// The node that the next request goes to.
    fn node(&self) -> &Node {
        self.nodes.first().expect("a cluster has at least one node")
    }
}

impl Node {
    fn new(scheme: Scheme, authority: Authority) -> Self {
        let implied = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().filter(|port| *port != implied);
        let host = port.map_or_else(|| authority.host().to_owned(), |port| format!("{}:{port}", authority.host()));
        let host = HeaderValue::from_str(&host).expect("a host is a header's value");
        Self { scheme, authority, host }
    }

    /// What to connect to.
    fn uri(&self) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).expect("scheme, authority and path together make a URI")
    }
}
