//! The endpoints: the table of everything that the demo engine speaks. Searches have a folder of their own, `search`.

use http::{Method, StatusCode};

use crate::{
    engine::Engine,
    error::ApiError,
    exchange::{Call, Reply},
    search,
};

mod bulk;
mod cluster;
mod documents;
mod indices;

/// The end of the sentence that a refused request is told.
const SUPPORTED: &str = "the demo engine supports /, /_bulk, /_search, /_count, /_cat/indices, /_cluster/health, \
     /{index}, /{index}/_doc, /_create, /_update, /_source, /_alias, /_mapping, /_settings, /_bulk, /_search, /_count and /_refresh";

/// Answers `call`.
pub(crate) fn dispatch(engine: &Engine, call: &Call) -> Result<Reply, ApiError> {
    let head = call.method == Method::HEAD;
    let method = if head { "GET" } else { call.method.as_str() };
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (method, path.as_slice()) {
        ("GET", []) => cluster::info(),
        ("GET", ["_cluster", "health"]) => cluster::health(engine, "_all"),
        ("GET", ["_cluster", "health", index]) => cluster::health(engine, index),
        ("GET", ["_cat", "indices"]) => cluster::cat_indices(engine, call, "_all"),
        ("GET", ["_cat", "indices", index]) => cluster::cat_indices(engine, call, index),
        ("POST" | "PUT", ["_bulk"]) => bulk::bulk(engine, call, None),
        ("POST" | "PUT", [index, "_bulk"]) => bulk::bulk(engine, call, Some(index)),
        ("GET" | "POST", ["_search"]) => search::search(engine, call, "_all"),
        ("GET" | "POST", [index, "_search"]) => search::search(engine, call, index),
        ("GET" | "POST", ["_count"]) => search::count(engine, call, "_all"),
        ("GET" | "POST", [index, "_count"]) => search::count(engine, call, index),
        ("GET" | "POST", ["_refresh"]) => indices::refresh(engine, "_all"),
        ("GET" | "POST", [index, "_refresh"]) => indices::refresh(engine, index),
        ("GET", ["_alias"]) => indices::aliases(engine, "_all"),
        ("GET", [index, "_alias"]) => indices::aliases(engine, index),
        ("GET", ["_mapping"]) => indices::mappings(engine, "_all"),
        ("GET", [index, "_mapping"]) => indices::mappings(engine, index),
        ("PUT" | "POST", [index, "_mapping"]) => indices::put_mapping(engine, call, index),
        ("GET", [index, "_settings"]) => indices::settings(engine, index),
        ("PUT" | "POST", [index, "_doc", id]) => documents::put(engine, call, index, Some(id)),
        ("POST", [index, "_doc"]) => documents::put(engine, call, index, None),
        ("PUT" | "POST", [index, "_create", id]) => documents::create(engine, call, index, id),
        ("POST", [index, "_update", id]) => documents::update(engine, call, index, id),
        ("GET", [index, "_doc", id]) => documents::get(engine, call, index, id),
        ("GET", [index, "_source", id]) => documents::source(engine, index, id),
        ("DELETE", [index, "_doc", id]) => documents::delete(engine, index, id),
        ("GET", [index]) if head && !index.starts_with('_') => Ok(indices::exists(engine, index)),
        ("GET", [index]) if !index.starts_with('_') || *index == "_all" => indices::get(engine, index),
        ("PUT", [index]) if !index.starts_with('_') => indices::create(engine, call, index),
        ("DELETE", [index]) if !index.starts_with('_') => indices::delete(engine, call, index),
        (method, _) => {
            let reason = format!("no handler found for uri [{}] and method [{method}]; {SUPPORTED}", call.uri);
            Err(ApiError::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason))
        }
    }
}
