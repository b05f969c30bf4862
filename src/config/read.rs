//! From a tree of written values to typed settings. Owns what each type of setting accepts, and the collecting of every
//! mistake: nothing stops at the first one.

use std::{cell::RefCell, collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;

use super::{
    ConfigError,
    source::{Node, Origin, Value},
};

/// What is gathered while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: RefCell<Vec<ConfigError>>,
    /// Every key that the program knows, for the test that the example names each.
    pub(super) keys: RefCell<BTreeSet<String>>,
}

impl Findings {
    pub(super) fn error(&self, origin: &Origin, key: &str, message: impl Into<String>) {
        let error = ConfigError { origin: origin.clone(), key: key.to_owned(), message: message.into() };
        self.errors.borrow_mut().push(error);
    }
}

/// One table that is being read, and the path to it.
pub(super) struct Section<'a> {
    node: &'a Node,
    path: String,
    known: RefCell<Vec<&'static str>>,
    findings: &'a Findings,
}

impl<'a> Section<'a> {
    /// `path` is empty for the root. What is no table is reported, and read as an empty one.
    pub(super) fn new(node: &'a Node, path: impl Into<String>, findings: &'a Findings) -> Self {
        let section = Self { node, path: path.into(), known: RefCell::default(), findings };
        if !matches!(node.value, Value::Table(_)) {
            findings.error(&node.origin, &section.path, "must be a table");
        }
        section
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.node.origin
    }

    /// Where `key` was written, or where the table was.
    pub(super) fn origin_of(&self, key: &str) -> &Origin {
        self.child(key).map_or(self.origin(), |node| &node.origin)
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn child(&self, key: &str) -> Option<&'a Node> {
        match &self.node.value {
            Value::Table(table) => table.get(key),
            _ => None,
        }
    }

    /// The raw value under `key`, which thereby becomes a known key.
    pub(super) fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.known.borrow_mut().push(key);
        self.findings.keys.borrow_mut().insert(key.to_owned());
        self.child(key)
    }

    /// The setting under `key`, if it is there and right.
    pub(super) fn optional<T: Setting>(&self, key: &'static str) -> Option<T> {
        let node = self.node(key)?;
        match T::read(node) {
            Ok(setting) => Some(setting),
            Err(message) => {
                self.findings.error(&node.origin, &self.path_of(key), message);
                None
            }
        }
    }

    /// The setting under `key`, or `default`.
    pub(super) fn or<T: Setting>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// Reports a mistake in the value of `key`.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) {
        self.findings.error(self.origin_of(key), &self.path_of(key), message);
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(&self) {
        let Value::Table(table) = &self.node.value else { return };
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
            self.findings.error(&node.origin, &self.path_of(key), format!("unknown key; {hint}"));
        }
    }
}

/// A type of setting.
pub(super) trait Setting: Sized {
    /// Reads the setting, or says what it must be.
    fn read(node: &Node) -> Result<Self, String>;
}

/// Numbers and truths may come as text from flags and the environment, never from a file.
fn text_outside_a_file(node: &Node) -> Option<&str> {
    match (&node.value, &node.origin) {
        (Value::Text(text), Origin::Env(_) | Origin::Flag(_)) => Some(text.trim()),
        _ => None,
    }
}

impl Setting for String {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Ok(text.clone()),
            _ => Err("must be a text in quotes, not empty".to_owned()),
        }
    }
}

impl Setting for PathBuf {
    fn read(node: &Node) -> Result<Self, String> {
        String::read(node).map(Self::from)
    }
}

impl Setting for Vec<String> {
    fn read(node: &Node) -> Result<Self, String> {
        match (&node.value, text_outside_a_file(node)) {
            (_, Some(text)) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
            (Value::List(entries), _) => entries.iter().map(String::read).collect(),
            (Value::Text(_), _) => Ok(vec![String::read(node)?]),
            _ => Err("must be a text or a list of texts".to_owned()),
        }
    }
}

impl Setting for usize {
    fn read(node: &Node) -> Result<Self, String> {
        let number = match (&node.value, text_outside_a_file(node)) {
            (Value::Integer(number), _) => Self::try_from(*number).ok(),
            (_, Some(text)) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| "must be a whole number, 0 or more".to_owned())
    }
}

impl Setting for f32 {
    fn read(node: &Node) -> Result<Self, String> {
        let number = match (&node.value, text_outside_a_file(node)) {
            (Value::Float(number), _) => Some(*number as Self),
            (Value::Integer(number), _) => Some(*number as Self),
            (_, Some(text)) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| "must be a number".to_owned())
    }
}

impl Setting for bool {
    fn read(node: &Node) -> Result<Self, String> {
        match (&node.value, text_outside_a_file(node)) {
            (Value::Bool(truth), _) => Ok(*truth),
            (_, Some("true" | "1")) => Ok(true),
            (_, Some("false" | "0")) => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }
}

impl Setting for Duration {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Text(text) => humantime::parse_duration(text.trim()).ok(),
            _ => None,
        }
        .ok_or_else(|| "must be a duration with its unit, such as \"300ms\" or \"5s\"".to_owned())
    }
}

impl Setting for ByteSize {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Text(text) if !text.trim().ends_with(|c: char| c.is_ascii_digit()) => text.trim().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| "must be a size with its unit, such as \"32MiB\"".to_owned())
    }
}

impl Setting for SocketAddr {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| "must be an address and a port, such as \"0.0.0.0:9700\" or \"[::]:9700\"".to_owned())
    }
}
