//! The cluster: its nodes and how they are reached. Its submodules own a node ([`node`]), whether it takes part (`standing`), which
//! one a request goes to (`leg`), the connections to them ([`connections`], and `kept` for those that wait), what is sent once more
//! at most (`retry_budget`), what is done without a request (`upkeep`, `due`, `own_request`, `sniff`); a request on its way there ([`request`]), the body of an
//! answer on its way back ([`answer`]), what can go wrong ([`error`], and `advice` for what to do about it), and [`headers`], [`body`] and content codings
//! ([`encoding`]) on both legs.

pub(crate) mod advice;
pub mod answer;
pub mod body;
pub mod connections;
mod due;
pub mod encoding;
pub mod error;
pub mod headers;
mod kept;
mod leg;
pub mod node;
mod own_request;
pub mod request;
mod retry_budget;
mod sniff;
mod standing;
pub(crate) mod upkeep;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::select_ok;
use http::{
    StatusCode,
    uri::{Authority, Scheme},
};
use http1::Connection;
use net::{
    connect::{ConnectError, Connector, connect, connector},
    stream::Stream,
    tls::TlsError,
};
use tokio::time::timeout;

use crate::config::{HealthConfig, SniffConfig, UpstreamConfig};
pub use connections::Connections;
use due::Due;
pub use error::UpstreamError;
use leg::Nodes;
pub use leg::Tried;
use node::{Node, NodeFigures};
pub use request::{Attempts, Outgoing, spare};
use retry_budget::RetryBudget;

/// The cluster, as the proxy reaches it.
#[derive(Debug)]
pub struct Cluster {
    /// At least one. All of them answer alike.
    nodes: Arc<ArcSwap<Nodes>>,
    connector: Connector,
    connect_timeout: Duration,
    /// The client's `Host` header reaches the node; else the node's own name does.
    preserve_host: bool,
    health: HealthConfig,
    retries: RetryBudget,
    /// Requests to nodes that are no more.
    requests_before: AtomicU64,
    scheme: Scheme,
    /// The nodes that the operator named.
    configured: Vec<Authority>,
    sniff: Option<SniffConfig>,
    next_sniff: Due,
    /// The nodes are those that the cluster named, or were once.
    has_followed: AtomicBool,
}

impl Cluster {
    /// The cluster of `config`; no connection is made. Fails where its certificates cannot be used.
    pub fn new(config: &UpstreamConfig) -> Result<Self, TlsError> {
        let node = |authority: &Authority| Arc::new(Node::new(config.scheme.clone(), authority.clone()));
        let nodes: Nodes = config.nodes.iter().map(node).collect();
        Ok(Self {
            nodes: Arc::new(ArcSwap::from_pointee(nodes)),
            connector: connector(config.connect_timeout, &config.tls)?,
            connect_timeout: config.connect_timeout,
            preserve_host: config.preserve_host,
            health: config.health.clone(),
            retries: RetryBudget::default(),
            requests_before: AtomicU64::new(0),
            scheme: config.scheme.clone(),
            configured: config.nodes.clone(),
            sniff: config.sniff.clone(),
            next_sniff: Due::default(),
            has_followed: AtomicBool::new(false),
        })
    }

    /// Whether some node takes a connection within `at_most`; else why one of them does not. Makes one to each, and lets go of it.
    pub async fn is_reachable(&self, at_most: Duration) -> Result<(), String> {
        let nodes = self.nodes.load_full();
        let tries = nodes.iter().map(|node| {
            Box::pin(async move {
                match timeout(at_most, self.connect(node)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(source)) => {
                        Err(advice::advised(&UpstreamError::unconnected(source, &node.authority), &self.scheme))
                    }
                    Err(_) => Err(format!("no connection to {} within {at_most:?}", node.authority)),
                }
            })
        });
        select_ok(tries).await.map(|((), _)| ())
    }

    /// Whether a request may be sent once more of which the cluster may have seen something. One node has no budget: its
    /// requests are sent twice at most.
    pub fn may_repeat(&self) -> bool {
        let nodes = self.nodes.load();
        let requests = || nodes.iter().map(|node| node.requests.load(Relaxed)).sum::<u64>();
        nodes.len() < 2 || self.retries.withdraw(self.requests_before.load(Relaxed) + requests())
    }

    /// What an operator sees of each node.
    pub fn figures(&self) -> Vec<NodeFigures> {
        let nodes = self.nodes.load();
        nodes.iter().map(|node| node.figures(nodes.len() < 2)).collect()
    }

    /// Notes the status that one of several nodes answered with. A gateway that finds no node behind it, and a node that finds no
    /// cluster, are as good as none. But it may be the cluster that is in trouble, or one of its indices: then the nodes that are
    /// left would have to do everything, so that for this reason no more than half of them are out.
    fn answered(&self, node: &Node, status: StatusCode) {
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                let nodes = self.nodes.load();
                let taking_part = nodes.iter().filter(|node| node.standing.takes_part()).count();
                if 2 * (taking_part.saturating_sub(1)) >= nodes.len() {
                    node.failed(&self.health);
                }
            }
            _ => node.standing.succeeded(),
        }
    }

    /// A node of which nothing is known.
    fn node(&self, authority: &Authority) -> Arc<Node> {
        Arc::new(Node::new(self.scheme.clone(), authority.clone()))
    }

    /// A new connection to a node.
    async fn connect(&self, node: &Node) -> Result<Connection<Stream>, ConnectError> {
        let connected = connect(&self.connector, node.uri(), self.connect_timeout).await;
        node.reached(connected.is_ok());
        connected.map(Connection::new)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::testing::{minimal, read};

    /// The cluster of this node; keys are those of the table `[upstream]`.
    pub(super) fn cluster(node: std::net::SocketAddr, keys: &str) -> Arc<Cluster> {
        let text = minimal().replace("localhost:9200\"", &format!("{node}\"\n{keys}"));
        Arc::new(Cluster::new(&read(&text).expect("right").upstream).expect("no TLS"))
    }

    #[tokio::test]
    async fn a_cluster_is_reachable_while_a_node_takes_connections() {
        let enough = Duration::from_secs(10);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let cluster = cluster(address, "");
        assert_eq!(cluster.figures()[0].is_up, None, "nobody knows yet");
        assert_eq!(cluster.is_reachable(enough).await, Ok(()));
        assert_eq!(cluster.figures()[0].is_up, Some(true));
        drop(listener);
        assert_eq!(cluster.figures()[0].is_up, Some(true), "nobody has noticed yet");
        let why = cluster.is_reachable(enough).await.expect_err("nobody is there");
        assert!(why.contains(&address.to_string()), "{why}");
        assert_eq!(cluster.figures()[0].is_up, Some(false));
    }
}
