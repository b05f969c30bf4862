//! The endpoints about the engine itself: `/`, `/_cluster/health`, `/_cat/indices`.

use serde_json::{Map, Value, json};

use crate::{
    engine::Engine,
    error::ApiError,
    exchange::{Call, Reply},
};

/// `GET /`: the release of Elasticsearch whose API is spoken, so that clients of the 9.x line accept it.
pub(super) fn info() -> Result<Reply, ApiError> {
    Reply::ok(&json!({
        "name": "rerank-proxy-demo",
        "cluster_name": "rerank-proxy-demo",
        "cluster_uuid": "ZGVtby1lbmdpbmUtMDAwMA",
        "version": {
            "number": "9.2.0",
            "build_flavor": "default",
            "build_type": "embedded",
            "build_hash": "0000000000000000000000000000000000000000",
            "build_date": "2025-10-21T00:00:00.000000000Z",
            "build_snapshot": false,
            "lucene_version": "10.3.1",
            "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "You Know, for Search",
    }))
}

/// `GET /_cluster/health[/{index}]`
pub(super) fn health(engine: &Engine, expression: &str) -> Result<Reply, ApiError> {
    let shards = engine.resolve(expression, false)?.len();
    Reply::ok(&json!({
        "cluster_name": "rerank-proxy-demo",
        "status": "green",
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": shards,
        "active_shards": shards,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "unassigned_primary_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    }))
}

/// The columns of `_cat/indices`, their short names, and whether numbers stand to the right.
const COLUMNS: [(&str, &str, bool); 11] = [
    ("health", "h", false),
    ("status", "s", false),
    ("index", "i", false),
    ("uuid", "id", false),
    ("pri", "p", true),
    ("rep", "r", true),
    ("docs.count", "dc", true),
    ("docs.deleted", "dd", true),
    ("store.size", "ss", true),
    ("pri.store.size", "pri.store.size", true),
    ("dataset.size", "dataset.size", true),
];

/// `GET /_cat/indices[/{index}]`, as text (`v` for a header line, `h` for columns) or `format=json`.
pub(super) fn cat_indices(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, ApiError> {
    let columns = columns(call)?;
    let rows: Vec<Vec<String>> = engine
        .resolve(expression, false)?
        .iter()
        .map(|index| {
            let (live, deleted, bytes) = index.size();
            let cell = |(name, ..): &(&str, &str, bool)| match *name {
                "health" => "green".to_owned(),
                "status" => "open".to_owned(),
                "index" => index.name().to_owned(),
                "uuid" => index.uuid().to_owned(),
                "pri" => "1".to_owned(),
                "rep" => "0".to_owned(),
                "docs.count" => live.to_string(),
                "docs.deleted" => deleted.to_string(),
                _ => human_size(bytes),
            };
            columns.iter().map(cell).collect()
        })
        .collect();

    match call.parameter("format") {
        Some("json") => {
            let objects = rows.into_iter().map(|row| {
                let names = columns.iter().map(|(name, ..)| (*name).to_owned());
                names.zip(row.into_iter().map(Value::String)).collect::<Map<_, _>>()
            });
            Reply::ok(&objects.collect::<Vec<_>>())
        }
        None | Some("text") => Ok(Reply::plain(aligned(&columns, rows, call.flag("v")?.unwrap_or(false)))),
        Some(other) => {
            Err(ApiError::argument(format!("format [{other}] is not supported by the demo engine: text, json")))
        }
    }
}

/// The columns that `h` asks for, by name or short name; all of them without `h`.
fn columns(call: &Call) -> Result<Vec<(&'static str, &'static str, bool)>, ApiError> {
    let Some(asked) = call.parameter("h") else { return Ok(COLUMNS.to_vec()) };
    let find = |name: &str| {
        let known = COLUMNS.iter().find(|(long, short, _)| *long == name || *short == name);
        known.copied().ok_or_else(|| ApiError::argument(format!("_cat/indices has no column [{name}]")))
    };
    asked.split(',').map(str::trim).filter(|name| !name.is_empty()).map(find).collect()
}

/// Lays `rows` out in columns.
fn aligned(columns: &[(&str, &str, bool)], mut rows: Vec<Vec<String>>, header: bool) -> String {
    if header {
        rows.insert(0, columns.iter().map(|(name, ..)| (*name).to_owned()).collect());
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, (.., right)), &width)| {
            if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join(" ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Bytes in Elasticsearch's short form: `712b`, `12.4kb`.
fn human_size(bytes: usize) -> String {
    let bytes = bytes as f64;
    let units = [("gb", 1024.0 * 1024.0 * 1024.0), ("mb", 1024.0 * 1024.0), ("kb", 1024.0)];
    let larger = units.iter().find(|(_, size)| bytes >= *size);
    larger.map_or_else(|| format!("{bytes}b"), |(unit, size)| format!("{:.1}{unit}", bytes / size))
}
