//! Mode `shadow`: a search is answered by the cluster alone, and scored aside so that an operator sees what reranking
//! would cost. Owns that aside, bounded in number; it touches nothing but the metrics.

use std::{sync::Arc, time::Instant};

use tracing::debug;

use super::{SearchCall, Unusable, fetch, guarded, report::Counts, score};
use crate::{app::App, plan::SkipReason, rules};

/// Scores `request` in the background. Where too many are under way already, this one counts as `overloaded`.
pub(super) fn start(app: &Arc<App>, indices: &str, request: SearchCall) {
    let Ok(permit) = app.shadows.clone().try_acquire_owned() else {
        app.metrics.shadowed(Err(SkipReason::Overloaded));
        return;
    };
    let (app, indices) = (app.clone(), indices.to_owned());
    tokio::spawn(async move {
        let outcome = shadow(&app, &indices, &request).await;
        app.metrics.shadowed(outcome.map(|counts| (counts.scored, counts.cached, counts.budget_hit)));
        drop(permit);
    });
}

async fn shadow(app: &App, indices: &str, request: &SearchCall) -> Result<Counts, SkipReason> {
    let rule = rules::find(&app.config.rules, indices).ok_or(SkipReason::NoRule)?;
    let plan = guarded(|| app.dialect.plan(request.as_search(), rule.window))?;
    let (_, answer) = fetch(app, &plan, request).await.map_err(|unusable| match unusable {
        Unusable::AsAsked(_, reason) | Unusable::Widened(reason) => reason,
    })?;
    let answered = Instant::now();
    let candidates = guarded(|| app.dialect.candidates(&answer, &rule.passage, plan.window))?;
    let counts = Counts::of(&score(app, rule, &plan, &candidates, answered).await?);
    debug!(?counts, took = ?answered.elapsed(), "scored off the path");
    Ok(counts)
}
