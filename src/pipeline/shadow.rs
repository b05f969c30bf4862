//! Mode `shadow`: a search is answered by the cluster alone, and scored aside so that an operator sees what reranking
//! would cost. Owns that aside, bounded in number; it touches nothing but the metrics.

use std::time::{Duration, Instant};

use engines::plan::SkipReason;
use tokio::time::timeout;
use tracing::debug;

use super::{
    answers,
    call::SearchCall,
    fetch::{Fetched, fetch},
    prepare::{Halt, Prepared, Run, prepare},
    window::measure,
};
use crate::{request_options::RequestOptions, state::Context};

/// How long it may take, the cluster's answer included.
const LIFE: Duration = Duration::from_mins(1);

/// Scores the request's searches in the background. Where too many are under way already, it counts as `overloaded`.
pub(super) fn start(context: &Context, call: SearchCall, wishes: RequestOptions) {
    let Ok(permit) = context.process.shadows.clone().try_acquire_owned() else {
        context.process.metrics.shadowed(Err(SkipReason::Overloaded));
        return;
    };
    let context = context.clone();
    tokio::spawn(async move {
        // Nobody waits for it, so that nobody would end it either.
        let shadowed = timeout(LIFE, shadow(&context, call, &wishes)).await;
        if let Err(reason) = shadowed.unwrap_or(Err(SkipReason::UpstreamError)) {
            context.process.metrics.shadowed(Err(reason));
        }
        drop(permit);
    });
}

async fn shadow(context: &Context, call: SearchCall, wishes: &RequestOptions) -> Result<(), SkipReason> {
    let prepared = prepare(context, call, wishes, Run::Aside).await.map_err(|halt| match halt {
        Halt::StandBack(reason) | Halt::Answered(_, reason) => reason,
        Halt::Broken => SkipReason::UpstreamError,
        Halt::Refused { .. } => SkipReason::Unsupported,
    })?;
    let Prepared { call, searches, forward: Some(forward), .. } = &prepared else { return Ok(()) };
    let Fetched { answer, room: _room, .. } =
        fetch(context, call, forward).await.map_err(|unusable| unusable.reason())?;
    let answered = Instant::now();
    let door = call.as_request().route.door;
    let spans = answers(context, door, &answer, searches.len()).await?;
    for (search, span) in searches.iter().zip(spans) {
        let Ok(planned) = search else { continue };
        let counts = measure(context, planned, &answer.slice(span), answered).await;
        debug!(?counts, took = ?answered.elapsed(), "scored off the path");
        context.process.metrics.shadowed(counts);
    }
    Ok(())
}
