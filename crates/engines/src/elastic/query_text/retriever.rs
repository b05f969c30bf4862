//! Text out of a tree of Elasticsearch's retrievers,
//! <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/retrievers>. Owns which retrievers hold a query and
//! which hold others. Pure.

use serde_json::Value;

use super::clauses::{MAX_DEPTH, Place, each};
use crate::query_text::Gathered;

impl Gathered {
    /// Adds the texts of one retriever and of those inside it. The text that a `text_similarity_reranker` itself
    /// compares with (`inference_text`) is not among them: it is an instruction to rerank, not something searched for.
    pub(super) fn retriever(&mut self, retriever: &Value, depth: usize) {
        let Some(retrievers) = retriever.as_object().filter(|_| depth < MAX_DEPTH) else { return };
        for (name, body) in retrievers {
            let Some(options) = body.as_object() else { continue };
            match name.as_str() {
                "standard" => {
                    if let Some(query) = options.get("query") {
                        self.query(query, depth + 1);
                    }
                }
                "knn" => {
                    self.from("knn");
                    self.clause(Place::VectorBuilder, options, depth);
                }
                // Either retrievers to merge, or one text for many fields.
                "rrf" | "linear" => {
                    self.from("retriever");
                    self.clause(Place::Plain(&["fields"]), options, depth);
                    for inner in options.get("retrievers").into_iter().flat_map(each) {
                        self.retriever(inner, depth + 1);
                    }
                }
                "rescorer" | "rule" | "pinned" | "text_similarity_reranker" | "diversify" => {
                    if let Some(inner) = options.get("retriever") {
                        self.retriever(inner, depth + 1);
                    }
                }
                // A retriever with its weight: `{"retriever": {…}, "weight": 2}`.
                "retriever" => self.retriever(body, depth + 1),
                _ => {}
            }
        }
    }
}
