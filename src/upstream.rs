//! The leg to the cluster. Owns the connection pool and what happens to a request on its way there and to a response on
//! its way back: nothing, but for the headers that end at this hop. Its submodules own [`headers`], [`body`] and
//! content codings ([`encoding`]).

pub mod body;
pub mod encoding;
pub mod headers;

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    config::UpstreamConfig,
    connect::{Connector, connector},
};
use body::Body;

/// Idle connections to the cluster are closed before a load balancer between would do it (AWS and Azure: 60 s and more).
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a connection buffers at most on its way in and on its way out, in bytes; a head must fit. hyper's own is 400 KiB,
/// which a thousand clients that read nothing would make 400 MiB.
pub(crate) const MAX_BUFFER: usize = 128 * 1024;

/// The cluster, as the proxy reaches it.
#[derive(Debug)]
pub struct Upstream {
    client: Client<Connector, Body>,
    connector: Connector,
    scheme: Scheme,
    authority: Authority,
    preserve_host: bool,
}

/// Why the cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection could be made.
    #[error("cannot connect to the cluster at {authority}: {source}")]
    Connect {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: hyper_util::client::legacy::Error,
    },
    /// No connection could be made in time.
    #[error("connecting to the cluster at {authority} took too long")]
    ConnectTimeout {
        /// Host and port.
        authority: Authority,
    },
    /// The connection broke before an answer came.
    #[error("the cluster at {authority} closed the connection without an answer: {source}")]
    Broken {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: hyper_util::client::legacy::Error,
    },
}

impl UpstreamError {
    /// 504 where the cluster did not answer in time, else 502.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ConnectTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Connect { .. } | Self::Broken { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// The error's type, in the manner of the engines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "upstream_connect_exception",
            Self::ConnectTimeout { .. } => "upstream_connect_timeout_exception",
            Self::Broken { .. } => "upstream_connection_closed_exception",
        }
    }
}

/// What is sent to the cluster, before it is addressed.
#[derive(Debug)]
pub struct Outgoing {
    /// The client's method.
    pub method: Method,
    /// Path and query string; their bytes arrive as they are.
    pub path_and_query: PathAndQuery,
    /// The client's headers, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// The host that an HTTP/2 client named in place of a `Host` header.
    pub client_authority: Option<Authority>,
    /// The body.
    pub body: Body,
}

impl Outgoing {
    /// The client's own request, with `body`.
    pub fn new(parts: http::request::Parts, body: Body) -> Self {
        let uri = parts.uri.into_parts();
        Self {
            method: parts.method,
            path_and_query: uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers: parts.headers,
            client_authority: uri.authority,
            body,
        }
    }
}

impl Upstream {
    /// A pool for the cluster of `config`; no connection is made yet.
    pub fn new(config: &UpstreamConfig) -> std::io::Result<Self> {
        let connector = connector(config.connect_timeout)?;
        Ok(Self {
            client: pool(&connector),
            connector,
            scheme: config.scheme.clone(),
            authority: config.authority.clone(),
            preserve_host: config.preserve_host,
        })
    }

    /// The same cluster with a connection pool of its own, for a thread of its own.
    #[must_use]
    pub fn with_own_pool(&self) -> Self {
        Self {
            client: pool(&self.connector),
            connector: self.connector.clone(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            preserve_host: self.preserve_host,
        }
    }

    /// Sends a request and answers with the response as soon as its head is there; its body streams.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<Incoming>, UpstreamError> {
        let Outgoing { method, path_and_query, mut headers, client_authority, body } = outgoing;
        headers::strip_hop_by_hop(&mut headers);
        if !self.preserve_host {
            headers.remove(HOST);
        } else if let Some(authority) = client_authority.filter(|_| !headers.contains_key(HOST))
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            headers.insert(HOST, host);
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(path_and_query);
        *request.headers_mut() = headers;
        let mut response = self.client.request(request).await.map_err(|source| self.error(source))?;
        headers::strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }

    fn uri(&self, path_and_query: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).expect("scheme, authority and path together make a URI")
    }

    fn error(&self, source: hyper_util::client::legacy::Error) -> UpstreamError {
        let authority = self.authority.clone();
        match () {
            // A connection that is there may time out as well: the system gives up a peer that has vanished.
            () if source.is_connect() && is_timeout(&source) => UpstreamError::ConnectTimeout { authority },
            () if source.is_connect() => UpstreamError::Connect { authority, source },
            () => UpstreamError::Broken { authority, source },
        }
    }
}

fn pool(connector: &Connector) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .http1_max_headers(headers::MAX_HEADERS)
        .http1_max_buf_size(MAX_BUFFER)
        .build(connector.clone())
}

/// Whether some cause of `error` is a connection attempt that ran out of time.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
