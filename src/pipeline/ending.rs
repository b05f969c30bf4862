//! The end of a request that is not reranked, and what its answer says of that.

use engines::{failure::Failure, plan::SkipReason};
use http::Response;
use tracing::debug;

use crate::{
    cluster::{Outgoing, body::Body},
    rerank_header::{self, Report},
    state::Context,
};

/// The end of a request that is not reranked.
pub(super) enum Ending {
    /// With the cluster's answer to this request, which is the client's own.
    FallBack(Box<Outgoing>, Vec<Report>),
    /// With this answer.
    Answered(Box<Response<Body>>, Vec<Report>),
    /// With a failure.
    Failed(Failure),
}

impl Ending {
    /// The client's own request, for one reason.
    pub(super) fn fall_back(original: Outgoing, reason: SkipReason) -> Self {
        Self::FallBack(Box::new(original), vec![Report::Skipped(reason)])
    }
}

/// Says in the answer and counts what became of its searches.
pub(super) fn noted(context: &Context, mut response: Response<Body>, reports: &[Report]) -> Response<Body> {
    for report in reports {
        debug!(?report, "searched");
        match report {
            Report::Applied { counts, .. } => context.process.metrics.applied(*counts),
            Report::Skipped(reason) => context.process.metrics.skipped(*reason),
            Report::Ranked { .. } => {}
        }
    }
    rerank_header::outcomes(response.headers_mut(), reports);
    response
}
