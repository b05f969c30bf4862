//! What each model says of the hits of judged queries, and what a pair costs with it here: asked through a proxy, which explains its
//! answers. Owns how an explained answer is read.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail, ensure};
use evaluation::{
    judgements::Query,
    tuning::{Hit, Observed, advice::Costs},
};
use ranking::value::{Scale, Value as Number};
use serde_json::Value;

use crate::{
    eval::ask::{self, Answer, Target},
    progress::Progress,
    rerank_header::figure,
};

/// A model that is asked.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Its name in the configuration.
    pub(super) name: String,
    /// The scale of what it says.
    pub(super) scale: Scale,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The queries, in their order.
    pub queries: Vec<Observed>,
    /// What a pair costs with each model.
    pub costs: Costs,
    /// Answers that were not reranked, by what they say of it, and how many.
    pub skipped: BTreeMap<String, usize>,
}

/// Asks for every query with every model, the models one after the other, over the widest window that is to be tried: as many hits as
/// `target` asks for. One search at a time: its time is the cost of a pair.
///
/// # Errors
/// A search fails, the cluster's hits changed while it was asked, or a model scored nothing.
pub(super) async fn observe(target: &Target, queries: &[Query], models: &[Model]) -> anyhow::Result<Observation> {
    let client = ask::client()?;
    let mut observed: Vec<Option<Observed>> = vec![None; queries.len()];
    let (mut seconds_a_pair, mut skipped) = (Vec::with_capacity(models.len()), BTreeMap::new());
    for (place, model) in models.iter().enumerate() {
        let mut progress = Progress::new(&model.name, queries.len());
        let mut spent = Spent::default();
        for (number, query) in queries.iter().enumerate() {
            let headers = headers(&model.name, target.depth);
            let answer = target.ask(&client, query, &headers).await;
            let answer = answer.with_context(|| format!("query {} ({})", query.id, query.label()))?;
            spent.add(&answer);
            let hits = match explained(target, &answer) {
                Some(hits) => hits,
                None => {
                    *skipped.entry(answer.rerank.clone()).or_default() += 1;
                    answer.ids.iter().map(|id| Explained { id: id.clone(), cluster: None, raw: None }).collect()
                }
            };
            let known = observed[number].get_or_insert_with(|| unheard(query, &hits, models.len()));
            ensure!(
                known.hits.len() == hits.len() && known.hits.iter().zip(&hits).all(|(known, hit)| known.id == hit.id),
                "query {} ({}): the cluster's hits changed while it was asked with one model after the other; try again while \
                 nothing is indexed",
                query.id,
                query.label()
            );
            for (known, hit) in known.hits.iter_mut().zip(hits) {
                known.outputs[place] = hit.raw.map(|raw| Number { raw, scale: model.scale });
            }
            progress.at(number + 1);
        }
        let Some(seconds) = spent.seconds_a_pair() else {
            let reasons: Vec<String> = skipped.iter().map(|(said, count)| format!("  {count} × {said}")).collect();
            bail!("model `{}` scored nothing:\n{}", model.name, reasons.join("\n"));
        };
        seconds_a_pair.push(seconds);
    }
    Ok(Observation { queries: observed.into_iter().flatten().collect(), costs: Costs { seconds_a_pair }, skipped })
}

/// What a search asks of the proxy.
fn headers(model: &str, window: usize) -> Vec<(&'static str, String)> {
    vec![
        ("x-rerank", "on".to_owned()),
        ("x-rerank-model", model.to_owned()),
        ("x-rerank-window", window.to_string()),
        ("x-rerank-explain", "true".to_owned()),
    ]
}

/// A query of whose hits no model has said anything.
fn unheard(query: &Query, hits: &[Explained], models: usize) -> Observed {
    let hit = |hit: &Explained| Hit { id: hit.id.clone(), cluster: hit.cluster, outputs: vec![None; models] };
    Observed { grades: query.grades.clone(), hits: hits.iter().map(hit).collect() }
}

/// A hit of an explained answer.
#[derive(Debug, Clone, PartialEq)]
struct Explained {
    id: String,
    cluster: Option<f32>,
    raw: Option<f32>,
}

