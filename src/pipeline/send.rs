//! Sending to the cluster, and sending once more where the connection breaks. Owns that rule: what changes nothing at the
//! cluster, and what never left, goes out a second time, over a new connection. Nothing goes out a third time, and nothing
//! again to a cluster that takes no connection.

use http::Response;
use tracing::debug;

use super::failing::chain;
use crate::{
    cluster::{Attempts, Outgoing, UpstreamError, answer::Answer, body::Body, spare},
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
    context.connections.address(&mut outgoing.head);
    loop {
        let attempts = outgoing.attempts;
        let was_last = attempts == Attempts::Last;
        if was_last {
            context.process.metrics.upstream_retried();
        }
        let spare = if was_last { None } else { spare(&outgoing.body) };
        let error = match context.connections.send(outgoing).await {
            Ok(response) => return Ok(Answered { response, was_last }),
            Err(error) => error,
        };
        match spare {
            Some(spare) if error.is_broken() && (attempts == Attempts::Two || error.is_unsent()) => {
                debug!(error = %chain(&error), "sending once more, over a new connection");
                (outgoing.body, outgoing.attempts) = (spare, Attempts::Last);
            }
            _ => return Err(error),
        }
    }
}
