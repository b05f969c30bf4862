//! A search as its body and its URL ask for it; where both say something, the URL wins, as in Elasticsearch.

use serde_json::Value;

use super::{sort::SortKey, source::SourceFilter};
use crate::{error::ApiError, exchange::Call};

/// The largest `from + size`; Elasticsearch's `index.max_result_window`.
const RESULT_WINDOW: usize = 10_000;

/// The number of hits that are counted unless the search says otherwise.
const TOTAL_HITS_UP_TO: usize = 10_000;

/// The body's keys that mean something here.
const BODY_KEYS: [&str; 12] = [
    "query",
    "from",
    "size",
    "_source",
    "fields",
    "sort",
    "track_total_hits",
    "track_scores",
    "min_score",
    "timeout",
    "explain",
    "profile",
];

/// URL parameters that mean something here, and those that can be ignored without changing what is found.
const PARAMETERS: [&str; 31] = [
    "q",
    "df",
    "default_operator",
    "from",
    "size",
    "_source",
    "_source_includes",
    "_source_excludes",
    "sort",
    "track_total_hits",
    "track_scores",
    "ignore_unavailable",
    "pretty",
    "human",
    "error_trace",
    "allow_no_indices",
    "expand_wildcards",
    "preference",
    "routing",
    "request_cache",
    "timeout",
    "search_type",
    "typed_keys",
    "lenient",
    "batched_reduce_size",
    "ccs_minimize_roundtrips",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "allow_partial_search_results",
    "analyze_wildcard",
    "ignore_throttled",
];

/// The exactness with which the total is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackTotal {
    Exact,
    UpTo(usize),
    Not,
}

/// One search, read and checked.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) query: Option<Value>,
    pub(super) from: usize,
    pub(super) size: usize,
    pub(super) source: SourceFilter,
    /// Patterns of the `fields` option.
    pub(super) fields: Vec<String>,
    /// Never empty: best score first is the default.
    pub(super) sort: Vec<SortKey>,
    /// True where hits carry their `sort` values, that is, where the search said how to sort.
    pub(super) show_sort: bool,
    pub(super) track_scores: bool,
    pub(super) track_total: TrackTotal,
    pub(super) min_score: Option<f32>,
}

impl Ask {
    /// Reads a search.
    ///
    /// # Errors
    /// 400 for what is malformed, out of range or not supported.
    pub(super) fn read(call: &Call) -> Result<Self, ApiError> {
        let known = |name: &str| PARAMETERS.contains(&name);
        if let Some(name) = call.parameter_names().find(|name| !known(name)) {
            let path = call.uri.split('?').next().unwrap_or_default();
            return Err(ApiError::argument(format!(
                "request [{path}] contains a parameter that the demo engine does not support: [{name}]"
            )));
        }
        let body = object(call, &BODY_KEYS)?;
        if ["explain", "profile"].iter().any(|key| body.get(key) == Some(&Value::Bool(true))) {
            return Err(ApiError::parsing("[explain] and [profile] are not supported by the demo engine"));
        }
        let from = whole(call, &body, "from")?.unwrap_or(0);
        let size = whole(call, &body, "size")?.unwrap_or(10);
        if from.saturating_add(size) > RESULT_WINDOW {
            return Err(ApiError::argument(format!(
                "Result window is too large, from + size must be less than or equal to: [{RESULT_WINDOW}] but was [{}]. \
                 See the scroll api for a more efficient way to request large data sets. This limit can be set by changing \
                 the [index.max_result_window] index level setting.",
                from.saturating_add(size)
            )));
        }
        let sort = match call.parameter("sort") {
            Some(text) => SortKey::of_url(text)?,
            None => body.get("sort").map(SortKey::of_body).transpose()?.unwrap_or_default(),
        };
        let by_score_only = matches!(sort.as_slice(), [] | [SortKey::Score { descending: true }]);
        let track_scores = match call.flag("track_scores")? {
            Some(flag) => flag,
            None => body.get("track_scores") == Some(&Value::Bool(true)),
        };
        let source = body.get("_source").map(SourceFilter::of_body).transpose()?.unwrap_or_default();
        Ok(Self {
            query: body.get("query").cloned(),
            from,
            size,
            source: SourceFilter::of_url(call, source),
            fields: field_patterns(body.get("fields"))?,
            show_sort: !by_score_only,
            sort: if sort.is_empty() { vec![SortKey::Score { descending: true }] } else { sort },
            track_scores,
            track_total: track_total(call, &body)?,
            min_score: body.get("min_score").and_then(Value::as_f64).map(|least| least as f32),
        })
    }

