//! Clauses made of clauses: `bool`, `dis_max`, `constant_score`.

use serde_json::Value;
use tantivy::query::{AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, Occur, Query};

use super::{
    minimum,
    options::Options,
    scored::{best_of, boosted, unscored},
};
use crate::error::ApiError;

/// The query for a clause within a clause.
type Inner<'a> = &'a dyn Fn(&Value) -> Result<Box<dyn Query>, ApiError>;

pub(super) fn bool_(body: &Value, inner: Inner) -> Result<Box<dyn Query>, ApiError> {
    let known = ["must", "should", "filter", "must_not", "minimum_should_match"];
    let options = Options::of("bool", body, &known)?;
    let clauses = |name: &str| many(options.get(name), inner);
    let (must, should) = (clauses("must")?, clauses("should")?);
    let (filter, must_not) = (clauses("filter")?, clauses("must_not")?);

    let only_optional = must.is_empty() && filter.is_empty();
    let required = match options.get("minimum_should_match") {
        Some(spec) => minimum::required(spec, should.len())?,
        None => usize::from(only_optional && !should.is_empty()),
    };
    if required > should.len() {
        return Ok(Box::new(EmptyQuery));
    }

    let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    if only_optional && required == 0 {
        // Without a positive clause that must match, every document does; an empty bool is a match_all.
        let score = if should.is_empty() && must_not.is_empty() { 1.0 } else { 0.0 };
        parts.push((Occur::Must, Box::new(ConstScoreQuery::new(Box::new(AllQuery), score))));
    }
    parts.extend(must.into_iter().map(|query| (Occur::Must, query)));
    parts.extend(filter.into_iter().map(|query| (Occur::Must, unscored(query))));
    if required == 0 {
        parts.extend(should.into_iter().map(|query| (Occur::Should, query)));
    } else {
        let optional = BooleanQuery::union_with_minimum_required_clauses(should, required);
        parts.push((Occur::Must, Box::new(optional)));
    }
    parts.extend(must_not.into_iter().map(|query| (Occur::MustNot, query)));
    Ok(boosted(Box::new(BooleanQuery::new(parts)), options.boost()?))
}

pub(super) fn dis_max(body: &Value, inner: Inner) -> Result<Box<dyn Query>, ApiError> {
    let options = Options::of("dis_max", body, &["queries", "tie_breaker"])?;
    let queries = many(options.get("queries"), inner)?;
    if queries.is_empty() {
        return Err(ApiError::parsing("[dis_max] requires 'queries' field with at least one clause"));
    }
    let tie_breaker = options.number("tie_breaker")?.unwrap_or(0.0);
    Ok(boosted(best_of(queries, tie_breaker), options.boost()?))
}

pub(super) fn constant_score(body: &Value, inner: Inner) -> Result<Box<dyn Query>, ApiError> {
    let options = Options::of("constant_score", body, &["filter"])?;
    let filter =
        options.get("filter").ok_or_else(|| ApiError::parsing("[constant_score] requires a 'filter' element"))?;
    let filter = inner(filter)?;
    Ok(Box::new(ConstScoreQuery::new(filter, options.boost()?)))
}

/// One clause or an array of them.
fn many(clauses: Option<&Value>, inner: Inner) -> Result<Vec<Box<dyn Query>>, ApiError> {
    match clauses {
        None => Ok(Vec::new()),
        Some(Value::Array(clauses)) => clauses.iter().map(inner).collect(),
        Some(clause) => Ok(vec![inner(clause)?]),
    }
}
