//! The way of a request that holds searches: read → plan → forward → candidates → score → order → rewrite. Owns the sequence
//! and the one rule that governs it: whatever fails on our side, the client gets what the cluster would have answered.

mod call;
mod ending;
mod explain;
mod failing;
mod fetch;
mod fields;
mod halt;
mod new_order;
mod notes;
mod passing;
mod planned;
mod planning;
mod prepare;
mod send;
mod shadow;
mod trace;
mod whole_answer;
mod window;

use std::{ops::Range, sync::Arc, time::Instant};

use bytes::Bytes;
use call::SearchCall;
use ending::{Ending, Searched, noted};
use engines::{
    dialect::Assembled,
    failure::{Failure, FailureKind},
    plan::SkipReason,
    request::SearchRoute,
};
pub(crate) use explain::{Explained, Outcome as ExplainedOutcome, Shown, Terms, explained};
pub(crate) use failing::failed;
use fetch::{Fetched, fetch};
use futures_util::future::join_all;
use http::{Request, Response, request};
pub(crate) use passing::{name_nodes, open_point_in_time, pass_through};
use planning::{Run, rule_of_path};
use prepare::{Prepared, prepare};
pub(crate) use trace::Places;
use trace::Trace;
use tracing::{Instrument, Span};
use whole_answer::{asked_again, put_together, response, taken_apart};
use window::{Outcome, rerank};

use crate::{
    client_body::ClientBody,
    cluster::{Outgoing, body::Body},
    config::rules::{Mode, Rule},
    memory::ANSWER_COPIES,
    request_options::RequestOptions,
    rerank_header::{self, Report},
    state::Context,
    telemetry::{SearchTimes, Stage, TraceParent, pass_on, search_span},
};

/// For how many bytes of an answer there must be room before a search is sent wider than its client did: one whose answer
/// finds none is sent twice.
const ROOM_FOR_AN_ANSWER: usize = 256 * 1024;

/// An answer, and what became of each search in it.
type Reranked = (Response<Body>, Vec<Searched>);

/// Answers a request that holds searches.
pub(crate) async fn search(context: &Context, route: SearchRoute, request: Request<ClientBody>) -> Response<Body> {
    let rule = rule_of_path(context, &route);
    let (mut head, body) = request.into_parts();
    let is_ruled = rule.is_some() || !route.names_indices();
    let span = if is_ruled { search_span(&head, rule.map(|rule| &*rule.label)) } else { Span::none() };
    pass_on(&span, &mut head.headers);
    let searching = reranked(context, route, rule, Request::from_parts(head, body)).instrument(span.clone());
    let (response, searches) = match searching.await {
        Ok(reranked) => reranked,
        Err(Ending::FallBack(original, searches)) => {
            let passing = pass_through(context.clone(), *original).instrument(Stage::Cluster.span(&span));
            (passing.await, searches)
        }
        Err(Ending::Answered(response, searches)) => (*response, searches),
        Err(Ending::Failed(failure)) => return failed(context, &failure),
    };
    span.record("http.response.status_code", response.status().as_u16());
    span.record("rerank.outcome", searches.first().map(Searched::outcome));
    noted(context, response, &searches)
}

/// The answer to a request of which at least one search is reranked, from the client's bytes on.
/// `rule`: that of its path.
async fn reranked(
    context: &Context,
    route: SearchRoute,
    rule: Option<&Rule>,
    request: Request<ClientBody>,
) -> Result<Reranked, Ending> {
    let (parts, body) = request.into_parts();
    let (parts, body, options) = wanted(context, &route, rule, parts, body)?;
    let call = SearchCall::buffered(context, parts, body, route, rule).await?;
    answered(context, call, options, &Trace::none()).await
}

