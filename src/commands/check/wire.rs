//! The way to the cluster: that of the proxy itself, with its TLS. Owns that the cluster is only ever asked for what it has, and how
//! much of an answer is read.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header::ACCEPT, uri::Scheme};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    cluster::{
        Cluster, Connections, Outgoing,
        advice::advised,
        body::{Body, Bounds, Filled, Patience, fill},
    },
    config::Settings,
    memory::Memory,
};

/// The longest answer that is read, in bytes. A mapping of some thousands of fields has one or two million.
const LONGEST: usize = 64 << 20;
/// The time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The characters of an error that are told.
const TOLD: usize = 300;

/// Why the cluster does not say what was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not there.
    Unreachable(String),
    /// It answered so.
    Refused(StatusCode, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => f.write_str(why),
            Self::Refused(status, text) => {
                let hint = match *status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; -H 'Authorization: …' says who asks",
                    _ => "",
                };
                write!(f, "it answered {status}{hint}: {text}")
            }
        }
    }
}

/// The way to the cluster.
pub(super) struct Wire {
    connections: Connections,
    headers: HeaderMap,
    memory: Arc<Memory>,
    scheme: Scheme,
}

impl Wire {
    /// The way to the cluster of these settings, with these headers in each request. Makes no connection.
    pub(super) fn to(settings: &Settings, headers: Vec<(HeaderName, HeaderValue)>) -> anyhow::Result<Self> {
        let connections = Connections::new(Arc::new(Cluster::new(&settings.upstream)?), 1);
        let mut all = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        for (name, value) in headers {
            all.append(name, value);
        }
        let scheme = settings.upstream.scheme.clone();
        Ok(Self { connections, headers: all, memory: Memory::new(2 * LONGEST), scheme })
    }

    /// What is at a path.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Fault> {
        let unreachable = |why: &dyn fmt::Display| Fault::Unreachable(why.to_string());
        let request = Request::builder().method(Method::GET).uri(path).body(());
        let (mut head, ()) = request.map_err(|error| unreachable(&error))?.into_parts();
        head.headers = self.headers.clone();
        let mut outgoing = Outgoing::new(head, Body::empty());
        self.connections.strip(&mut outgoing.head);
        let answered = timeout(PATIENCE, self.connections.send(&mut outgoing)).await;
        let answered = answered.map_err(|_| Fault::Unreachable(format!("no answer within {PATIENCE:?}")))?;
        let (head, mut body) = answered.map_err(|error| unreachable(&advised(&error, &self.scheme)))?.into_parts();
        let patience = Patience::ForEachFrame(PATIENCE);
        let bounds = Bounds { bytes: LONGEST, copies: 1, patience, memory: &self.memory };
        let text = match fill(&mut body, bounds).await {
            Ok(Filled::Whole(text, _)) => text,
            Ok(Filled::Short(..)) => return Err(Fault::Unreachable(format!("{path}: the answer is too long"))),
            Err(error) => return Err(unreachable(&error)),
        };
        read(head.status, &text)
    }
}

fn read(status: StatusCode, text: &Bytes) -> Result<Value, Fault> {
    let refused = || Fault::Refused(status, String::from_utf8_lossy(text).chars().take(TOLD).collect());
    if !status.is_success() {
        return Err(refused());
    }
    serde_json::from_slice(text).map_err(|_| refused())
}
