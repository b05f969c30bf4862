//! Indices as a whole: create, delete, look at, refresh.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    engine::Engine,
    error::ApiError,
    exchange::{Call, Reply},
    store::Index,
};

/// `PUT /{index}`
pub(super) fn create(engine: &Engine, call: &Call, name: &str) -> Result<Reply, ApiError> {
    engine.add(Index::create(name, call.json()?.as_ref())?)?;
    Reply::ok(&json!({"acknowledged": true, "shards_acknowledged": true, "index": name}))
}

/// `DELETE /{index}`
pub(super) fn delete(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, ApiError> {
    if expression.contains('*') || expression == "_all" {
        return Err(ApiError::argument("Wildcard expressions or all indices are not allowed"));
    }
    let ignore_missing = call.flag("ignore_unavailable")?.unwrap_or(false);
    let indices = engine.resolve(expression, ignore_missing)?;
    let names: Vec<String> = indices.iter().map(|index| index.name().to_owned()).collect();
    engine.remove(&names);
    Reply::ok(&json!({"acknowledged": true}))
}

/// `HEAD /{index}`
pub(super) fn exists(engine: &Engine, expression: &str) -> Reply {
    let found = engine.resolve(expression, false).is_ok_and(|indices| !indices.is_empty());
    Reply::empty(if found { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

/// `GET /{index}`
pub(super) fn get(engine: &Engine, expression: &str) -> Result<Reply, ApiError> {
    described(engine, expression, |index| {
        json!({
            "aliases": {},
            "mappings": index.mappings_json()["mappings"],
            "settings": index.settings_json()["settings"],
        })
    })
}

/// `GET /{index}/_mapping`
pub(super) fn mappings(engine: &Engine, expression: &str) -> Result<Reply, ApiError> {
    described(engine, expression, Index::mappings_json)
}

/// `GET /_alias[/…]`: there are none.
pub(super) fn aliases(engine: &Engine, expression: &str) -> Result<Reply, ApiError> {
    described(engine, expression, |_| json!({"aliases": {}}))
}

/// `GET /{index}/_settings`
pub(super) fn settings(engine: &Engine, expression: &str) -> Result<Reply, ApiError> {
    described(engine, expression, Index::settings_json)
}

/// `PUT|POST /{index}/_mapping`
pub(super) fn put_mapping(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, ApiError> {
    let body = call.json()?.ok_or_else(|| ApiError::parsing("request body is required"))?;
    for index in engine.resolve(expression, false)? {
        index.declare(&body)?;
    }
    Reply::ok(&json!({"acknowledged": true}))
}

/// `GET|POST /{index}/_refresh`: every search sees every earlier write anyway; this builds what it needs beforehand.
pub(super) fn refresh(engine: &Engine, expression: &str) -> Result<Reply, ApiError> {
    let indices = engine.resolve(expression, false)?;
    for index in &indices {
        index.snapshot()?;
    }
    Reply::ok(&json!({"_shards": {"total": indices.len(), "successful": indices.len(), "failed": 0}}))
}

fn described(engine: &Engine, expression: &str, describe: impl Fn(&Index) -> Value) -> Result<Reply, ApiError> {
    let indices = engine.resolve(expression, false)?;
    let described: Map<String, Value> =
        indices.iter().map(|index| (index.name().to_owned(), describe(index))).collect();
    Reply::ok(&described)
}
