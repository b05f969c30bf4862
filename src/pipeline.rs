//! The way of a request: classify → plan → forward → candidates → score → order → rewrite. Owns the sequence and the
//! one rule that governs it: whatever fails on our side, the client gets what the cluster would have answered.

mod call;
mod fetch;
mod prepare;
mod send;
mod shadow;
mod window;

use std::{ops::Range, sync::Arc, time::Instant};

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
    app::App,
    config::rules::{self, Mode},
    guard::{computed, guarded, planned_apart},
    memory::{ANSWER_COPIES, Held},
    report::{self, Report},
    request_options::RequestOptions,
    upstream::{
        Outgoing, UpstreamError,
        body::{Body, Buffered, buffer},
        encoding::{self, Coding},
        headers::check_request,
    },
};

/// The longest answer, in bytes, that opens a view and is read for its id.
const VIEW_ANSWER: usize = 64 * 1024;

/// How much of a body is read, in bytes, whose request is not answered: clients read no answer before all is sent.
const RESERVE_BODY: usize = 1 << 20;

/// For how many bytes of an answer there must be room before a search is sent wider than its client did: one whose answer
/// finds none is sent twice.
const ROOM_FOR_AN_ANSWER: usize = 256 * 1024;

/// Answers one request. Never fails: what cannot be answered by the cluster is answered with its kind of error.
pub async fn handle(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if api::owns(path) {
        return api::handle(&app, request).await;
    }
    if *request.method() == Method::CONNECT {
        let reason = "this is a reverse proxy: CONNECT is not supported";
        return failure(&app, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed_exception", reason);
    }
    let app = app.for_path(path);
    if let Err(cause) = check_request(request.headers()) {
        return failure(&app, cause.status(), cause.kind(), &cause.to_string());
    }
    match app.dialect.classify(request.method(), path) {
        Route::PassThrough if app.dialect.only_reads(request.method(), path) => {
            pass_through(&app, streamed(request).repeatable()).await
        }
        Route::PassThrough => pass_through(&app, streamed(request)).await,
        Route::OpensView { indices } => open_view(&app, &indices, streamed(request)).await,
        Route::Searches(route) => search(app, route, request).await,
    }
}

/// Answers a request for which there is no place: only how we are.
pub(crate) async fn handle_in_reserve(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    if api::owns(request.uri().path()) {
        return api::handle_in_reserve(&app, request, false).await;
    }
    let app = app.for_path(request.uri().path());
    api::discard(request, RESERVE_BODY).await;
    failure(&app, StatusCode::SERVICE_UNAVAILABLE, "too_many_connections_exception", api::NO_PLACE)
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
async fn pass_through(app: &App, outgoing: Outgoing) -> Response<Body> {
    match send(app, outgoing).await {
        Ok(answered) => {
            let (head, body) = answered.response.into_parts();
            Response::from_parts(head, Body::gathered(body).await)
        }
        Err(error) => unreachable(app, &error),
    }
}

/// Passes through, and remembers which indices the view that is opened stands for.
async fn open_view(app: &App, indices: &str, outgoing: Outgoing) -> Response<Body> {
    let response = match send(app, outgoing).await {
        Ok(answered) => answered.response,
        Err(error) => return unreachable(app, &error),
    };
    let (head, body) = response.into_parts();
    match buffer(body, bounds(app, VIEW_ANSWER, 1)).await {
        Ok(Buffered::Whole(answer, _)) => {
            if let Some(coding) = Coding::of(&head.headers)
                && let Ok((plain, _)) = decoded(app, coding, answer.clone(), VIEW_ANSWER, 1).await
                && let Ok(Some(view)) = guarded(|| app.dialect.view(&plain))
            {
                app.dialect.remember_view(&view, indices);
            }
            Response::from_parts(head, Body::whole(answer))
        }
        Ok(Buffered::Unheld(body, _)) => Response::from_parts(head, body),
        Err(error) => broken(app, &error),
    }
}

/// A request that holds searches.
async fn search(app: Arc<App>, route: SearchRoute, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // What the path alone settles streams through unread; where no rule can apply, what a client says to the proxy means
    // nothing.
    let rule = rules::find(&app.config.rules, &route.indices).filter(|_| route.names_indices());
    if route.names_indices() && rule.is_none() {
        let reports = [Report::Skipped(SkipReason::NoRule)];
        return stand_back(&app, unread(parts, body), &reports).await;
    }
    let wishes = match RequestOptions::read(&parts.headers, &app.config.clients.headers) {
        Ok(wishes) => wishes,
        Err(invalid) => {
            return failure(&app, StatusCode::BAD_REQUEST, "illegal_argument_exception", &invalid.to_string());
        }
    };
    if wishes.rerank == Some(false) || rule.is_some_and(|rule| wishes.mode(rule) == Mode::Off) {
        let reports = [Report::Skipped(SkipReason::Off)];
        return stand_back(&app, unread(parts, body), &reports).await;
    }
    let call = match SearchCall::hold(parts, body, route, &app.config.limits, &app.memory).await {
        Attempted::Whole(call) => *call,
        Attempted::Unread(outgoing, reason) => return stand_back(&app, *outgoing, &[Report::Skipped(reason)]).await,
        Attempted::Broken(error) => {
            debug!(%error, "the client's body ended early");
            return failure(&app, StatusCode::BAD_REQUEST, "parse_exception", "the request's body ended early");
        }
    };
    let prepared = match prepare(&app, call.clone(), &wishes, Run::InPlace).await {
        Ok(prepared) => prepared,
        Err(Halt::StandBack(reason)) => return stand_back(&app, call.original(), &[Report::Skipped(reason)]).await,
        Err(Halt::Broken) => {
            return stand_back(&app, call.afresh(), &[Report::Skipped(SkipReason::UpstreamError)]).await;
        }
        Err(Halt::Answered(response, reason)) => return noted(&app, *response, &[Report::Skipped(reason)]),
        Err(Halt::Refused { kind, reason }) => return failure(&app, StatusCode::BAD_REQUEST, kind, &reason),
    };
    if prepared.any_shadowed() {
        shadow::start(&app, call, wishes);
    }
    match &prepared.forward {
        Some(forward) => reranked(&app, &prepared, forward).await,
        None => stand_back(&app, prepared.call.original(), &prepared.reasons()).await,
    }
}

/// The whole of it, for a request of which at least one search is to be reranked.
async fn reranked(app: &App, prepared: &Prepared, forward: &Forward) -> Response<Body> {
    let Prepared { call, searches, .. } = prepared;
    let skipped = |reason| prepared.all_skipped(reason);
    if app.memory.hold(ROOM_FOR_AN_ANSWER * ANSWER_COPIES).is_err() {
        return stand_back(app, call.original(), &skipped(SkipReason::Overloaded)).await;
    }
    let asked = Instant::now();
    let Fetched { head, answer, mut room } = match fetch(app, call, forward).await {
        Ok(fetched) => fetched,
        // The answer is what the client asked for, though nothing to rerank.
        Err(Unusable::AsAsked(response, reason)) => return noted(app, *response, &skipped(reason)),
        Err(Unusable::Again(reason)) => return stand_back(app, call.original(), &skipped(reason)).await,
        Err(Unusable::Broken) => return stand_back(app, call.afresh(), &skipped(SkipReason::UpstreamError)).await,
    };
    let answered = Instant::now();
    app.metrics.upstream_answered(answered - asked);

    if let Some(indices) = &prepared.view_of {
        let (dialect, answer) = (app.dialect.clone(), answer.clone());
        if let Ok(Some(view)) = computed(answer.len(), move || dialect.view(&answer)).await {
            app.dialect.remember_view(&view, indices);
        }
    }

    let door = call.as_request().route.door;
    let spans = match answers(app, door, &answer, searches.len()).await {
        Ok(spans) => spans,
        Err(reason) => return stand_back(app, call.original(), &skipped(reason)).await,
    };
    let outcomes = join_all(searches.iter().zip(&spans).map(async |(search, span)| match search {
        Ok(planned) => Ok(rerank(app, planned, answer.slice(span.clone()), answered, answer.len()).await),
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
        return stand_back(app, call.original(), &reports).await;
    }
    if !doubtful.is_empty() {
        match again(app, call, doubtful).await {
            Some(own) => parts.extend(own),
            None => return stand_back(app, call.original(), &skipped(SkipReason::UpstreamError)).await,
        }
    }

    let body = match finished(app, call, forward, answer, parts).await {
        Ok(body) => body,
        Err(reason) => return stand_back(app, call.original(), &skipped(reason)).await,
    };
    app.metrics.added(answered.elapsed());
    let mut response = whole(call, head, body, &mut room).await;
    report::timing(response.headers_mut(), answered - asked, answered.elapsed());
    noted(app, response, &reports)
}

/// Where the answer to each of `count` searches lies.
async fn answers(app: &App, door: Door, answer: &Bytes, count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
    let (dialect, answer) = (app.dialect.clone(), answer.clone());
    computed(answer.len(), move || dialect.answers(door, &answer, count)).await?
}

/// The cluster's answers to those searches of a request whose widened form it refused, asked for as the client did; `None`
/// where the whole request must be.
async fn again(
    app: &App,
    call: &SearchCall,
    doubtful: Vec<(usize, Range<usize>)>,
) -> Option<Vec<(Range<usize>, Bytes)>> {
    let places: Vec<usize> = doubtful.iter().map(|(place, _)| *place).collect();
    let count = places.len();
    let (dialect, own) = (app.dialect.clone(), call.clone());
    let forward = planned_apart(move || dialect.only(own.as_request(), &places)).await.ok()?.ok()?;
    let Fetched { answer, .. } = fetch_aside(app, call.forwarded(&forward, false)).await.ok()?;
    let own = answers(app, call.as_request().route.door, &answer, count).await.ok()?;
    Some(doubtful.into_iter().zip(own).map(|((_, span), own)| (span, answer.slice(own))).collect())
}

/// The cluster's answer with `parts` in place of the ranges that they stand for, as the client wants to see it.
async fn finished(
    app: &App,
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
        let (dialect, call) = (app.dialect.clone(), call.clone());
        computed(spliced.len(), move || dialect.template_answer(call.as_request(), spliced)).await?
    } else {
        spliced
    };
    let Some(filter) = forward.filter.clone() else { return Ok(spliced) };
    let dialect = app.dialect.clone();
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
async fn stand_back(app: &App, original: Outgoing, reports: &[Report]) -> Response<Body> {
    noted(app, pass_through(app, original).await, reports)
}

/// Says in the answer and counts what became of its searches.
fn noted(app: &App, mut response: Response<Body>, reports: &[Report]) -> Response<Body> {
    for report in reports {
        debug!(?report, "searched");
        match report {
            Report::Applied { counts, .. } => app.metrics.applied(*counts),
            Report::Skipped(reason) => app.metrics.skipped(*reason),
            Report::Ranked { .. } => {}
        }
    }
    report::outcomes(response.headers_mut(), reports);
    response
}

fn unreachable(app: &App, error: &UpstreamError) -> Response<Body> {
    if let UpstreamError::RequestBody { .. } = error {
        debug!(error = %chain(error), "the client's body ended early");
    } else {
        app.metrics.upstream_failed();
        warn!(error = %chain(error), "no answer from the cluster");
    }
    failure(app, error.status(), error.kind(), &chain(error))
}

/// The answer where the cluster's own broke off before any of it was passed on.
fn broken(app: &App, error: &hyper::Error) -> Response<Body> {
    app.metrics.upstream_failed();
    warn!(%error, "the cluster's answer broke off");
    let reason = format!("the cluster's answer broke off: {error}");
    failure(app, StatusCode::BAD_GATEWAY, "upstream_connection_closed_exception", &reason)
}

fn failure(app: &App, status: StatusCode, kind: &str, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::whole(app.dialect.failure(status, kind, reason)));
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
