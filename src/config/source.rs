//! What the operator wrote, before it means anything: a tree of values, each with where it was written. Owns the order of
//! precedence: flags over environment over file.

use std::{fmt, path::Path};

use indexmap::IndexMap;
use toml_edit::{Item, TableLike};

use super::ConfigError;

/// What every environment variable of the configuration begins with. `RERANK_PROXY_SERVER__LISTEN` is `server.listen`;
/// variables without a double underscore are left alone (Kubernetes makes some of the kind for services of this name).
pub const ENV_PREFIX: &str = "RERANK_PROXY_";

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file, at a line counted from 1.
    File {
        /// The path as it was given.
        path: String,
        /// The line.
        line: usize,
    },
    /// In this environment variable.
    Env(String),
    /// By this flag.
    Flag(&'static str),
    /// Nowhere: the value is missing.
    Nowhere,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Nowhere => f.write_str("configuration"),
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
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
            // Whatever stood here is replaced by what the path needs; its type is judged later.
            (other, _) => {
                *other = empty_for(path);
                return self.set(path, text, origin);
            }
        };
        child.set(rest, text, origin);
    }

    /// Lays the environment over the tree, in the order of the variables' names.
    pub fn set_from_env(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut variables: Vec<(String, String)> = variables
            .into_iter()
            .filter(|(name, _)| name.strip_prefix(ENV_PREFIX).is_some_and(|rest| rest.contains("__")))
            .collect();
        variables.sort();
        for (name, text) in variables {
            let path = name[ENV_PREFIX.len()..].to_ascii_lowercase();
            let path: Vec<&str> = path.split("__").collect();
            self.set(&path, &text, &Origin::Env(name.clone()));
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
