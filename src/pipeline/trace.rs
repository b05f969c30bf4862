//! What is noted of a request on its way. The times of its stages always are, for the metrics and the traces; its searches' indices,
//! its plan and the pages before and after where somebody wants to know. Owns that nothing is copied of any other request.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use engines::{candidates::Candidates, plan::Page};
use ranking::ranked::Ranked;
use tracing::{Instrument, Span};

use super::planned::Planned;
use crate::{state::Context, telemetry::Stage};

/// What is noted of a request.
#[derive(Debug)]
pub(super) struct Noted {
    /// The index expression of the first search, where it is known.
    pub(super) indices: Option<String>,
    /// The plan of the first search, where it has one.
    pub(super) planned: Option<Arc<Planned>>,
    /// The time that each stage took, in the order in which they ended.
    pub(super) stages: Vec<(Stage, Duration)>,
    /// The pages, where the search was reranked; the second is the one in the new order.
    pub(super) pages: Option<(Pages, Bytes)>,
}

impl Noted {
    fn nothing() -> Self {
        Self { indices: None, planned: None, stages: Vec::new(), pages: None }
    }
}

/// The page in the cluster's order, and what is known of the hits of both.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) before: Bytes,
    pub(super) places: Places,
}

/// The hits of both pages, by their places in the cluster's order.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) before: Vec<usize>,
    pub(crate) after: Vec<usize>,
    /// The notes on each of them.
    pub(crate) notes: HashMap<usize, String>,
}

impl Places {
    /// The hits that `page` shows of the cluster's order and of the new one; `notes` says what is noted of a hit at its new rank.
    pub(super) fn of(
        page: Page,
        candidates: &Candidates,
        ranked: &[Ranked],
        notes: &dyn Fn(usize, &Ranked) -> Vec<String>,
    ) -> Self {
        let before: Vec<usize> = page.of(candidates.layout.hits.len()).collect();
        let after: Vec<usize> = ranked[page.of(ranked.len())].iter().map(|hit| hit.hit).collect();
        let on_page = page.of(ranked.len());
        let is_shown = |rank: usize, hit: &Ranked| on_page.contains(&rank) || before.contains(&hit.hit);
        let note = |(rank, hit): (usize, &Ranked)| Some((hit.hit, notes(rank, hit).into_iter().next()?));
        let shown = ranked.iter().enumerate().filter(|(rank, hit)| is_shown(*rank, hit));
        let notes = shown.filter_map(note).collect();
        Self { before, after, notes }
    }
}

/// The notes on a request; `None` where nobody wants to know.
#[derive(Debug)]
pub(super) struct Trace(Option<RefCell<Noted>>);

impl Trace {
    /// Of a request that is only answered.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Of a request that is explained and begins now.
    pub(super) fn begun() -> Self {
        Self(Some(RefCell::new(Noted::nothing())))
    }

    /// True if something is noted.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes something.
    pub(super) fn note(&self, note: impl FnOnce(&mut Noted)) {
        if let Some(noted) = &self.0 {
            note(&mut noted.borrow_mut());
        }
    }

    /// Runs a stage to its end.
    pub(super) async fn stage<T>(&self, context: &Context, stage: Stage, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.instrument(stage.span(&Span::current())).await;
        self.took(context, stage, began.elapsed());
        done
    }

    /// Notes the time that a stage took.
    pub(super) fn took(&self, context: &Context, stage: Stage, time: Duration) {
        context.process.metrics.took(stage, time);
        self.note(|noted| noted.stages.push((stage, time)));
    }

    /// What was noted; nothing where nobody wanted to know.
    pub(super) fn noted(self) -> Noted {
        self.0.map_or_else(Noted::nothing, RefCell::into_inner)
    }
}
