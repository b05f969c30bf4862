//! Where the texts of a document lie. Owns dotted paths, their patterns, and how a name that a query uses leads to a
//! value in `_source` or in a hit's `fields`. Knows nothing of what becomes of the texts.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ptr,
};

use serde_json::Value;

use super::Document;
use crate::names::{Reached, Step, Trail};

/// The values of a hit, in the order in which the hit shows them.
pub(super) struct Leaves<'a> {
    source: Option<&'a Value>,
    fields: Option<&'a Value>,
    /// Those of `fields` that only repeat what another one says.
    repeats: HashSet<*const Value>,
}

/// A value without names of its own: a scalar or an array of scalars. Its path are all names on the way to it, with dots
/// between them; `{"a": {"b": …}}` and `{"a.b": …}` are the same to a search engine. Arrays add nothing to the path.
#[derive(Clone, Copy)]
struct Leaf<'a>(&'a Value);

impl<'a> Leaves<'a> {
    pub(super) fn of(document: Document<'a>) -> Self {
        let Document { source, fields } = document;
        Self { source, fields, repeats: fields.map_or_else(HashSet::new, |fields| repeats(source, fields)) }
    }

    /// The texts of these fields: name after name, within a name in the order of the document, each value once. A
    /// pattern stands for strings only; a name for numbers and booleans, too.
    pub(super) fn texts<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<Cow<'a, str>> {
        let mut taken = HashSet::new();
        let mut texts = Vec::new();
        for name in names {
            for leaf in self.find(name) {
                if !taken.insert(ptr::from_ref(leaf.0)) {
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
        strings(self.source, &HashSet::new()).into_iter()
    }

    /// Every string of `fields`, multi-fields that say the same as their field aside.
    pub(super) fn fields_strings(&self) -> impl Iterator<Item = Cow<'a, str>> {
        strings(self.fields, &self.repeats).into_iter()
    }

    /// What `name` stands for: what is called so; else what lies beneath it; else, since a multi-field is not in the
    /// document, the nearest field that it can belong to. What `_source` has of it goes before what `fields` has.
    fn find(&self, name: &str) -> Vec<Leaf<'a>> {
        let trail = Trail::of(name);
        let among = |document: Option<&'a Value>, repeats| {
            let is_pattern = is_pattern(name);
            let parent = (0, Vec::new());
            let mut found = Found { trail: &trail, is_pattern, repeats, all: Vec::new(), beneath: Vec::new(), parent };
            if let Some(document) = document {
                found.look_into(document, trail.start());
            }
            found.nearest()
        };
        let found = among(self.source, None);
        if found.is_empty() { among(self.fields, Some(&self.repeats)) } else { found }
    }
}

/// What one name leads to in a document. Each value is looked at once, and what no longer fits the name not at all.
struct Found<'a, 't> {
    trail: &'t Trail,
    is_pattern: bool,
    repeats: Option<&'t HashSet<*const Value>>,
    all: Vec<Leaf<'a>>,
    beneath: Vec<Leaf<'a>>,
    /// Of what the name may be a multi-field of: how long a part of the name that is, and what is called so.
    parent: (usize, Vec<Leaf<'a>>),
}

impl<'a> Found<'a, '_> {
    fn look_into(&mut self, value: &'a Value, at: Step) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    if let Some(next) = self.trail.follow(at, key) {
                        self.look_into(value, next);
                    }
                }
            }
            Value::Array(entries) if is_nested(entries) => {
                entries.iter().for_each(|entry| self.look_into(entry, at));
            }
            _ if self.repeats.is_some_and(|repeats| repeats.contains(&ptr::from_ref(value))) => {}
            _ => self.note(Leaf(value), at),
        }
    }

    fn note(&mut self, leaf: Leaf<'a>, at: Step) {
        match self.trail.reached(at) {
            Reached::All if self.is_pattern && leaf.has_strings() => self.all.push(leaf),
            Reached::All if !self.is_pattern && leaf.has_text() => self.all.push(leaf),
            Reached::Beneath if leaf.has_text() => self.beneath.push(leaf),
            Reached::Parent(length) if length >= self.parent.0 && leaf.has_strings() => {
                if length > self.parent.0 {
                    self.parent = (length, Vec::new());
                }
                self.parent.1.push(leaf);
            }
            _ => {}
        }
    }

    fn nearest(self) -> Vec<Leaf<'a>> {
        [self.all, self.beneath, self.parent.1].into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }
}

/// Those of `fields` that are multi-fields and repeat what their field says, there or in `source`.
fn repeats(source: Option<&Value>, fields: &Value) -> HashSet<*const Value> {
    let (mut of_source, mut of_fields) = (Vec::new(), Vec::new());
    if let Some(source) = source {
        collect(source, &mut String::new(), &mut of_source);
    }
    collect(fields, &mut String::new(), &mut of_fields);
    let mut said: HashMap<&str, HashSet<Vec<&str>>> = HashMap::new();
    for (path, leaf) in of_source.iter().chain(&of_fields) {
        said.entry(path).or_default().insert(leaf.strings().collect());
    }
    let is_repeat = |(path, leaf): &&(String, Leaf)| {
        let strings: Vec<&str> = leaf.strings().collect();
        let says_the_same = |parent| said.get(parent).is_some_and(|texts| texts.contains(&strings));
        !strings.is_empty() && parents(path).any(says_the_same)
    };
    of_fields.iter().filter(is_repeat).map(|(_, leaf)| ptr::from_ref(leaf.0)).collect()
}

/// Every leaf, and its path.
fn collect<'a>(value: &'a Value, path: &mut String, leaves: &mut Vec<(String, Leaf<'a>)>) {
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
        Value::Array(entries) if is_nested(entries) => {
            entries.iter().for_each(|entry| collect(entry, path, leaves));
        }
        _ => leaves.push((path.clone(), Leaf(value))),
    }
}

/// Every string of `document`, those of the leaves `without` aside.
fn strings<'a>(document: Option<&'a Value>, without: &HashSet<*const Value>) -> Vec<Cow<'a, str>> {
    fn add<'a>(value: &'a Value, without: &HashSet<*const Value>, texts: &mut Vec<Cow<'a, str>>) {
        match value {
            Value::Object(object) => object.values().for_each(|value| add(value, without, texts)),
            Value::Array(entries) if is_nested(entries) => entries.iter().for_each(|entry| add(entry, without, texts)),
            _ if without.contains(&ptr::from_ref(value)) => {}
            _ => texts.extend(Leaf(value).strings().map(Cow::Borrowed)),
        }
    }
    let mut texts = Vec::new();
    if let Some(document) = document {
        add(document, without, &mut texts);
    }
    texts
}

/// Whether an array is more than one of scalars.
fn is_nested(entries: &[Value]) -> bool {
    entries.iter().any(|entry| entry.is_object() || entry.is_array())
}

impl<'a> Leaf<'a> {
    fn scalars(self) -> impl Iterator<Item = &'a Value> + use<'a> {
        match self.0 {
            Value::Array(entries) => entries.as_slice(),
            scalar => std::slice::from_ref(scalar),
        }
        .iter()
    }

    fn strings(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.scalars().filter_map(Value::as_str)
    }

    fn has_strings(self) -> bool {
        self.strings().any(|text| !text.trim().is_empty())
    }

    fn has_text(self) -> bool {
        self.scalars().any(|scalar| match scalar {
            Value::String(text) => !text.trim().is_empty(),
            scalar => scalar.is_number() || scalar.is_boolean(),
        })
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
