//! A request that holds searches, held whole so that it can be sent more than once: as the client sent it, or as the
//! plans want it answered. Owns what differs between the two: path, body, and the headers that speak of the body.

use std::sync::Arc;

use bytes::Bytes;
use engines::{
    dialect::{Forward, SearchRequest, SearchRoute},
    json,
    plan::SkipReason,
};
use http::{HeaderValue, Method, header, request, uri::PathAndQuery};
use hyper::body::Incoming;

use crate::{
    cluster::{
        Attempts, Outgoing,
        body::{Body, Bounds, Buffered, Patience, Unheld, buffer},
        encoding::{self, Coding, DecodeError},
    },
    config::LimitsConfig,
    guard::planned_apart,
    memory::{Held, Memory, REQUEST_COPIES, Spent},
};

/// The client's request, and how it reads.
#[derive(Debug, Clone)]
pub(super) struct SearchCall {
    parts: request::Parts,
    /// The body as the client sent it.
    sent: Bytes,
    route: SearchRoute,
    path_and_query: PathAndQuery,
    /// The body as it reads: without its content coding, templates rendered.
    body: Bytes,
    /// Whether the cluster must be sent `body`: what was sent does not say the same.
    rendered: bool,
}

/// What became of the attempt to hold a request.
pub(super) enum Attempted {
    /// It is here.
    Whole(Box<SearchCall>),
    /// It cannot be read, for this reason, but can be sent on.
    Unread(Box<Outgoing>, SkipReason),
    /// The client's body ended early.
    Broken(hyper::Error),
}

impl SearchCall {
    /// Holds a request with a body within the limits.
    pub(super) async fn hold(
        parts: request::Parts,
        body: Incoming,
        route: SearchRoute,
        limits: &LimitsConfig,
        memory: &Arc<Memory>,
    ) -> Attempted {
        let unread = |parts, body, reason| Attempted::Unread(Box::new(Outgoing::new(parts, body).repeatable()), reason);
        let patience = Patience::InAll(limits.body_timeout);
        let sent = match buffer(body, Bounds { bytes: limits.request_body, copies: 1, patience, memory }).await {
            Ok(Buffered::Whole(sent, _)) => sent,
            Ok(Buffered::Unheld(body, why)) => return unread(parts, body, why.into()),
            Err(error) => return Attempted::Broken(error),
        };
        let plain = match Coding::of(&parts.headers) {
            Some(Coding::Identity) => Ok(sent.clone()),
            Some(coding) => {
                // What a few bytes become may be large.
                let (coded, limit, memory) = (sent.clone(), limits.request_body, memory.clone());
                let decoded = planned_apart(move || encoding::decode(coding, &coded, limit, &memory, 1)).await;
                decoded.and_then(|decoded| Ok(decoded?.0))
            }
            None => Err(SkipReason::ContentType),
        };
        let body = match plain {
            Ok(body) => body,
            Err(reason) => return unread(parts, Body::whole(sent), reason),
        };
        let path_and_query = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Attempted::Whole(Box::new(Self { parts, sent, route, path_and_query, body, rendered: false }))
    }

    /// How the request reads.
    pub(super) fn as_request(&self) -> SearchRequest<'_> {
        SearchRequest {
            route: &self.route,
            path_and_query: &self.path_and_query,
            headers: &self.parts.headers,
            body: &self.body,
        }
    }

    /// Puts on the account what planning it takes: the body as it will be sent, and the tree of its JSON.
    pub(super) fn room_for_planning(&self, memory: &Arc<Memory>) -> Result<Held, Spent> {
        memory.hold(self.body.len() * (REQUEST_COPIES - 1) + json::size_of_tree(&self.body))
    }

    /// How many bytes planning reads of it, about.
    pub(super) fn size(&self) -> usize {
        self.body.len() + self.path_and_query.as_str().len()
    }

    /// The same request with its templates rendered.
    pub(super) fn rendered(self, path_and_query: PathAndQuery, body: Bytes) -> Self {
        let route = SearchRoute { door: self.route.door.rendered(), ..self.route };
        Self { route, path_and_query, body, rendered: true, ..self }
    }

    /// The request as the client sent it.
    pub(super) fn original(&self) -> Outgoing {
        let mut outgoing = Outgoing::new(self.parts.clone(), Body::whole(self.sent.clone())).repeatable();
        // The body is here already: there is nothing left to expect.
        outgoing.headers.remove(header::EXPECT);
        outgoing
    }

    /// The request as the client sent it, after the connection broke over another form of it.
    pub(super) fn afresh(&self) -> Outgoing {
        Outgoing { attempts: Attempts::Last, ..self.original() }
    }

    /// Whether `forward` asks for anything else than the client did.
    pub(super) fn differs(&self, forward: &Forward) -> bool {
        self.rendered || forward.body.is_some() || forward.path_and_query != self.path_and_query
    }

    /// Whether its templates were rendered: even an error of the cluster's may then look different from the one that the
    /// client would have got.
    pub(super) fn is_rendered(&self) -> bool {
        self.rendered
    }

    /// The request as the plans want it answered, compressed only where `compressed` allows it. Where that is not what the
    /// client asked, it is sent once: a second attempt is for the client's own.
    pub(super) fn forwarded(&self, forward: &Forward, compressed: bool) -> Outgoing {
        let body = forward.body.clone().or_else(|| self.rendered.then(|| self.body.clone()));
        let mut outgoing = match body {
            Some(body) => self.with_body(forward.path_and_query.clone(), body),
            None => Outgoing { path_and_query: forward.path_and_query.clone(), ..self.original() },
        };
        if !compressed && outgoing.headers.contains_key(header::ACCEPT_ENCODING) {
            outgoing.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if self.differs(forward) {
            outgoing.attempts = Attempts::One;
        }
        outgoing
    }

    /// A request of our own in the client's name: its headers and credentials, another path and body.
    pub(super) fn with_body(&self, path_and_query: PathAndQuery, body: Bytes) -> Outgoing {
        let mut outgoing =
            Outgoing { path_and_query, body: Body::whole(body), attempts: Attempts::One, ..self.original() };
        for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            outgoing.headers.remove(name);
        }
        outgoing.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        outgoing
    }

    /// A request of our own in the client's name that only asks.
    pub(super) fn get(&self, path_and_query: PathAndQuery) -> Outgoing {
        let mut outgoing = self.with_body(path_and_query, Bytes::new());
        outgoing.headers.remove(header::CONTENT_TYPE);
        outgoing.method = Method::GET;
        outgoing
    }

    /// The coding in which the client would like its answer.
    pub(super) fn wanted_coding(&self) -> Coding {
        Coding::wanted(&self.parts.headers)
    }
}

impl From<DecodeError> for SkipReason {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Self::TooLarge,
            DecodeError::Broken => Self::ContentType,
            DecodeError::NoMemory(spent) => spent.into(),
        }
    }
}

impl From<Spent> for SkipReason {
    fn from(_: Spent) -> Self {
        Self::Overloaded
    }
}

impl From<Unheld> for SkipReason {
    fn from(why: Unheld) -> Self {
        match why {
            Unheld::TooLarge => Self::TooLarge,
            Unheld::NoMemory => Self::Overloaded,
            Unheld::Slow => Self::SlowBody,
        }
    }
}
