//! A request on its way to the cluster, before it is addressed to a node.

use http::{
    HeaderMap, Method, Version,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;

use super::{body::Body, headers};

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