    /// Reads a count, which takes a query only.
    pub(super) fn read_count(call: &Call) -> Result<Self, ApiError> {
        let body = object(call, &["query"])?;
        Ok(Self {
            query: body.get("query").cloned(),
            from: 0,
            size: 0,
            source: SourceFilter::default(),
            fields: Vec::new(),
            sort: vec![SortKey::Score { descending: true }],
            show_sort: false,
            track_scores: false,
            track_total: TrackTotal::Exact,
            min_score: None,
        })
    }
}

/// The body, which must be an object with `known` keys; empty when there is none.
fn object(call: &Call, known: &[&str]) -> Result<Value, ApiError> {
    let body = call.json()?.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let Some(members) = body.as_object() else {
        return Err(ApiError::parsing("Expected [START_OBJECT] but found something else at the start of the body"));
    };
    if let Some((key, value)) = members.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        let token = match value {
            Value::Object(_) => "START_OBJECT",
            Value::Array(_) => "START_ARRAY",
            Value::String(_) => "VALUE_STRING",
            Value::Number(_) => "VALUE_NUMBER",
            Value::Bool(_) => "VALUE_BOOLEAN",
            Value::Null => "VALUE_NULL",
        };
        return Err(ApiError::parsing(format!(
            "Unknown key for a {token} in [{key}]; the demo engine supports {}",
            known.join(", ")
        )));
    }
    Ok(body)
}

/// A whole number from the URL or else from the body.
fn whole(call: &Call, body: &Value, name: &str) -> Result<Option<usize>, ApiError> {
    let text = call.parameter(name).map(str::to_owned).or_else(|| match body.get(name)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) if number >= 0 => Ok(Some(number as usize)),
        Ok(number) => Err(ApiError::argument(format!("[{name}] parameter cannot be negative, found [{number}]"))),
        Err(_) => Err(ApiError::argument(format!("Failed to parse int parameter [{name}] with value [{text}]"))),
    }
}

fn track_total(call: &Call, body: &Value) -> Result<TrackTotal, ApiError> {
    let text = call.parameter("track_total_hits").map(str::to_owned);
    let text = text.or_else(|| body.get("track_total_hits").map(|v| v.to_string().trim_matches('"').to_owned()));
    match text.as_deref() {
        None => Ok(TrackTotal::UpTo(TOTAL_HITS_UP_TO)),
        Some("" | "true") => Ok(TrackTotal::Exact),
        Some("false") => Ok(TrackTotal::Not),
        Some(number) => {
            let limit = number.parse().map_err(|_| {
                ApiError::argument(format!("[track_total_hits] must be a boolean or a whole number, found [{number}]"))
            })?;
            Ok(TrackTotal::UpTo(limit))
        }
    }
}

/// The patterns in `fields`: strings, or objects with a `field`.
fn field_patterns(fields: Option<&Value>) -> Result<Vec<String>, ApiError> {
    let Some(fields) = fields else { return Ok(Vec::new()) };
    let fields = fields.as_array().ok_or_else(|| ApiError::parsing("[fields] must be an array"))?;
    let pattern = |field: &Value| {
        let name = field.as_str().or_else(|| field.get("field")?.as_str());
        name.map(str::to_owned).ok_or_else(|| ApiError::parsing("[fields] takes names, or objects with a [field]"))
    };
    fields.iter().map(pattern).collect()
}
