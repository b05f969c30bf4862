//! The subject of a query: the text that someone typed, found inside the query DSL, and the fields they looked in. Owns
//! the four places where a search has a query; `clauses` and `retriever` know what lies in them. Pure.

mod clauses;
mod retriever;

use serde_json::Value;

use crate::{
    lucene::Syntax,
    plan::SkipReason,
    query_text::{Gathered, QueryText},
};
use clauses::each;

/// The subject of a query (`{"match": {…}}`), or `None` where it holds no text. Texts of several clauses are joined as
/// in `joined`, those of `must` before those of `should`.
pub(super) fn of_query(query: &Value) -> Result<Option<QueryText>, SkipReason> {
    let mut gathered = Gathered::default();
    gathered.query(query, 0);
    gathered.within_caps()
}

/// The subject of a retriever (`{"standard": {"query": …}}`).
pub(super) fn of_retriever(retriever: &Value) -> Result<Option<QueryText>, SkipReason> {
    let mut gathered = Gathered::default();
    gathered.retriever(retriever, 0);
    gathered.within_caps()
}

/// The subject of the `knn` of a search body, one search or an array of them: the text that the cluster makes a vector
/// of.
pub(super) fn of_knn(knn: &Value) -> Result<Option<QueryText>, SkipReason> {
    let mut gathered = Gathered::default();
    gathered.from("knn");
    for search in each(knn) {
        gathered.vector_builder(search.get("query_vector_builder"));
    }
    gathered.within_caps()
}

/// The subject of `?q=`; `df` is the field for words that name none.
pub(super) fn of_q(q: &str, df: Option<&str>) -> Result<Option<QueryText>, SkipReason> {
    let mut gathered = Gathered::default();
    gathered.from("q");
    gathered.lucene(q, Syntax::Classic, df);
    gathered.within_caps()
}

#[cfg(test)]
mod tests;
