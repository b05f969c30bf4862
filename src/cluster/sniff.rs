//! The nodes as the cluster itself names them. Owns who is asked, and that the state of nodes that stay, stays.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use engines::elastic::nodes::addresses;
use futures_util::future::join_all;
use http::{
    StatusCode,
    uri::{Authority, PathAndQuery},
};
use tracing::{info, warn};

use super::{Cluster, error::UpstreamError, node::Node, own_request::OwnRequest};
use crate::config::SniffConfig;

/// What is asked, and the parts of the answer that are read.
const QUESTION: &str = "/_nodes/http?filter_path=nodes.*.roles,nodes.*.http.publish_address";
/// The most nodes that are followed: each is connected to, and no cluster that is searched through one proxy has more.
const MOST: usize = 512;
/// How many nodes are asked at a time until one answers.
const ASKED: usize = 4;

impl Cluster {
    /// Follows the nodes that the cluster names now. Where none answers, all stays as it is.
    pub(super) async fn sniff(self: Arc<Self>, config: SniffConfig) {
        let mut asked = self.nodes.load().to_vec();
        fastrand::shuffle(&mut asked);
        asked.sort_by_key(|node| !node.standing.takes_part());
        asked.truncate(ASKED - 1);
        // Where all nodes have moved, those that were configured may be there.
        asked.extend(self.configured.get(fastrand::usize(..self.configured.len())).map(|node| self.node(node)));
        for node in asked {
            match self.named_by(&node, &config).await {
                Ok(named) => return self.follow(named).await,
                Err(error) => warn!(node = %node.authority, error, "the node does not say which nodes there are"),
            }
        }
    }

    /// The nodes that one of them names.
    async fn named_by(&self, node: &Node, config: &SniffConfig) -> Result<Vec<Authority>, String> {
        let path = PathAndQuery::from_static(QUESTION);
        let authorization = config.authorization.as_ref();
        let asked = OwnRequest { path: &path, authorization, timeout: self.health.timeout };
        let (status, answer) = self.ask(node, asked).await?;
        if status != StatusCode::OK {
            return Err(format!("it answered {status}"));
        }
        let named = addresses(&answer).map_err(|error| error.to_string())?;
        let named: Result<Vec<Authority>, _> = named.iter().map(|address| address.parse()).collect();
        match named {
            Ok(named) if named.is_empty() => Err("it names no node that takes requests".to_owned()),
            named => named.map_err(|error| error.to_string()),
        }
    }

    /// Has requests go to these nodes from now on. One that is new and cannot be reached from here stays out: a cluster may name
    /// addresses that only its own network knows.
    async fn follow(&self, mut named: Vec<Authority>) {
        named.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        named.dedup();
        if named.len() > MOST {
            warn!(named = named.len(), followed = MOST, "the cluster names more nodes than are followed");
            named.truncate(MOST);
        }
        let current = self.nodes.load_full();
        let is_named = |node: &&Arc<Node>| named.contains(&node.authority);
        if current.len() == named.len() && current.iter().all(|node| is_named(&node)) {
            return;
        }
        // At the start all nodes are new but those that were configured, which are not to do everything meanwhile.
        let begins_slowly = self.has_followed.swap(true, Relaxed);
        let nodes = named.iter().map(async |authority| {
            if let Some(known) = current.iter().find(|node| node.authority == *authority) {
                return Some(known.clone());
            }
            let new = self.reachable(authority).await?;
            if begins_slowly {
                new.standing.begin_slowly(&self.health, Instant::now());
            }
            Some(new)
        });
        let nodes: Vec<Arc<Node>> = join_all(nodes).await.into_iter().flatten().collect();
        let is_known = |node: &Arc<Node>| current.iter().any(|known| Arc::ptr_eq(known, node));
        if nodes.len() == current.len() && nodes.iter().all(is_known) {
            return;
        }
        if nodes.is_empty() {
            return warn!("none of the nodes that the cluster names can be reached; asking the same ones as before");
        }
        // The budget of retries is fed by requests, also by those to nodes that are gone.
        let gone = current.iter().filter(|node| !is_named(node)).map(|node| node.requests.load(Relaxed)).sum();
        self.requests_before.fetch_add(gone, Relaxed);
        let names: Vec<&str> = nodes.iter().map(|node| node.authority.as_str()).collect();
        info!(nodes = names.join(", "), "requests go to the nodes that the cluster names");
        self.nodes.store(Arc::new(nodes));
    }

    /// A new node, if a connection to it can be made.
    async fn reachable(&self, authority: &Authority) -> Option<Arc<Node>> {
        let node = self.node(authority);
        match self.connect(&node).await {
            Ok(_) => Some(node),
            Err(error) => {
                warn!(node = %authority, error = %UpstreamError::unconnected(error, authority), "a node that the cluster names stays out");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::{super::tests::cluster, *};

    /// Answers one question for the nodes with these; what was asked.
    async fn answer(listener: &TcpListener, nodes: &str) -> String {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            // A connection without a question only tries whether there is one.
            if length > 0 {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{nodes}", nodes.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                return String::from_utf8_lossy(&asked[..length]).into_owned();
            }
        }
    }

    #[tokio::test]
    async fn who_asks_is_told_and_nodes_that_cannot_be_reached_stay_out() {
        let (seed, other) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (its, others) = (seed.local_addr().unwrap(), other.local_addr().unwrap());
        let cluster = cluster(its, "sniff = \"1s\"\nauthorization_env = \"TEST_KEY\"");
        let sniff = || cluster.clone().sniff(cluster.sniff.clone().unwrap());
        let named = || cluster.nodes.load().iter().map(|node| node.authority.to_string()).collect::<Vec<_>>();
        let node = |address: &str| format!("\"{address}\":{{\"http\":{{\"publish_address\":\"{address}\"}}}}");
        let nodes = |nodes: &[String]| format!("{{\"nodes\":{{{}}}}}", nodes.join(","));

        let unreachable = nodes(&[node("127.0.0.1:1")]);
        let ((), asked) = tokio::join!(sniff(), answer(&seed, &unreachable));
        let asked = asked.to_ascii_lowercase();
        assert!(asked.starts_with("get /_nodes/http?") && asked.contains("\r\nauthorization: s3cret\r\n"), "{asked}");
        assert_eq!(named(), [its.to_string()], "all stays as it is");

        let there = nodes(&[node("127.0.0.1:1"), node(&others.to_string())]);
        let before = cluster.nodes.load_full();
        before[0].requests.store(60, Relaxed);
        tokio::join!(sniff(), answer(&seed, &there));
        assert_eq!(named(), [others.to_string()]);
        assert_eq!(cluster.requests_before.load(Relaxed), 60);
    }
}
