//! The tree of what the operator wrote: values as TOML knows them, each with the place where it was written. Owns how a file
//! becomes a tree, and how a single value is laid over one; what a value means is for the tables.

use std::path::Path;

use indexmap::IndexMap;
use toml_edit::{Item, TableLike};

use super::mistake::{ConfigError, Origin};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// The place where it was written.
    pub origin: Origin,
}

/// A value as TOML knows it. What comes from flags and the environment is always text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string, or text whose type is not known yet.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(IndexMap<String, Node>),
}

impl Node {
    /// An empty table.
    pub fn empty() -> Self {
        Self { value: Value::Table(IndexMap::new()), origin: Origin::Nowhere }
    }

    /// Reads a TOML file's text; `path` is for messages.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let path = path.display().to_string();
        let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let document = toml_edit::Document::parse(text).map_err(|error| ConfigError {
            origin: Origin::File { path: path.clone(), line: line_of(error.span().map_or(0, |span| span.start)) },
            key: String::new(),
            message: format!("not TOML: {}", error.message()),
        })?;
        let at = |span: Option<std::ops::Range<usize>>| Origin::File {
            path: path.clone(),
            line: line_of(span.map_or(0, |span| span.start)),
        };
        Ok(from_table(document.as_table(), at(None), &at))
    }

    /// Reads TOML that is part of the program; every value has the same origin.
    pub fn built_in(text: &str, origin: &Origin) -> Self {
        let document = toml_edit::Document::parse(text).expect("a test reads what is built in");
        from_table(document.as_table(), origin.clone(), &|_| origin.clone())
    }

    /// Adds what `other` has and this tree does not; where both have a value, this one's stays.
    pub fn lay_under(&mut self, other: Self) {
        let (Value::Table(table), Value::Table(others)) = (&mut self.value, other.value) else { return };
        for (key, below) in others {
            match table.entry(key) {
                indexmap::map::Entry::Occupied(mut own) => own.get_mut().lay_under(below),
                indexmap::map::Entry::Vacant(free) => _ = free.insert(below),
            }
        }
    }

    /// Lays `text` over the tree at `path`; a number in the path is a place in a list, at most one past its end.
    pub fn set(&mut self, path: &[&str], text: &str, origin: &Origin) {
        let Some((first, rest)) = path.split_first() else {
            *self = Self { value: Value::Text(text.to_owned()), origin: origin.clone() };
            return;
        };
        let child = match (&mut self.value, first.parse::<usize>()) {
            (Value::List(entries), Ok(index)) if index < entries.len() => &mut entries[index],
            (Value::List(entries), Ok(index)) if index == entries.len() => {
                entries.push(Self { value: Value::Table(IndexMap::new()), origin: origin.clone() });
                &mut entries[index]
            }
            (Value::Table(table), _) => table
                .entry((*first).to_owned())
                .or_insert_with(|| Self { value: empty_for(rest), origin: origin.clone() }),
            // A value of another type is replaced by what the path needs; its type is judged later.
            (other, _) => {
                *other = empty_for(path);
                return self.set(path, text, origin);
            }
        };
        child.set(rest, text, origin);
    }

    /// The value under `key`, where this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(key),
            _ => None,
        }
    }
}

fn empty_for(path: &[&str]) -> Value {
    match path.first().map(|first| first.parse::<usize>()) {
        Some(Ok(0)) => Value::List(Vec::new()),
        _ => Value::Table(IndexMap::new()),
    }
}

fn from_table(table: &dyn TableLike, origin: Origin, at: &dyn Fn(Option<std::ops::Range<usize>>) -> Origin) -> Node {
    let entries = table.iter().map(|(key, item)| {
        // The key's own line: a long value may end far below.
        let line = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
        (key.to_owned(), from_item(item, at(line), at))
    });
    Node { value: Value::Table(entries.collect()), origin }
}

fn from_item(item: &Item, origin: Origin, at: &dyn Fn(Option<std::ops::Range<usize>>) -> Origin) -> Node {
    let value = match item {
        Item::Table(table) => return from_table(table, at(table.span()), at),
        Item::ArrayOfTables(tables) => {
            Value::List(tables.iter().map(|table| from_table(table, at(table.span()), at)).collect())
        }
        Item::Value(value) => return from_value(value, origin, at),
        Item::None => Value::Table(IndexMap::new()),
    };
    Node { value, origin }
}

fn from_value(value: &toml_edit::Value, origin: Origin, at: &dyn Fn(Option<std::ops::Range<usize>>) -> Origin) -> Node {
    use toml_edit::Value as Toml;
    let value = match value {
        Toml::String(text) => Value::Text(text.value().clone()),
        Toml::Integer(number) => Value::Integer(*number.value()),
        Toml::Float(number) => Value::Float(*number.value()),
        Toml::Boolean(truth) => Value::Bool(*truth.value()),
        Toml::Datetime(time) => Value::Text(time.value().to_string()),
        Toml::Array(entries) => {
            Value::List(entries.iter().map(|entry| from_value(entry, at(entry.span()), at)).collect())
        }
        Toml::InlineTable(table) => return from_table(table, origin, at),
    };
    Node { value, origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_toml_names_the_line() {
        let error = Node::from_toml(Path::new("rerank.toml"), "[server]\nlisten = \n").expect_err("not TOML");
        assert!(error.to_string().starts_with("rerank.toml:2: not TOML: "), "{error}");
    }
}
