//! `POST /_rerank/explain`: a person's search, sent as a client would send it, and told with all that the proxy did to it. Owns its
//! sequence (hold → read → the client's request → the pipeline → what became of it), and that nothing but a single search is ever
//! sent, with no credentials but the caller's own.

mod asked;
pub(super) mod because;
mod client_request;
pub(super) mod told;

use std::time::Instant;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use tracing::debug;

use super::{answer as words, call::Shape, fault::Fault, hold::hold, response::json};
use crate::{
    client_body::ClientBody,
    cluster::body::Body,
    isolation::computed,
    pipeline,
    state::{Context, EXPLAINED},
};
use asked::Asked;
use client_request::ClientRequest;
use told::Told;

/// How many times their size the pages are put on the account for what is told of them: passages and documents, as they are
/// gathered and as they are written.
const TOLD_COPIES: usize = 4;

/// Answers a request to explain a search.
pub(super) async fn answer(context: &Context, head: &Parts, body: &mut ClientBody) -> Response<Body> {
    explained(context, head, body).await.unwrap_or_else(|fault| {
        debug!(%fault, "a search was not explained");
        words::fault(Shape::Tei, &fault)
    })
}

async fn explained(context: &Context, head: &Parts, body: &mut ClientBody) -> Result<Response<Body>, Fault> {
    if !is_sent_on_purpose(&head.headers) {
        let why = "a page must send it as application/json, which no other site's page can";
        return Err(Fault::Unreadable(why.to_owned()));
    }
    let config = &context.snapshot.settings.api;
    let permit = context.process.explained.clone().try_acquire_owned().map_err(|_| Fault::Crowded(EXPLAINED))?.into();
    let (sent, _room) = hold(context, &head.headers, body, Instant::now(), config.budget, &permit).await?;
    let asked = Asked::read(&sent).map_err(Fault::Unreadable)?;
    let options = asked.options(context).map_err(Fault::Unreadable)?;
    let request = ClientRequest::of(context, head, &asked).map_err(Fault::Unreadable)?;
    let ClientRequest { context, route, parts, body, from } = request;

    let (indices, says_query) = (route.indices.clone(), options.query.is_some());
    let explained = Box::pin(pipeline::explained(&context, route, parts, body, options)).await;
    let size = explained.shown.size();
    let mut room = context.process.memory.hold(size * TOLD_COPIES).map_err(Fault::NoMemory)?;
    let (dialect, snapshot) = (context.dialect().clone(), context.snapshot.clone());
    let told = computed(size, move || {
        let settings = &snapshot.settings;
        Told { settings, dialect: &*dialect, indices: &indices, from, says_query }.body(&explained)
    });
    let told = told.await.map_err(|_| Fault::Internal)?;
    Ok(json(StatusCode::OK, room.split(told.len()).keep(told)))
}

/// Whether no page of another site can have sent it in its visitor's name: those can send JSON only where we allowed it beforehand, which
/// we never do (<https://fetch.spec.whatwg.org/#cors-safelisted-request-header>). What is no browser names no origin.
fn is_sent_on_purpose(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    !headers.contains_key(header::ORIGIN) || essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}
