//! The way of one request: classify → plan → forward → candidates → score → order → rewrite. Owns the sequence and the
//! one rule that governs it: whatever fails on our side, the client gets what the cluster would have answered.

mod report;
mod shadow;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request, response};
use hyper::body::Incoming;
use tracing::{debug, error, warn};

use crate::{
    api,
    app::App,
    dialect::{Candidates, Route, SearchRequest},
    order::{self, Blend, Ranked},
    plan::{Page, Plan, SkipReason},
    rewrite::{Layout, Placed, rewrite},
    rules::{self, Mode, Rule, ShownScore},
    score::{ScoreError, Scored},
    upstream::{
        Outgoing, UpstreamError,
        body::{Body, Buffered, buffer},
    },
};

/// How long after the deadline a scorer may still hand over what it has.
const GRACE: Duration = Duration::from_millis(10);

/// Answers of up to this many bytes are read and rewritten on the spot, which takes well under a millisecond.
const QUICK: usize = 256 * 1024;

/// Answers one request. Never fails: what cannot be answered by the cluster is answered with its kind of error.
pub async fn handle(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if api::owns(path) {
        return api::answer(&app, request.method(), path);
    }
    if *request.method() == Method::CONNECT {
        let reason = "this is a reverse proxy: CONNECT is not supported";
        return failure(&app, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed_exception", reason);
    }
    match app.dialect.classify(request.method(), path) {
        Route::PassThrough => {
            let (parts, body) = request.into_parts();
            pass_through(&app, Outgoing::new(parts, Body::streamed(body))).await
        }
        Route::Search { indices } => search(app, &indices, request).await,
    }
}

/// Streams both ways, untouched.
async fn pass_through(app: &App, outgoing: Outgoing) -> Response<Body> {
    match app.upstream.send(outgoing).await {
        Ok(response) => {
            let (head, body) = response.into_parts();
            Response::from_parts(head, Body::gathered(body).await)
        }
        Err(error) => unreachable(app, &error),
    }
}

async fn search(app: Arc<App>, indices: &str, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (rule, reason) = match rules::find(&app.config.rules, indices) {
        Some(rule) if rule.mode != Mode::Off => (rule, None),
        Some(rule) => (rule, Some(SkipReason::Off)),
        None => return stand_back(&app, Outgoing::new(parts, Body::streamed(body)), SkipReason::NoRule).await,
    };
    if let Some(reason) = reason {
        return stand_back(&app, Outgoing::new(parts, Body::streamed(body)), reason).await;
    }
    let request = match buffer(body, app.config.limits.request_body).await {
        Ok(Buffered::Whole(body)) => SearchCall { parts, body },
        Ok(Buffered::Larger(body)) => {
            return stand_back(&app, Outgoing::new(parts, body), SkipReason::TooLarge).await;
        }
        Err(error) => {
            debug!(%error, "the client's body ended early");
            return failure(&app, StatusCode::BAD_REQUEST, "parse_exception", "the request's body ended early");
        }
    };
    match guarded(|| app.dialect.plan(request.as_search(), rule.window)) {
        Ok(_) if rule.mode == Mode::Shadow => {
            let original = request.original();
            shadow::start(&app, indices, request);
            stand_back(&app, original, SkipReason::Shadow).await
        }
        Ok(plan) => rerank(&app, rule, &plan, &request).await,
        Err(reason) => stand_back(&app, request.original(), reason).await,
    }
}

/// The whole of it, for a search that is to be reranked.
async fn rerank(app: &App, rule: &Rule, plan: &Plan, request: &SearchCall) -> Response<Body> {
    let asked = Instant::now();
    let (head, answer) = match fetch(app, plan, request).await {
        Ok(fetched) => fetched,
        // The answer is what the client asked for, though nothing to rerank.
        Err(Unusable::AsAsked(response, reason)) => return skipped(app, *response, reason),
        Err(Unusable::Widened(reason)) => return stand_back(app, request.original(), reason).await,
    };
    let answered = Instant::now();
    app.metrics.upstream_answered(answered - asked);

    let read = {
        let (dialect, answer, spec, window) = (app.dialect.clone(), answer.clone(), rule.passage.clone(), plan.window);
        move || dialect.candidates(&answer, &spec, window)
    };
    let candidates = match computed(answer.len(), read).await {
        Ok(candidates) => candidates,
        Err(reason) if plan.widened => return stand_back(app, request.original(), reason).await,
        Err(reason) => return skipped(app, whole(head, answer), reason),
    };
    let candidates = Arc::new(candidates);
    let outcome = match score(app, rule, plan, &candidates, answered).await {
        Ok(scored) => {
            let counts = report::Counts::of(&scored);
            let write = {
                let (answer, candidates) = (answer.clone(), candidates.clone());
                let (blend, shown, page) = (rule.blend, rule.score, plan.page);
                move || Ok(reorder(blend, shown, page, &candidates, &scored, &answer))
            };
            computed(answer.len(), write).await.map(|body| (counts, body))
        }
        Err(reason) => Err(reason),
    };
    let mut response = match outcome {
        Ok((counts, body)) => {
            debug!(?counts, "reranked");
            let mut response = whole(head, Bytes::from(body));
            report::applied(response.headers_mut(), &rule.model, &counts);
            app.metrics.applied(answered.elapsed(), counts.scored, counts.cached, counts.budget_hit);
            response
        }
        Err(reason) => skipped(app, whole(head, original_page(plan, &candidates.layout, answer)), reason),
    };
    report::timing(response.headers_mut(), answered - asked, answered.elapsed());
    response
}

/// The scores of a window, or why there are none.
async fn score(
    app: &App,
    rule: &Rule,
    plan: &Plan,
    candidates: &Candidates,
    answered: Instant,
) -> Result<Scored, SkipReason> {
    if candidates.layout.hits.len() < 2 {
        return Err(SkipReason::SingleHit);
    }
    let with_text: Vec<usize> = (0..candidates.passages.len()).filter(|&i| candidates.passages[i].is_some()).collect();
    if with_text.is_empty() {
        return Err(SkipReason::NoPassages);
    }
    let passages = candidates.passages.iter().flatten().cloned().collect();
    let scorer = app.scorers.get(&rule.model).ok_or(SkipReason::ModelUnavailable)?;
    let deadline = answered + rule.budget;
    let scoring = guarded_future(scorer.score(&plan.query, passages, deadline));
    // A scorer promises to answer by the deadline; should one break its word, ours to the client still stands.
    let scored =
        tokio::time::timeout_at((deadline + GRACE).into(), scoring).await.map_err(|_| SkipReason::Budget)??;
    let mut scored = scored.map_err(|error| match error {
        ScoreError::Overloaded => SkipReason::Overloaded,
        ScoreError::Unavailable(cause) => {
            debug!(model = %rule.model, %cause, "model unavailable");
            SkipReason::ModelUnavailable
        }
    })?;
    // Back to one entry per hit: a hit without text has no score.
    let mut by_hit = vec![None; candidates.passages.len()];
    for (&hit, score) in with_text.iter().zip(&scored.scores) {
        by_hit[hit] = *score;
    }
    scored.scores = by_hit;
    match (scored.scores.iter().any(Option::is_some), scored.budget_hit) {
        (true, _) => Ok(scored),
        (false, true) => Err(SkipReason::Budget),
        (false, false) => Err(SkipReason::ModelUnavailable),
    }
}

/// Order and rewrite: the new body.
fn reorder(
    blend: Blend,
    shown: ShownScore,
    page: Page,
    candidates: &Candidates,
    scored: &Scored,
    answer: &[u8],
) -> Vec<u8> {
    let ranked = order::order(&candidates.scores, &scored.scores, blend);
    let shown = shown == ShownScore::Rerank;
    let place = |hit: &Ranked| Placed { hit: hit.hit, score: shown.then_some(hit.score) };
    let placed: Vec<Placed> = ranked[page.of(ranked.len())].iter().map(place).collect();
    let best = ranked.first().filter(|_| shown).map(|hit| hit.score);
    rewrite(answer, &candidates.layout, &placed, best)
}

/// The client's page of the cluster's own order.
fn original_page(plan: &Plan, layout: &Layout, answer: Bytes) -> Bytes {
    if !plan.widened {
        return answer;
    }
    let page: Vec<Placed> = plan.page.of(layout.hits.len()).map(|hit| Placed { hit, score: None }).collect();
    rewrite(&answer, layout, &page, None).into()
}

/// A search whose body is held, so that it can be sent more than once.
#[derive(Clone)]
struct SearchCall {
    parts: request::Parts,
    body: Bytes,
}

impl SearchCall {
    fn as_search(&self) -> SearchRequest<'_> {
        static ROOT: std::sync::LazyLock<http::uri::PathAndQuery> =
            std::sync::LazyLock::new(|| http::uri::PathAndQuery::from_static("/"));
        SearchRequest {
            path_and_query: self.parts.uri.path_and_query().unwrap_or(&ROOT),
            headers: &self.parts.headers,
            body: &self.body,
        }
    }

    /// The search as the client sent it.
    fn original(&self) -> Outgoing {
        let mut outgoing = Outgoing::new(self.parts.clone(), Body::whole(self.body.clone()));
        // The body is here already: there is nothing left to expect.
        outgoing.headers.remove(header::EXPECT);
        outgoing
    }

    /// The search as the plan wants it answered: the whole window, uncompressed.
    fn widened(&self, plan: &Plan) -> Outgoing {
        let mut outgoing = self.original();
        outgoing.path_and_query = plan.path_and_query.clone();
        if outgoing.headers.contains_key(header::ACCEPT_ENCODING) {
            outgoing.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        outgoing
    }
}

/// An answer that cannot be reranked.
enum Unusable {
    /// It answers the client's own request: pass it on.
    AsAsked(Box<Response<Body>>, SkipReason),
    /// It answers ours: the client's own must be sent.
    Widened(SkipReason),
}

/// The cluster's whole answer to the widened search.
async fn fetch(app: &App, plan: &Plan, request: &SearchCall) -> Result<(response::Parts, Bytes), Unusable> {
    let response = match app.upstream.send(request.widened(plan)).await {
        Ok(response) => response,
        Err(error) => return Err(Unusable::AsAsked(Box::new(unreachable(app, &error)), SkipReason::UpstreamError)),
    };
    let (head, body) = response.into_parts();
    let unusable = |head, body, reason, may_resend: bool| match plan.widened && may_resend {
        true => Unusable::Widened(reason),
        false => Unusable::AsAsked(Box::new(Response::from_parts(head, body)), reason),
    };
    if !head.status.is_success() {
        let may_resend = widening_may_cause(head.status);
        return Err(unusable(head, Body::streamed(body), SkipReason::UpstreamError, may_resend));
    }
    if !is_plain_json(&head.headers) {
        return Err(unusable(head, Body::streamed(body), SkipReason::ContentType, true));
    }
    match buffer(body, app.config.limits.answer).await {
        Ok(Buffered::Whole(answer)) => Ok((head, answer)),
        Ok(Buffered::Larger(body)) => Err(unusable(head, body, SkipReason::TooLarge, true)),
        Err(error) => {
            warn!(%error, "the cluster's answer broke off; asking again as the client did");
            Err(Unusable::Widened(SkipReason::UpstreamError))
        }
    }
}

/// Whether asking for more hits than the client did can be why the cluster refused. Answers that do not depend on it
/// (401, 403, 404) stand, and a cluster that asks for less load (429, 503) is not asked again.
fn widening_may_cause(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(crate::dialect::is_json) && !headers.contains_key(header::CONTENT_ENCODING)
}

/// Sends the client's own request and says in the answer why it is not reranked.
async fn stand_back(app: &App, original: Outgoing, reason: SkipReason) -> Response<Body> {
    skipped(app, pass_through(app, original).await, reason)
}

fn skipped(app: &App, mut response: Response<Body>, reason: SkipReason) -> Response<Body> {
    debug!(reason = reason.as_str(), "not reranked");
    app.metrics.skipped(reason);
    report::skipped(response.headers_mut(), reason);
    response
}

/// A response of `head` with this whole body in place of its own.
fn whole(mut head: response::Parts, body: Bytes) -> Response<Body> {
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::whole(body))
}

