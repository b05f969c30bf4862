//! The leg to the cluster. Owns the connection pool and what happens to a request on its way there and to a response on
//! its way back: nothing, but for the headers that end at this hop. Its submodules own [`headers`], [`body`] and
//! content codings ([`encoding`]).

pub mod body;
pub mod encoding;
pub mod headers;

use std::time::Duration;

use body::Body;
use engines::failure::FailureKind;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use net::connect::{Connector, connector};

use crate::config::UpstreamConfig;

/// Idle connections to the cluster are closed before a load balancer between would do it (AWS and Azure: 60 s and more).
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a connection buffers at most on its way in and on its way out, in bytes; a head must fit. hyper's own is 400 KiB,
/// which a thousand clients that read nothing would make 400 MiB.
pub(crate) const MAX_BUFFER: usize = 128 * 1024;

/// The cluster, as the proxy reaches it.
#[derive(Debug)]
pub struct Upstream {
    client: Client<Connector, Body>,
    /// Makes a connection for each request.
    unpooled: Client<Connector, Body>,
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
    /// The client's own body broke off while it was sent on.
    #[error("the request's body ended early: {source}")]
    RequestBody {
        /// The cause.
        source: hyper_util::client::legacy::Error,
    },
    /// What came is no answer that may be passed on.
    #[error("the cluster at {authority} answered with {what}, which was not asked for")]
    Protocol {
        /// Host and port.
        authority: Authority,
        /// What is wrong with it.
        what: &'static str,
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
    /// What went wrong, as a client is told.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            Self::Connect { .. } => FailureKind::Unreachable,
            Self::ConnectTimeout { .. } => FailureKind::ConnectTimeout,
            Self::RequestBody { .. } => FailureKind::BodyEnded,
            Self::Protocol { .. } => FailureKind::Protocol,
            Self::Broken { .. } => FailureKind::ConnectionClosed,
        }
    }

    /// Whether there was a connection, and no answer to use came of it: over another one there may be.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Protocol { .. })
    }

    /// Whether the connection broke before any of the request was written to it.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Broken { source, .. } if sending_error(source).is_some_and(hyper::Error::is_canceled))
    }
}

/// How often a request is sent, and over which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// Once, over a kept connection where there is one: it may change something.
    One,
    /// The same, and once more over a new connection where the first breaks: it changes nothing.
    Two,
    /// Once, over a new connection: an attempt before this one broke.
    Last,
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
    /// How often it may be sent.
    pub attempts: Attempts,
}

impl Outgoing {
    /// The client's own request, with `body`; to be sent once.
    pub fn new(parts: http::request::Parts, body: Body) -> Self {
        let uri = parts.uri.into_parts();
        let mut headers = parts.headers;
        if parts.version == Version::HTTP_2 {
            headers::join_cookies(&mut headers);
        }
        Self {
            method: parts.method,
            path_and_query: uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers,
            client_authority: uri.authority,
            body,
            attempts: Attempts::One,
        }
    }

    /// The same request, for a client that searches or only looks.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { attempts: Attempts::Two, ..self }
    }

    /// The same request for the last attempt; `None` where this is it, or where the body streams and is there but once.
    pub fn spare(&self) -> Option<Self> {
        let body = match &self.body {
            _ if self.attempts == Attempts::Last => return None,
            Body::Whole(whole) => Body::Whole(whole.clone()),
            body if body.is_end_stream() => Body::empty(),
            _ => return None,
        };
        Some(Self {
            method: self.method.clone(),
            path_and_query: self.path_and_query.clone(),
            headers: self.headers.clone(),
            client_authority: self.client_authority.clone(),
            body,
            attempts: Attempts::Last,
        })
    }
}

impl Upstream {
    /// A pool for the cluster of `config`; no connection is made yet.
    pub fn new(config: &UpstreamConfig) -> std::io::Result<Self> {
        let connector = connector(config.connect_timeout)?;
        Ok(Self {
            client: client(&connector, usize::MAX),
            unpooled: client(&connector, 0),
            connector,
            scheme: config.scheme.clone(),
            authority: config.authority.clone(),
            preserve_host: config.preserve_host,
        })
    }

    /// The same cluster with a connection pool of its own, for a thread of its own; it keeps at most `idle` connections.
    #[must_use]
    pub fn with_own_pool(&self, idle: usize) -> Self {
        Self {
            client: client(&self.connector, idle),
            unpooled: client(&self.connector, 0),
            connector: self.connector.clone(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            preserve_host: self.preserve_host,
        }
    }

    /// Sends a request and answers with the response as soon as its head is there; its body streams.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<Incoming>, UpstreamError> {
        let Outgoing { method, path_and_query, mut headers, client_authority, body, attempts } = outgoing;
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
        let client = if attempts == Attempts::Last { &self.unpooled } else { &self.client };
        let mut response = client.request(request).await.map_err(|source| self.error(source))?;
        let protocol = |what| UpstreamError::Protocol { authority: self.authority.clone(), what };
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
            () if is_of_request_body(&source) => UpstreamError::RequestBody { source },
            () => UpstreamError::Broken { authority, source },
        }
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

/// What went wrong on the connection, once there was one.
fn sending_error(error: &hyper_util::client::legacy::Error) -> Option<&hyper::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether the body that was sent failed, and not the connection: hyper calls that an error of its user, caused by the
/// error of the body, which comes from the client's connection.
fn is_of_request_body(error: &hyper_util::client::legacy::Error) -> bool {
    sending_error(error).is_some_and(|error| {
        error.is_user() && std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<hyper::Error>)
    })
}

/// Whether some cause of `error` is a connection attempt that ran out of time.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
