//! The way of a request: classify → plan → forward → candidates → score → order → rewrite. Owns the sequence and the
//! one rule that governs it: whatever fails on our side, the client gets what the cluster would have answered.

mod call;
mod fetch;
mod prepare;
mod send;
mod shadow;
mod window;

use std::{ops::Range, time::Instant};

use bytes::Bytes;
use call::{Attempted, SearchCall};
use engines::{
    dialect::{Door, Forward, Route, SearchRoute},
    json::Edits,
    plan::SkipReason,
};
use fetch::{Fetched, Unusable, bounds, decoded, fetch, fetch_aside};
use futures_util::future::join_all;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request, response};
use hyper::body::Incoming;
use prepare::{Halt, Prepared, Run, prepare};
use send::send;
use tracing::{debug, warn};
use window::{Outcome, rerank};

use crate::{
    api,
    cluster::{
        Outgoing, UpstreamError,
        body::{Body, Buffered, buffer},
        encoding::{self, Coding},
        headers::check_request,
    },
    config::rules::{self, Mode},
    guard::{computed, guarded, planned_apart},
    memory::{ANSWER_COPIES, Held},
    report::{self, Report},
    request_options::RequestOptions,
    state::Context,
};

/// The longest answer, in bytes, that opens a view and is read for its id.
const VIEW_ANSWER: usize = 64 * 1024;

/// How much of a body is read, in bytes, whose request is not answered: clients read no answer before all is sent.
const RESERVE_BODY: usize = 1 << 20;

/// For how many bytes of an answer there must be room before a search is sent wider than its client did: one whose answer
/// finds none is sent twice.
const ROOM_FOR_AN_ANSWER: usize = 256 * 1024;

