//! One node of the cluster: its address, and what all threads know of it.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::{
    due::Due,
    standing::{Checked, Standing},
};
use crate::config::HealthConfig;

/// One node of the cluster. What is counted here is counted where there are several nodes, since threads that count together wait
/// for one another.
#[derive(Debug)]
pub(super) struct Node {
    /// `http` or `https`.
    pub(super) scheme: Scheme,
    /// Host and port.
    pub(super) authority: Authority,
    /// The same as a `Host` header, without the port that the scheme implies.
    pub(super) host: HeaderValue,
    pub(super) standing: Standing,
    /// Requests of which the answer has not come to its end.
    pub(super) pending: AtomicU32,
    /// Requests that were sent here, or were to be.
    pub(super) requests: AtomicU64,
    /// A connection was tried.
    was_tried: AtomicBool,
    /// The latest one could be made.
    is_reached: AtomicBool,
    failures: AtomicU64,
    ejections: AtomicU64,
    /// Its next check.
    pub(super) check: Due,
    /// Tells those who wait for an answer that its checks fail.
    fell_silent: Notify,
}

/// What an operator sees of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFigures {
    /// Host and port.
    pub node: String,
    /// The latest connection could be made, and it is not out; `None` where nobody has tried yet.
    pub is_up: Option<bool>,
    /// What is counted where there are several nodes.
    pub counts: Option<NodeCounts>,
}

/// What is counted of one of several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCounts {
    /// Requests that were sent there, or were to be.
    pub requests: u64,
    /// Of those, and of checks, the ones that failed for a reason that is the node's.
    pub failures: u64,
    /// How often it was put out.
    pub ejections: u64,
}

impl Node {
    pub(super) fn new(scheme: Scheme, authority: Authority) -> Self {
        let implied = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().filter(|port| *port != implied);
        let host = port.map_or_else(|| authority.host().to_owned(), |port| format!("{}:{port}", authority.host()));
        let host = HeaderValue::from_str(&host).expect("a host is a header's value");
        Self {
            scheme,
            authority,
            host,
            standing: Standing::default(),
            pending: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            was_tried: AtomicBool::new(false),
            is_reached: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            check: Due::default(),
            fell_silent: Notify::new(),
        }
    }

    /// What to connect to.
    pub(super) fn uri(&self) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).expect("scheme, authority and path together make a URI")
    }

    /// Notes whether a connection could be made.
    pub(super) fn reached(&self, was_reached: bool) {
        self.is_reached.store(was_reached, Relaxed);
        self.was_tried.store(true, Relaxed);
    }

    /// Whether the latest connection could be made, and the node is not out.
    pub(super) fn is_up(&self) -> bool {
        self.is_reached.load(Relaxed) && self.standing.takes_part()
    }

    /// Notes that a request failed for a reason that is the node's.
    pub(super) fn failed(&self, terms: &HealthConfig) {
        self.failures.fetch_add(1, Relaxed);
        if self.standing.failed(terms, Instant::now()) {
            self.put_out();
        }
    }

    /// Notes how a check ended.
    pub(super) fn checked(&self, is_well: bool, terms: &HealthConfig) {
        if !is_well {
            self.failures.fetch_add(1, Relaxed);
        }
        let ended = self.standing.checked(is_well, terms, Instant::now());
        if ended == Checked::WentOut {
            self.put_out();
        }
        if ended != Checked::Stands {
            self.fell_silent.notify_waiters();
        }
    }

    /// Ends when a check fails, and those before it did as well: with the next one where the latest did.
    pub(super) async fn falls_silent(&self) {
        self.fell_silent.notified().await;
    }

    /// Does what is due by now.
    pub(super) fn advance(&self, terms: &HealthConfig, now: Instant) {
        if self.standing.advance(terms, now) {
            info!(node = %self.authority, "the node takes part again");
        }
    }

    fn put_out(&self) {
        self.ejections.fetch_add(1, Relaxed);
        warn!(node = %self.authority, "the node is left out: it failed too often");
    }

    /// What an operator sees of it.
    pub(super) fn figures(&self, is_alone: bool) -> NodeFigures {
        let counts = NodeCounts {
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            ejections: self.ejections.load(Relaxed),
        };
        let counts = (!is_alone).then_some(counts);
        NodeFigures {
            node: self.authority.to_string(),
            is_up: self.was_tried.load(Relaxed).then(|| self.is_up()),
            counts,
        }
    }
}
