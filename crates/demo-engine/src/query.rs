//! Elasticsearch's query DSL, turned into a tantivy query on one snapshot: the table of clauses. Each kind of clause has its
//! own file.

use options::{DEPTH_LIMIT, Options};
use serde_json::Value;
use tantivy::query::{AllQuery, ConstScoreQuery, Query};

use crate::{error::ApiError, snapshot::Snapshot};

mod compound;
mod exact;
mod full_text;
mod minimum;
mod options;
mod query_string;
mod scored;

pub(crate) use query_string::url_query;

/// The end of the sentence that an unknown clause is told.
const SUPPORTED: &str = "match, multi_match, match_phrase, match_all, match_none, query_string, simple_query_string, \
     term, terms, ids, exists, prefix, wildcard, range, bool, dis_max, constant_score";

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
    let inner = |clause: &Value| build_at(snapshot, clause, depth + 1);
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
        "bool" => compound::bool_(body, &inner),
        "dis_max" => compound::dis_max(body, &inner),
        "constant_score" => compound::constant_score(body, &inner),
        _ => Err(ApiError::parsing(format!("unknown query [{name}]; the demo engine supports {SUPPORTED}"))),
    }
}
