//! Where the texts of a document lie. Owns dotted paths, their patterns, and how a name that a query uses leads to a
//! value in `_source` or in a hit's `fields`. Knows nothing of what becomes of the texts.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ptr,
};

use serde_json::Value;

use super::Document;
use crate::names::{is_beneath, matches};

/// The values of a hit, in the order in which the hit shows them.
pub(super) struct Leaves<'a> {
    source: Vec<Leaf<'a>>,
    fields: Vec<Leaf<'a>>,
}

/// A value without names of its own: a scalar or an array of scalars.
struct Leaf<'a> {
    /// All names on the way to it, with dots between them; `{"a": {"b": …}}` and `{"a.b": …}` are the same to a search
    /// engine. Arrays add nothing to the path.
    path: String,
    value: &'a Value,
}

impl<'a> Leaves<'a> {
    pub(super) fn of(document: Document<'a>) -> Self {
        let (mut source, mut fields) = (Vec::new(), Vec::new());
        if let Some(value) = document.source {
            collect(value, &mut String::new(), &mut source);
        }
        if let Some(value) = document.fields {
            collect(value, &mut String::new(), &mut fields);
        }
        let fields = without_repeats(&source, fields);
        Self { source, fields }
    }

    /// The texts of these fields: name after name, within a name in the order of the document, each value once. A
    /// pattern stands for strings only; a name for numbers and booleans, too.
    pub(super) fn texts<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<Cow<'a, str>> {
        let mut taken = HashSet::new();
        let mut texts = Vec::new();
        for name in names {
            for leaf in self.find(name) {
                if !taken.insert(ptr::from_ref(leaf.value)) {
                    continue;
                }
                if is_pattern(name) {
                    texts.extend(leaf.strings().map(Cow::Borrowed));
                } else {
                    texts.extend(leaf.scalars().filter_map(text));
                }
            }
        }
        texts
    }

    /// Every string of `_source`.
    pub(super) fn source_strings(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.source.iter().flat_map(Leaf::strings).map(Cow::Borrowed)
    }

    /// Every string of `fields`, multi-fields that say the same as their field aside.
    pub(super) fn fields_strings(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.fields.iter().flat_map(Leaf::strings).map(Cow::Borrowed)
    }

    fn find(&self, name: &str) -> Vec<&Leaf<'a>> {
        let found = find_among(&self.source, name);
        if found.is_empty() { find_among(&self.fields, name) } else { found }
    }
}

/// What `name` stands for among `leaves`: what is called so; else what lies beneath it; else, since a multi-field is not
/// in the document, the nearest field that it can belong to.
fn find_among<'l, 'a>(leaves: &'l [Leaf<'a>], name: &str) -> Vec<&'l Leaf<'a>> {
    let called = |pattern: &str| -> Vec<&'l Leaf<'a>> {
        leaves.iter().filter(|leaf| matches(pattern, &leaf.path) && leaf.has_strings()).collect()
    };
    let found = if is_pattern(name) {
        called(name)
    } else {
        let exact: Vec<_> = leaves.iter().filter(|leaf| leaf.path == name && leaf.has_text()).collect();
        if exact.is_empty() {
            leaves.iter().filter(|leaf| is_beneath(&leaf.path, name) && leaf.has_text()).collect()
        } else {
            exact
        }
    };
    if !found.is_empty() {
        return found;
    }
    // `*.english` belongs to every field, which says nothing about this one.
    let parents = parents(name).filter(|parent| *parent != "*");
    parents.map(called).find(|found| !found.is_empty()).unwrap_or_default()
}

/// `fields` without the multi-fields that repeat what their field says, there or in `source`.
fn without_repeats<'a>(source: &[Leaf<'a>], fields: Vec<Leaf<'a>>) -> Vec<Leaf<'a>> {
    if fields.is_empty() {
        return fields;
    }
    let mut said: HashMap<&str, HashSet<Vec<&str>>> = HashMap::new();
    for leaf in source.iter().chain(&fields) {
        said.entry(&leaf.path).or_default().insert(leaf.strings().collect());
    }
    let repeats = |leaf: &Leaf| {
        let strings: Vec<&str> = leaf.strings().collect();
        let says_the_same = |parent| said.get(parent).is_some_and(|texts| texts.contains(&strings));
        !strings.is_empty() && parents(&leaf.path).any(says_the_same)
    };
    let kept: Vec<bool> = fields.iter().map(|leaf| !repeats(leaf)).collect();
    fields.into_iter().zip(kept).filter_map(|(leaf, kept)| kept.then_some(leaf)).collect()
}

fn collect<'a>(value: &'a Value, path: &mut String, leaves: &mut Vec<Leaf<'a>>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let end = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                collect(value, path, leaves);
                path.truncate(end);
            }
        }
        Value::Array(entries) if entries.iter().any(|entry| entry.is_object() || entry.is_array()) => {
            entries.iter().for_each(|entry| collect(entry, path, leaves));
        }
        _ => leaves.push(Leaf { path: path.clone(), value }),
    }
}

impl<'a> Leaf<'a> {
    fn scalars(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        match self.value {
            Value::Array(entries) => entries.as_slice(),
            scalar => std::slice::from_ref(scalar),
        }
        .iter()
    }

    fn strings(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.scalars().filter_map(Value::as_str)
    }

    fn has_strings(&self) -> bool {
        self.strings().any(|text| !text.trim().is_empty())
    }

    fn has_text(&self) -> bool {
        self.scalars().filter_map(text).any(|text| !text.trim().is_empty())
    }
}

fn text(scalar: &Value) -> Option<Cow<'_, str>> {
    match scalar {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

/// `a.b` and `a` for `a.b.c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('.').map(|(dot, _)| &path[..dot])
}
