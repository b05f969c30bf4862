//! The text that someone typed and the fields they looked in, as it is gathered from the parts of a query, whatever the
//! engine's syntax. Owns how texts are joined, how long they may get, and that each counts once. Pure.

use indexmap::IndexSet;

use crate::plan::SkipReason;
use crate::{
    caps::{MAX_CLAUSES, MAX_FIELDS, MAX_NAME},
    lucene::{self, Found, Syntax},
};

/// The longest text, in characters. No model reads more than about half of it, and a `more_like_this` may bring a book.
pub(super) const MAX_CHARS: usize = 1_000;

/// The subject of a query: a text and fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueryText {
    /// The text that someone typed: not empty, white space single and none around it, at most [`MAX_CHARS`] long.
    pub(super) text: String,
    /// The fields that they looked in, as written but without boosts ("title", "name.*", "*"), each once, in order;
    /// empty where the query names none. Fields of vectors are not among them: they hold no text.
    pub(super) fields: Vec<String>,
    /// The name of the clause or parameter that holds the text; [`SEVERAL`] where they are of several kinds.
    pub(super) source: &'static str,
}

/// The source of a text that is gathered from clauses of several kinds.
const SEVERAL: &str = "several clauses";

/// All of these as one: the fields merged, the texts joined with a space, the same text twice counting once. Of a text
/// that gets longer than [`MAX_CHARS`], the words that come first count; it is cut inside a word only where it would
/// otherwise lose more than half, as in languages that put no spaces between words.
pub(super) fn joined(parts: impl IntoIterator<Item = QueryText>) -> Option<QueryText> {
    let mut gathered = Gathered::default();
    for part in parts {
        gathered.from(part.source);
        gathered.typed(&part.text, part.fields.iter().map(String::as_str));
    }
    gathered.finish()
}

/// The texts and fields that were found so far.
#[derive(Default)]
pub(super) struct Gathered {
    texts: IndexSet<String>,
    fields: IndexSet<String>,
    /// The kind of clause that is looked into.
    kind: &'static str,
    /// The kind that the texts are from.
    source: Option<&'static str>,
    /// The number of clauses that were looked into.
    clauses: usize,
    /// True if something was left out because there is too much of it.
    too_complex: bool,
}

impl Gathered {
    /// All of it; `None` where there is no text.
    pub(super) fn finish(self) -> Option<QueryText> {
        let texts: Vec<String> = self.texts.into_iter().collect();
        let mut text = texts.join(" ");
        text.truncate(end_of_text(&text));
        (!text.is_empty()).then(|| QueryText {
            text,
            fields: self.fields.into_iter().collect(),
            source: self.source.unwrap_or_default(),
        })
    }

    /// The same, where nothing was left out because there is too much of it.
    pub(super) fn within_caps(self) -> Result<Option<QueryText>, SkipReason> {
        if self.too_complex { Err(SkipReason::TooComplex) } else { Ok(self.finish()) }
    }

    /// Counts a clause; whether it may be looked into.
    pub(super) fn count_clause(&mut self) -> bool {
        self.clauses += 1;
        self.too_complex |= self.clauses > MAX_CLAUSES;
        !self.too_complex
    }

    /// Notes that something is left out because there is too much of it.
    pub(super) fn leave_out(&mut self) {
        self.too_complex = true;
    }

    /// Notes where the texts are from that come next.
    pub(super) fn from(&mut self, kind: &'static str) {
        self.kind = kind;
    }

    /// Adds a text and the fields it was looked for in. Where there is no text, the fields do not count either.
    pub(super) fn typed<'a>(&mut self, text: &str, fields: impl IntoIterator<Item = &'a str>) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            if self.texts.insert(text) {
                let is_other = self.source.is_some_and(|source| source != self.kind);
                self.source = Some(if is_other { SEVERAL } else { self.kind });
            }
            self.look_in(fields);
        }
    }

    /// Adds fields.
    pub(super) fn look_in<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        for field in fields.into_iter().filter(|field| !field.is_empty()) {
            // A long name would be read as often as something is looked for in it.
            if field.len() > MAX_NAME || self.fields.len() > MAX_FIELDS {
                self.too_complex = true;
            } else if !self.fields.contains(field) {
                self.fields.insert(field.to_owned());
            }
        }
    }

    /// Adds what a query in one of the Lucene syntaxes says; words without a field are looked for in `default_fields`.
    pub(super) fn lucene<'a>(
        &mut self,
        query: &str,
        syntax: Syntax,
        default_fields: impl IntoIterator<Item = &'a str>,
    ) {
        let Found { texts, fields } = lucene::read(query, syntax);
        let mut default_fields = Some(default_fields);
        for text in &texts {
            self.typed(text, None);
        }
        for field in &fields {
            match field {
                Some(field) => self.look_in([field.as_str()]),
                None => self.look_in(default_fields.take().into_iter().flatten()),
            }
        }
    }
}

/// `title^2` is the field `title`.
pub(super) fn without_boost(field: &str) -> &str {
    match field.rsplit_once('^') {
        Some((name, boost)) if boost.parse::<f64>().is_ok() => name,
        _ => field,
    }
}

/// The length in bytes of what remains of `text` within [`MAX_CHARS`]; see [`joined`].
fn end_of_text(text: &str) -> usize {
    let Some((end, next)) = text.char_indices().nth(MAX_CHARS) else { return text.len() };
    if next == ' ' {
        return end;
    }
    text[..end].rfind(' ').filter(|space| space * 2 >= end).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_once_each() {
        let part = |text: &str, fields: &[&str]| QueryText {
            text: text.to_owned(),
            fields: fields.iter().map(ToString::to_string).collect(),
            source: "match",
        };
        let parts = [part("red wine", &["title"]), part("dry", &[]), part("red wine", &["body", "title"])];
        assert_eq!(joined(parts), Some(part("red wine dry", &["title", "body"])));
        assert_eq!(joined([]), None);
    }
}
