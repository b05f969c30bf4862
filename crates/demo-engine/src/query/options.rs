//! The options of a clause: read by name, with their types, unknown ones refused.

use serde_json::{Map, Value};

use crate::{error::ApiError, snapshot::scalar_text};

/// The depth to which clauses may nest, as a guard of the stack.
pub(super) const DEPTH_LIMIT: usize = 30;

/// The options of one clause, read by name; unknown ones are refused.
pub(super) struct Options<'a> {
    pub(super) clause: &'static str,
    pub(super) members: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    /// The options in `body`, which may hold `known` and the ones that every clause has.
    pub(super) fn of(clause: &'static str, body: &'a Value, known: &[&str]) -> Result<Self, ApiError> {
        let Some(members) = body.as_object() else {
            return Err(ApiError::parsing(format!("[{clause}] query malformed, no start_object after query name")));
        };
        let unknown =
            members.keys().find(|key| !known.contains(&key.as_str()) && !["boost", "_name"].contains(&key.as_str()));
        if let Some(key) = unknown {
            return Err(ApiError::parsing(format!(
                "[{clause}] query does not support [{key}]; the demo engine supports {known:?} and boost"
            )));
        }
        Ok(Self { clause, members })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A string; numbers and booleans count as their text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => scalar_text(value).map(Some).ok_or_else(|| self.wrong(name, "a string")),
        }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::parsing(format!("[{}] requires a [{name}]", self.clause)))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.map(|number| Some(number as f32)).ok_or_else(|| self.wrong(name, "a number"))
    }

    pub(super) fn boost(&self) -> Result<f32, ApiError> {
        match self.number("boost")? {
            Some(boost) if boost < 0.0 => Err(ApiError::argument("negative [boost] is not allowed")),
            boost => Ok(boost.unwrap_or(1.0)),
        }
    }

    /// True where the operator `name` is AND.
    pub(super) fn all_required(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)?.map(|operator| operator.to_ascii_lowercase()).as_deref() {
            None | Some("or") => Ok(false),
            Some("and") => Ok(true),
            Some(_) => Err(self.wrong(name, "and or or")),
        }
    }

    pub(super) fn wrong(&self, name: &str, expected: &str) -> ApiError {
        ApiError::parsing(format!("[{}] [{name}] must be {expected}", self.clause))
    }
}

/// The field and the options of a clause of the form `{"field": {…}}` or, in short, `{"field": value}`; a short form
/// is read as if it had been written with the option `short`.
pub(super) fn on_field(clause: &'static str, body: &Value, short: &str) -> Result<(String, Value), ApiError> {
    let Some(members) = body.as_object() else {
        return Err(ApiError::parsing(format!("[{clause}] query malformed, no start_object after query name")));
    };
    let mut fields = members.iter().filter(|(key, _)| !["boost", "_name"].contains(&key.as_str()));
    let (Some((field, options)), None) = (fields.next(), fields.next()) else {
        return Err(ApiError::parsing(format!("[{clause}] query takes exactly one field")));
    };
    let options = match options {
        Value::Object(_) => options.clone(),
        Value::Array(_) => {
            return Err(ApiError::parsing(format!("[{clause}] unknown token [START_ARRAY] after [{field}]")));
        }
        scalar => serde_json::json!({ short: scalar }),
    };
    Ok((field.clone(), options))
}
