//! Sending to the cluster, and sending once more where the connection breaks. Owns that rule: what changes nothing at the
//! cluster, and what never left, goes out a second time, over a new connection, to another node where there is one. Nothing goes
//! out a third time; an answer that is of no use would come again, and is not asked for once more. What found no connection goes
//! on to the next node, until all were tried.

use http::Response;
use tracing::debug;

use crate::{
    cluster::{Attempts, Outgoing, UpstreamError, advice::chain, answer::Answer, body::Body, spare},
    state::Context,
};

/// An answer of which the head is there.
pub(super) struct Answered {
    pub(super) response: Response<Answer<Body>>,
    /// The request was sent for the last time, whatever becomes of the body.
    pub(super) was_last: bool,
}

/// Sends a request as often as it may be sent, until the head of an answer is there; nothing of it is of use afterwards.
pub(super) async fn send(context: &Context, outgoing: &mut Outgoing) -> Result<Answered, UpstreamError> {
    context.connections.strip(&mut outgoing.head);
    let mut is_again = outgoing.attempts == Attempts::Last;
    loop {
        let attempts = outgoing.attempts;
        let was_last = attempts == Attempts::Last;
        if is_again {
            context.process.metrics.upstream_retried();
        }
        let spare = if was_last { None } else { spare(&outgoing.body) };
        let error = match context.connections.send(outgoing).await {
            Ok(response) => return Ok(Answered { response, was_last }),
            Err(error) => error,
        };
        is_again = true;
        if error.is_unconnected() && context.connections.has_another(&outgoing.tried) {
            debug!(error = %chain(&error), "sending to another node");
            continue;
        }
        match spare {
            Some(spare) if may_be_repeated(context, attempts, &error) => {
                debug!(error = %chain(&error), "sending once more, over a new connection");
                (outgoing.body, outgoing.attempts) = (Body::whole(spare), Attempts::Last);
            }
            _ => return Err(error),
        }
    }
}

/// Whether a request that broke may be sent once more. What never left the proxy is no more work for the cluster.
fn may_be_repeated(context: &Context, attempts: Attempts, error: &UpstreamError) -> bool {
    let may_be_seen_again = || attempts == Attempts::Two && (error.is_paid_for() || is_within_budget(context));
    error.is_broken() && (error.is_unsent() || may_be_seen_again())
}

/// Whether the budget allows one request more that the cluster has seen before.
pub(super) fn is_within_budget(context: &Context) -> bool {
    let is_within = context.connections.cluster().may_repeat();
    if !is_within {
        context.process.metrics.upstream_retry_denied();
    }
    is_within
}
