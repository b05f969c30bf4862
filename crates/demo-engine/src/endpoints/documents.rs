//! Single documents by id: `_doc`, `_create`, `_update`, `_source`.

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use crate::{
    engine::Engine,
    error::ApiError,
    exchange::{Call, Reply, malformed},
    search::source::SourceFilter,
};

/// `PUT|POST /{index}/_doc[/{id}]`
pub(super) fn put(engine: &Engine, call: &Call, index: &str, id: Option<&str>) -> Result<Reply, ApiError> {
    let only_create = match call.parameter("op_type") {
        None | Some("index") => false,
        Some("create") => true,
        Some(other) => return Err(ApiError::argument(format!("opType must be 'create' or 'index', found: [{other}]"))),
    };
    store(engine, call, index, id, only_create)
}

/// `PUT|POST /{index}/_create/{id}`
pub(super) fn create(engine: &Engine, call: &Call, index: &str, id: &str) -> Result<Reply, ApiError> {
    store(engine, call, index, Some(id), true)
}

fn store(engine: &Engine, call: &Call, index: &str, id: Option<&str>, only_create: bool) -> Result<Reply, ApiError> {
    let body = call.text()?.trim();
    if body.is_empty() {
        return Err(ApiError::parsing("request body is required"));
    }
    let raw: &RawValue = serde_json::from_str(body).map_err(|error| malformed(&error))?;
    let written = engine.index_or_create(index)?.put(id, raw, only_create)?;
    Reply::json(written.status(), &written)
}

/// `POST /{index}/_update/{id}`
pub(super) fn update(engine: &Engine, call: &Call, index: &str, id: &str) -> Result<Reply, ApiError> {
    let body = call.json()?.ok_or_else(|| ApiError::parsing("request body is required"))?;
    let written = engine.index(index)?.update(id, &body)?;
    Reply::json(written.status(), &written)
}

/// `GET|HEAD /{index}/_doc/{id}`
pub(super) fn get(engine: &Engine, call: &Call, index: &str, id: &str) -> Result<Reply, ApiError> {
    let Some(document) = engine.index(index)?.get(id) else {
        if call.method == Method::HEAD {
            return Ok(Reply::empty(StatusCode::NOT_FOUND));
        }
        return Reply::json(StatusCode::NOT_FOUND, &json!({"_index": index, "_id": id, "found": false}));
    };
    Reply::ok(&Found {
        index,
        id,
        version: document.version,
        sequence: document.sequence,
        primary_term: 1,
        known: true,
        source: SourceFilter::of_url(call, SourceFilter::default()).apply(&document)?,
    })
}

/// A document that was found, as `GET` shows it.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_version")]
    version: u64,
    #[serde(rename = "_seq_no")]
    sequence: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
    #[serde(rename = "found")]
    known: bool,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<Box<RawValue>>,
}

/// `GET|HEAD /{index}/_source/{id}`
pub(super) fn source(engine: &Engine, index: &str, id: &str) -> Result<Reply, ApiError> {
    let document = engine.index(index)?.get(id).ok_or_else(|| {
        let reason = format!("Document not found [{index}]/[{id}]");
        ApiError::new(StatusCode::NOT_FOUND, "resource_not_found_exception", reason)
    })?;
    Ok(Reply::raw_json(document.raw.get().to_owned()))
}

/// `DELETE /{index}/_doc/{id}`
pub(super) fn delete(engine: &Engine, index: &str, id: &str) -> Result<Reply, ApiError> {
    let written = engine.index(index)?.delete(id);
    Reply::json(written.status(), &written)
}
