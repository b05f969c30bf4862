//! Elasticsearch's query DSL, turned into a tantivy query on one snapshot: the table of clauses, and how a clause's
//! options are read. Each kind of clause has its own file.

use serde_json::{Map, Value};
use tantivy::query::{AllQuery, BoostQuery, ConstScoreQuery, Query};

use crate::{error::ApiError, snapshot::Snapshot};

mod compound;
mod exact;
mod full_text;
mod minimum;
mod query_string;

pub(crate) use query_string::url_query;

/// What an unknown clause is told.
const SUPPORTED: &str = "match, multi_match, match_phrase, match_all, match_none, query_string, simple_query_string, \
     term, terms, ids, exists, prefix, wildcard, range, bool, dis_max, constant_score";

/// How deeply clauses may nest, as a guard of the stack.
const DEPTH_LIMIT: usize = 30;

/// The query for `clause`, an object with one member that names the kind of clause.
pub(crate) fn build(snapshot: &Snapshot, clause: &Value) -> Result<Box<dyn Query>, ApiError> {
    build_at(snapshot, clause, 0)
}

fn build_at(snapshot: &Snapshot, clause: &Value, depth: usize) -> Result<Box<dyn Query>, ApiError> {
    if depth > DEPTH_LIMIT {
        return Err(ApiError::argument(format!("the query is nested deeper than {DEPTH_LIMIT} levels")));
    }
    let Some(members) = clause.as_object() else {
        return Err(ApiError::parsing("[_na] query malformed, must start with start_object"));
    };
    let mut entries = members.iter();
    let Some((name, body)) = entries.next() else {
        return Err(ApiError::argument("query malformed, empty clause found"));
    };
    if let Some((second, _)) = entries.next() {
        return Err(ApiError::parsing(format!(
            "[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME] [{second}]"
        )));
    }
    match name.as_str() {
        "match_all" => {
            let options = Options::of("match_all", body, &[])?;
            Ok(Box::new(ConstScoreQuery::new(Box::new(AllQuery), options.boost()?)))
        }
        "match_none" => Ok(Box::new(tantivy::query::EmptyQuery)),
        "match" => full_text::match_(snapshot, body),
        "multi_match" => full_text::multi_match(snapshot, body),
        "match_phrase" => full_text::match_phrase(snapshot, body),
        "query_string" => query_string::query_string(snapshot, body),
        "simple_query_string" => query_string::simple_query_string(snapshot, body),
        "term" => exact::term(snapshot, body),
        "terms" => exact::terms(snapshot, body),
        "ids" => exact::ids(snapshot, body),
        "exists" => exact::exists(snapshot, body),
        "prefix" => exact::prefix(snapshot, body),
        "wildcard" => exact::wildcard(snapshot, body),
        "range" => exact::range(snapshot, body),
        "bool" => compound::bool_(snapshot, body, depth + 1),
        "dis_max" => compound::dis_max(snapshot, body, depth + 1),
        "constant_score" => compound::constant_score(snapshot, body, depth + 1),
        _ => Err(ApiError::parsing(format!("unknown query [{name}]; the demo engine supports {SUPPORTED}"))),
    }
}

/// The options of one clause, read by name; unknown ones are refused.
struct Options<'a> {
    clause: &'static str,
    members: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    /// The options in `body`, which may hold `known` and the ones that every clause has.
    fn of(clause: &'static str, body: &'a Value, known: &[&str]) -> Result<Self, ApiError> {
        let Some(members) = body.as_object() else {
            return Err(ApiError::parsing(format!("[{clause}] query malformed, no start_object after query name")));
        };
        let unknown =
            members.keys().find(|key| !known.contains(&key.as_str()) && !["boost", "_name"].contains(&key.as_str()));
        if let Some(key) = unknown {
            return Err(ApiError::parsing(format!(
                "[{clause}] query does not support [{key}]; the demo engine supports {known:?} and boost"
            )));
        }
        Ok(Self { clause, members })
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A string; numbers and booleans count as their text.
    fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => super::snapshot::scalar_text(value).map(Some).ok_or_else(|| self.wrong(name, "a string")),
        }
    }

    fn required_text(&self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::parsing(format!("[{}] requires a [{name}]", self.clause)))
    }

    fn number(&self, name: &str) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.map(|number| Some(number as f32)).ok_or_else(|| self.wrong(name, "a number"))
    }

    fn boost(&self) -> Result<f32, ApiError> {
        match self.number("boost")? {
            Some(boost) if boost < 0.0 => Err(ApiError::argument("negative [boost] is not allowed")),
            boost => Ok(boost.unwrap_or(1.0)),
        }
    }

    /// Whether the operator `name` is AND.
    fn all_required(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)?.map(|operator| operator.to_ascii_lowercase()).as_deref() {
            None | Some("or") => Ok(false),
            Some("and") => Ok(true),
            Some(_) => Err(self.wrong(name, "and or or")),
        }
    }

    fn wrong(&self, name: &str, expected: &str) -> ApiError {
        ApiError::parsing(format!("[{}] [{name}] must be {expected}", self.clause))
    }
}

/// The field and the options of a clause of the form `{"field": {…}}` or, in short, `{"field": value}`; a short form
/// is read as if it had been written with the option `short`.
fn on_field(clause: &'static str, body: &Value, short: &str) -> Result<(String, Value), ApiError> {
    let Some(members) = body.as_object() else {
        return Err(ApiError::parsing(format!("[{clause}] query malformed, no start_object after query name")));
    };
    let mut fields = members.iter().filter(|(key, _)| !["boost", "_name"].contains(&key.as_str()));
    let (Some((field, options)), None) = (fields.next(), fields.next()) else {
        return Err(ApiError::parsing(format!("[{clause}] query takes exactly one field")));
    };
    let options = match options {
        Value::Object(_) => options.clone(),
        Value::Array(_) => {
            return Err(ApiError::parsing(format!("[{clause}] unknown token [START_ARRAY] after [{field}]")));
        }
        scalar => serde_json::json!({ short: scalar }),
    };
    Ok((field.clone(), options))
}

/// `query` with its scores multiplied by `boost`.
fn boosted(query: Box<dyn Query>, boost: f32) -> Box<dyn Query> {
    if (boost - 1.0).abs() < f32::EPSILON { query } else { Box::new(BoostQuery::new(query, boost)) }
}