/// Answers one request. Never fails: what cannot be answered by the cluster is answered with its kind of error.
pub async fn handle(context: Context, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if api::owns(path) {
        return api::handle(&context, request).await;
    }
    if *request.method() == Method::CONNECT {
        let reason = "this is a reverse proxy: CONNECT is not supported";
        return failure(&context, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed_exception", reason);
    }
    if let Err(cause) = check_request(request.headers()) {
        return failure(&context, cause.status(), cause.kind(), &cause.to_string());
    }
    match context.dialect.classify(request.method(), path) {
        Route::PassThrough if context.dialect.only_reads(request.method(), path) => {
            pass_through(&context, streamed(request).repeatable()).await
        }
        Route::PassThrough => pass_through(&context, streamed(request)).await,
        Route::OpensView { indices } => open_view(&context, &indices, streamed(request)).await,
        Route::Searches(route) => search(context, route, request).await,
    }
}

/// Answers a request for which there is no place: only how we are.
pub(crate) async fn handle_in_reserve(context: Context, request: Request<Incoming>) -> Response<Body> {
    if api::owns(request.uri().path()) {
        return api::handle_in_reserve(&context, request, false).await;
    }
    api::discard(request, RESERVE_BODY).await;
    failure(&context, StatusCode::SERVICE_UNAVAILABLE, "too_many_connections_exception", api::NO_PLACE)
}

fn streamed(request: Request<Incoming>) -> Outgoing {
    let (parts, body) = request.into_parts();
    Outgoing::new(parts, Body::streamed(body))
}

/// A search that streams through.
fn unread(parts: request::Parts, body: Incoming) -> Outgoing {
    Outgoing::new(parts, Body::streamed(body)).repeatable()
}

/// Streams both ways, untouched.
async fn pass_through(context: &Context, outgoing: Outgoing) -> Response<Body> {
    match send(context, outgoing).await {
        Ok(answered) => {
            let (head, body) = answered.response.into_parts();
            Response::from_parts(head, Body::gathered(body).await)
        }
        Err(error) => unreachable(context, &error),
    }
}

/// Passes through, and remembers which indices the view that is opened stands for.
async fn open_view(context: &Context, indices: &str, outgoing: Outgoing) -> Response<Body> {
    let response = match send(context, outgoing).await {
        Ok(answered) => answered.response,
        Err(error) => return unreachable(context, &error),
    };
    let (head, body) = response.into_parts();
    match buffer(body, bounds(context, VIEW_ANSWER, 1)).await {
        Ok(Buffered::Whole(answer, _)) => {
            if let Some(coding) = Coding::of(&head.headers)
                && let Ok((plain, _)) = decoded(context, coding, answer.clone(), VIEW_ANSWER, 1).await
                && let Ok(Some(view)) = guarded(|| context.dialect.view(&plain))
            {
                context.dialect.remember_view(&view, indices);
            }
            Response::from_parts(head, Body::whole(answer))
        }
        Ok(Buffered::Unheld(body, _)) => Response::from_parts(head, body),
        Err(error) => broken(context, &error),
    }
}

/// A request that holds searches.
async fn search(context: Context, route: SearchRoute, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // What the path alone settles streams through unread; where no rule can apply, what a client says to the proxy means
    // nothing.
    let rule = rules::find(&context.snapshot.config.rules, &route.indices).filter(|_| route.names_indices());
    if route.names_indices() && rule.is_none() {
        let reports = [Report::Skipped(SkipReason::NoRule)];
        return stand_back(&context, unread(parts, body), &reports).await;
    }
    let wishes = match RequestOptions::read(&parts.headers, &context.snapshot.config.clients.headers) {
        Ok(wishes) => wishes,
        Err(invalid) => {
            return failure(&context, StatusCode::BAD_REQUEST, "illegal_argument_exception", &invalid.to_string());
        }
    };
    if wishes.rerank == Some(false) || rule.is_some_and(|rule| wishes.mode(rule) == Mode::Off) {
        let reports = [Report::Skipped(SkipReason::Off)];
        return stand_back(&context, unread(parts, body), &reports).await;
    }
    let call =
        match SearchCall::hold(parts, body, route, &context.snapshot.config.limits, &context.process.memory).await {
            Attempted::Whole(call) => *call,
            Attempted::Unread(outgoing, reason) => {
                return stand_back(&context, *outgoing, &[Report::Skipped(reason)]).await;
            }
            Attempted::Broken(error) => {
                debug!(%error, "the client's body ended early");
                return failure(&context, StatusCode::BAD_REQUEST, "parse_exception", "the request's body ended early");
            }
        };
    let prepared = match prepare(&context, call.clone(), &wishes, Run::InPlace).await {
        Ok(prepared) => prepared,
        Err(Halt::StandBack(reason)) => return stand_back(&context, call.original(), &[Report::Skipped(reason)]).await,
        Err(Halt::Broken) => {
            return stand_back(&context, call.afresh(), &[Report::Skipped(SkipReason::UpstreamError)]).await;
        }
        Err(Halt::Answered(response, reason)) => return noted(&context, *response, &[Report::Skipped(reason)]),
        Err(Halt::Refused { kind, reason }) => return failure(&context, StatusCode::BAD_REQUEST, kind, &reason),
    };
    if prepared.any_shadowed() {
        shadow::start(&context, call, wishes);
    }
    match &prepared.forward {
        Some(forward) => reranked(&context, &prepared, forward).await,
        None => stand_back(&context, prepared.call.original(), &prepared.reasons()).await,
    }
}

/// The whole of it, for a request of which at least one search is to be reranked.
async fn reranked(context: &Context, prepared: &Prepared, forward: &Forward) -> Response<Body> {
    let Prepared { call, searches, .. } = prepared;
    let skipped = |reason| prepared.all_skipped(reason);
    if context.process.memory.hold(ROOM_FOR_AN_ANSWER * ANSWER_COPIES).is_err() {
        return stand_back(context, call.original(), &skipped(SkipReason::Overloaded)).await;
    }
    let asked = Instant::now();
    let Fetched { head, answer, mut room } = match fetch(context, call, forward).await {
        Ok(fetched) => fetched,
        // The answer is what the client asked for, though nothing to rerank.
        Err(Unusable::AsAsked(response, reason)) => return noted(context, *response, &skipped(reason)),
        Err(Unusable::Again(reason)) => return stand_back(context, call.original(), &skipped(reason)).await,
        Err(Unusable::Broken) => return stand_back(context, call.afresh(), &skipped(SkipReason::UpstreamError)).await,
    };
    let answered = Instant::now();
    context.process.metrics.upstream_answered(answered - asked);

    if let Some(indices) = &prepared.view_of {
        let (dialect, answer) = (context.dialect.clone(), answer.clone());
        if let Ok(Some(view)) = computed(answer.len(), move || dialect.view(&answer)).await {
            context.dialect.remember_view(&view, indices);
        }
    }

    let door = call.as_request().route.door;
    let spans = match answers(context, door, &answer, searches.len()).await {
        Ok(spans) => spans,
        Err(reason) => return stand_back(context, call.original(), &skipped(reason)).await,
    };
    let outcomes = join_all(searches.iter().zip(&spans).map(async |(search, span)| match search {
        Ok(planned) => Ok(rerank(context, planned, answer.slice(span.clone()), answered, answer.len()).await),
        Err(reason) => Err(*reason),
    }))
    .await;

    let mut parts = Vec::with_capacity(spans.len());
    let mut reports = Vec::with_capacity(spans.len());
    let mut doubtful = Vec::new();
    for (place, (outcome, span)) in outcomes.into_iter().zip(spans).enumerate() {
        reports.push(match outcome {
            Ok(Outcome::Reranked(new, counts)) => {
                parts.push((span, new));
                Report::applied(prepared.model(place), counts, &prepared.ignored)
            }
            Ok(Outcome::Original(new, reason)) => {
                parts.push((span, new));
                Report::Skipped(reason)
            }
            Ok(Outcome::Unusable { reason, stands }) => {
                let ours = if door.is_multi() { prepared.is_widened(place) } else { call.differs(forward) };
                if ours && !stands {
                    doubtful.push((place, span));
                }
                Report::Skipped(reason)
            }
            Err(reason) => Report::Skipped(reason),
        });
    }
    if !doubtful.is_empty() && !door.is_multi() {
        return stand_back(context, call.original(), &reports).await;
    }
    if !doubtful.is_empty() {
        match again(context, call, doubtful).await {
            Some(own) => parts.extend(own),
            None => return stand_back(context, call.original(), &skipped(SkipReason::UpstreamError)).await,
        }
    }

    let body = match finished(context, call, forward, answer, parts).await {
        Ok(body) => body,
        Err(reason) => return stand_back(context, call.original(), &skipped(reason)).await,
    };
    context.process.metrics.added(answered.elapsed());
    let mut response = whole(call, head, body, &mut room).await;
    report::timing(response.headers_mut(), answered - asked, answered.elapsed());
    noted(context, response, &reports)
}

/// Where the answer to each of `count` searches lies.
async fn answers(context: &Context, door: Door, answer: &Bytes, count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
    let (dialect, answer) = (context.dialect.clone(), answer.clone());
    computed(answer.len(), move || dialect.answers(door, &answer, count)).await?
}

/// The cluster's answers to those searches of a request whose widened form it refused, asked for as the client did; `None`
/// where the whole request must be.
async fn again(
    context: &Context,
    call: &SearchCall,
    doubtful: Vec<(usize, Range<usize>)>,
) -> Option<Vec<(Range<usize>, Bytes)>> {
    let places: Vec<usize> = doubtful.iter().map(|(place, _)| *place).collect();
    let count = places.len();
    let (dialect, own) = (context.dialect.clone(), call.clone());
    let forward = planned_apart(move || dialect.only(own.as_request(), &places)).await.ok()?.ok()?;
    let Fetched { answer, .. } = fetch_aside(context, call.forwarded(&forward, false)).await.ok()?;
    let own = answers(context, call.as_request().route.door, &answer, count).await.ok()?;
    Some(doubtful.into_iter().zip(own).map(|((_, span), own)| (span, answer.slice(own))).collect())
}

/// The cluster's answer with `parts` in place of the ranges that they stand for, as the client wants to see it.
async fn finished(
    context: &Context,
    call: &SearchCall,
    forward: &Forward,
    answer: Bytes,
    mut parts: Vec<(Range<usize>, Bytes)>,
) -> Result<Bytes, SkipReason> {
    let answer_size = answer.len();
    let spliced = match parts.pop() {
        Some((span, part)) if parts.is_empty() && span == (0..answer.len()) => part,
        last => {
            let splice = move || {
                let mut edits = Edits::default();
                parts.into_iter().chain(last).for_each(|(span, part)| edits.replace(span, part));
                Bytes::from(edits.applied(&answer))
            };
            computed(answer_size, splice).await?
        }
    };
    let spliced = if call.is_rendered() && !call.as_request().route.door.is_multi() {
        let (dialect, call) = (context.dialect.clone(), call.clone());
        computed(spliced.len(), move || dialect.template_answer(call.as_request(), spliced)).await?
    } else {
        spliced
    };
    let Some(filter) = forward.filter.clone() else { return Ok(spliced) };
    let dialect = context.dialect.clone();
    computed(spliced.len(), move || Bytes::from(dialect.filter(&spliced, &filter))).await
}

/// A response of `head` with this body, in the coding that the client would like best. What is held until the client has
/// read it is taken out of `room`.
async fn whole(call: &SearchCall, mut head: response::Parts, body: Bytes, room: &mut Held) -> Response<Body> {
    let (mut coding, mut body) = (call.wanted_coding(), body);
    if coding != Coding::Identity {
        let plain = body.clone();
        match computed(body.len() * encoding::EFFORT, move || encoding::encode(coding, &plain)).await {
            Ok(coded) => body = coded,
            Err(_) => coding = Coding::Identity,
        }
    }
    head.headers.remove(header::CONTENT_LENGTH);
    match coding.token() {
        Some(token) => head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(token)),
        None => head.headers.remove(header::CONTENT_ENCODING),
    };
    Response::from_parts(head, Body::whole(room.split(body.len()).keep(body)))
}

