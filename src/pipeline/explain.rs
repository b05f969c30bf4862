//! A search that is explained: sent the way of every other, with all that happens on it noted. Owns that a person sees the cluster's
//! answer whatever becomes of reranking.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engines::{
    plan::{Page, SkipReason},
    request::SearchRoute,
};
use http::{Response, StatusCode, header, request};
use ranking::order::Blend;
use scoring::LongPassages;

use super::{
    answered,
    call::SearchCall,
    ending::Ending,
    fetch::{bounds, decoded},
    pass_through,
    planned::Planned,
    planning::rule_of_path,
    trace::{Noted, Places, Trace},
};
use crate::{
    cluster::{
        body::{Body, Filled, fill},
        encoding::Coding,
    },
    memory::{ANSWER_COPIES, Held},
    request_options::RequestOptions,
    rerank_header::Report,
    state::Context,
    telemetry::{Counts, Stage},
};

/// What became of a search, and how.
pub(crate) struct Explained {
    pub(crate) outcome: Outcome,
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The answer where it is an error, or why it cannot be shown.
    pub(crate) error: Option<String>,
    /// The index expression, where it is known.
    pub(crate) indices: Option<String>,
    /// The terms on which it was reranked, or would have been.
    pub(crate) terms: Option<Terms>,
    pub(crate) stages: Vec<(Stage, Duration)>,
    pub(crate) shown: Shown,
    /// What the pages are on the account with.
    pub(crate) _room: Held,
}

/// What became of reranking.
pub(crate) enum Outcome {
    Applied(Counts),
    Skipped(SkipReason),
    /// The search asks for what cannot be done.
    Failed(String),
}

/// The pages of a search.
pub(crate) enum Shown {
    /// The cluster's own, which stands.
    Same(Bytes),
    /// The cluster's own and the one in the new order.
    Reordered { before: Bytes, after: Bytes, places: Places },
}

impl Shown {
    /// The number of their bytes, notes included.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Same(page) => page.len() * 2,
            Self::Reordered { before, after, places } => {
                before.len() + after.len() + places.notes.values().map(String::len).sum::<usize>()
            }
        }
    }
}

/// The terms on which a search is reranked.
pub(crate) struct Terms {
    pub(crate) query: String,
    pub(crate) source: &'static str,
    pub(crate) model: String,
    pub(crate) window: usize,
    pub(crate) page: Page,
    pub(crate) budget: Duration,
    pub(crate) blend: Blend,
    pub(crate) long: LongPassages,
}

impl Terms {
    fn of(planned: &Planned) -> Self {
        let Planned { plan, model, budget, blend, long, .. } = planned;
        Self {
            query: plan.query.clone(),
            source: plan.source,
            model: model.clone(),
            window: plan.window,
            page: plan.page,
            budget: *budget,
            blend: *blend,
            long: *long,
        }
    }
}

/// How much is read of an error of the cluster's, in bytes: more than is told of it.
const ERROR_BYTES: usize = 8 * 1024;

/// Explains one search: `parts` and `body` are what its client would send, to a path that is one of a single search.
pub(crate) async fn explained(
    context: &Context,
    route: SearchRoute,
    parts: request::Parts,
    body: Bytes,
    options: RequestOptions,
) -> Explained {
    let rule = rule_of_path(context, &route);
    let (call, trace, began) = (SearchCall::whole(parts, body, route, rule), Trace::begun(), Instant::now());
    let (response, outcome) = outcome(context, &call, options, &trace).await;
    let (status, answer) = (response.status(), held(context, response).await);
    let all = began.elapsed();
    let Noted { indices, planned, mut stages, pages } = trace.noted();
    if !matches!(outcome, Outcome::Applied(_)) {
        let known: Duration = stages.iter().map(|(_, took)| *took).sum();
        stages.push((Stage::Cluster, all.saturating_sub(known)));
    }
    let (answer, room, unshown) = match answer {
        Ok((answer, room)) => (answer, room, None),
        Err(reason) => (Bytes::new(), context.process.memory.nothing(), Some(reason)),
    };
    let words = &answer[..answer.len().min(ERROR_BYTES)];
    let error = (!status.is_success()).then(|| String::from_utf8_lossy(words).into_owned());
    let shown = match pages {
        Some((pages, after)) => Shown::Reordered { before: pages.before, after, places: pages.places },
        None => Shown::Same(answer),
    };
    let terms = planned.as_deref().map(Terms::of);
    Explained { outcome, status, error: unshown.or(error), indices, terms, stages, shown, _room: room }
}

/// The answer that the client would get, and what became of reranking. Where that is refused, the client would get no answer of the
/// cluster's; a person gets it all the same.
async fn outcome(
    context: &Context,
    call: &Arc<SearchCall>,
    options: RequestOptions,
    trace: &Trace,
) -> (Response<Body>, Outcome) {
    let (response, searches) = match answered(context, call.clone(), options, trace).await {
        Ok(reranked) => reranked,
        Err(Ending::FallBack(original, searches)) => (pass_through(context.clone(), *original).await, searches),
        Err(Ending::Answered(response, searches)) => (*response, searches),
        Err(Ending::Failed(failure)) => {
            return (pass_through(context.clone(), call.original()).await, Outcome::Failed(failure.reason));
        }
    };
    let outcome = match searches.first().map(|search| &search.report) {
        Some(Report::Applied { counts, .. }) => Outcome::Applied(*counts),
        Some(Report::Skipped(reason)) => Outcome::Skipped(*reason),
        Some(Report::Ranked { .. }) | None => Outcome::Skipped(SkipReason::Internal),
    };
    (response, outcome)
}

/// The body of a response, in no content coding; or why it cannot be shown.
async fn held(context: &Context, response: Response<Body>) -> Result<(Bytes, Held), String> {
    let unshown = |why: &str| format!("the cluster's answer cannot be shown here: {why}");
    let (head, mut body) = response.into_parts();
    let limit = context.snapshot.settings.limits.answer;
    let (sent, room) = match fill(&mut body, bounds(context, limit, ANSWER_COPIES)).await {
        Ok(Filled::Whole(sent, room)) => (sent, room),
        Ok(Filled::Short(_, why)) => return Err(unshown(SkipReason::from(why).as_str())),
        Err(error) => return Err(unshown(&error.to_string())),
    };
    match Coding::of(&head.headers) {
        Some(Coding::Identity) => Ok((sent, room)),
        Some(coding) => {
            let decoded = decoded(context, coding, sent, limit, ANSWER_COPIES).await;
            decoded.map_err(|reason| unshown(reason.as_str()))
        }
        None => Err(unshown(&format!("it has an unknown {}", header::CONTENT_ENCODING))),
    }
}
