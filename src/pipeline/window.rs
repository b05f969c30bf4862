//! One search of a request, from its answer to the answer that the client gets: candidates → score → order → rewrite.
//! Owns how these stages follow each other, and that each way to fail leaves the cluster's own page.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engines::{
    candidates::{Candidates, Unreadable},
    dialect::AnswerReader,
    plan::{Explain, SkipReason},
    rewrite::NewOrder,
};
use ranking::{diversity, order, ranked::Ranked};
use scoring::{Known, Priority, Request, ScoreError, Scored, held_to};
use tracing::{Span, debug};

use super::{
    fetch::stands,
    new_order::new_order,
    notes::notes,
    planned::Planned,
    trace::{Pages, Places, Trace},
};
use crate::{
    config::rules::ShownScore,
    isolation::{computed, guarded_future},
    state::Context,
    telemetry::{Counts, Shift, Stage},
};

/// The outcome of one search.
pub(super) enum Outcome {
    /// Its page in the new order.
    Reranked(Bytes, Counts),
    /// The client's page in the cluster's order.
    Original(Bytes, SkipReason),
    /// The answer is of no use, nor is the client's page in it.
    Unusable {
        /// The reason.
        reason: SkipReason,
        /// True if the client's own request would be answered no better.
        stands: bool,
    },
}

/// The answer to one search, as the client gets it; `answered` is when the cluster's answer was complete, and `size` how
/// large it was in all.
pub(super) async fn rerank(
    context: &Context,
    reader: &Arc<dyn AnswerReader>,
    planned: &Arc<Planned>,
    answer: Bytes,
    answered: Instant,
    size: usize,
    trace: &Trace,
) -> Outcome {
    let unusable = |reason| Outcome::Unusable { reason, stands: false };
    let read = trace.stage(context, Stage::Candidates, candidates(reader, planned, &answer, size)).await;
    let (candidates, texts) = match read {
        Ok(Ok(candidates)) => split(candidates, planned.explain),
        Ok(Err(unreadable)) => {
            let stands = matches!(unreadable, Unreadable::Error(status) if stands(status));
            return Outcome::Unusable { reason: unreadable.into(), stands };
        }
        Err(reason) => return unusable(reason),
    };
    let scoring = score(context, planned, &candidates, texts, answered, priority(trace));
    let scored = match trace.stage(context, Stage::Score, scoring).await {
        Ok(scored) => reordered(reader, planned, &candidates, scored, &answer, size, trace.is_on()).await,
        Err(reason) => Err(reason),
    };
    match scored {
        Ok(Reordered { body, counts, pages, order, rewrite }) => {
            trace.took(context, Stage::Order, order);
            trace.took(context, Stage::Rewrite, rewrite);
            trace.note(|noted| noted.pages = pages.map(|pages| (pages, body.clone())));
            Outcome::Reranked(body, counts)
        }
        Err(reason) => {
            let (reader, place) = (reader.clone(), planned.place);
            let page = computed(size, move || reader.original_page(place, answer, &candidates)).await;
            page.map_or_else(unusable, |page| Outcome::Original(page, reason))
        }
    }
}

/// The figures of one search that is reranked for their sake only: its new page is thrown away.
pub(super) async fn measure(
    context: &Context,
    reader: &Arc<dyn AnswerReader>,
    planned: &Arc<Planned>,
    answer: Bytes,
    answered: Instant,
) -> Result<Counts, SkipReason> {
    let (candidates, texts) = split(candidates(reader, planned, &answer, answer.len()).await??, planned.explain);
    let scored = score(context, planned, &candidates, texts, answered, Priority::Search).await?;
    Ok(reordered(reader, planned, &candidates, scored, &answer, answer.len(), false).await?.counts)
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
    reader: &Arc<dyn AnswerReader>,
    planned: &Planned,
    answer: &Bytes,
    size: usize,
) -> Result<Result<Candidates, Unreadable>, SkipReason> {
    let (reader, answer, place, explain) = (reader.clone(), answer.clone(), planned.place, planned.explain);
    computed(size, move || reader.candidates(place, &answer, explain)).await
}

/// The priority of a search. One that is explained may be as wide as its caller likes, so that clients' searches go first.
fn priority(trace: &Trace) -> Priority {
    if trace.is_on() { Priority::Background } else { Priority::Search }
}

