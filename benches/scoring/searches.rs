//! The searches that are measured: queries and passages of the bundled corpus. Owns that no two of them share a text, so
//! that the cache stays cold.

use std::path::Path;

/// One search: a query and its window.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// Unlike that of any other; fit to be an index's name.
    pub(crate) id: String,
    pub(crate) query: String,
    pub(crate) passages: Vec<String>,
}

/// The texts of `fixtures/corpus`.
pub(crate) struct Corpus {
    queries: Vec<String>,
    passages: Vec<String>,
    /// Hits of a search.
    window: usize,
}

impl Corpus {
    pub(crate) fn load(window: usize) -> Corpus {
        Corpus { queries: texts("queries.jsonl"), passages: texts("passages.jsonl"), window }
    }

    /// `count` searches that share no text with those of another `nonce`: it is added to each text.
    pub(crate) fn searches(&self, count: usize, nonce: &str) -> Vec<Search> {
        let passage = |place: usize| {
            let (times, which) = (place / self.passages.len(), place % self.passages.len());
            format!("{} {nonce} {times}", self.passages[which])
        };
        let search = |number: usize| Search {
            id: format!("{nonce}-{number}"),
            query: format!("{} {nonce} {number}", self.queries[number % self.queries.len()]),
            passages: (0..self.window).map(|rank| passage(number * self.window + rank)).collect(),
        };
        (0..count).map(search).collect()
    }
}

fn texts(file: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus").join(file);
    let lines = std::fs::read_to_string(&file).expect("the corpus is part of the repository");
    let text = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the corpus is JSON");
        line["text"].as_str().expect("each line of the corpus has a text").to_owned()
    };
    lines.lines().map(text).collect()
}
