//! The document of a hit, as far as the hit shows it.

use serde_json::Value;

/// The part of a document that its hit shows, as parsed JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Document<'a> {
    /// `_source`: the document as it was indexed (or a part of it).
    pub source: Option<&'a Value>,
    /// The hit's `fields`: values by name, each an array (nested fields: arrays of objects).
    pub fields: Option<&'a Value>,
}