fn unreachable(app: &App, error: &UpstreamError) -> Response<Body> {
    app.metrics.upstream_failed();
    warn!(error = %chain(error), "no answer from the cluster");
    failure(app, error.status(), error.kind(), &chain(error))
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

/// Runs a pure stage; should it panic, the search goes on unreranked.
fn guarded<T>(stage: impl FnOnce() -> Result<T, SkipReason>) -> Result<T, SkipReason> {
    catch_unwind(AssertUnwindSafe(stage)).unwrap_or_else(|_| {
        error!("a stage panicked; this is a bug in rerank-proxy");
        Err(SkipReason::Internal)
    })
}

/// Runs a pure stage over `size` bytes: here where it is quick, on a thread for such work where it would hold up the
/// other connections of this one.
async fn computed<T: Send + 'static>(
    size: usize,
    stage: impl FnOnce() -> Result<T, SkipReason> + Send + 'static,
) -> Result<T, SkipReason> {
    if size <= QUICK {
        return guarded(stage);
    }
    tokio::task::spawn_blocking(|| guarded(stage)).await.unwrap_or(Err(SkipReason::Internal))
}

/// The same for a stage that waits.
async fn guarded_future<T>(mut stage: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Result<T, SkipReason> {
    std::future::poll_fn(|cx| match guarded(|| Ok(stage.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(reason) => Poll::Ready(Err(reason)),
    })
    .await
}
