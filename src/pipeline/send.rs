//! Sending to the cluster, and sending once more where the connection breaks. Owns that rule: what changes nothing at the
//! cluster, and what never left, goes out a second time, over a new connection. Nothing goes out a third time, and nothing
//! again to a cluster that takes no connection.

use http::Response;
use tracing::debug;

use super::failing::chain;
use crate::{
    cluster::{Attempts, Outgoing, UpstreamError, answer::Answer, body::Body},
    state::Context,
};

/// An answer of which the head is there.
pub(super) struct Answered {
    pub(super) response: Response<Answer<Body>>,
    /// The request was sent for the last time, whatever becomes of the body.
    pub(super) was_last: bool,
}

/// Sends a request as often as it may be sent, until the head of an answer is there.
pub(super) async fn send(context: &Context, outgoing: Outgoing) -> Result<Answered, UpstreamError> {
    let mut next = outgoing;
    loop {
        let (attempts, spare) = (next.attempts, next.spare());
        let was_last = attempts == Attempts::Last;
        if was_last {
            context.process.metrics.upstream_retried();
        }
        let error = match context.connections.send(next).await {
            Ok(response) => return Ok(Answered { response, was_last }),
            Err(error) => error,
        };
        match spare {
            Some(spare) if error.is_broken() && (attempts == Attempts::Two || error.is_unsent()) => {
                debug!(error = %chain(&error), "sending once more, over a new connection");
                next = spare;
            }
            _ => return Err(error),
        }
    }
}
