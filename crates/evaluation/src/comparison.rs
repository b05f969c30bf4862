//! The comparison of two runs over judged queries, query by query. Whoever runs the queries hands in the answers.

use std::time::Duration;

use crate::{
    judgements::{Dataset, Query},
    measures::{mean, ndcg_at, reciprocal_rank_at},
};

/// The number of results that are measured.
pub const CUTOFF: usize = 10;

/// Two measurements closer than this are a tie.
const TIE: f64 = 1e-9;

/// The answer to one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    /// The ids of the hits, best first, at most [`CUTOFF`].
    pub passage_ids: Vec<String>,
    /// The answer's `X-Rerank` header.
    pub rerank: Option<String>,
    /// The time that reranking took, by the answer's `Server-Timing`.
    pub added: Option<Duration>,
}

impl Ranking {
    /// True where the answer says that it was reranked, or had nothing that could change places.
    pub fn is_reranked(&self) -> bool {
        let says = |start: &str| self.rerank.as_deref().is_some_and(|header| header.trim_start().starts_with(start));
        says("applied") || (self.passage_ids.len() < 2 && says("skipped"))
    }

    /// The number of hits that were reranked.
    pub fn window(&self) -> Option<usize> {
        let (_, rest) = self.rerank.as_deref()?.split_once("window=")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// True where time ran out before every candidate was scored.
    pub fn is_cut_short(&self) -> bool {
        self.rerank.as_deref().is_some_and(|header| header.contains("budget-hit=?1"))
    }
}

/// The answers to all judged queries, in the dataset's order.
pub type Run = Vec<Ranking>;

/// One measure of one query, before and after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The measure without reranking.
    pub before: f64,
    /// The measure with reranking.
    pub after: f64,
}

impl Change {
    /// The change that reranking made.
    pub fn gain(self) -> f64 {
        self.after - self.before
    }
}

/// One query before and after.
#[derive(Debug, Clone)]
pub struct QueryComparison {
    /// The query.
    pub query: Query,
    /// The ids of the hits without reranking, best first.
    pub before: Vec<String>,
    /// The ids of the hits with it.
    pub after: Vec<String>,
    /// NDCG at [`CUTOFF`].
    pub ndcg: Change,
    /// Reciprocal rank of the first answer within [`CUTOFF`].
    pub reciprocal_rank: Change,
}

/// A dataset's judged queries before and after.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The judged queries, in the dataset's order.
    pub queries: Vec<QueryComparison>,
}

impl Comparison {
    /// Measures two runs over the judged queries of `dataset`.
    pub fn of(dataset: &Dataset, before: &Run, after: &Run) -> Self {
        let pairs = dataset.judged_queries().zip(before.iter().zip(after));
        let queries = pairs.map(|(query, (before, after))| {
            let judged = dataset.grades(&query.id);
            let grades = |ranking: &Ranking| -> Vec<u8> {
                ranking.passage_ids.iter().map(|id| dataset.grade(&query.id, id)).collect()
            };
            let (grades_before, grades_after) = (grades(before), grades(after));
            let ndcg = |grades: &[u8]| ndcg_at(CUTOFF, grades, &judged).unwrap_or(0.0);
            QueryComparison {
                query: query.clone(),
                before: before.passage_ids.clone(),
                after: after.passage_ids.clone(),
                ndcg: Change { before: ndcg(&grades_before), after: ndcg(&grades_after) },
                reciprocal_rank: Change {
                    before: reciprocal_rank_at(CUTOFF, &grades_before),
                    after: reciprocal_rank_at(CUTOFF, &grades_after),
                },
            }
        });
        Self { queries: queries.collect() }
    }

    /// Mean NDCG over all queries.
    pub fn ndcg(&self) -> Change {
        self.mean(|query| query.ndcg)
    }

    /// Mean reciprocal rank over all queries.
    pub fn mrr(&self) -> Change {
        self.mean(|query| query.reciprocal_rank)
    }

    fn mean(&self, measure: impl Fn(&QueryComparison) -> Change) -> Change {
        Change {
            before: mean(self.queries.iter().map(|query| measure(query).before)),
            after: mean(self.queries.iter().map(|query| measure(query).after)),
        }
    }

    /// The queries by their gain in NDCG, largest loss first; equal ones in the dataset's order.
    pub fn by_gain(&self) -> Vec<&QueryComparison> {
        let mut queries: Vec<_> = self.queries.iter().collect();
        queries.sort_by(|left, right| left.ndcg.gain().total_cmp(&right.ndcg.gain()));
        queries
    }

    /// The numbers of queries that got a better, a worse and the same NDCG.
    pub fn wins_losses_ties(&self) -> (usize, usize, usize) {
        let gains = self.queries.iter().map(|query| query.ndcg.gain());
        gains.fold((0, 0, 0), |(wins, losses, ties), gain| match gain {
            gain if gain > TIE => (wins + 1, losses, ties),
            gain if gain < -TIE => (wins, losses + 1, ties),
            _ => (wins, losses, ties + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(ids: &[&str], rerank: Option<&str>) -> Ranking {
        let passage_ids = ids.iter().map(ToString::to_string).collect();
        Ranking { passage_ids, rerank: rerank.map(str::to_owned), added: None }
    }

    #[test]
    fn a_comparison_counts_wins_and_lists_the_worst_loss_first() {
        let passages: String =
            ["a", "b"].map(|id| format!("{{\"id\":\"{id}\",\"domain\":\"\",\"title\":\"\",\"text\":\"\"}}\n")).concat();
        let queries =
            "{\"id\":\"up\",\"text\":\"\"}\n{\"id\":\"down\",\"text\":\"\"}\n{\"id\":\"same\",\"text\":\"\"}\n";
        let dataset = Dataset::parse(&passages, queries, "up\tb\t3\ndown\ta\t3\nsame\ta\t1\n").unwrap();
        let before = vec![ranking(&["a", "b"], None), ranking(&["a", "b"], None), ranking(&["a"], None)];
        let after = vec![ranking(&["b", "a"], None), ranking(&["b", "a"], None), ranking(&["a"], None)];
        let comparison = Comparison::of(&dataset, &before, &after);
        assert_eq!(comparison.wins_losses_ties(), (1, 1, 1));
        assert_eq!(comparison.by_gain()[0].query.id, "down");
        assert_eq!(comparison.queries[0].reciprocal_rank, Change { before: 0.5, after: 1.0 });
        assert!((comparison.mrr().before - 0.5).abs() < 1e-12, "grade 1 is not an answer");
    }

    #[test]
    fn an_answer_is_reranked_only_when_it_says_so() {
        assert!(ranking(&["a", "b"], Some("applied; model=\"m\"; budget-hit=?0")).is_reranked());
        assert!(!ranking(&["a", "b"], Some("skipped; reason=budget")).is_reranked());
        assert!(!ranking(&["a", "b"], None).is_reranked());
        assert!(ranking(&["a"], Some("skipped; reason=single-hit")).is_reranked());
        assert!(ranking(&["a", "b"], Some("applied; budget-hit=?1")).is_cut_short());
        assert_eq!(ranking(&[], Some("applied; model=\"m\"; window=87; scored=5")).window(), Some(87));
        assert_eq!(ranking(&[], Some("skipped; reason=budget")).window(), None);
    }
}
