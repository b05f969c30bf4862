//! What `config.json` says of a model, as its authors wrote it: read key by key, and refused where we have no graph for it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{error::BuildError, layers::Activation, size::Size};

/// The largest length that a configuration may state, and the most tokens that a graph takes. No model is near it; what is larger is
/// a mistake that would ask for more memory than there is before any weight is read.
pub(crate) const LARGEST: usize = 1 << 20;

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
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, key: &str) -> Result<&str, BuildError> {
        Ok(self.typed(key, "a text", Value::as_str)?.unwrap_or_default())
    }

    /// A list of texts; empty where it is not there.
    ///
    /// # Errors
    /// It is something else.
    pub fn texts(&self, key: &str) -> Result<Vec<&str>, BuildError> {
        fn texts(value: &Value) -> Option<Vec<&str>> {
            value.as_array()?.iter().map(Value::as_str).collect()
        }
        Ok(self.typed(key, "a text, or a list of texts", texts)?.unwrap_or_default())
    }

    /// A length, which must be there.
    ///
    /// # Errors
    /// It is not there, or not a positive number, or larger than that of any model.
    pub fn length(&self, key: &str) -> Result<usize, BuildError> {
        let length = self.keys[key].as_u64().and_then(|length| usize::try_from(length).ok());
        length.filter(|length| (1..=LARGEST).contains(length)).ok_or_else(|| match &self.keys[key] {
            Value::Null => self.unsupported(&format!("has no `{key}`")),
            other => self.unsupported(&format!("`{key}` is {other}; whole numbers from 1 to {LARGEST} are known")),
        })
    }

    /// A length, or `default`.
    ///
    /// # Errors
    /// It is something else than a positive number.
    pub fn length_or(&self, key: &str, default: usize) -> Result<usize, BuildError> {
        if self.keys[key].is_null() { Ok(default) } else { self.length(key) }
    }

    /// The size that a key asks of the weights.
    ///
    /// # Errors
    /// It is not there, or not a positive number.
    pub fn size(&self, key: &'static str) -> Result<Size, BuildError> {
        Ok(Size::of(key, self.length(key)?))
    }

    /// The same with a default, which is that of transformers.
    ///
    /// # Errors
    /// It is something else than a positive number.
    pub fn size_or(&self, key: &'static str, default: usize) -> Result<Size, BuildError> {
        Ok(Size::of(key, self.length_or(key, default)?))
    }

    /// The rows of the table of tokens: as many as the configuration states at least.
    ///
    /// # Errors
    /// It states something else than a positive number.
    pub fn vocabulary(&self) -> Result<Size, BuildError> {
        Ok(self.size_or("vocab_size", 1)?.or_more())
    }

    /// A whole number, or `default`.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, key: &str, default: i64) -> Result<i64, BuildError> {
        Ok(self.typed(key, "a whole number", Value::as_i64)?.unwrap_or(default))
    }

    /// A number with a fraction, or `default`.
    ///
    /// # Errors
    /// It is something else.
    pub fn float(&self, key: &str, default: f64) -> Result<f64, BuildError> {
        Ok(self.typed(key, "a number", Value::as_f64)?.unwrap_or(default))
    }

    /// A switch, or `default`.
    ///
    /// # Errors
    /// It is something else.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, BuildError> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// The value of a key as `read` takes it; `None` where it is not there or `null`, which is how configurations say that.
    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, BuildError> {
        match &self.keys[key] {
            Value::Null => Ok(None),
            value => read(value).map(Some).ok_or_else(|| BuildError::Malformed {
                file: self.file.clone(),
                problem: format!("`{key}` is {value}, and has to be {wanted}; correct it, or download the file again"),
            }),
        }
    }

    /// An activation function, or `default` where none is named.
    ///
    /// # Errors
    /// One that we do not have, or no name.
    pub fn activation(&self, key: &str, default: Activation) -> Result<Activation, BuildError> {
        let Some(name) = self.typed(key, "a text", Value::as_str)? else { return Ok(default) };
        let known = Activation::named(name);
        known.ok_or_else(|| self.unsupported(&format!("`{key}` is \"{name}\"; gelu, relu and tanh are known")))
    }

    /// The refusal of a model that we have no graph for.
    pub fn unsupported(&self, problem: &str) -> BuildError {
        BuildError::Unsupported { file: self.file.clone(), problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keys: Value) -> Config {
        Config { file: PathBuf::from("config.json"), keys }
    }

    #[test]
    fn a_key_of_another_type_is_named_and_not_read_as_its_default() {
        let wrong = config(serde_json::json!({"eps": "1e-7", "heads": 12.5, "biased": "true", "kind": 1, "act": []}));
        let errors = [
            wrong.float("eps", 1.0).err(),
            wrong.number("heads", 1).err(),
            wrong.flag("biased", false).err(),
            wrong.text("kind").err(),
            wrong.activation("act", Activation::Gelu).err(),
        ];
        for (error, said) in
            errors.into_iter().zip(["`eps` is \"1e-7\"", "`heads` is 12.5", "`biased`", "`kind`", "`act`"])
        {
            let error = error.unwrap().to_string();
            assert!(error.contains("config.json") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_and_null_are_the_default() {
        let sparse = config(serde_json::json!({"eps": null, "size": 3}));
        assert_eq!(sparse.float("eps", 0.5).unwrap().to_bits(), 0.5_f64.to_bits());
        assert_eq!((sparse.number("heads", 7).unwrap(), sparse.text("kind").unwrap()), (7, ""));
        assert_eq!(sparse.float("size", 0.5).unwrap().to_bits(), 3.0_f64.to_bits());
    }
}