/// The whole of it, once the request is held.
async fn answered(
    context: &Context,
    call: Arc<SearchCall>,
    options: RequestOptions,
    trace: &Trace,
) -> Result<Reranked, Ending> {
    let one_reason = |reason| vec![Searched::skipped(call.rule(), reason)];
    let preparing = prepare(context, &call, &options, Run::Answer, trace);
    let prepared = trace.stage(context, Stage::Plan, preparing).await;
    let prepared = prepared.map_err(|halt| halt.ending(&call, one_reason))?;
    if prepared.any_shadowed() && !trace.is_on() {
        shadow::start(context, call.clone(), options);
    }
    trace.note(|noted| noted.planned = prepared.searches.first().and_then(|search| search.as_ref().ok().cloned()));
    let fall_back = |reason| Ending::FallBack(Box::new(call.original()), prepared.all_skipped(reason));
    let Some(Assembled { forward, reader }) = &prepared.assembled else {
        // Each search has its own reason.
        return Err(fall_back(SkipReason::Internal));
    };
    if context.process.memory.hold(ROOM_FOR_AN_ANSWER * ANSWER_COPIES).is_err() {
        return Err(fall_back(SkipReason::Overloaded));
    }

    let asked = Instant::now();
    let fetched = trace.stage(context, Stage::Cluster, fetch(context, &call, forward)).await;
    let Fetched { head, answer, mut room } =
        fetched.map_err(|halt| halt.ending(&call, |reason| prepared.all_skipped(reason)))?;
    let answered = Instant::now();
    context.process.metrics.upstream_answered(answered - asked);

    let spans = taken_apart(reader, &answer, prepared.searches.len()).await.map_err(&fall_back)?;
    let outcomes = join_all(prepared.searches.iter().zip(&spans).map(async |(search, span)| match search {
        Ok(planned) => {
            Ok(rerank(context, reader, planned, answer.slice(span.clone()), answered, answer.len(), trace).await)
        }
        Err(reason) => Err(*reason),
    }))
    .await;

    let Sorted { mut parts, searches, doubtful } = sorted(&prepared, &call, outcomes, spans);
    if !doubtful.is_empty() && !call.form().is_multi() {
        return Err(Ending::FallBack(Box::new(call.original()), searches));
    }
    if !doubtful.is_empty() {
        let own = asked_again(context, &call, reader, doubtful).await;
        parts.extend(own.ok_or_else(|| fall_back(SkipReason::UpstreamError))?);
    }
    let body = put_together(reader, answer, parts).await.map_err(&fall_back)?;
    context.process.metrics.added(answered.elapsed(), TraceParent::of(call.as_parts().headers));

    let mut response = response(&call, head, body, &mut room).await;
    let times = SearchTimes { cluster: answered - asked, rerank: answered.elapsed() };
    rerank_header::timing(response.headers_mut(), times.cluster, times.rerank);
    if context.logs_access() {
        response.extensions_mut().insert(times);
    }
    Ok((response, searches))
}

/// The request options of a request that may be reranked. What the path and the headers settle streams through unread; where
/// no rule can apply, what a client says to the proxy means nothing.
fn wanted(
    context: &Context,
    route: &SearchRoute,
    rule: Option<&Rule>,
    parts: request::Parts,
    body: ClientBody,
) -> Result<(request::Parts, ClientBody, RequestOptions), Ending> {
    let unread = |parts, body, reason| {
        let original = Outgoing::new(parts, Body::streamed(body)).repeatable();
        Err(Ending::fall_back(original, rule.map(|rule| &rule.label), reason))
    };
    if route.names_indices() && rule.is_none() {
        return unread(parts, body, SkipReason::NoRule);
    }
    let options = match RequestOptions::read(&parts.headers, &context.snapshot.settings.clients.headers) {
        Ok(options) => options,
        Err(invalid) => {
            return Err(Ending::Failed(Failure::new(FailureKind::IllegalArgument, invalid.to_string())));
        }
    };
    if options.rerank == Some(false) || rule.is_some_and(|rule| options.mode(rule) == Mode::Off) {
        return unread(parts, body, SkipReason::Off);
    }
    Ok((parts, body, options))
}

/// The outcomes of the searches of a request, by what is done with them.
struct Sorted {
    /// The new contents of these ranges of the answer.
    parts: Vec<(Range<usize>, Bytes)>,
    /// What became of each search.
    searches: Vec<Searched>,
    /// The searches that the cluster might have answered better as the client wrote them, and where their answers lie.
    doubtful: Vec<(usize, Range<usize>)>,
}

fn sorted(
    prepared: &Prepared,
    call: &Arc<SearchCall>,
    outcomes: Vec<Result<Outcome, SkipReason>>,
    spans: Vec<Range<usize>>,
) -> Sorted {
    let mut sorted = Sorted { parts: Vec::with_capacity(spans.len()), searches: Vec::new(), doubtful: Vec::new() };
    let differs = prepared.assembled.as_ref().is_some_and(|assembled| call.differs(&assembled.forward));
    for (place, (outcome, span)) in outcomes.into_iter().zip(spans).enumerate() {
        let report = match outcome {
            Ok(Outcome::Reranked(new, counts)) => {
                sorted.parts.push((span, new));
                Report::applied(prepared.model(place), counts, &prepared.ignored(place))
            }
            Ok(Outcome::Original(new, reason)) => {
                sorted.parts.push((span, new));
                Report::Skipped(reason)
            }
            Ok(Outcome::Unusable { reason, stands }) => {
                let ours = if call.form().is_multi() { prepared.is_widened(place) } else { differs };
                if ours && !stands {
                    sorted.doubtful.push((place, span));
                }
                Report::Skipped(reason)
            }
            Err(reason) => Report::Skipped(reason),
        };
        sorted.searches.push(prepared.searched(place, report));
    }
    sorted
}
