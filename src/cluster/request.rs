//! A request on its way to the cluster, before it is addressed to a node.

use bytes::Bytes;
use http::{Uri, Version, request::Parts, uri::PathAndQuery};
use http_body::Body as _;

use super::{body::Body, headers, leg::Tried};

/// How often a request is sent, and over which connections. What found no connection was not sent.
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
    /// The client's, hop-by-hop headers included. The bytes of path and query arrive as they are.
    pub head: Box<Parts>,
    /// The body.
    pub body: Body,
    /// How often it may be sent.
    pub attempts: Attempts,
    /// It only asks, in whatever form: the cluster may see it more than once.
    pub changes_nothing: bool,
    /// Where it was sent by now, in this form or in another: it goes elsewhere then, where there are other nodes.
    pub tried: Tried,
}

impl Outgoing {
    /// The client's own request, with `body`; to be sent once.
    pub fn new(mut head: Parts, body: Body) -> Self {
        if head.version == Version::HTTP_2 {
            headers::join_cookies(&mut head.headers);
        }
        Self { head: Box::new(head), body, attempts: Attempts::One, changes_nothing: false, tried: Tried::default() }
    }

    /// The same request, for a client that searches or only looks.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { attempts: Attempts::Two, changes_nothing: true, ..self }
    }

    /// The same request to another path.
    #[must_use]
    pub fn to(mut self, path_and_query: PathAndQuery) -> Self {
        // HTTP/2 names the host in the URI.
        let mut parts = std::mem::take(&mut self.head.uri).into_parts();
        parts.path_and_query = Some(path_and_query.clone());
        self.head.uri = Uri::from_parts(parts).unwrap_or_else(|_| path_and_query.into());
        self
    }
}

/// The same body for another attempt; `None` where it streams, and is there but once.
pub fn spare(body: &Body) -> Option<Bytes> {
    match body {
        Body::Whole(whole) => Some(whole.clone()),
        body => body.is_end_stream().then(Bytes::new),
    }
}

/// Whether a body is there for another attempt.
pub(super) fn is_at_hand(body: &Body) -> bool {
    matches!(body, Body::Whole(_)) || body.is_end_stream()
}
