//! A request that holds searches, buffered whole so that it can be sent more than once: as the client sent it, or as the
//! plans want it answered. Owns what differs between the two: path, body, and the headers that speak of the body.

use std::sync::Arc;

use bytes::Bytes;
use engines::{
    failure::{Failure, FailureKind},
    plan::SkipReason,
    request::{Forward, RequestParts, SearchForm, SearchRoute},
};
use http::{HeaderValue, Method, header, request, uri::PathAndQuery};
use tracing::debug;

use super::ending::Ending;
use crate::{
    client_body::ClientBody,
    cluster::{
        Attempts, Outgoing, Tried,
        body::{Body, Bounds, Buffered, Patience, Unheld, buffer},
        encoding::{self, Coding, DecodeError},
    },
    config::rules::Rule,
    isolation::{QUICK_REQUEST, guarded, planned_apart},
    memory::{Memory, Spent},
    state::Context,
};

/// The client's request.
#[derive(Debug)]
pub(super) struct SearchCall {
    parts: request::Parts,
    /// The body as the client sent it.
    sent: Bytes,
    route: SearchRoute,
    /// What the rule of its path is called, where the path says which it is.
    rule: Option<Arc<str>>,
    path_and_query: PathAndQuery,
    /// The body without its content coding.
    body: Bytes,
}

impl SearchCall {
    /// Buffers a request with a body within the limits. One that cannot be read is sent on as it is. `rule`: that of its path.
    pub(super) async fn buffered(
        context: &Context,
        parts: request::Parts,
        body: ClientBody,
        route: SearchRoute,
        rule: Option<&Rule>,
    ) -> Result<Arc<Self>, Ending> {
        let limits = &context.snapshot.settings.limits;
        let rule = rule.map(|rule| &rule.label);
        let unread = |parts, body, reason| Ending::fall_back(Outgoing::new(parts, body).repeatable(), rule, reason);
        let patience = Patience::InAll(limits.body_timeout);
        let bounds = Bounds { bytes: limits.request_body, copies: 1, patience, memory: &context.process.memory };
        let sent = match buffer(body, bounds).await {
            Ok(Buffered::Whole(sent, _)) => sent,
            Ok(Buffered::Unheld(body, why)) => return Err(unread(parts, body, why.into())),
            Err(error) => {
                debug!(%error, "the client's body ended early");
                return Err(Ending::Failed(Failure::new(FailureKind::BodyEnded, "the request's body ended early")));
            }
        };
        let plain = match Coding::of(&parts.headers) {
            Some(Coding::Identity) => Ok(sent.clone()),
            Some(coding) => decoded(coding, &sent, limits.request_body, &context.process.memory).await,
            None => Err(SkipReason::ContentType),
        };
        let body = match plain {
            Ok(body) => body,
            Err(reason) => return Err(unread(parts, Body::whole(sent), reason)),
        };
        let path_and_query = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Arc::new(Self { parts, sent, route, rule: rule.cloned(), path_and_query, body }))
    }

    /// A request that is there in full, its body in no content coding. `rule`: that of its path.
    pub(super) fn whole(parts: request::Parts, body: Bytes, route: SearchRoute, rule: Option<&Rule>) -> Arc<Self> {
        let path_and_query = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let rule = rule.map(|rule| rule.label.clone());
        Arc::new(Self { parts, sent: body.clone(), route, rule, path_and_query, body })
    }

    /// The path that the request came by.
    pub(super) fn route(&self) -> &SearchRoute {
        &self.route
    }

    /// What the rule of its path is called, where the path says which it is.
    pub(super) fn rule(&self) -> Option<&Arc<str>> {
        self.rule.as_ref()
    }

    /// The form in which its searches come.
    pub(super) fn form(&self) -> SearchForm {
        self.route.form
    }

    /// The body without its content coding.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The request, to be read.
    pub(super) fn as_parts(&self) -> RequestParts<'_> {
        RequestParts { path_and_query: &self.path_and_query, headers: &self.parts.headers, body: &self.body }
    }

    /// The number of bytes that planning reads of it, about.
    pub(super) fn size(&self) -> usize {
        self.body.len() + self.path_and_query.as_str().len()
    }

    /// The request as the client sent it.
    pub(super) fn original(&self) -> Outgoing {
        let mut outgoing = Outgoing::new(self.parts.clone(), Body::whole(self.sent.clone())).repeatable();
        // The body is here already: there is nothing left to expect.
        outgoing.head.headers.remove(header::EXPECT);
        outgoing
    }

    /// The request as the client sent it, after the connections over which it was `tried` in another form broke.
    pub(super) fn afresh(&self, tried: Tried) -> Outgoing {
        Outgoing { attempts: Attempts::Last, tried, ..self.original() }
    }

    /// True if `forward` asks for anything else than the client did.
    pub(super) fn differs(&self, forward: &Forward) -> bool {
        forward.body.is_some() || forward.path_and_query != self.path_and_query
    }

    /// The request as the plans want it answered, compressed only where `compressed` allows it. Where that is not what the
    /// client asked, it is sent once: a second attempt is for the client's own.
    pub(super) fn forwarded(&self, forward: &Forward, compressed: bool) -> Outgoing {
        let mut outgoing = match &forward.body {
            Some(body) => self.with_body(forward.path_and_query.clone(), body.clone()),
            None => self.original().to(forward.path_and_query.clone()),
        };
        if !compressed && outgoing.head.headers.contains_key(header::ACCEPT_ENCODING) {
            outgoing.head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if self.differs(forward) {
            outgoing.attempts = Attempts::One;
        }
        outgoing
    }

    /// A request of our own in the client's name: its headers and credentials, another path and body.
    pub(super) fn with_body(&self, path_and_query: PathAndQuery, body: Bytes) -> Outgoing {
        let original = self.original().to(path_and_query);
        let mut outgoing = Outgoing { body: Body::whole(body), attempts: Attempts::One, ..original };
        for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            outgoing.head.headers.remove(name);
        }
        outgoing.head.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        outgoing
    }

    /// A request of our own in the client's name that only asks.
    pub(super) fn get(&self, path_and_query: PathAndQuery) -> Outgoing {
        let mut outgoing = self.with_body(path_and_query, Bytes::new());
        outgoing.head.headers.remove(header::CONTENT_TYPE);
        outgoing.head.method = Method::GET;
        outgoing
    }

    /// The coding in which the client would like its answer.
    pub(super) fn wanted_coding(&self) -> Coding {
        Coding::wanted(&self.parts.headers)
    }
}

