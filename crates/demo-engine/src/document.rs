//! One stored document.

use serde_json::{Value, value::RawValue};

/// One stored document, never changed: a new version is a new document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) sequence: u64,
    /// `_source` as it was sent, byte for byte.
    pub(crate) raw: Box<RawValue>,
    /// The same, parsed.
    pub(crate) source: Value,
}
