//! Invariants that hold for any input whatever, as functions of raw bytes that panic where one does not: the entry
//! points of the fuzz targets in `fuzz/`, and of their bounded run in `tests/fuzz_entry_points.rs`. Nothing else calls
//! them. Owns no behaviour.

mod elastic_answers;
mod elastic_requests;
mod sent;
mod solr;
mod time_bound;

pub use elastic_answers::rewrite;
pub use elastic_requests::plan;
pub use solr::{plan as solr_plan, rewrite as solr_rewrite};
pub use time_bound::hold;

use crate::lucene::{self, Syntax};

/// Reads `input` as a query in each of the Lucene syntaxes.
///
/// The result is text that was there: trimmed, not empty, no longer than what went in. There are fields exactly where
/// there are texts, and the same query always reads the same.
pub fn lucene(input: &[u8]) {
    let query = String::from_utf8_lossy(input);
    for syntax in [Syntax::Classic, Syntax::Simple] {
        let found = lucene::read(&query, syntax);
        let length: usize = found.texts.iter().map(String::len).sum();
        assert!(length <= query.len(), "{syntax:?}: longer than the query: {found:?}");
        assert!(found.texts.iter().all(|text| !text.is_empty() && text.trim() == text), "{syntax:?}: {found:?}");
        assert_eq!(found.texts.is_empty(), found.fields.is_empty(), "{syntax:?}");
        assert_eq!(lucene::read(&query, syntax), found, "{syntax:?}");
    }
}
