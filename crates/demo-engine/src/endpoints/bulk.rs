//! `_bulk`: newline-delimited actions, each with its own outcome; one that fails does not stop the others.

use std::time::Instant;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    engine::Engine,
    error::ApiError,
    exchange::{Call, Reply, malformed},
    store::Written,
};

/// The header of a document: what its action line says.
#[derive(Debug, Default, Deserialize)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id", default, deserialize_with = "id_text")]
    id: Option<String>,
}

/// Ids may come as numbers; they are text all the same.
fn id_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(id) => Some(id),
        other => Some(other.to_string()),
    })
}

/// `POST|PUT /_bulk` and `/{index}/_bulk`
pub(super) fn bulk(engine: &Engine, call: &Call, default_index: Option<&str>) -> Result<Reply, ApiError> {
    let started = Instant::now();
    let body = call.text()?;
    if body.trim().is_empty() {
        return Err(ApiError::parsing("request body is required"));
    }
    if !body.ends_with('\n') {
        return Err(ApiError::argument("The bulk request must be terminated by a newline [\\n]"));
    }
    let mut lines = body.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut items = Vec::new();
    let mut errors = false;
    while let Some((number, line)) = lines.next() {
        let (action, target) = action(line, number + 1)?;
        let source = if action == "delete" {
            None
        } else {
            let (_, source) = lines.next().ok_or_else(|| {
                ApiError::argument(format!("line {}: the action [{action}] has no document after it", number + 1))
            })?;
            Some(source)
        };
        let Some(index) = target.index.as_deref().or(default_index) else {
            let reason = "Validation Failed: 1: index is missing;";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", reason));
        };
        let outcome = perform(engine, &action, index, target.id.as_deref(), source);
        errors |= outcome.is_err();
        items.push(item(&action, index, target.id.as_deref(), outcome)?);
    }
    Reply::ok(&json!({"took": started.elapsed().as_millis() as u64, "errors": errors, "items": items}))
}

/// Reads the action line `line`, number `number`.
fn action(line: &str, number: usize) -> Result<(String, Target), ApiError> {
    let action: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
        ApiError::argument(format!("Malformed action/metadata line [{number}], expected an object: {error}"))
    })?;
    let mut entries = action.into_iter();
    let (Some((name, target)), None) = (entries.next(), entries.next()) else {
        return Err(ApiError::argument(format!("Malformed action/metadata line [{number}], expected one action")));
    };
    if !["index", "create", "update", "delete"].contains(&name.as_str()) {
        return Err(ApiError::argument(format!(
            "Malformed action/metadata line [{number}], expected field [create], [delete], [index] or [update] but found [{name}]"
        )));
    }
    let target = serde_json::from_value(target)
        .map_err(|error| ApiError::argument(format!("Malformed action/metadata line [{number}]: {error}")))?;
    Ok((name, target))
}

fn perform(
    engine: &Engine,
    action: &str,
    index: &str,
    id: Option<&str>,
    source: Option<&str>,
) -> Result<Written, ApiError> {
    let index = engine.index_or_create(index)?;
    let id_required = || id.ok_or_else(|| ApiError::argument(format!("[{action}] needs an _id")));
    match (action, source) {
        ("update", Some(source)) => {
            let body: Value = serde_json::from_str(source).map_err(|error| malformed(&error))?;
            index.update(id_required()?, &body)
        }
        (_, Some(source)) => {
            let raw: &RawValue = serde_json::from_str(source).map_err(|error| malformed(&error))?;
            index.put(id, raw, action == "create")
        }
        (_, None) => Ok(index.delete(id_required()?)),
    }
}

fn item(action: &str, index: &str, id: Option<&str>, outcome: Result<Written, ApiError>) -> Result<Value, ApiError> {
    let result = match outcome {
        Ok(written) => {
            let mut result = serde_json::to_value(&written).map_err(|error| ApiError::internal(error.to_string()))?;
            result["status"] = json!(written.status().as_u16());
            result
        }
        Err(error) => {
            json!({"_index": index, "_id": id, "status": error.status.as_u16(), "error": error.cause()})
        }
    };
    Ok(json!({ action: result }))
}
