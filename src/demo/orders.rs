//! The orders that the demo measures: which model makes each, with which of the queries, and what came of it. Pure.

use std::{collections::BTreeMap, time::Duration};

use evaluation::{
    comparison::{Comparison, Ranking, Run},
    corpus::Dataset,
};

/// An order that is measured beside that of the engine.
#[derive(Debug, Clone)]
pub struct Order {
    /// The name, as it is shown.
    pub name: String,
    /// The model that searches ask for; `None` for what the proxy does by itself.
    pub model: Option<String>,
    /// The most hits of a search that each of its models scores; `None` for the whole window.
    pub keep: Vec<Option<usize>>,
    /// Measured with every so-manieth of the judged queries, 1 for all.
    pub every: usize,
}

/// An order, and the answers that have it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The order.
    pub order: Order,
    /// The answers, to every `order.every`-th query.
    pub run: Run,
}

impl Measured {
    /// The order that the proxy gives to whoever asks for nothing.
    pub fn is_usual(&self) -> bool {
        self.order.model.is_none()
    }

    /// The comparison with the engine's own order over every `every`-th query of `dataset`; `None` where this was measured
    /// with fewer.
    pub fn against(&self, before: &Run, dataset: &Dataset, every: usize) -> Option<Comparison> {
        if !every.is_multiple_of(self.order.every) {
            return None;
        }
        let thinned = |run: &Run, step: usize| run.iter().step_by(step).cloned().collect::<Run>();
        let after = thinned(&self.run, every / self.order.every);
        Some(Comparison::of(&dataset.every(every), &thinned(before, every), &after))
    }

    /// The pairs that each model scored of a search, on average.
    pub fn pairs(&self) -> Vec<f64> {
        let windows: Vec<usize> = self.run.iter().filter_map(Ranking::window).collect();
        let mean = |keep: usize| {
            let pairs: usize = windows.iter().map(|window| keep.min(*window)).sum();
            pairs as f64 / windows.len().max(1) as f64
        };
        self.order.keep.iter().map(|keep| mean(keep.unwrap_or(usize::MAX))).collect()
    }

    /// The time that reranking added to a search, at the median.
    pub fn added(&self) -> Option<Duration> {
        let mut times: Vec<Duration> = self.run.iter().filter_map(|ranking| ranking.added).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    /// The answers that were not reranked, or only in part, by what they say of it.
    pub fn shortfalls(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for ranking in self.run.iter().filter(|ranking| !ranking.is_reranked() || ranking.is_cut_short()) {
            *reasons.entry(ranking.rerank.as_deref().unwrap_or("no X-Rerank header")).or_default() += 1;
        }
        reasons
    }
}
