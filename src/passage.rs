//! Hit → text. Owns what a passage is made of: which texts of a document, in which order, and what is done to them. How
//! a document is searched for them is in `leaves`, how they are put into a sentence in `template`, how mark-up leaves
//! them in `html`. Pure; knows JSON but no search engine.

mod html;
mod leaves;
mod template;

use std::borrow::Cow;

use serde_json::Value;

use leaves::Leaves;
pub use template::Template;

/// Between two texts of a passage: two fields, or two entries of an array.
const SEPARATOR: &str = "\n";
/// Between the texts of one placeholder of a template, which mostly stands within a line.
const TEMPLATE_SEPARATOR: &str = ", ";

/// What a hit shows of its document, as parsed JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Document<'a> {
    /// `_source`: the document as it was indexed (or a part of it).
    pub source: Option<&'a Value>,
    /// The hit's `fields`: values by name, each an array (nested fields: arrays of objects).
    pub fields: Option<&'a Value>,
}

/// How passages are read, as a rule says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PassageSpec {
    /// Which texts.
    pub content: Content,
    /// Whether the texts are HTML, of which the model is to see what a reader sees.
    pub strip_html: bool,
}

/// Which texts of a document make up its passage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// The fields that the query searched; where a hit has no text there, or the query names none, every text of the
    /// document.
    #[default]
    Searched,
    /// These dotted paths, in this order; those that a document lacks are left out.
    Fields(Vec<String>),
    /// A template such as `{title}. {brand}\n{description}`.
    Template(Template),
}

impl PassageSpec {
    /// The passage of a hit, or `None` where there is no text: never empty, without white space at either end.
    /// `searched`: the fields that the query names, possibly with `*`.
    ///
    /// A path stands for the field of that name, else for all that lies beneath it, else for the field that it is a
    /// multi-field of (`title` for `title.keyword`). It is looked for in `source` first, then in `fields`. No field is
    /// read twice, however many names lead to it, except by a template.
    pub fn passage(&self, document: Document<'_>, searched: &[String]) -> Option<String> {
        let leaves = Leaves::of(document);
        match &self.content {
            Content::Searched => {
                let names = searched.iter().map(String::as_str).filter(|name| !is_internal(name));
                self.join(leaves.texts(names), SEPARATOR)
                    .or_else(|| self.join(leaves.source_strings(), SEPARATOR))
                    .or_else(|| self.join(leaves.fields_strings(), SEPARATOR))
            }
            Content::Fields(paths) => self.join(leaves.texts(paths.iter().map(String::as_str)), SEPARATOR),
            Content::Template(template) => {
                template.render(|path| self.join(leaves.texts(std::iter::once(path)), TEMPLATE_SEPARATOR))
            }
        }
    }

    /// The dotted paths (or patterns) that must be visible for that, each once; `["*"]` where it is everything.
    pub fn wanted(&self, searched: &[String]) -> Vec<String> {
        let paths: Vec<&str> = match &self.content {
            Content::Searched => searched.iter().map(String::as_str).filter(|name| !is_internal(name)).collect(),
            Content::Fields(paths) => paths.iter().map(String::as_str).collect(),
            Content::Template(template) => template.paths().collect(),
        };
        if paths.contains(&"*") || (paths.is_empty() && self.content == Content::Searched) {
            return vec!["*".to_owned()];
        }
        let mut wanted: Vec<String> = Vec::new();
        for path in paths {
            if !wanted.iter().any(|known| known == path) {
                wanted.push(path.to_owned());
            }
        }
        wanted
    }

    fn join<'a>(&self, texts: impl IntoIterator<Item = Cow<'a, str>>, separator: &str) -> Option<String> {
        let mut joined = String::new();
        for text in texts {
            let text = if self.strip_html { Cow::Owned(html::strip(&text)) } else { text };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if !joined.is_empty() {
                joined.push_str(separator);
            }
            joined.push_str(text);
        }
        (!joined.is_empty()).then_some(joined)
    }
}

/// Names that a query may search but no document carries: `_all`, `_id`, `_exists_`.
fn is_internal(name: &str) -> bool {
    name.starts_with('_')
}

#[cfg(test)]
mod tests;