/// The hits of an explained answer in the cluster's order; `None` where it was not reranked.
fn explained(target: &Target, answer: &Answer) -> Option<Vec<Explained>> {
    let number = |value: &Value| value.as_f64().map(|number| number as f32);
    let mut hits: Vec<(u64, Explained)> = Vec::with_capacity(answer.ids.len());
    for (id, hit) in answer.ids.iter().zip(target.hits(&answer.json)?) {
        // Elasticsearch and OpenSearch have a place for what a request adds to a hit; in Solr the hit is the document.
        let note = match &hit["fields"]["_rerank"][0] {
            Value::Null => &hit["_rerank"],
            note => note,
        };
        let before = note["rank"]["before"].as_u64()?;
        let score = &note["score"];
        let hit = Explained { id: id.clone(), cluster: number(&score["before"]), raw: number(&score["model"]) };
        hits.push((before, hit));
    }
    hits.sort_by_key(|(before, _)| *before);
    (!hits.is_empty()).then(|| hits.into_iter().map(|(_, hit)| hit).collect())
}

/// The time that scoring took, and of how many pairs.
#[derive(Debug, Default)]
struct Spent {
    time: Duration,
    pairs: u64,
}

impl Spent {
    fn add(&mut self, answer: &Answer) {
        let (Some(scored), Some(cached), Some(added)) =
            (figure(&answer.rerank, "scored"), figure(&answer.rerank, "cached"), answer.added)
        else {
            return;
        };
        // The time of an answer that the cache knew a part of is that of the rest.
        self.pairs += scored.saturating_sub(cached);
        self.time += added;
    }

    fn seconds_a_pair(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.time.as_secs_f64() / self.pairs as f64)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::eval::search::Engine;

    fn target(engine: Engine) -> Target {
        let (url, index) = (String::new(), "docs".to_owned());
        Target { url, index, engine, template: None, id: None, depth: 10, headers: HeaderMap::new() }
    }

    fn answer(ids: &[&str], json: Value, rerank: &str) -> Answer {
        Answer {
            ids: ids.iter().map(|&id| id.to_owned()).collect(),
            json,
            rerank: rerank.to_owned(),
            added: Some(Duration::from_millis(30)),
            took: Duration::from_millis(40),
        }
    }

    #[test]
    fn hits_are_told_in_the_clusters_order_whatever_the_engine() {
        let note = |before: u32, score: f64, model: Value| json!({"rank": {"before": before, "after": 1}, "score": {"before": score, "model": model}});
        let (first, second) = (note(1, 4.0, json!(null)), note(2, 3.0, json!(1.5)));
        let elastic = json!({"hits": {"hits": [
            {"_id": "b", "fields": {"_rerank": [second]}}, {"_id": "a", "fields": {"_rerank": [first]}},
        ]}});
        let solr = json!({"response": {"docs": [{"id": "b", "_rerank": second}, {"id": "a", "_rerank": first}]}});
        let told = |id: &str, cluster, raw| Explained { id: id.to_owned(), cluster: Some(cluster), raw };
        for (engine, json) in [(Engine::Elastic, elastic), (Engine::Solr { unique_key: "id".to_owned() }, solr)] {
            let found = explained(&target(engine), &answer(&["b", "a"], json, "applied"));
            assert_eq!(found, Some(vec![told("a", 4.0, None), told("b", 3.0, Some(1.5))]));
        }
        let elastic = target(Engine::Elastic);
        let skipped = json!({"hits": {"hits": [{"_id": "b"}]}});
        assert_eq!(explained(&elastic, &answer(&["b"], skipped, "skipped; reason=single-hit")), None);
        let none = json!({"hits": {"hits": []}});
        assert_eq!(explained(&elastic, &answer(&[], none, "skipped; reason=single-hit")), None);
    }

    #[test]
    fn what_the_cache_knew_costs_nothing() {
        let mut spent = Spent::default();
        assert_eq!(spent.seconds_a_pair(), None);
        spent.add(&answer(&[], json!({}), "applied; model=\"m\"; window=20; scored=20; cached=5; budget-hit=?0"));
        spent.add(&answer(&[], json!({}), "skipped; reason=sort"));
        assert_eq!(spent.seconds_a_pair(), Some(0.002));
    }
}
