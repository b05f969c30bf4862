//! Mode `shadow`: a search is answered by the cluster alone, and scored in the background so that an operator sees what
//! reranking would cost and change. Owns that background work, bounded in number; it touches nothing but the metrics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engines::{dialect::Assembled, plan::SkipReason};
use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::debug;

use super::{
    call::SearchCall,
    fetch::{Fetched, fetch},
    planning::Run,
    prepare::{Prepared, prepare},
    trace::Trace,
    whole_answer::taken_apart,
    window::measure,
};
use crate::{request_options::RequestOptions, state::Context};

/// The most time that it may take, the cluster's answer included.
const LIFE: Duration = Duration::from_mins(1);

/// Scores the request's searches in the background. Where too many are in flight already, it counts as `overloaded`.
pub(super) fn start(context: &Context, call: Arc<SearchCall>, options: RequestOptions) {
    let Ok(permit) = context.process.shadows.clone().try_acquire_owned() else {
        context.process.metrics.shadowed(Err(SkipReason::Overloaded));
        return;
    };
    let context = context.clone();
    tokio::task::spawn_local(async move {
        // Nobody waits for it, so that nobody would end it either.
        let shadowed = timeout(LIFE, shadow(&context, call, &options)).await;
        if let Err(reason) = shadowed.unwrap_or(Err(SkipReason::UpstreamError)) {
            context.process.metrics.shadowed(Err(reason));
        }
        drop(permit);
    });
}

async fn shadow(context: &Context, call: Arc<SearchCall>, options: &RequestOptions) -> Result<(), SkipReason> {
    let prepared = prepare(context, &call, options, Run::Shadow, &Trace::none()).await.map_err(|halt| halt.reason())?;
    let Prepared { searches, rules, assembled: Some(Assembled { forward, reader }), .. } = &prepared else {
        return Ok(());
    };
    let Fetched { answer, room: _room, .. } = fetch(context, &call, forward).await.map_err(|halt| halt.reason())?;
    let answered = Instant::now();
    let spans = taken_apart(reader, &answer, searches.len()).await?;
    let planned = searches.iter().zip(rules).zip(spans);
    let planned = planned.filter_map(|((search, rule), span)| Some((search.as_ref().ok()?, rule, span)));
    // All at once, as they would be if their client waited.
    let measured = join_all(planned.map(async |(planned, rule, span)| {
        (rule, measure(context, reader, planned, answer.slice(span), answered).await)
    }))
    .await;
    if measured.iter().any(|(_, counts)| counts.is_ok()) {
        context.process.metrics.would_have_added(answered.elapsed());
    }
    for (rule, counts) in measured {
        debug!(?counts, took = ?answered.elapsed(), "scored in the background");
        context.snapshot.note_text(rule.as_ref(), counts.err());
        context.process.metrics.shadowed(counts);
    }
    Ok(())
}
