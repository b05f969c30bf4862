//! A table that is being read. Owns how a table asks for its keys, and the collecting of every mistake: nothing stops at the
//! first one, and a key that no table asked for is one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use bytesize::ByteSize;
use serde_json::Value as Json;

use super::{
    mistake::{ConfigError, Origin},
    setting::Setting,
    tree::{Node, Value},
};

/// The reader of an environment variable: keys and passwords are in the environment, and settings name the variable.
pub(in crate::config) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The reading of one configuration: its environment, and what is gathered on the way.
pub(in crate::config) struct Reading<'a> {
    variable: Variable<'a>,
    mistakes: RefCell<Vec<ConfigError>>,
    /// Every key that the program knows, for the test that the example names each.
    keys: RefCell<BTreeSet<&'static str>>,
    /// What the single values under keys come to, by the keys' paths.
    values: RefCell<BTreeMap<String, Json>>,
}

impl<'a> Reading<'a> {
    pub(in crate::config) fn new(variable: Variable<'a>) -> Self {
        Self { variable, mistakes: RefCell::default(), keys: RefCell::default(), values: RefCell::default() }
    }

    /// The mistakes, in the order in which they were found, and what the keys come to.
    pub(in crate::config) fn into_parts(self) -> (Vec<ConfigError>, BTreeMap<String, Json>) {
        (self.mistakes.into_inner(), self.values.into_inner())
    }

    /// Every key that was asked for, without its table.
    #[cfg(test)]
    pub(in crate::config) fn into_keys(self) -> BTreeSet<&'static str> {
        self.keys.into_inner()
    }
}

/// One table that is being read, and the path to it.
pub(in crate::config) struct Section<'a> {
    /// The table; `None` where nobody wrote it, so that all of its keys have their defaults.
    node: Option<&'a Node>,
    path: String,
    known: RefCell<Vec<&'static str>>,
    reading: &'a Reading<'a>,
}

impl<'a> Section<'a> {
    /// The table of tables.
    pub(in crate::config) fn root(node: &'a Node, reading: &'a Reading<'a>) -> Self {
        Self::new(Some(node), String::new(), reading)
    }

    fn new(node: Option<&'a Node>, path: String, reading: &'a Reading<'a>) -> Self {
        let section = Self { node, path, known: RefCell::default(), reading };
        if node.is_some_and(|node| !matches!(node.value, Value::Table(_))) {
            section.mistake(section.origin(), &section.path, "must be a table");
        }
        section
    }

    /// The table under `key`; one that nobody wrote is empty.
    pub(in crate::config) fn table(&self, key: &'static str) -> Section<'a> {
        Section::new(self.node(key), self.path_of(key), self.reading)
    }

    /// The table under `key`, where somebody wrote it.
    pub(in crate::config) fn optional_table(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.node(key)?;
        Some(Section::new(Some(node), self.path_of(key), self.reading))
    }

    /// A table at `place` within what stands under a key, such as `models.fast` or `rules[0]`.
    pub(in crate::config) fn table_within(&self, node: &'a Node, place: String) -> Section<'a> {
        Section::new(Some(node), place, self.reading)
    }

    fn origin(&self) -> &Origin {
        static NOWHERE: Origin = Origin::Nowhere;
        self.node.map_or(&NOWHERE, |node| &node.origin)
    }

    /// The place where `key` was written, or else the table.
    pub(in crate::config) fn origin_of(&self, key: &str) -> &Origin {
        self.child(key).map_or(self.origin(), |node| &node.origin)
    }

    /// The path of `key`: `server.listen`.
    pub(in crate::config) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn child(&self, key: &str) -> Option<&'a Node> {
        self.node?.get(key)
    }

    /// The raw value under `key`, which thereby becomes a known key.
    pub(in crate::config) fn node(&self, key: &'static str) -> Option<&'a Node> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.reading.keys.borrow_mut().insert(key);
        self.child(key)
    }

    /// The presence of a value under `key`, right or wrong.
    pub(in crate::config) fn has(&self, key: &str) -> bool {
        self.child(key).is_some()
    }

    /// The setting under `key`, if it is there and right.
    pub(in crate::config) fn optional<T: Setting>(&self, key: &'static str) -> Option<T> {
        let node = self.node(key)?;
        match T::read(node) {
            Ok(setting) => {
                self.note(key, setting.shown());
                Some(setting)
            }
            Err(message) => {
                self.mistake(&node.origin, &self.path_of(key), message);
                None
            }
        }
    }

    /// The setting under `key`, or `default`.
    pub(in crate::config) fn or<T: Setting>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or_else(|| {
            self.note(key, default.shown());
            default
        })
    }

