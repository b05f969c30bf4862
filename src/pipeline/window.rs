//! One search of a request, from its answer to the answer that the client gets: candidates → score → order → rewrite.
//! Owns how these stages follow each other, and that each way to fail leaves the cluster's own page.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engines::{
    dialect::{Candidates, Reading, Unreadable},
    order::{self, Blend, Ranked},
    plan::{Explain, Plan, SkipReason},
    rewrite::{Layout, Placed, rewrite},
};
use scoring::{LongPassages, Priority, Request, ScoreError, Scored, Span, held_to};
use serde_json::json;
use tracing::debug;

use super::fetch;
use crate::{
    config::{Detail, rules::ShownScore},
    guard::{computed, guarded_future},
    ranking::outputs,
    state::Context,
    telemetry::Counts,
};

/// A search that is to be reranked, and how.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) plan: Arc<Plan>,
    pub(super) model: String,
    pub(super) budget: Duration,
    pub(super) blend: Blend,
    pub(super) long: LongPassages,
    pub(super) shown: ShownScore,
    pub(super) explain: Explain,
    pub(super) detail: Detail,
}

/// What became of one search.
pub(super) enum Outcome {
    /// Its page in the new order.
    Reranked(Bytes, Counts),
    /// The client's page in the cluster's order.
    Original(Bytes, SkipReason),
    /// The answer is of no use, nor is the client's page in it.
    Unusable {
        /// Why.
        reason: SkipReason,
        /// Whether the client's own request would be answered no better.
        stands: bool,
    },
}

/// The answer to one search, as the client gets it; `answered` is when the cluster's answer was complete, and `size` how
/// large it was in all.
pub(super) async fn rerank(
    context: &Context,
    planned: &Planned,
    answer: Bytes,
    answered: Instant,
    size: usize,
) -> Outcome {
    let unusable = |reason| Outcome::Unusable { reason, stands: false };
    let (candidates, texts) = match candidates(context, planned, &answer, size).await {
        Ok(Ok(candidates)) => split(candidates, planned.explain),
        Ok(Err(unreadable)) => {
            let stands = matches!(unreadable, Unreadable::Error(status) if fetch::stands(status));
            return Outcome::Unusable { reason: unreadable.into(), stands };
        }
        Err(reason) => return unusable(reason),
    };
    match reranked(context, planned, &candidates, texts, &answer, answered, size).await {
        Ok((body, counts)) => Outcome::Reranked(body, counts),
        Err(reason) => {
            let plan = planned.plan.clone();
            let page = computed(size, move || original_page(&plan, &candidates.layout, answer)).await;
            page.map_or_else(unusable, |page| Outcome::Original(page, reason))
        }
    }
}

/// The figures of one search that is scored for their sake only.
pub(super) async fn measure(
    context: &Context,
    planned: &Planned,
    answer: &Bytes,
    answered: Instant,
) -> Result<Counts, SkipReason> {
    let candidates = candidates(context, planned, answer, answer.len()).await??;
    let hits = candidates.layout.hits.len();
    Ok(Counts::of(&score(context, planned, hits, candidates.passages, answered).await?))
}

/// The candidates, and what is to be scored of them. That may be most of the answer, so that it is copied only where it is
/// to be shown as well.
fn split(mut candidates: Candidates, explain: Explain) -> (Arc<Candidates>, Vec<Option<String>>) {
    let texts = match explain {
        Explain::No => std::mem::take(&mut candidates.passages),
        _ => candidates.passages.clone(),
    };
    (Arc::new(candidates), texts)
}

async fn candidates(
    context: &Context,
    planned: &Planned,
    answer: &Bytes,
    size: usize,
) -> Result<Result<Candidates, Unreadable>, SkipReason> {
    let (dialect, plan, explain) = (context.dialect.clone(), planned.plan.clone(), planned.explain);
    let answer = answer.clone();
    computed(size, move || dialect.candidates(&answer, &Reading { plan: &plan, explain })).await
}

async fn reranked(
    context: &Context,
    planned: &Planned,
    candidates: &Arc<Candidates>,
    texts: Vec<Option<String>>,
    answer: &Bytes,
    answered: Instant,
    size: usize,
) -> Result<(Bytes, Counts), SkipReason> {
    let scored = score(context, planned, candidates.layout.hits.len(), texts, answered).await?;
    let counts = Counts::of(&scored);
    let (planned, candidates, answer) = (planned.clone(), candidates.clone(), answer.clone());
    let mut body = computed(size, move || reorder(&planned, &candidates, &scored, &answer)).await?;
    if body.len() < body.capacity() / 2 {
        // A page of a window: the rest of the room is not to be kept until the client has read it.
        body.shrink_to_fit();
    }
    Ok((body.into(), counts))
}

