//! The parts that clauses are made of: indexed terms and phrases scored as Lucene does, and how scores are multiplied,
//! left out or the best of them taken. Scores are Lucene's BM25 (k1 = 1.2, b = 0.75, without the constant factor k1 + 1 that tantivy's has), so
//! they can be laid beside a cluster's; only the average length counts documents without the field, too, which Lucene leaves
//! out.

use tantivy::{
    Term,
    query::{BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, PhraseQuery, Query, TermQuery},
    schema::IndexRecordOption,
};

use crate::{mapping::Kind, snapshot::SearchField};

/// The factor that turns tantivy's BM25 into Lucene's, which left out k1 + 1 with version 8.
const LUCENE_SCALE: f32 = 1.0 / 2.2;

/// The phrase that `tokens` make, if they make one.
pub(super) fn phrase(field: &SearchField, tokens: &[String], slop: u32) -> Option<Box<dyn Query>> {
    let indexed = field.indexed.filter(|_| tokens.len() > 1)?;
    let terms = tokens.iter().map(|token| Term::from_field_text(indexed, token)).enumerate().collect();
    let phrase = PhraseQuery::new_with_offset_and_slop(terms, slop);
    Some(boosted(Box::new(phrase), LUCENE_SCALE))
}

/// One indexed term, scored by BM25.
pub(super) fn term(field: &SearchField, token: &str) -> Box<dyn Query> {
    let Some(indexed) = field.indexed else { return Box::new(EmptyQuery) };
    let frequencies = if field.kind == Kind::Text { IndexRecordOption::WithFreqs } else { IndexRecordOption::Basic };
    let term = TermQuery::new(Term::from_field_text(indexed, token), frequencies);
    boosted(Box::new(term), LUCENE_SCALE)
}

/// `query` with its scores multiplied by `boost`.
pub(super) fn boosted(query: Box<dyn Query>, boost: f32) -> Box<dyn Query> {
    if (boost - 1.0).abs() < f32::EPSILON { query } else { Box::new(BoostQuery::new(query, boost)) }
}

/// The best of `queries` counts, the others by `tie_breaker`.
pub(super) fn best_of(mut queries: Vec<Box<dyn Query>>, tie_breaker: f32) -> Box<dyn Query> {
    match (queries.pop(), queries.is_empty()) {
        (None, _) => Box::new(EmptyQuery),
        (Some(only), true) => only,
        (Some(last), false) => {
            queries.push(last);
            Box::new(DisjunctionMaxQuery::with_tie_breaker(queries, tie_breaker))
        }
    }
}

/// `query` as a filter: it decides what matches and adds nothing to the score.
pub(super) fn unscored(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}
