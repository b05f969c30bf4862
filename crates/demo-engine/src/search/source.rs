//! `_source` filtering: all, nothing, or the parts that include and exclude patterns leave.

use serde_json::{Map, Value, value::RawValue};

use crate::{analysis::wildcard_matches, document::Document, error::ApiError, exchange::Call};

/// The part of `_source` that a hit shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceFilter {
    hidden: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl SourceFilter {
    /// The `_source` of a search body: a flag, a pattern, patterns, or `includes` and `excludes`.
    pub(crate) fn of_body(value: &Value) -> Result<Self, ApiError> {
        match value {
            Value::Bool(shown) => Ok(Self { hidden: !shown, ..Self::default() }),
            Value::String(_) | Value::Array(_) => Ok(Self { includes: patterns(value)?, ..Self::default() }),
            Value::Object(members) => {
                let mut filter = Self::default();
                for (key, value) in members {
                    match key.as_str() {
                        "includes" | "include" => filter.includes = patterns(value)?,
                        "excludes" | "exclude" => filter.excludes = patterns(value)?,
                        _ => return Err(ApiError::parsing(format!("Unknown key for a START_ARRAY in [{key}]."))),
                    }
                }
                Ok(filter)
            }
            _ => Err(ApiError::parsing("[_source] must be a boolean, a string, an array or an object")),
        }
    }

    /// The filter of the URL, or `otherwise` when it has none.
    pub(crate) fn of_url(call: &Call, otherwise: Self) -> Self {
        let list = |name: &str| -> Vec<String> {
            let text = call.parameter(name).unwrap_or_default();
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let (mut includes, excludes) = (list("_source_includes"), list("_source_excludes"));
        match call.parameter("_source") {
            None if includes.is_empty() && excludes.is_empty() => return otherwise,
            None | Some("" | "true") => {}
            Some("false") => return Self { hidden: true, ..Self::default() },
            Some(_) => includes.extend(list("_source")),
        }
        Self { hidden: false, includes, excludes }
    }

    /// The source to show; `None` when it is hidden. Byte for byte as it was sent when nothing is filtered.
    pub(crate) fn apply(&self, document: &Document) -> Result<Option<Box<RawValue>>, ApiError> {
        if self.hidden {
            return Ok(None);
        }
        if self.includes.is_empty() && self.excludes.is_empty() {
            return Ok(Some(document.raw.clone()));
        }
        let kept = self.kept(&document.source, "").unwrap_or_else(|| Value::Object(Map::new()));
        let raw = serde_json::value::to_raw_value(&kept);
        raw.map(Some).map_err(|error| ApiError::internal(error.to_string()))
    }

    /// The rest of `value` at `path`; `None` when nothing is left.
    fn kept(&self, value: &Value, path: &str) -> Option<Value> {
        match value {
            Value::Object(members) => {
                let mut kept = Map::new();
                for (key, member) in members {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if let Some(member) = self.kept(member, &path) {
                        kept.insert(key.clone(), member);
                    }
                }
                (!kept.is_empty() || self.shows(path)).then_some(Value::Object(kept))
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let items: Vec<Value> = items.iter().filter_map(|item| self.kept(item, path)).collect();
                (!items.is_empty()).then_some(Value::Array(items))
            }
            scalar => self.shows(path).then(|| scalar.clone()),
        }
    }

    fn shows(&self, path: &str) -> bool {
        let included = self.includes.is_empty() || covers(&self.includes, path);
        included && !covers(&self.excludes, path)
    }
}

/// True where one of `patterns` names `path` or an object around it.
fn covers(patterns: &[String], path: &str) -> bool {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.into_iter().any(|end| patterns.iter().any(|pattern| wildcard_matches(pattern, &path[..end])))
}

fn patterns(value: &Value) -> Result<Vec<String>, ApiError> {
    let wrong = || ApiError::parsing("[_source] patterns must be strings");
    match value {
        Value::String(pattern) => Ok(vec![pattern.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}