/// The scores of a window, or why there are none.
async fn score(
    context: &Context,
    planned: &Planned,
    hits: usize,
    texts: Vec<Option<String>>,
    answered: Instant,
) -> Result<Scored, SkipReason> {
    if hits < 2 {
        return Err(SkipReason::SingleHit);
    }
    let window = texts.len();
    let with_text: Vec<usize> = (0..window).filter(|&hit| texts[hit].is_some()).collect();
    if with_text.is_empty() {
        return Err(SkipReason::NoPassages);
    }
    let passages = texts.into_iter().flatten().collect();
    let scorer = context.snapshot.scorers.get(&planned.model).ok_or(SkipReason::ModelUnavailable)?;
    let deadline = answered + planned.budget;
    let scoring = guarded_future(scorer.score(Request {
        query: &planned.plan.query,
        passages,
        long: planned.long,
        deadline,
        priority: Priority::Search,
    }));
    let scored = held_to(deadline, scoring).await.ok_or(SkipReason::Budget)??;
    let mut scored = scored.map_err(|error| match error {
        ScoreError::Overloaded => SkipReason::Overloaded,
        ScoreError::Unavailable(cause) => {
            debug!(model = %planned.model, %cause, "model unavailable");
            SkipReason::ModelUnavailable
        }
    })?;
    // Back to one entry per hit: a hit without text has no score.
    let mut by_hit = vec![None; window];
    for (&hit, score) in with_text.iter().zip(&scored.scores) {
        by_hit[hit] = *score;
    }
    scored.scores = by_hit;
    match (scored.scores.iter().any(Option::is_some), scored.budget_hit) {
        (true, _) => Ok(scored),
        (false, true) => Err(SkipReason::Budget),
        (false, false) => Err(SkipReason::ModelUnavailable),
    }
}

/// Order and rewrite: the new answer.
fn reorder(planned: &Planned, candidates: &Candidates, scored: &Scored, answer: &[u8]) -> Vec<u8> {
    let Planned { plan, blend, shown, .. } = planned;
    let mut ranked = order::order(&candidates.scores, &outputs(&scored.scores), candidates.pinned, *blend);
    if let Some(lowest) = plan.min_score {
        // Scores never increase: what is below begins somewhere.
        ranked.truncate(ranked.partition_point(|hit| hit.score >= lowest));
    }
    let shown = *shown == ShownScore::Rerank;
    let page = plan.page.of(ranked.len());
    let place = |(rank, hit): (usize, &Ranked)| Placed {
        hit: hit.hit,
        score: shown.then_some(hit.score),
        notes: notes(planned, rank, hit, candidates, scored),
    };
    let placed: Vec<Placed> = ranked.iter().enumerate().take(page.end).skip(page.start).map(place).collect();
    let best = ranked.first().map_or(f32::NAN, |hit| hit.score);
    rewrite(answer, &candidates.layout, &placed, shown.then_some(best))
}

/// What is said of the hit at the new `rank`, from 0.
fn notes(planned: &Planned, rank: usize, hit: &Ranked, candidates: &Candidates, scored: &Scored) -> Vec<String> {
    let Planned { explain, detail, .. } = *planned;
    if explain == Explain::No {
        return Vec::new();
    }
    let passage = candidates.passages.get(hit.hit).and_then(Option::as_deref);
    let score = scored.scores.get(hit.hit).copied().flatten();
    let mut note = json!({
        "rank": {"before": hit.hit + 1, "after": rank + 1},
        "score": {
            "before": candidates.scores[hit.hit].map(shortest),
            "model": score.map(|score| shortest(score.raw)),
            "after": shortest(hit.score),
        },
        "cached": score.map(|score| score.cached),
        "truncated": score.map(|score| score.truncated),
    });
    if detail == Detail::Full {
        note["passage"] = json!(passage);
    }
    if let Some(stage) = score.and_then(|score| score.stage) {
        note["score"]["first"] = json!(stage.first().map(shortest));
        note["stage"] = json!(stage.name());
    }
    let span = score.and_then(|score| score.span);
    if let Some(span) = span {
        note["window"] = json!({"start": span.start, "end": span.end});
    }
    let told = |passage| span.map_or(passage, |span| part(passage, span));
    let highlight = (explain == Explain::Highlight).then(|| json!(passage.map_or("", told)).to_string());
    std::iter::once(note.to_string()).chain(highlight).collect()
}

/// What `span` covers of a text.
fn part(text: &str, span: Span) -> &str {
    let byte = |character: u32| text.char_indices().nth(character as usize).map_or(text.len(), |(byte, _)| byte);
    text.get(byte(span.start)..byte(span.end)).unwrap_or_default()
}

/// The number that the shortest decimal of an `f32` stands for: 0.3 is not to be told as 0.30000001192092896.
fn shortest(score: f32) -> Option<f64> {
    format!("{score:?}").parse().ok().filter(|score: &f64| score.is_finite())
}

/// The client's page of the cluster's own order, without what was asked for on our behalf.
fn original_page(plan: &Plan, layout: &Layout, answer: Bytes) -> Bytes {
    if !plan.widened {
        return answer;
    }
    let page: Vec<Placed> = plan.page.of(layout.hits.len()).map(Placed::unchanged).collect();
    rewrite(&answer, layout, &page, None).into()
}
