//! Answers of the proxy's own where there is none of the cluster's. Owns what is counted and logged of each failure; the
//! dialect words it.

use engines::failure::{Failure, FailureKind};
use http::{HeaderValue, Response, header};
use tracing::{debug, warn};

use crate::{
    cluster::{
        UpstreamError,
        advice::{advised, chain},
        body::{Body, BodyError},
    },
    state::Context,
};

/// The answer that reports a failure.
pub(crate) fn failed(context: &Context, failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::whole(context.dialect().failure(failure)));
    *response.status_mut() = failure.kind.status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer where the cluster gave none.
pub(super) fn unanswered(context: &Context, error: &UpstreamError) -> Response<Body> {
    if let UpstreamError::RequestBody { .. } = error {
        debug!(error = %chain(error), "the client's body ended early");
    } else {
        context.process.metrics.upstream_failed();
        warn!(error = %advised(error, &context.snapshot.settings.upstream.scheme), "no answer from the cluster");
    }
    failed(context, &Failure::new(error.failure_kind(), chain(error)))
}

/// The answer where the cluster's own broke off before any of it was passed on.
pub(super) fn broken_off(context: &Context, error: &BodyError) -> Response<Body> {
    context.process.metrics.upstream_failed();
    warn!(%error, "the cluster's answer broke off");
    let reason = format!("the cluster's answer broke off: {error}");
    failed(context, &Failure::new(FailureKind::ConnectionClosed, reason))
}

/// The answer where the cluster's own stopped coming.
pub(super) fn stalled(context: &Context) -> Response<Body> {
    let timeout = context.snapshot.settings.limits.body_timeout;
    context.process.metrics.upstream_failed();
    warn!(?timeout, "the cluster's answer stopped coming");
    let reason = format!("the cluster's answer stopped coming for {timeout:?}");
    failed(context, &Failure::new(FailureKind::Stalled, reason))
}