    fn note(&self, key: &str, value: Option<Json>) {
        let noted = value.map(|value| (self.path_of(key), value));
        self.reading.values.borrow_mut().extend(noted);
    }

    /// Takes back what was noted of keys that do not belong here.
    pub(in crate::config) fn disregard(&self, keys: &[&str]) {
        let mut values = self.reading.values.borrow_mut();
        keys.iter().for_each(|key| _ = values.remove(&self.path_of(key)));
    }

    /// The size under `key` in bytes, or `default`.
    pub(in crate::config) fn bytes(&self, key: &'static str, default: ByteSize) -> usize {
        usize::try_from(self.or(key, default).as_u64()).unwrap_or(usize::MAX)
    }

    /// The one of `choices` whose name stands under `key`, or `default`.
    pub(in crate::config) fn choice<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        let Some(name) = self.optional::<String>(key) else {
            let name = choices.iter().find(|(_, choice)| *choice == default).map(|(name, _)| *name);
            name.into_iter().for_each(|name| self.note(key, Some(name.into())));
            return default;
        };
        chosen(&name, choices).unwrap_or_else(|| {
            self.error(key, format!("must be one of {}", names(choices)));
            default
        })
    }

    /// Those of `choices` whose names stand under `key`, if it is there; a name that is none of theirs is a mistake.
    pub(in crate::config) fn choices<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<Vec<T>> {
        let written: Vec<String> = self.optional(key)?;
        for unknown in written.iter().filter(|name| chosen(name, choices).is_none()) {
            self.error(key, format!("there is no `{unknown}`; there is: {}", names(choices)));
        }
        Some(written.iter().filter_map(|name| chosen(name, choices)).collect())
    }

    /// The environment variable of this name, where it holds anything.
    pub(in crate::config) fn variable(&self, name: &str) -> Option<String> {
        (self.reading.variable)(name).filter(|text| !text.is_empty())
    }

    /// Reports a mistake in the value of `key`.
    pub(in crate::config) fn error(&self, key: &str, message: impl Into<String>) {
        self.mistake(self.origin_of(key), &self.path_of(key), message);
    }

    fn mistake(&self, origin: &Origin, key: &str, message: impl Into<String>) {
        let mistake = ConfigError { origin: origin.clone(), key: key.to_owned(), message: message.into() };
        self.reading.mistakes.borrow_mut().push(mistake);
    }

    /// Reports every key that nobody asked for.
    pub(in crate::config) fn finish(&self) {
        let Some(Node { value: Value::Table(table), .. }) = self.node else { return };
        let known = self.known.borrow();
        for (key, node) in table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let nearest = known
                .iter()
                .map(|candidate| (strsim::osa_distance(candidate, key), candidate))
                .min()
                .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3);
            let hint = match nearest {
                Some((_, nearest)) => format!("did you mean `{nearest}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.mistake(&node.origin, &self.path_of(key), format!("unknown key; {hint}"));
        }
    }
}

/// The choice of this name.
pub(in crate::config) fn chosen<T: Copy>(name: &str, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice)
}

/// The names of all choices, for a message.
pub(in crate::config) fn names<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
