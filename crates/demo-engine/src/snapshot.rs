//! An index at one moment, searchable: one tantivy segment in memory with one field per text or keyword field, so that
//! BM25 has proper statistics per field, and the documents in the order of their last write. Rebuilt as a whole after
//! a write: at thousands of documents that takes tens of milliseconds, and answers never depend on merges.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use tantivy::{
    DocId, Index, IndexReader, ReloadPolicy, Score, Searcher, SegmentOrdinal, SegmentReader, TantivyDocument, Term,
    collector::{Collector, SegmentCollector},
    directory::RamDirectory,
    query::{EmptyQuery, Query, TermSetQuery},
    schema::{Field, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions},
};

use crate::{
    analysis,
    document::Document,
    error::ApiError,
    mapping::{Kind, Mapping, leaves},
};

/// The memory that tantivy may use while it builds a segment, in bytes.
const BUILD_MEMORY: usize = 15_000_000;

/// Longer keywords are not indexed, as in Elasticsearch's dynamic mapping (and tantivy's terms end at 64 KiB).
const KEYWORD_LIMIT: usize = 8191;

/// A field that can be searched.
#[derive(Debug)]
pub(crate) struct SearchField {
    pub(crate) kind: Kind,
    /// The dotted path in `_source` that the values come from.
    pub(crate) source_path: String,
    /// The field that tantivy has it in; only text and keyword fields.
    pub(crate) indexed: Option<Field>,
}

/// The state of an index that searches run on.
pub(crate) struct Snapshot {
    /// The index's name.
    pub(crate) index: String,
    /// The documents; a tantivy document number is a position in here.
    pub(crate) documents: Vec<Arc<Document>>,
    /// The fields by dotted name.
    pub(crate) fields: BTreeMap<String, SearchField>,
    ordinal: Field,
    searcher: Searcher,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("index", &self.index)
            .field("documents", &self.documents.len())
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Indexes `documents`, in this order.
    pub(crate) fn build(index: &str, mapping: &Mapping, documents: Vec<Arc<Document>>) -> Result<Self, ApiError> {
        let analysed = TextFieldIndexing::default().set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let whole = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        let mut schema = Schema::builder();
        let ordinal = schema.add_text_field("ordinal", STRING);
        let mut fields = BTreeMap::new();
        for (number, (name, spec)) in mapping.fields().iter().enumerate() {
            // Tantivy's own name is a number: field names may hold any character.
            let indexing = match spec.kind {
                Kind::Text => Some(&analysed),
                Kind::Keyword => Some(&whole),
                Kind::Number | Kind::Boolean | Kind::Opaque => None,
            };
            let indexed = indexing.map(|indexing| {
                let options = TextOptions::default().set_indexing_options(indexing.clone());
                schema.add_text_field(&format!("field{number}"), options)
            });
            let field = SearchField { kind: spec.kind, source_path: spec.source_path.clone(), indexed };
            fields.insert(name.clone(), field);
        }

        let mut by_path: BTreeMap<&str, Vec<&SearchField>> = BTreeMap::new();
        for field in fields.values() {
            by_path.entry(&field.source_path).or_default().push(field);
        }
        let mut writer = Index::builder()
            .schema(schema.build())
            .single_segment_index_writer::<TantivyDocument>(RamDirectory::create(), BUILD_MEMORY)?;
        for (number, document) in documents.iter().enumerate() {
            let mut indexed = TantivyDocument::new();
            indexed.add_text(ordinal, number.to_string());
            for (path, value) in leaves(&document.source) {
                let Some(text) = scalar_text(value) else { continue };
                for field in by_path.get(path.as_str()).into_iter().flatten() {
                    match (field.indexed, field.kind) {
                        (Some(target), Kind::Text) => {
                            indexed.add_pre_tokenized_text(target, analysis::pre_tokenized(&text));
                        }
                        (Some(target), _) if text.len() <= KEYWORD_LIMIT => indexed.add_text(target, &text),
                        _ => {}
                    }
                }
            }
            writer.add_document(indexed)?;
        }
        let reader: IndexReader = writer.finalize()?.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let searcher = reader.searcher();
        Ok(Self { index: index.to_owned(), documents, fields, ordinal, searcher })
    }

    /// Every document that `query` matches, with its score, in the order of last write. All of them are scored: exact
    /// totals and stable order matter more here than speed.
    pub(crate) fn matches(&self, query: &dyn Query) -> Result<Vec<(usize, Score)>, ApiError> {
        let mut found = self.searcher.search(query, &AllMatches)?;
        found.sort_unstable_by_key(|(document, _)| *document);
        Ok(found.into_iter().map(|(document, score)| (document as usize, score)).collect())
    }

    /// A query for the documents that `predicate` holds for, each with score 1; found by looking at every one.
    pub(crate) fn matching(&self, predicate: impl Fn(&Document) -> bool) -> Box<dyn Query> {
        let chosen = self.documents.iter().enumerate().filter(|(_, document)| predicate(document));
        let terms: Vec<Term> =
            chosen.map(|(number, _)| Term::from_field_text(self.ordinal, &number.to_string())).collect();
        if terms.is_empty() { Box::new(EmptyQuery) } else { Box::new(TermSetQuery::new(terms)) }
    }

    /// The values that `document` has under `field`, as scalars.
    pub(crate) fn values<'a>(field: &SearchField, document: &'a Document) -> Vec<&'a Value> {
        let leaves = leaves(&document.source).into_iter();
        leaves.filter(|(path, _)| *path == field.source_path).map(|(_, value)| value).collect()
    }
}

/// A scalar as the text that is indexed.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Collects every match with its score.
struct AllMatches;

impl Collector for AllMatches {
    type Fruit = Vec<(DocId, Score)>;
    type Child = Matches;

    fn for_segment(&self, _: SegmentOrdinal, _: &SegmentReader) -> tantivy::Result<Matches> {
        Ok(Matches(Vec::new()))
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, fruits: Vec<Vec<(DocId, Score)>>) -> tantivy::Result<Self::Fruit> {
        // There is one segment, so document numbers need no segment beside them.
        Ok(fruits.into_iter().flatten().collect())
    }
}

/// The matches in the one segment.
struct Matches(Vec<(DocId, Score)>);

impl SegmentCollector for Matches {
    type Fruit = Vec<(DocId, Score)>;

    fn collect(&mut self, document: DocId, score: Score) {
        self.0.push((document, score));
    }

    fn harvest(self) -> Self::Fruit {
        self.0
    }
}
