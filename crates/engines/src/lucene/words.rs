//! The words that are kept of a query, and the fields that they were looked for in. Owns how words that follow one another in
//! one field become one text.

use indexmap::IndexSet;

/// The words of a query, and their fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The words, in order; those that were looked for in one field, one after the other, make one text:
    /// `title:(red wine) OR body:(red wine)` is twice the text `red wine`.
    pub(crate) texts: Vec<String>,
    /// The fields of these words, each once, in order; `None` stands for the fields of words that name none.
    pub(crate) fields: Vec<Option<String>>,
}

/// A field by its place among [`Words::names`], so that a long name is held once however many words follow it.
pub(super) type Field = Option<usize>;

/// The words kept so far.
#[derive(Default)]
pub(super) struct Words {
    pub(super) names: IndexSet<String>,
    used: IndexSet<Field>,
    runs: Vec<(Field, String)>,
}

impl Words {
    pub(super) fn keep(&mut self, word: &str, field: Field) {
        let word = word.trim();
        if word.is_empty() {
            return;
        }
        match self.runs.last_mut() {
            Some((last, run)) if *last == field => {
                run.push(' ');
                run.push_str(word);
            }
            _ => {
                self.used.insert(field);
                self.runs.push((field, word.to_owned()));
            }
        }
    }

    pub(super) fn found(self) -> Found {
        let name = |field: Field| field.and_then(|at| self.names.get_index(at)).cloned();
        Found {
            texts: self.runs.into_iter().map(|(_, run)| run).collect(),
            fields: self.used.into_iter().map(name).collect(),
        }
    }
}
