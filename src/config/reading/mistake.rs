//! A mistake in a configuration: where it was written, which key it concerns and what to do about it. Owns how mistakes read
//! in the log and on the terminal.

use std::fmt;

/// The place where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file, at a line counted from 1.
    File {
        /// The path as it was given.
        path: String,
        /// The line; 0 for the file as a whole.
        line: usize,
    },
    /// In this environment variable.
    Env(String),
    /// By this flag.
    Flag(&'static str),
    /// In the configuration of the bundled models.
    Bundled,
    /// Nowhere: the value is missing.
    Nowhere,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0 } => f.write_str(path),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Bundled => f.write_str("the bundled configuration"),
            Self::Nowhere => f.write_str("configuration"),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place where it was written.
    pub origin: Origin,
    /// The key, with its table; empty where the mistake concerns the whole file.
    pub key: String,
    /// The sentence that says what is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.origin, self.message),
            key => write!(f, "{}: {key}: {}", self.origin, self.message),
        }
    }
}

/// All mistakes of a configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);
