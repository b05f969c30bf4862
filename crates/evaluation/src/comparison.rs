//! The comparison of two runs over judged queries, query by query. Whoever runs the queries hands in the answers.

use std::time::Duration;

use crate::{
    judgements::Query,
    measures::{Gain, Kind, Measure, mean},
    significance::Outcomes,
};

/// The number of results that are measured.
pub const CUTOFF: usize = 10;

/// What the demo measures first.
pub const NDCG: Measure = Measure { kind: Kind::Ndcg(Gain::Exponential), cutoff: CUTOFF };

/// What the demo measures besides. Its answers have at least grade 2, since grade 1 means "on the subject, but does not answer": finding
/// only that is no success. TREC's deep learning tracks binarise their 0–3 passage grades at 2 for the same reason (Craswell et al.,
/// "Overview of the TREC 2019 deep learning track", 2020).
pub const RECIPROCAL_RANK: Measure = Measure { kind: Kind::ReciprocalRank { lowest: 2 }, cutoff: CUTOFF };

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

/// The answers to all queries, in their order.
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
    /// [`NDCG`].
    pub ndcg: Change,
    /// [`RECIPROCAL_RANK`].
    pub reciprocal_rank: Change,
}

/// Judged queries before and after.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The queries, in their order.
    pub queries: Vec<QueryComparison>,
}

impl Comparison {
    /// Measures two runs over `queries`.
    pub fn of(queries: &[Query], before: &Run, after: &Run) -> Self {
        let pairs = queries.iter().zip(before.iter().zip(after));
        let queries = pairs.map(|(query, (before, after))| {
            let change = |measure: Measure| Change {
                before: measure.of(&before.passage_ids, &query.grades),
                after: measure.of(&after.passage_ids, &query.grades),
            };
            QueryComparison {
                query: query.clone(),
                before: before.passage_ids.clone(),
                after: after.passage_ids.clone(),
                ndcg: change(NDCG),
                reciprocal_rank: change(RECIPROCAL_RANK),
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

    /// The queries by their gain in NDCG, largest loss first; equal ones in their order.
    pub fn by_gain(&self) -> Vec<&QueryComparison> {
        let mut queries: Vec<_> = self.queries.iter().collect();
        queries.sort_by(|left, right| left.ndcg.gain().total_cmp(&right.ndcg.gain()));
        queries
    }

    /// The change in NDCG of each query, in their order.
    pub fn gains(&self) -> Vec<f64> {
        self.queries.iter().map(|query| query.ndcg.gain()).collect()
    }

    /// The numbers of queries that got a better, the same and a worse NDCG.
    pub fn outcomes(&self) -> Outcomes {
        Outcomes::of(self.gains())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgements::Search;

    fn ranking(ids: &[&str], rerank: Option<&str>) -> Ranking {
        let passage_ids = ids.iter().map(ToString::to_string).collect();
        Ranking { passage_ids, rerank: rerank.map(str::to_owned), added: None }
    }

    fn query(id: &str, passage: &str, grade: i32) -> Query {
        Query {
            id: id.to_owned(),
            search: Search::Text(String::new()),
            grades: [(passage, grade)].into_iter().collect(),
        }
    }

    #[test]
    fn a_comparison_counts_wins_and_lists_the_worst_loss_first() {
        let queries = [query("up", "b", 3), query("down", "a", 3), query("same", "a", 1)];
        let before = vec![ranking(&["a", "b"], None), ranking(&["a", "b"], None), ranking(&["a"], None)];
        let after = vec![ranking(&["b", "a"], None), ranking(&["b", "a"], None), ranking(&["a"], None)];
        let comparison = Comparison::of(&queries, &before, &after);
        assert_eq!(comparison.outcomes(), Outcomes { wins: 1, ties: 1, losses: 1 });
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
