//! The bundled corpus with its judged queries: compiled in, so that they are there in any folder.

use crate::judgements::{Dataset, DatasetError};

/// The corpus as a judged dataset.
///
/// # Errors
/// A file of the corpus is malformed; a test keeps that from being released.
pub fn dataset() -> Result<Dataset, DatasetError> {
    Dataset::parse(
        include_str!("../../../fixtures/corpus/passages.jsonl"),
        include_str!("../../../fixtures/corpus/queries.jsonl"),
        include_str!("../../../fixtures/corpus/qrels.tsv"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_corpus_is_well_formed_and_large_enough() {
        let dataset = dataset().unwrap();
        assert!(dataset.passages.len() >= 600, "{} passages", dataset.passages.len());
        assert!(dataset.judged_queries().count() >= 80);
    }
}