/// A body without its coding: on the spot where that is quick, else apart, since what a few bytes become may be large.
async fn decoded(coding: Coding, coded: &Bytes, limit: usize, memory: &Arc<Memory>) -> Result<Bytes, SkipReason> {
    if let Some(body) = decoded_on_the_spot(coding, coded, limit, memory)? {
        return Ok(body);
    }
    let (coded, memory) = (coded.clone(), memory.clone());
    Ok(planned_apart(move || encoding::decode(coding, &coded, limit, &memory, 1)).await??.0)
}

/// A body without its coding where both are small; else nothing. The windows of codings besides these two are as large as their sender
/// says, and so is the room for them.
fn decoded_on_the_spot(
    coding: Coding,
    coded: &[u8],
    limit: usize,
    memory: &Arc<Memory>,
) -> Result<Option<Bytes>, SkipReason> {
    if !matches!(coding, Coding::Gzip | Coding::Deflate) || coded.len() > QUICK_REQUEST {
        return Ok(None);
    }
    match guarded(|| encoding::decode(coding, coded, limit.min(QUICK_REQUEST), memory, 1))? {
        Err(DecodeError::TooLarge) => Ok(None),
        decoded => Ok(Some(decoded?.0)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;
    const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn a_small_compressed_search_does_not_wait_for_a_turn_among_large_ones() {
        let on_the_spot = |coding, size| {
            let coded = encoding::encode(coding, &vec![b' '; size]);
            decoded_on_the_spot(coding, &coded, LIMIT, &Memory::new(usize::MAX)).unwrap()
        };
        for coding in [Coding::Gzip, Coding::Deflate] {
            assert_eq!(on_the_spot(coding, QUICK_REQUEST).map(|body| body.len()), Some(QUICK_REQUEST));
            assert_eq!(on_the_spot(coding, QUICK_REQUEST + 1), None, "a bomb is for a thread of its own");
        }
        assert_eq!(on_the_spot(Coding::Brotli, 8), None);
        assert_eq!(on_the_spot(Coding::Zstd, 8), None);
    }

    #[tokio::test]
    async fn a_body_is_the_same_whether_it_is_decoded_on_the_spot_or_apart() {
        for coding in CODINGS {
            for size in [0, 1, QUICK_REQUEST, QUICK_REQUEST + 1, 100 * QUICK_REQUEST] {
                let body = vec![b' '; size];
                let coded = encoding::encode(coding, &body);
                assert_eq!(
                    decoded(coding, &coded, LIMIT, &Memory::new(usize::MAX)).await.unwrap(),
                    body,
                    "{coding:?} {size}"
                );
            }
        }
    }

    #[test]
    fn a_small_body_over_the_limit_is_too_large_wherever_it_is_decoded() {
        let coded = encoding::encode(Coding::Gzip, b"a search");
        assert_eq!(decoded_on_the_spot(Coding::Gzip, &coded, 3, &Memory::new(usize::MAX)), Ok(None));
    }
}
