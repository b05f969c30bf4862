//! Clauses that take values as they are: `term`, `terms`, `ids`, `exists`, `prefix`, `wildcard`, `range`. All but
//! `term` on an indexed field look at every document, which is quick at this engine's sizes.

use std::cmp::Ordering;

use serde_json::Value;
use tantivy::query::{EmptyQuery, Query};

use super::{
    options::{Options, on_field},
    scored::{self, boosted},
};
use crate::{
    analysis,
    document::Document,
    error::ApiError,
    mapping::{Kind, leaves},
    snapshot::{SearchField, Snapshot, scalar_text},
};

pub(super) fn term(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let (name, body) = on_field("term", body, "value")?;
    let options = Options::of("term", &body, &["value"])?;
    let value = options.get("value").ok_or_else(|| ApiError::argument("value cannot be null"))?;
    if name == "_id" {
        return Ok(boosted(with_ids(snapshot, std::slice::from_ref(value)), options.boost()?));
    }
    let Some(field) = snapshot.fields.get(&name) else { return Ok(Box::new(EmptyQuery)) };
    Ok(boosted(equals(snapshot, field, value), options.boost()?))
}

/// The documents that have `value` in `field`: as an indexed term where there are terms, else compared.
pub(super) fn equals(snapshot: &Snapshot, field: &SearchField, value: &Value) -> Box<dyn Query> {
    if field.indexed.is_some() {
        return scalar_text(value).map_or_else(|| Box::new(EmptyQuery) as Box<dyn Query>, |v| scored::term(field, &v));
    }
    snapshot.matching(|document| Snapshot::values(field, document).into_iter().any(|found| same(found, value)))
}

pub(super) fn terms(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let members = body.as_object().ok_or_else(|| ApiError::parsing("[terms] query malformed, no start_object"))?;
    let options = Options { clause: "terms", members };
    let mut fields = members.iter().filter(|(key, _)| !["boost", "_name"].contains(&key.as_str()));
    let (Some((name, values)), None) = (fields.next(), fields.next()) else {
        return Err(ApiError::parsing("[terms] query takes exactly one field"));
    };
    let values = values
        .as_array()
        .ok_or_else(|| ApiError::parsing("[terms] query requires an array of terms; lookups are not supported"))?;
    let query = match snapshot.fields.get(name) {
        _ if name == "_id" => with_ids(snapshot, values),
        None => Box::new(EmptyQuery),
        Some(field) => snapshot.matching(|document| {
            let found = searchable_values(field, document);
            values.iter().any(|value| found.iter().any(|found| same(found, value)))
        }),
    };
    Ok(boosted(query, options.boost()?))
}

pub(super) fn ids(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let options = Options::of("ids", body, &["values"])?;
    let values = match options.get("values") {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => return Err(ApiError::parsing("[ids] requires [values]")),
    };
    Ok(boosted(with_ids(snapshot, values), options.boost()?))
}

fn with_ids(snapshot: &Snapshot, values: &[Value]) -> Box<dyn Query> {
    let ids: Vec<String> = values.iter().filter_map(scalar_text).collect();
    snapshot.matching(|document| ids.contains(&document.id))
}

pub(super) fn exists(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let options = Options::of("exists", body, &["field"])?;
    let field = options.required_text("field")?;
    let path = snapshot.fields.get(&field).map_or(field.clone(), |spec| spec.source_path.clone());
    let inside = format!("{path}.");
    let query = snapshot.matching(|document| {
        leaves(&document.source).iter().any(|(found, _)| *found == path || found.starts_with(&inside))
    });
    Ok(boosted(query, options.boost()?))
}

pub(super) fn prefix(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let (field, body) = on_field("prefix", body, "value")?;
    let options = Options::of("prefix", &body, &["value", "case_insensitive"])?;
    let prefix = options.required_text("value")?;
    let ignore_case = options.get("case_insensitive") == Some(&Value::Bool(true));
    Ok(boosted(with_prefix(snapshot, &field, &prefix, ignore_case), options.boost()?))
}

/// The documents with a term in `field` that begins with `prefix`.
pub(super) fn with_prefix(snapshot: &Snapshot, field: &str, prefix: &str, ignore_case: bool) -> Box<dyn Query> {
    with_term(snapshot, field, prefix, ignore_case, |term, prefix| term.starts_with(prefix))
}

pub(super) fn wildcard(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let (field, body) = on_field("wildcard", body, "value")?;
    let options = Options::of("wildcard", &body, &["value", "wildcard", "case_insensitive"])?;
    let pattern = options.text("value")?.map_or_else(|| options.required_text("wildcard"), Ok)?;
    let ignore_case = options.get("case_insensitive") == Some(&Value::Bool(true));
    let query =
        with_term(snapshot, &field, &pattern, ignore_case, |term, pattern| analysis::wildcard_matches(pattern, term));
    Ok(boosted(query, options.boost()?))
}

/// The documents with a term in `field` for which `fits(term, pattern)`.
fn with_term(
    snapshot: &Snapshot,
    field: &str,
    pattern: &str,
    ignore_case: bool,
    fits: impl Fn(&str, &str) -> bool,
) -> Box<dyn Query> {
    let Some(field) = snapshot.fields.get(field) else { return Box::new(EmptyQuery) };
    let cased = |text: String| if ignore_case { text.to_lowercase() } else { text };
    let pattern = cased(pattern.to_owned());
    snapshot.matching(|document| {
        let terms = searchable_values(field, document);
        terms.iter().filter_map(scalar_text).any(|term| fits(&cased(term), &pattern))
    })
}

pub(super) fn range(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let (name, body) = on_field("range", body, "gte")?;
    let options = Options::of("range", &body, &["gt", "gte", "lt", "lte", "format", "time_zone"])?;
    let Some(field) = snapshot.fields.get(&name) else { return Ok(Box::new(EmptyQuery)) };
    let bounds: [(&str, Fits); 4] =
        [("gt", Ordering::is_gt), ("gte", Ordering::is_ge), ("lt", Ordering::is_lt), ("lte", Ordering::is_le)];
    let bounds: Vec<_> = bounds.iter().filter_map(|(name, fits)| Some((options.get(name)?, fits))).collect();
    let query = snapshot.matching(|document| {
        let values = searchable_values(field, document);
        values.iter().any(|value| bounds.iter().all(|(bound, fits)| compare(value, bound).is_some_and(fits)))
    });
    Ok(boosted(query, options.boost()?))
}

/// True for the orders of a value to a bound that lie within it.
type Fits = fn(Ordering) -> bool;

/// The values that an exact clause sees of `document` under `field`: tokens of analysed text, else the values themselves.
fn searchable_values(field: &SearchField, document: &Document) -> Vec<Value> {
    let values = Snapshot::values(field, document);
    if field.kind != Kind::Text {
        return values.into_iter().cloned().collect();
    }
    let texts = values.into_iter().filter_map(scalar_text);
    texts.flat_map(|text| analysis::tokens(&text)).map(Value::String).collect()
}

/// Equality of scalars, numbers by value (`"3"` finds `3.0`).
fn same(found: &Value, wanted: &Value) -> bool {
    compare(found, wanted) == Some(Ordering::Equal)
}

/// Numbers by value, anything else as text (which orders ISO 8601 dates properly).
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), right) => {
            let right = right.as_f64().or_else(|| right.as_str()?.parse().ok())?;
            left.as_f64()?.partial_cmp(&right)
        }
        _ => Some(scalar_text(left)?.cmp(&scalar_text(right)?)),
    }
}
