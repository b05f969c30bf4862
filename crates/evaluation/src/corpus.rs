//! The bundled corpus with its judged queries: compiled in, so that they are there in any folder.

use serde::{Deserialize, Serialize};

use crate::{
    input::{InputError, Problems, Source, json_lines},
    judgements::{Query, beir},
};

/// One passage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// Unique in the corpus.
    pub id: String,
    /// The subject at large, such as `cooking`.
    pub domain: String,
    /// One line.
    pub title: String,
    /// The passage itself.
    pub text: String,
}

/// Passages, queries and what is relevant to what.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The passages, in the order of the file.
    pub passages: Vec<Passage>,
    /// The judged queries, in the order of the file.
    pub queries: Vec<Query>,
}

impl Dataset {
    /// The first of the queries and every `step`-th after it; 1 gives all.
    pub fn every(&self, step: usize) -> Vec<Query> {
        self.queries.iter().step_by(step.max(1)).cloned().collect()
    }
}

/// The corpus as a judged dataset.
///
/// # Errors
/// A file of the corpus is malformed; a test keeps that from being released.
pub fn dataset() -> Result<Dataset, InputError> {
    let passages = Source::new("passages.jsonl", include_str!("../../../fixtures/corpus/passages.jsonl"));
    let queries = Source::new("queries.jsonl", include_str!("../../../fixtures/corpus/queries.jsonl"));
    let judgements = Source::new("qrels.tsv", include_str!("../../../fixtures/corpus/qrels.tsv"));
    let mut problems = Problems::default();
    let passages = json_lines(&passages, &mut problems).into_iter().map(|(_, passage)| passage).collect();
    let queries = beir::parse(&queries, &judgements)?.queries;
    problems.or(Dataset { passages, queries })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::judgements::LeftOut;

    #[test]
    fn the_bundled_corpus_is_well_formed_and_large_enough() {
        let dataset = dataset().unwrap();
        let ids: HashSet<&str> = dataset.passages.iter().map(|passage| passage.id.as_str()).collect();
        assert!(ids.len() == dataset.passages.len() && ids.len() >= 600, "{} passages", ids.len());
        assert!(dataset.queries.len() >= 80 && dataset.queries.iter().all(Query::is_answerable));
        for query in &dataset.queries {
            assert!(query.grades.values().all(|grade| (0..=3).contains(&grade)), "{}", query.id);
            let known = ids.iter().filter(|id| query.grades.of(id).is_some()).count();
            assert_eq!(known, query.grades.len(), "{} judges a passage that is not there", query.id);
        }
    }

    #[test]
    fn the_bundled_corpus_is_a_folder_that_can_be_read_as_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/corpus");
        let read = beir::load(folder.as_ref(), None).unwrap();
        assert_eq!((read.queries, read.left_out), (dataset().unwrap().queries, LeftOut::default()));
    }
}
