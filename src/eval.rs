//! Evaluation: how good a search is, measured by judged queries against a running engine or proxy, and how two of them
//! compare query by query. Owns running the queries and the comparison; the dataset's format and the measures are its
//! submodules', which do no I/O of their own beyond reading the files.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

pub mod dataset;
pub mod measures;

use dataset::{Dataset, Query};
use measures::{mean, ndcg_at, reciprocal_rank_at};

/// How many results are measured.
pub const CUTOFF: usize = 10;

/// Two measurements closer than this are a tie.
const TIE: f64 = 1e-9;

/// Where and how to search: a `multi_match` over `fields` for the query's text.
#[derive(Debug, Clone)]
pub struct Target {
    /// The engine's or the proxy's URL, such as `http://localhost:9200`.
    pub url: String,
    /// The index to search.
    pub index: String,
    /// The fields to search, with boosts (`title^2`).
    pub fields: Vec<String>,
    /// How many searches are under way at once, at least 1.
    pub concurrency: usize,
}

/// The answer to one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    /// The ids of the hits, best first, at most [`CUTOFF`].
    pub passage_ids: Vec<String>,
    /// The answer's `X-Rerank` header.
    pub rerank: Option<String>,
}

impl Ranking {
    /// Whether the answer says that it was reranked, or had nothing that could change places.
    pub fn is_reranked(&self) -> bool {
        let says = |start: &str| self.rerank.as_deref().is_some_and(|header| header.trim_start().starts_with(start));
        says("applied") || (self.passage_ids.len() < 2 && says("skipped"))
    }

    /// Whether time ran out before every candidate was scored.
    pub fn is_cut_short(&self) -> bool {
        self.rerank.as_deref().is_some_and(|header| header.contains("budget-hit=?1"))
    }
}

/// The answers to all judged queries, in the dataset's order.
pub type Run = Vec<Ranking>;

/// Sends every judged query of `dataset` to `target`.
///
/// # Errors
/// When a search fails, is not answered with 200, or its answer has no hits array. The query is named.
pub async fn run(client: &reqwest::Client, target: &Target, dataset: &Dataset) -> anyhow::Result<Run> {
    let permits = Arc::new(Semaphore::new(target.concurrency.max(1)));
    let mut searches = JoinSet::new();
    for (number, query) in dataset.judged_queries().enumerate() {
        let (client, target, query) = (client.clone(), target.clone(), query.clone());
        let permits = Arc::clone(&permits);
        searches.spawn(async move {
            let _permit = permits.acquire().await?;
            let ranking = search(&client, &target, &query).await;
            ranking.map(|ranking| (number, ranking)).with_context(|| format!("query {} ({})", query.id, query.text))
        });
    }
    let mut rankings = BTreeMap::new();
    while let Some(finished) = searches.join_next().await {
        let (number, ranking) = finished??;
        rankings.insert(number, ranking);
    }
    Ok(rankings.into_values().collect())
}

/// Sends one query to `target`.
async fn search(client: &reqwest::Client, target: &Target, query: &Query) -> anyhow::Result<Ranking> {
    let body = json!({
        "query": {"multi_match": {"query": query.text, "fields": target.fields}},
        "size": CUTOFF,
    });
    let url = format!("{}/{}/_search", target.url.trim_end_matches('/'), target.index);
    let answer = client.post(&url).json(&body).send().await.with_context(|| format!("cannot search {url}"))?;
    let status = answer.status();
    let rerank = answer.headers().get("x-rerank").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    let answer: Value = serde_json::from_str(&text).with_context(|| format!("{url} did not answer with JSON"))?;
    let hits = answer["hits"]["hits"].as_array().ok_or_else(|| anyhow!("{url} answered without hits"))?;
    let id = |hit: &Value| hit["_id"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("a hit has no _id"));
    Ok(Ranking { passage_ids: hits.iter().map(id).collect::<Result<_, _>>()?, rerank })
}

/// One measure of one query, before and after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Without reranking.
    pub before: f64,
    /// With it.
    pub after: f64,
}

impl Change {
    /// What reranking added.
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
    /// In the dataset's order.
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

    /// How many queries got a better, a worse and the same NDCG.
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
        Ranking { passage_ids, rerank: rerank.map(str::to_owned) }
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
    }
}
