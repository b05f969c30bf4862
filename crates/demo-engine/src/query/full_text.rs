//! Clauses whose text is analysed: `match`, `match_phrase`, `multi_match`.

use serde_json::Value;
use tantivy::query::{BooleanQuery, EmptyQuery, Query};

use super::{
    exact, minimum,
    options::{Options, on_field},
    scored::{best_of, boosted, phrase, term},
};
use crate::{analysis, error::ApiError, mapping::Kind, snapshot::Snapshot};

/// The number and order of tokens of a text that have to match.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// One of them.
    Any,
    /// Every one.
    All,
    /// As many of them as a `minimum_should_match` says.
    Minimum(&'a Value),
    /// All of them in order, at most so many positions apart.
    Phrase { slop: u32 },
}

pub(super) fn match_(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let (field, body) = on_field("match", body, "query")?;
    let options = Options::of("match", &body, &["query", "operator", "minimum_should_match", "lenient"])?;
    let text = options.required_text("query")?;
    Ok(boosted(on(snapshot, &field, &text, need(&options)?)?, options.boost()?))
}

pub(super) fn match_phrase(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let (field, body) = on_field("match_phrase", body, "query")?;
    let options = Options::of("match_phrase", &body, &["query", "slop"])?;
    let text = options.required_text("query")?;
    let slop = options.number("slop")?.unwrap_or(0.0) as u32;
    Ok(boosted(on(snapshot, &field, &text, Need::Phrase { slop })?, options.boost()?))
}

pub(super) fn multi_match(snapshot: &Snapshot, body: &Value) -> Result<Box<dyn Query>, ApiError> {
    let known = ["query", "fields", "type", "operator", "minimum_should_match", "tie_breaker", "slop", "lenient"];
    let options = Options::of("multi_match", body, &known)?;
    let text = options.required_text("query")?;
    let fields = fields(snapshot, &options)?;
    let need = need(&options)?;
    let tie_breaker = options.number("tie_breaker")?;
    let slop = options.number("slop")?.unwrap_or(0.0) as u32;
    let query = match options.text("type")?.as_deref() {
        None | Some("best_fields") => over(snapshot, &fields, &text, need, tie_breaker.unwrap_or(0.0))?,
        Some("most_fields") => over(snapshot, &fields, &text, need, tie_breaker.unwrap_or(1.0))?,
        Some("phrase") => over(snapshot, &fields, &text, Need::Phrase { slop }, tie_breaker.unwrap_or(0.0))?,
        Some(other) => {
            return Err(ApiError::parsing(format!(
                "[multi_match] type [{other}] is not supported by the demo engine: best_fields, most_fields, phrase"
            )));
        }
    };
    Ok(boosted(query, options.boost()?))
}

/// The need that `operator` and `minimum_should_match` state.
fn need<'a>(options: &Options<'a>) -> Result<Need<'a>, ApiError> {
    Ok(match (options.get("minimum_should_match"), options.all_required("operator")?) {
        (Some(spec), false) => Need::Minimum(spec),
        (_, true) => Need::All,
        (None, false) => Need::Any,
    })
}

/// The fields that a clause's `fields` names, with their boosts; every text field without `fields`.
pub(super) fn fields(snapshot: &Snapshot, options: &Options<'_>) -> Result<Vec<(String, f32)>, ApiError> {
    match options.get("fields") {
        None | Some(Value::Null) => boosted_fields(snapshot, std::iter::once("*")),
        Some(Value::String(field)) => boosted_fields(snapshot, std::iter::once(field.as_str())),
        Some(Value::Array(fields)) => boosted_fields(snapshot, fields.iter().filter_map(Value::as_str)),
        Some(_) => Err(options.wrong("fields", "an array of field names")),
    }
}

/// Reads `title^2` and expands `*`; an expansion leaves multi-fields out, which would count the same text twice.
pub(super) fn boosted_fields<'a>(
    snapshot: &Snapshot,
    specs: impl Iterator<Item = &'a str>,
) -> Result<Vec<(String, f32)>, ApiError> {
    let mut fields = Vec::new();
    for spec in specs {
        let (pattern, boost) = match spec.split_once('^') {
            None => (spec, 1.0),
            Some((pattern, boost)) => {
                let boost = boost.parse().map_err(|_| ApiError::parsing(format!("[{spec}] has no number after ^")))?;
                (pattern, boost)
            }
        };
        if !pattern.contains('*') {
            fields.push((pattern.to_owned(), boost));
            continue;
        }
        let expanded = snapshot.fields.iter().filter(|(name, field)| {
            let searchable = matches!(field.kind, Kind::Text | Kind::Keyword) && field.source_path == **name;
            searchable && analysis::wildcard_matches(pattern, name)
        });
        fields.extend(expanded.map(|(name, _)| (name.clone(), boost)));
    }
    Ok(fields)
}

/// `text` in each of `fields`; the best field counts, the others by `tie_breaker` (1 adds them up).
pub(super) fn over(
    snapshot: &Snapshot,
    fields: &[(String, f32)],
    text: &str,
    need: Need<'_>,
    tie_breaker: f32,
) -> Result<Box<dyn Query>, ApiError> {
    let queries = fields.iter().map(|(field, boost)| Ok(boosted(on(snapshot, field, text, need)?, *boost)));
    Ok(best_of(queries.collect::<Result<_, ApiError>>()?, tie_breaker))
}

/// `text` in one field, which need not exist.
pub(super) fn on(snapshot: &Snapshot, name: &str, text: &str, need: Need<'_>) -> Result<Box<dyn Query>, ApiError> {
    let Some(field) = snapshot.fields.get(name) else { return Ok(Box::new(EmptyQuery)) };
    if field.kind != Kind::Text {
        return Ok(exact::equals(snapshot, field, &Value::from(text)));
    }
    let tokens = analysis::tokens(text);
    if let Need::Phrase { slop } = need
        && let Some(phrase) = phrase(field, &tokens, slop)
    {
        return Ok(phrase);
    }
    let queries: Vec<Box<dyn Query>> = tokens.iter().map(|token| term(field, token)).collect();
    let required = match need {
        Need::Any => 1,
        Need::All | Need::Phrase { .. } => queries.len(),
        Need::Minimum(spec) => minimum::required(spec, queries.len())?.max(1),
    };
    if queries.is_empty() || required > queries.len() {
        return Ok(Box::new(EmptyQuery));
    }
    Ok(Box::new(BooleanQuery::union_with_minimum_required_clauses(queries, required)))
}