/// Sends the client's own request and says in the answer why it is not reranked.
async fn stand_back(context: &Context, original: Outgoing, reports: &[Report]) -> Response<Body> {
    noted(context, pass_through(context, original).await, reports)
}

/// Says in the answer and counts what became of its searches.
fn noted(context: &Context, mut response: Response<Body>, reports: &[Report]) -> Response<Body> {
    for report in reports {
        debug!(?report, "searched");
        match report {
            Report::Applied { counts, .. } => context.process.metrics.applied(*counts),
            Report::Skipped(reason) => context.process.metrics.skipped(*reason),
            Report::Ranked { .. } => {}
        }
    }
    report::outcomes(response.headers_mut(), reports);
    response
}

fn unreachable(context: &Context, error: &UpstreamError) -> Response<Body> {
    if let UpstreamError::RequestBody { .. } = error {
        debug!(error = %chain(error), "the client's body ended early");
    } else {
        context.process.metrics.upstream_failed();
        warn!(error = %chain(error), "no answer from the cluster");
    }
    failure(context, error.status(), error.kind(), &chain(error))
}

/// The answer where the cluster's own broke off before any of it was passed on.
fn broken(context: &Context, error: &hyper::Error) -> Response<Body> {
    context.process.metrics.upstream_failed();
    warn!(%error, "the cluster's answer broke off");
    let reason = format!("the cluster's answer broke off: {error}");
    failure(context, StatusCode::BAD_GATEWAY, "upstream_connection_closed_exception", &reason)
}

fn failure(context: &Context, status: StatusCode, kind: &str, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::whole(context.dialect.failure(status, kind, reason)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error and its innermost cause, which is what an operator can act on.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    match causes.last() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
