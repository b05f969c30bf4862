//! The end of a request that holds searches: what its answer, the metrics and the log say of each of them, and how it ends where it
//! is not reranked.

use std::sync::Arc;

use engines::{failure::Failure, plan::SkipReason};
use http::Response;
use tracing::debug;

use crate::{
    cluster::{Outgoing, body::Body},
    rerank_header::{self, Report},
    state::Context,
    telemetry::SearchSummary,
};

/// What became of one search.
#[derive(Debug, Clone)]
pub(super) struct Searched {
    /// What the rule is called that it falls under, where there is one.
    pub(super) rule: Option<Arc<str>>,
    pub(super) report: Report,
}

impl Searched {
    /// Its outcome, as the metrics call it.
    pub(super) fn outcome(&self) -> &'static str {
        match self.report {
            Report::Applied { .. } | Report::Ranked { .. } => "applied",
            Report::Skipped(reason) => reason.as_str(),
        }
    }

    /// A search that is answered as the cluster would.
    pub(super) fn skipped(rule: Option<&Arc<str>>, reason: SkipReason) -> Self {
        Self { rule: rule.cloned(), report: Report::Skipped(reason) }
    }
}

/// The end of a request that is not reranked.
pub(super) enum Ending {
    /// With the cluster's answer to this request, which is the client's own.
    FallBack(Box<Outgoing>, Vec<Searched>),
    /// With this answer.
    Answered(Box<Response<Body>>, Vec<Searched>),
    /// With a failure.
    Failed(Failure),
}

impl Ending {
    /// The client's own request, for one reason.
    pub(super) fn fall_back(original: Outgoing, rule: Option<&Arc<str>>, reason: SkipReason) -> Self {
        Self::FallBack(Box::new(original), vec![Searched::skipped(rule, reason)])
    }
}

/// Says in the answer and counts what became of its searches.
pub(super) fn noted(context: &Context, mut response: Response<Body>, searches: &[Searched]) -> Response<Body> {
    for Searched { rule, report } in searches {
        debug!(rule = rule.as_deref(), ?report, "searched");
        match report {
            Report::Applied { counts, .. } => {
                context.snapshot.note_text(rule.as_ref(), None);
                context.process.metrics.applied(rule.as_ref(), *counts);
            }
            Report::Skipped(reason) => {
                context.snapshot.note_text(rule.as_ref(), Some(*reason));
                context.process.metrics.skipped(rule.as_ref(), *reason);
            }
            Report::Ranked { .. } => {}
        }
    }
    if context.logs_access()
        && let Some(summary) = summary(searches)
    {
        response.extensions_mut().insert(summary);
    }
    rerank_header::outcomes(response.headers_mut(), searches.iter().map(|search| &search.report));
    response
}

/// What the access log says of the searches of a request.
fn summary(searches: &[Searched]) -> Option<SearchSummary> {
    let is_applied = |search: &&Searched| matches!(search.report, Report::Applied { .. });
    let told = searches.iter().find(is_applied).or(searches.first())?;
    let model = match &told.report {
        Report::Applied { model, .. } | Report::Ranked { model, .. } => Some(model.clone()),
        Report::Skipped(_) => None,
    };
    let (outcome, rule, applied) = (told.outcome(), told.rule.clone(), searches.iter().filter(is_applied).count());
    Some(SearchSummary { searches: searches.len(), applied, outcome, rule, model })
}
