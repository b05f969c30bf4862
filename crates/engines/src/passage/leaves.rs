//! The texts of a document, by their places. Owns dotted paths, their patterns, and how a name that a query uses leads
//! to a value in `_source` or in a hit's `fields`: by looking up the paths of the document among the names, not the
//! names one after the other in the document, so that many names cost no more than few. Knows nothing of what becomes
//! of the texts.

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

use indexmap::IndexMap;
use serde_json::Value;

use super::document::Document;
use crate::names::{is_pattern, matches, parents};

/// The longest path that is looked up among names, in bytes, so that what lies beneath a long one does not copy it again and
/// again. What lies deeper has no name; it counts where everything does.
const MAX_PATH: usize = 256;

/// The values of a hit, in the order in which the hit shows them.
pub(super) struct Leaves<'a> {
    source: Vec<Leaf<'a>>,
    fields: Vec<Leaf<'a>>,
    /// The values of one path together, once they are needed.
    groups: OnceCell<Vec<Group>>,
}

/// A value without names of its own: a scalar or an array of scalars.
struct Leaf<'a> {
    /// All names on the way to it, with dots between them; `{"a": {"b": …}}` and `{"a.b": …}` are the same to a search
    /// engine. Arrays add nothing to the path. Empty where it would be longer than [`MAX_PATH`].
    path: String,
    value: &'a Value,
}

/// Names that texts are read by, in their order, made ready for documents to be looked up among them.
///
/// A name stands for what is called so; else for what lies beneath it; else, since a multi-field is not in the document,
/// for the nearest field that it can belong to. It is looked for in `_source` first, and only where nothing is found in
/// `fields`.
#[derive(Debug, Default)]
pub(super) struct Wanted<'n> {
    names: Vec<&'n str>,
    /// Names without stars: which they are.
    plain: HashMap<&'n str, usize>,
    /// The fields that names are multi-fields of, as far as there are no stars in them.
    parents: HashMap<&'n str, Vec<Claim>>,
    /// The names with stars, and what those are multi-fields of.
    patterns: Vec<(&'n str, Claim)>,
}

/// The relation of a path to a name.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// The name, by its place.
    name: usize,
    /// The distance from the name; the nearest counts.
    distance: usize,
}

/// The distance of what is called like a name, and of what lies beneath it. A parent is further away.
const CALLED: usize = 0;
const BENEATH: usize = 1;
/// The distance that `fields` adds: all of it is further away than anything in `_source`.
const IN_FIELDS: usize = 1 << 16;

impl<'n> Wanted<'n> {
    pub(super) fn of(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut wanted = Self::default();
        for (place, name) in names.into_iter().enumerate() {
            wanted.names.push(name);
            if is_pattern(name) {
                wanted.patterns.push((name, Claim { name: place, distance: CALLED }));
            } else {
                wanted.plain.entry(name).or_insert(place);
            }
            // `*.english` belongs to every field, which says nothing about this one.
            for (parent, distance) in parents(name).filter(|parent| *parent != "*").zip(BENEATH + 1..) {
                let claim = Claim { name: place, distance };
                if is_pattern(parent) {
                    wanted.patterns.push((parent, claim));
                } else {
                    wanted.parents.entry(parent).or_default().push(claim);
                }
            }
        }
        wanted
    }

    /// Goes through what a path is to the names; `strings` says whether only strings there would count.
    fn claims(&self, path: &str, mut each: impl FnMut(Claim, bool)) {
        if let Some(&name) = self.plain.get(path) {
            each(Claim { name, distance: CALLED }, false);
        }
        if !self.plain.is_empty() {
            for above in parents(path) {
                if let Some(&name) = self.plain.get(above) {
                    each(Claim { name, distance: BENEATH }, false);
                }
            }
        }
        for claim in self.parents.get(path).into_iter().flatten() {
            each(*claim, true);
        }
        for (pattern, claim) in &self.patterns {
            if matches(pattern, path) {
                each(*claim, true);
            }
        }
    }
}

/// The values of one path in one half of a hit.
#[derive(Default)]
struct Group {
    /// The distance of the half.
    half: usize,
    /// The places among all values of the hit; there is one at least.
    places: Vec<usize>,
    has_strings: bool,
    has_text: bool,
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
        Self { source, fields, groups: OnceCell::new() }
    }

    /// The texts of these names: name after name, within a name in the order of the document, each value once. A
    /// pattern stands for strings only; a name for numbers and booleans, too.
    pub(super) fn texts(&self, wanted: &Wanted<'_>) -> Vec<Cow<'a, str>> {
        let groups = self.groups.get_or_init(|| self.grouped());
        // How near the nearest is that was found for a name.
        let mut nearest: HashMap<usize, usize> = HashMap::new();
        for group in groups {
            wanted.claims(self.path(group), |claim, strings| {
                if group.counts(strings) {
                    let distance = claim.distance + group.half;
                    nearest.entry(claim.name).and_modify(|known| *known = distance.min(*known)).or_insert(distance);
                }
            });
        }
        // Each value goes to the first name that it counts for.
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for group in groups {
            let (mut of_strings, mut of_text) = (None, None);
            wanted.claims(self.path(group), |claim, strings| {
                if group.counts(strings) && nearest.get(&claim.name) == Some(&(claim.distance + group.half)) {
                    let first = |known: Option<usize>| known.map_or(claim.name, |known| known.min(claim.name));
                    of_strings = Some(first(of_strings));
                    if !strings {
                        of_text = Some(first(of_text));
                    }
                }
            });
            taken.extend(group.places.iter().filter_map(|&place| {
                let leaf = self.at(place);
                let name = if leaf.has_strings() { of_strings } else { of_text.filter(|_| leaf.has_text()) };
                Some((name?, place))
            }));
        }
        taken.sort_unstable();
        let mut texts = Vec::new();
        for (name, place) in taken {
            let leaf = self.at(place);
            if is_pattern(wanted.names[name]) {
                texts.extend(leaf.strings().map(Cow::Borrowed));
            } else {
                texts.extend(leaf.scalars().filter_map(text));
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

    fn grouped(&self) -> Vec<Group> {
        let mut groups: IndexMap<(usize, &str), Group> = IndexMap::new();
        for (place, leaf) in self.source.iter().chain(&self.fields).enumerate() {
            let half = if place < self.source.len() { 0 } else { IN_FIELDS };
            let group = groups.entry((half, &leaf.path)).or_default();
            group.half = half;
            group.places.push(place);
            group.has_strings |= leaf.has_strings();
            group.has_text |= leaf.has_text();
        }
        groups.into_values().collect()
    }

    fn path(&self, group: &Group) -> &str {
        &self.at(group.places[0]).path
    }

    fn at(&self, place: usize) -> &Leaf<'a> {
        self.source.get(place).unwrap_or_else(|| &self.fields[place - self.source.len()])
    }
}

impl Group {
    /// True if it holds text of the kind that counts.
    fn counts(&self, strings: bool) -> bool {
        if strings { self.has_strings } else { self.has_text }
    }
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
        _ => leaves.push(Leaf { path: if path.len() > MAX_PATH { String::new() } else { path.clone() }, value }),
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
