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

    /// Reads values as they stand behind a key, with commas between: each as it is written, and what it means. Words without quotes are
    /// texts, as they are where a flag or the environment has them.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn values(text: &str, origin: &Origin) -> Result<Vec<(String, Self)>, String> {
        let list = format!("values = [{text}\n]");
        let document = match toml_edit::Document::parse(&list) {
            Ok(document) => document,
            Err(error) if text.contains(['[', '{', '"', '\'']) => return Err(error.message().to_owned()),
            Err(_) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                let node = |word: &str| Self { value: Value::Text(word.to_owned()), origin: origin.clone() };
                return Ok(words.map(|word| (word.to_owned(), node(word))).collect());
            }
        };
        let values = document.get("values").and_then(Item::as_array).into_iter().flatten();
        let written = |value: &toml_edit::Value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.span().map_or_else(String::new, |span| list[span].to_owned()),
        };
        Ok(values.map(|value| (written(value), from_value(value, origin.clone(), &|_| origin.clone()))).collect())
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
        self.put(path, Self { value: Value::Text(text.to_owned()), origin: origin.clone() });
    }

    /// Lays `node` over the tree at `path`, in the same way.
    pub fn put(&mut self, path: &[&str], node: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        let origin = &node.origin;
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
                return self.put(path, node);
            }
        };
        child.put(rest, node);
    }

    /// Takes the value at `path` away, where there is one.
    pub fn remove(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        match (&mut self.value, first.parse::<usize>()) {
            (Value::Table(table), _) if rest.is_empty() => _ = table.shift_remove(*first),
            (Value::Table(table), _) => table.get_mut(*first).into_iter().for_each(|child| child.remove(rest)),
            (Value::List(entries), Ok(index)) => {
                entries.get_mut(index).into_iter().for_each(|child| child.remove(rest));
            }
            _ => {}
        }
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

    fn written(text: &str) -> Result<Vec<(String, Value)>, String> {
        let values = Node::values(text, &Origin::Nowhere)?;
        Ok(values.into_iter().map(|(written, node)| (written, node.value)).collect())
    }

    #[test]
    fn several_values_are_told_apart_by_the_commas_between_them() {
        let text = |text: &str| (text.to_owned(), Value::Text(text.to_owned()));
        let number = |number: i64| (number.to_string(), Value::Integer(number));
        assert_eq!(written("20, 50"), Ok(vec![number(20), number(50)]));
        assert_eq!(written("all-MiniLM-L6-v2, 300ms"), Ok(vec![text("all-MiniLM-L6-v2"), text("300ms")]));
        let values = written("{ method = \"linear\", weight = 0.3 }, \"replace\", [[1, 2]]").expect("right");
        let names: Vec<&str> = values.iter().map(|(written, _)| written.as_str()).collect();
        assert_eq!(names, ["{ method = \"linear\", weight = 0.3 }", "replace", "[[1, 2]]"]);
        assert_eq!(values[1], text("replace"));
        assert!(written("{ method = linear }").is_err());
        assert_eq!(written(""), Ok(Vec::new()));
    }

    #[test]
    fn values_are_put_and_taken_away_where_a_path_leads() {
        let mut tree = Node::built_in("[[rules]]\nindex = \"*\"\nmodel = \"m\"\n", &Origin::Nowhere);
        let [(_, value)] = &Node::values("[1]", &Origin::Flag("--x")).expect("right")[..] else { panic!("one value") };
        tree.put(&["rules", "0", "signals"], value.clone());
        tree.remove(&["rules", "0", "model"]);
        tree.remove(&["rules", "7", "model"]);
        tree.remove(&["nothing", "there"]);
        let Some(Value::List(rules)) = tree.get("rules").map(|rules| &rules.value) else { panic!("rules") };
        assert_eq!(rules[0].get("signals"), Some(value));
        assert!(rules[0].get("model").is_none());
    }
}
