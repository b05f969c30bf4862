//! The body of a call, held whole. Owns the bounds within which that is done: bytes, time, memory and the place that a call takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::timeout_at;

use super::fault::Fault;
use crate::{
    client_body::ClientBody,
    cluster::{
        body::{Bounds, Filled, Patience, Unheld, fill},
        encoding::{self, Coding},
    },
    isolation::call_apart,
    memory::{CALL_COPIES, Held, Spent},
    state::Context,
};

/// The body of a call, without its content coding, and what is on the account for what is made of it.
pub(super) async fn hold(
    context: &Context,
    headers: &HeaderMap,
    body: &mut ClientBody,
    began: Instant,
    budget: Duration,
    permit: &Arc<impl Send + Sync + 'static>,
) -> Result<(Bytes, Held), Fault> {
    let limit = context.snapshot.settings.api.request_body;
    // Who sends slowly is not to keep others from calling.
    let patience = Patience::InAll(budget.saturating_sub(began.elapsed()));
    let bounds = Bounds { bytes: limit, copies: CALL_COPIES, patience, memory: &context.process.memory };
    let (sent, room) = match fill(body, bounds).await {
        Ok(Filled::Whole(sent, room)) => (sent, room),
        Ok(Filled::Short(_, Unheld::TooLarge)) => return Err(Fault::too_large(limit)),
        Ok(Filled::Short(_, Unheld::NoMemory)) => return Err(Fault::NoMemory(Spent)),
        Ok(Filled::Short(_, Unheld::Slow)) => return Err(Fault::Slow(budget)),
        Err(_) => return Err(Fault::Unreadable("the body ended early".to_owned())),
    };
    match Coding::of(headers) {
        Some(Coding::Identity) => Ok((sent, room)),
        // What a few bytes become may be large, and is not to hold up the searches of this thread.
        Some(coding) => {
            let (in_flight, memory) = (permit.clone(), context.process.memory.clone());
            let decoded = call_apart(move || {
                let _under_way = in_flight;
                encoding::decode(coding, &sent, limit, &memory, CALL_COPIES)
            });
            let decoded = timeout_at((began + budget).into(), decoded).await.map_err(|_| Fault::Slow(budget))?;
            decoded.map_err(|_| Fault::Internal)?.map_err(|error| Fault::of_body(error, limit))
        }
        None => Err(Fault::Unreadable("the body's Content-Encoding is none that can be read here".to_owned())),
    }
}
