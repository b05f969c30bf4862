//! Judged queries, sent to a running engine or proxy. Owns how they are asked; what the answers are worth is
//! the crate `evaluation`'s to say.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, anyhow, bail};
use evaluation::{
    comparison::{CUTOFF, Ranking, Run},
    judgements::Query,
};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::rerank_header::time_of_reranking;

/// A target to search: a `multi_match` over `fields` for the query's text.
#[derive(Debug, Clone)]
pub struct Target {
    /// The engine's or the proxy's URL, such as `http://localhost:9200`.
    pub url: String,
    /// The index to search.
    pub index: String,
    /// The fields to search, with boosts (`title^2`).
    pub fields: Vec<String>,
    /// The number of searches in flight at once, at least 1.
    pub concurrency: usize,
    /// The value of `X-Rerank-Model`, where a proxy is asked for another model than its rule's.
    pub model: Option<String>,
}

/// Sends `queries` to `target`. `progress` is told how many are answered.
///
/// # Errors
/// A query is no text, or its search fails, is not answered with 200, or has no hits array in its answer. The query is named.
pub async fn run(
    client: &reqwest::Client,
    target: &Target,
    queries: &[Query],
    mut progress: impl FnMut(usize),
) -> anyhow::Result<Run> {
    let permits = Arc::new(Semaphore::new(target.concurrency.max(1)));
    let mut searches = JoinSet::new();
    for (number, query) in queries.iter().enumerate() {
        let (client, target, query) = (client.clone(), target.clone(), query.clone());
        let permits = Arc::clone(&permits);
        searches.spawn(async move {
            let _permit = permits.acquire().await?;
            let ranking = search(&client, &target, &query).await;
            ranking.map(|ranking| (number, ranking)).with_context(|| format!("query {} ({})", query.id, query.label()))
        });
    }
    let mut rankings = BTreeMap::new();
    while let Some(finished) = searches.join_next().await {
        let (number, ranking) = finished??;
        rankings.insert(number, ranking);
        progress(rankings.len());
    }
    Ok(rankings.into_values().collect())
}

/// Sends one query to `target`.
async fn search(client: &reqwest::Client, target: &Target, query: &Query) -> anyhow::Result<Ranking> {
    let text = query.text().context("it is a search of its own, and only texts can be asked here")?;
    let body = json!({
        "query": {"multi_match": {"query": text, "fields": target.fields}},
        "size": CUTOFF,
    });
    let url = format!("{}/{}/_search", target.url.trim_end_matches('/'), target.index);
    let mut request = client.post(&url).json(&body);
    if let Some(model) = &target.model {
        request = request.header("x-rerank-model", model);
    }
    let answer = request.send().await.with_context(|| format!("cannot search {url}"))?;
    let status = answer.status();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (rerank, timing) = (header("x-rerank"), header("server-timing"));
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    let answer: Value = serde_json::from_str(&text).with_context(|| format!("{url} did not answer with JSON"))?;
    let hits = answer["hits"]["hits"].as_array().ok_or_else(|| anyhow!("{url} answered without hits"))?;
    let id = |hit: &Value| hit["_id"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("a hit has no _id"));
    let passage_ids = hits.iter().map(id).collect::<Result<_, _>>()?;
    Ok(Ranking { passage_ids, rerank, added: timing.as_deref().and_then(time_of_reranking) })
}
