//! What passages a sample of documents has under a rule. Owns that they are read as a search's are, where its query names no field.

use engines::passage::{Document, PassageSpec};
use serde_json::Value;

/// The passages of a sample.
pub(super) struct Passages {
    /// The number of documents.
    pub(super) documents: usize,
    /// Those that have text.
    pub(super) texts: Vec<String>,
}

impl Passages {
    pub(super) fn of(spec: &PassageSpec, documents: &[Value]) -> Self {
        let passage = |document: &Value| spec.passage(Document { source: Some(document), fields: None }, &[]);
        Self { documents: documents.len(), texts: documents.iter().filter_map(passage).collect() }
    }

    /// True where there are documents, and none has text.
    pub(super) fn has_no_text(&self) -> bool {
        self.documents > 0 && self.texts.is_empty()
    }

    /// The median of their lengths, in characters.
    pub(super) fn median(&self) -> usize {
        median(self.texts.iter().map(|text| text.chars().count()).collect())
    }
}

/// The middle one of some numbers; 0 of none.
pub(super) fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use engines::passage::Content;
    use serde_json::json;

    use super::*;

    #[test]
    fn passages_of_a_sample_are_counted_and_measured() {
        let spec = PassageSpec { content: Content::Fields(vec!["t".to_owned()]), strip_html: false };
        let passages =
            Passages::of(&spec, &[json!({"t": "é"}), json!({"x": "y"}), json!({"t": "abc"}), json!({"t": "ab"})]);
        assert_eq!((passages.documents, passages.texts.len(), passages.median()), (4, 3, 2));
        assert!(Passages::of(&spec, &[json!({"x": "y"})]).has_no_text() && !Passages::of(&spec, &[]).has_no_text());
    }
}