/// The scores of a window, or why there are none.
async fn score(
    context: &Context,
    planned: &Arc<Planned>,
    candidates: &Arc<Candidates>,
    texts: Vec<Option<String>>,
    answered: Instant,
    priority: Priority,
) -> Result<Scored, SkipReason> {
    // Pins stay where they are, whatever a model would say of them.
    if candidates.layout.hits.len().saturating_sub(candidates.pinned) < 2 {
        return Err(SkipReason::SingleHit);
    }
    let window = texts.len();
    let is_scored = |(hit, text): (usize, Option<String>)| Some((hit, text?)).filter(|_| hit >= candidates.pinned);
    let (places, passages): (Vec<usize>, Vec<String>) = texts.into_iter().enumerate().filter_map(is_scored).unzip();
    if places.is_empty() {
        return Err(SkipReason::NoPassages);
    }
    let scorer = context.snapshot.scorers.get(&planned.model).ok_or(SkipReason::ModelUnavailable)?;
    let deadline = answered + planned.budget;
    let known = known_apart(planned, candidates, &places).await?;
    let scoring = guarded_future(scorer.score(Request {
        query: &planned.plan.query,
        passages,
        long: planned.long,
        deadline,
        priority,
        known: Some(&known),
        vectors: planned.needs_vectors(),
    }));
    let scored = held_to(deadline, scoring).await.ok_or(SkipReason::Budget)??;
    let scored = scored.and_then(|scored| scored.of_passages(places.len()));
    let mut scored = scored.map_err(|error| match error {
        ScoreError::Overloaded => SkipReason::Overloaded,
        ScoreError::Unavailable(cause) => {
            debug!(model = %planned.model, %cause, "model unavailable");
            SkipReason::ModelUnavailable
        }
    })?;
    // Back to one entry per hit: a hit without text has no score.
    scored.scores = by_hit(window, &places, scored.scores);
    scored.signals = by_hit(window, &places, scored.signals);
    scored.vectors = by_hit(window, &places, scored.vectors);
    if let Some(curve) = &planned.probability {
        for score in scored.scores.iter_mut().flatten() {
            score.probability = curve.probability(|_| Some(score.raw));
        }
    }
    match (scored.scores.iter().any(Option::is_some), scored.budget_hit) {
        (true, _) => Ok(scored),
        (false, true) => Err(SkipReason::Budget),
        (false, false) => Err(SkipReason::ModelUnavailable),
    }
}

/// The same as [`known`], where that takes long by another thread.
async fn known_apart(
    planned: &Arc<Planned>,
    candidates: &Arc<Candidates>,
    places: &[usize],
) -> Result<Known, SkipReason> {
    let values: usize = candidates.values.iter().flatten().map(Vec::len).sum();
    let (planned, candidates, places) = (planned.clone(), candidates.clone(), places.to_vec());
    computed(values * BYTES_OF_A_VALUE, move || known(&planned, &candidates, &places)).await
}

/// As how many bytes of an answer a value counts that is made a number of.
const BYTES_OF_A_VALUE: usize = 128;

/// What is known of the hits that are scored, besides their texts.
fn known(planned: &Planned, candidates: &Candidates, places: &[usize]) -> Known {
    let cluster = order::falling(candidates.scores[candidates.pinned.min(candidates.scores.len())..].iter().copied());
    let own = |hit: &usize| cluster.get(hit - candidates.pinned).copied();
    let fields = planned.fields.numbers(&candidates.values, places);
    Known { cluster: places.iter().map(own).collect(), fields }
}

/// One entry for each of `hits`, out of those of the hits at `places`.
fn by_hit<T: Clone + Default>(hits: usize, places: &[usize], entries: Vec<T>) -> Vec<T> {
    let mut all = vec![T::default(); hits];
    for (&place, entry) in places.iter().zip(entries) {
        all[place] = entry;
    }
    all
}

/// A search in its new order.
struct Reordered {
    body: Bytes,
    counts: Counts,
    /// Where it is explained.
    pages: Option<Pages>,
    /// The time that the order took, and that the rewriting took.
    order: Duration,
    rewrite: Duration,
}

/// Order and rewrite: the answer with the client's page of the new order.
async fn reordered(
    reader: &Arc<dyn AnswerReader>,
    planned: &Arc<Planned>,
    candidates: &Arc<Candidates>,
    scored: Scored,
    answer: &Bytes,
    size: usize,
    is_explained: bool,
) -> Result<Reordered, SkipReason> {
    let (whole, began) = (Span::current(), Instant::now());
    let counts = Counts::of(&scored).with_good(&scored, planned.min_score);
    let (reader, planned, candidates, answer) = (reader.clone(), planned.clone(), candidates.clone(), answer.clone());
    let (mut body, pages, shift, order) = computed(size + bytes_of_vectors(&scored), move || {
        let began = Instant::now();
        let ordering = Stage::Order.span(&whole).entered();
        let (ranked, moved) = new_order(&planned, &candidates, &scored, reader.min_score(planned.place));
        drop(ordering);
        let order = began.elapsed();
        let _rewriting = Stage::Rewrite.span(&whole).entered();
        let page = planned.plan.page;
        let shift = Shift::of(ranked[page.of(ranked.len())].iter().map(|hit| hit.hit), page.from);
        let notes = |rank: usize, hit: &Ranked| notes(&planned, rank, hit, &candidates, &scored, &moved);
        let pages = is_explained.then(|| Pages {
            before: reader.original_page(planned.place, answer.clone(), &candidates),
            places: Places::of(page, &candidates, &ranked, &notes),
        });
        let new = NewOrder {
            total: planned.cut.then_some(ranked.len()),
            ranked,
            scores: planned.shown == ShownScore::Rerank,
            // What is told beside the answer is not told in it.
            notes: if is_explained { &|_, _| Vec::new() } else { &notes },
        };
        (reader.rewrite(planned.place, &answer, &candidates, new), pages, shift, order)
    })
    .await?;
    if body.len() < body.capacity() / 2 {
        // A page of a window: the rest of the room is not to be kept until the client has read it.
        body.shrink_to_fit();
    }
    let (counts, rewrite) = (Counts { shift: Some(shift), ..counts }, began.elapsed().saturating_sub(order));
    Ok(Reordered { body: Bytes::from(body), counts, pages, order, rewrite })
}

/// The bytes of the vectors that are compared: to compare those of 200 hits takes longer than to rewrite a small answer.
fn bytes_of_vectors(scored: &Scored) -> usize {
    scored.vectors.iter().flatten().take(diversity::MOST).map(|vector| size_of_val(&**vector)).sum()
}
