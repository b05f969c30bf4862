//! `_search` and `_count`: reads what is asked for from body and URL, runs it on each index named, and merges the
//! hits. Scores are comparable between indices as far as they are in Elasticsearch: each index has its own statistics.

use std::{sync::Arc, time::Instant};

use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    analysis::wildcard_matches,
    document::Document,
    engine::Engine,
    error::ApiError,
    exchange::{Call, Reply},
    query,
    snapshot::{Snapshot, scalar_text},
};

mod ask;
mod sort;
pub(crate) mod source;

use ask::{Ask, TrackTotal};
use sort::{Position, SortKey};

/// The answer, in Elasticsearch's order of keys.
#[derive(Serialize)]
struct Answer {
    took: u64,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Value,
    hits: Hits,
}

#[derive(Serialize)]
struct Hits {
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Value>,
    max_score: Option<f32>,
    #[serde(rename = "hits")]
    page: Vec<Hit>,
}

#[derive(Serialize)]
struct Hit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_score")]
    score: Option<f32>,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<Vec<Value>>,
}

/// A match on its way to becoming a hit.
struct Match {
    snapshot: Arc<Snapshot>,
    document: Arc<Document>,
    score: f32,
    position: Vec<Position>,
}

/// `GET|POST /_search` and `/{index}/_search`
pub(crate) fn search(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, ApiError> {
    let started = Instant::now();
    let ask = Ask::read(call)?;
    let snapshots = snapshots(engine, call, expression)?;

    let mut matches = Vec::new();
    for snapshot in &snapshots {
        let sort = sort::resolve(&ask.sort, snapshot)?;
        for (number, score) in run(snapshot, &ask, call)? {
            if ask.min_score.is_some_and(|least| score < least) {
                continue;
            }
            let document = Arc::clone(&snapshot.documents[number]);
            let position = sort.iter().map(|key| key.position(&document, score)).collect();
            matches.push(Match { snapshot: Arc::clone(snapshot), document, score, position });
        }
    }
    let total = matches.len();
    // The sort is stable and matches came index by index in the order of last write: that order breaks ties.
    matches.sort_by(|left, right| sort::compare(&ask.sort, &left.position, &right.position));

    let scored = ask.track_scores || ask.sort.iter().any(|key| matches!(key, SortKey::Score { .. }));
    let max_score = if scored { matches.iter().map(|found| found.score).reduce(f32::max) } else { None };
    let page = matches.into_iter().skip(ask.from).take(ask.size);
    let page = page.map(|found| hit(&ask, found, scored)).collect::<Result<Vec<_>, _>>()?;
    Reply::ok(&Answer {
        took: started.elapsed().as_millis() as u64,
        timed_out: false,
        shards: shards(snapshots.len()),
        hits: Hits { total: shown_total(&ask, total), max_score: max_score.filter(|_| ask.size > 0), page },
    })
}

/// `GET|POST /_count` and `/{index}/_count`
pub(crate) fn count(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, ApiError> {
    let ask = Ask::read_count(call)?;
    let snapshots = snapshots(engine, call, expression)?;
    let mut count = 0;
    for snapshot in &snapshots {
        count += run(snapshot, &ask, call)?.len();
    }
    Reply::ok(&json!({"count": count, "_shards": shards(snapshots.len())}))
}

fn snapshots(engine: &Engine, call: &Call, expression: &str) -> Result<Vec<Arc<Snapshot>>, ApiError> {
    let ignore_missing = call.flag("ignore_unavailable")?.unwrap_or(false);
    let indices = engine.resolve(expression, ignore_missing)?;
    indices.iter().map(|index| index.snapshot()).collect()
}

/// The matches in one index; `?q=` goes before the body's query, as in Elasticsearch.
fn run(snapshot: &Snapshot, ask: &Ask, call: &Call) -> Result<Vec<(usize, f32)>, ApiError> {
    let query = match (call.parameter("q"), &ask.query) {
        (Some(text), _) => query::url_query(snapshot, text, call.parameter("df"), call.parameter("default_operator")),
        (None, Some(clause)) => query::build(snapshot, clause),
        (None, None) => query::build(snapshot, &json!({"match_all": {}})),
    };
    let query = query.map_err(|error| error.about_index(&snapshot.index))?;
    snapshot.matches(query.as_ref())
}

fn hit(ask: &Ask, found: Match, scored: bool) -> Result<Hit, ApiError> {
    let Match { snapshot, document, score, position } = found;
    let fields = (!ask.fields.is_empty()).then(|| fields(&snapshot, &document, &ask.fields));
    Ok(Hit {
        index: snapshot.index.clone(),
        id: document.id.clone(),
        score: scored.then_some(score),
        source: ask.source.apply(&document)?,
        fields: fields.filter(|fields| !fields.is_empty()),
        sort: ask.show_sort.then(|| position.iter().map(Position::to_json).collect()),
    })
}

/// The values of the fields that `patterns` name, each as an array, as the `fields` option returns them.
fn fields(snapshot: &Snapshot, document: &Document, patterns: &[String]) -> Map<String, Value> {
    let asked = snapshot.fields.iter().filter(|(name, _)| patterns.iter().any(|p| wildcard_matches(p, name)));
    let values = asked.map(|(name, field)| {
        let values = Snapshot::values(field, document).into_iter().filter(|value| scalar_text(value).is_some());
        (name.clone(), values.cloned().collect::<Vec<_>>())
    });
    values.filter(|(_, values)| !values.is_empty()).map(|(name, values)| (name, Value::Array(values))).collect()
}

fn shards(total: usize) -> Value {
    json!({"total": total, "successful": total, "skipped": 0, "failed": 0})
}

fn shown_total(ask: &Ask, total: usize) -> Option<Value> {
    match ask.track_total {
        TrackTotal::UpTo(limit) if total > limit => Some(json!({"value": limit, "relation": "gte"})),
        TrackTotal::Exact | TrackTotal::UpTo(_) => Some(json!({"value": total, "relation": "eq"})),
        TrackTotal::Not => None,
    }
}
