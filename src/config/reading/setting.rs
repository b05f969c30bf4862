//! The types of settings: what each accepts, and what it says of a value that it does not accept.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde_json::{Value as Json, json};

use super::{
    mistake::Origin,
    tree::{Node, Value},
};

/// A type of setting.
pub(in crate::config) trait Setting: Sized {
    /// Reads the setting.
    ///
    /// # Errors
    /// The sentence that says what it must be.
    fn read(node: &Node) -> Result<Self, String>;

    /// The setting as it is shown: the same for equal ones, however they were written. `None`: as it was written.
    fn shown(&self) -> Option<Json> {
        None
    }
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

    fn shown(&self) -> Option<Json> {
        Some(json!(self))
    }
}

impl Setting for PathBuf {
    fn read(node: &Node) -> Result<Self, String> {
        String::read(node).map(Self::from)
    }

    fn shown(&self) -> Option<Json> {
        Some(json!(self.to_string_lossy()))
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

    fn shown(&self) -> Option<Json> {
        Some(json!(self))
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

    fn shown(&self) -> Option<Json> {
        Some(json!(self))
    }
}

impl Setting for f64 {
    fn read(node: &Node) -> Result<Self, String> {
        let number = match (&node.value, text_outside_a_file(node)) {
            (Value::Float(number), _) => Some(*number),
            (Value::Integer(number), _) => Some(*number as Self),
            (_, Some(text)) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| "must be a number".to_owned())
    }

    fn shown(&self) -> Option<Json> {
        Some(json!(self))
    }
}

impl Setting for f32 {
    fn read(node: &Node) -> Result<Self, String> {
        let number = f64::read(node)? as Self;
        Some(number).filter(|number| number.is_finite()).ok_or_else(|| "must be a number".to_owned())
    }

    fn shown(&self) -> Option<Json> {
        Some(json!(self))
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

    fn shown(&self) -> Option<Json> {
        Some(json!(self))
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

    fn shown(&self) -> Option<Json> {
        Some(json!(humantime::format_duration(*self).to_string()))
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

    fn shown(&self) -> Option<Json> {
        Some(json!(self.to_string()))
    }
}

impl Setting for SocketAddr {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| {
            "must be an address and a port, such as \"0.0.0.0:9700\" or \"[::]:9700\"; no name \
             is looked up here (localhost: \"127.0.0.1:9700\")"
                .to_owned()
        })
    }

    fn shown(&self) -> Option<Json> {
        Some(json!(self.to_string()))
    }
}
