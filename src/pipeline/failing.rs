//! Answers of the proxy's own where there is none of the cluster's. Owns what is counted and logged of each failure; the
//! dialect words it.

use engines::failure::{Failure, FailureKind};
use http::{HeaderValue, Response, header};
use tracing::{debug, warn};

use super::context::Context;
use crate::upstream::{UpstreamError, body::Body};

/// The answer that reports a failure.
pub(crate) fn failed(cx: &Context, failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::whole(cx.dialect.failure(failure)));
    *response.status_mut() = failure.kind.status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer where the cluster gave none.
pub(super) fn unanswered(cx: &Context, error: &UpstreamError) -> Response<Body> {
    if let UpstreamError::RequestBody { .. } = error {
        debug!(error = %chain(error), "the client's body ended early");
    } else {
        cx.app.metrics.upstream_failed();
        warn!(error = %chain(error), "no answer from the cluster");
    }
    failed(cx, &Failure::new(error.failure_kind(), chain(error)))
}

/// The answer where the cluster's own broke off before any of it was passed on.
pub(super) fn broken_off(cx: &Context, error: &hyper::Error) -> Response<Body> {
    cx.app.metrics.upstream_failed();
    warn!(%error, "the cluster's answer broke off");
    let reason = format!("the cluster's answer broke off: {error}");
    failed(cx, &Failure::new(FailureKind::ConnectionClosed, reason))
}

/// The answer where the cluster's own stopped coming.
pub(super) fn stalled(cx: &Context) -> Response<Body> {
    let timeout = cx.app.config.limits.body_timeout;
    cx.app.metrics.upstream_failed();
    warn!(?timeout, "the cluster's answer stopped coming");
    let reason = format!("the cluster's answer stopped coming for {timeout:?}");
    failed(cx, &Failure::new(FailureKind::Stalled, reason))
}

/// An error and its innermost cause, which is what an operator can act on.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    match causes.last() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
