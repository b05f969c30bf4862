//! What `config.json` says of a model, as its authors wrote it: read key by key, and refused where we have no graph for it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{error::BuildError, layers::Activation};

/// The configuration of a model.
pub struct Config {
    file: PathBuf,
    keys: Value,
}

impl Config {
    /// Reads `file`.
    ///
    /// # Errors
    /// It cannot be read, or is no JSON.
    pub fn read(file: &Path) -> Result<Config, BuildError> {
        let text = std::fs::read(file).map_err(|source| BuildError::Unreadable { file: file.to_path_buf(), source })?;
        let keys = serde_json::from_slice(&text).map_err(|error| BuildError::Malformed {
            file: file.to_path_buf(),
            problem: format!("not valid JSON ({error}); download it again"),
        })?;
        Ok(Config { file: file.to_path_buf(), keys })
    }

    /// The value of a key, `null` where it is not there.
    pub fn get(&self, key: &str) -> &Value {
        &self.keys[key]
    }

    /// True where a key is there, whatever its value.
    pub fn states(&self, key: &str) -> bool {
        self.keys.get(key).is_some()
    }

    /// A text; empty where it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.keys[key].as_str().unwrap_or_default()
    }

    /// A length, which must be there.
    ///
    /// # Errors
    /// It is not there, or not a positive number.
    pub fn length(&self, key: &str) -> Result<usize, BuildError> {
        let length = self.keys[key].as_u64().filter(|length| *length > 0);
        length.map(|length| length as usize).ok_or_else(|| self.unsupported(&format!("has no `{key}`")))
    }

    /// A whole number, or `default`.
    pub fn number(&self, key: &str, default: i64) -> i64 {
        self.keys[key].as_i64().unwrap_or(default)
    }

    /// A number with a fraction, or `default`.
    pub fn float(&self, key: &str, default: f64) -> f64 {
        self.keys[key].as_f64().unwrap_or(default)
    }

    /// A switch, or `default`.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.keys[key].as_bool().unwrap_or(default)
    }

    /// An activation function, or `default` where none is named.
    ///
    /// # Errors
    /// One that we do not have.
    pub fn activation(&self, key: &str, default: Activation) -> Result<Activation, BuildError> {
        let Some(name) = self.keys[key].as_str() else { return Ok(default) };
        let known = Activation::named(name);
        known.ok_or_else(|| self.unsupported(&format!("`{key}` is \"{name}\"; gelu, relu and tanh are known")))
    }

    /// The refusal of a model that we have no graph for.
    pub fn unsupported(&self, problem: &str) -> BuildError {
        BuildError::Unsupported { file: self.file.clone(), problem: problem.to_owned() }
    }
}
