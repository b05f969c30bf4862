//! Hit → text. Owns what a passage is made of: which texts of a document, in which order, and what is done to them. How
//! a document is searched for them is in `leaves`, how they are put into a sentence in `template`, how mark-up leaves
//! them in `html`. Pure; knows JSON but no search engine.

mod document;
mod html;
mod leaves;
mod template;

use std::{borrow::Cow, collections::HashMap};

pub use document::Document;
use indexmap::IndexSet;
use leaves::{Leaves, Wanted};
pub use template::Template;

/// Between two texts of a passage: two fields, or two entries of an array.
const SEPARATOR: &str = "\n";
/// Between the texts of one placeholder of a template, which mostly stands within a line.
const TEMPLATE_SEPARATOR: &str = ", ";

/// A rule's word on how passages are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PassageSpec {
    /// The texts.
    pub content: Content,
    /// True if the texts are HTML, of which the model is to see what a reader sees.
    pub strip_html: bool,
}

/// The texts of a document that make up its passage.
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
        self.reader(searched).passage(document)
    }

    /// The same for many hits of one search.
    pub(crate) fn reader<'a>(&'a self, searched: &'a [String]) -> Reader<'a> {
        let names = match &self.content {
            Content::Searched => Names::Listed(Wanted::of(searched_names(searched))),
            Content::Fields(paths) => Names::Listed(Wanted::of(paths.iter().map(String::as_str))),
            Content::Template(template) => {
                let one = |path| (path, Wanted::of([path]));
                Names::Template(template, template.paths().map(one).collect())
            }
        };
        Reader { spec: self, names }
    }

    /// The dotted paths (or patterns) that must be visible for that, each once; `["*"]` where it is everything.
    pub fn wanted<'a>(&'a self, searched: &'a [String]) -> Vec<&'a str> {
        let paths: IndexSet<&str> = match &self.content {
            Content::Searched => searched_names(searched).collect(),
            Content::Fields(paths) => paths.iter().map(String::as_str).collect(),
            Content::Template(template) => template.paths().collect(),
        };
        if paths.contains("*") || (paths.is_empty() && self.content == Content::Searched) {
            return vec!["*"];
        }
        paths.into_iter().collect()
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

/// Reads the passages of the hits of one search: a [`PassageSpec`] with its names looked at once for all of them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    spec: &'a PassageSpec,
    names: Names<'a>,
}

#[derive(Debug)]
enum Names<'a> {
    /// One after the other.
    Listed(Wanted<'a>),
    /// Each in its places.
    Template(&'a Template, HashMap<&'a str, Wanted<'a>>),
}

impl Reader<'_> {
    /// The passage of a hit; see [`PassageSpec::passage`].
    pub(crate) fn passage(&self, document: Document<'_>) -> Option<String> {
        let leaves = Leaves::of(document);
        let passage = self.of_names(&leaves);
        if passage.is_some() || self.spec.content != Content::Searched {
            return passage;
        }
        let everything = self.spec.join(leaves.source_strings(), SEPARATOR);
        everything.or_else(|| self.spec.join(leaves.fields_strings(), SEPARATOR))
    }

    /// The passage that the names alone lead to.
    pub(crate) fn named(&self, document: Document<'_>) -> Option<String> {
        self.of_names(&Leaves::of(document))
    }

    fn of_names(&self, leaves: &Leaves<'_>) -> Option<String> {
        match &self.names {
            Names::Listed(wanted) => self.spec.join(leaves.texts(wanted), SEPARATOR),
            Names::Template(template, wanted) => {
                template.render(|path| self.spec.join(leaves.texts(&wanted[path]), TEMPLATE_SEPARATOR))
            }
        }
    }
}

/// The fields that a query searched, but for those that no document carries.
fn searched_names(searched: &[String]) -> impl Iterator<Item = &str> {
    searched.iter().map(String::as_str).filter(|name| !is_internal(name))
}

/// Names that a query may search but no document carries: `_all`, `_id`, `_exists_`.
fn is_internal(name: &str) -> bool {
    name.starts_with('_')
}

#[cfg(test)]
mod tests;
