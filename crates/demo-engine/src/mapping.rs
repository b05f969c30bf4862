//! The mapping: which fields an index has and how each is searched, from the mapping given at creation, and from the
//! documents themselves as Elasticsearch's dynamic mapping does (strings become `text` with a `keyword` beside it). Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// The ways in which the values of a field are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Analysed into tokens, scored by BM25.
    Text,
    /// Matched whole.
    Keyword,
    /// Compared as a number.
    Number,
    /// True or false.
    Boolean,
    /// Kept and returned, not searchable here (`dense_vector`, `geo_point`, …).
    Opaque,
}

/// One searchable field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldSpec {
    /// The way in which it is matched.
    pub(crate) kind: Kind,
    /// The dotted path in `_source` that its values come from; differs from its name for a multi-field.
    pub(crate) source_path: String,
}

/// The fields of one index, by dotted name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    /// `properties` as `GET /{index}` shows them.
    properties: Map<String, Value>,
    fields: BTreeMap<String, FieldSpec>,
}

impl Mapping {
    /// The fields, by dotted name.
    pub(crate) fn fields(&self) -> &BTreeMap<String, FieldSpec> {
        &self.fields
    }

    /// The mapping as the API shows it.
    pub(crate) fn to_json(&self) -> Value {
        if self.properties.is_empty() { json!({}) } else { json!({ "properties": self.properties }) }
    }

    /// Adds what a `mappings` object declares. A field's kind cannot change once it is there.
    pub(crate) fn declare(&mut self, mappings: &Value) -> Result<(), ApiError> {
        let Some(properties) = mappings.get("properties") else { return Ok(()) };
        let mut declared = BTreeMap::new();
        collect(properties, "", &mut declared)?;
        for (name, spec) in &declared {
            if self.fields.get(name).is_some_and(|present| present.kind != spec.kind) {
                return Err(ApiError::argument(format!("mapper [{name}] cannot be changed to another type")));
            }
        }
        self.fields.extend(declared);
        merge(&mut self.properties, properties);
        Ok(())
    }

    /// Adds the fields that `source` has and the mapping does not know yet.
    pub(crate) fn observe(&mut self, source: &Value) {
        for (path, value) in leaves(source) {
            if self.fields.contains_key(&path) || self.is_under_opaque(&path) {
                continue;
            }
            let (kind, definition) = match value {
                Value::String(_) => (
                    Kind::Text,
                    json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}),
                ),
                Value::Number(number) if number.is_f64() => (Kind::Number, json!({"type": "float"})),
                Value::Number(_) => (Kind::Number, json!({"type": "long"})),
                Value::Bool(_) => (Kind::Boolean, json!({"type": "boolean"})),
                _ => continue,
            };
            if kind == Kind::Text {
                let keyword = FieldSpec { kind: Kind::Keyword, source_path: path.clone() };
                self.fields.insert(format!("{path}.keyword"), keyword);
            }
            // Wrapped from the innermost name outwards: {"a": {"properties": {"b": …}}}.
            let mut segments = path.rsplit('.');
            let innermost = segments.next().unwrap_or_default();
            let properties = segments
                .fold(json!({ innermost: definition }), |inner, segment| json!({ segment: { "properties": inner } }));
            merge(&mut self.properties, &properties);
            self.fields.insert(path.clone(), FieldSpec { kind, source_path: path });
        }
    }

    /// True where `path` lies within a field that is kept as it is.
    fn is_under_opaque(&self, path: &str) -> bool {
        let ends = path.match_indices('.').map(|(at, _)| at);
        ends.into_iter().any(|end| self.fields.get(&path[..end]).is_some_and(|spec| spec.kind == Kind::Opaque))
    }
}

/// The scalars of a document with their dotted paths, in document order of the parsed value; arrays are flattened.
pub(crate) fn leaves(source: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(value: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(member, &path, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
            Value::Null => {}
            scalar => found.push((path.to_owned(), scalar)),
        }
    }
    let mut found = Vec::new();
    walk(source, "", &mut found);
    found
}

/// Reads the fields that `properties` declares into `fields`.
fn collect(properties: &Value, prefix: &str, fields: &mut BTreeMap<String, FieldSpec>) -> Result<(), ApiError> {
    let Some(members) = properties.as_object() else {
        return Err(ApiError::parsing("[properties] must be an object"));
    };
    for (name, definition) in members {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let declared = definition.get("type").and_then(Value::as_str);
        if let Some(nested) = definition.get("properties") {
            collect(nested, &path, fields)?;
            continue;
        }
        let Some(declared) = declared else {
            return Err(ApiError::parsing(format!("No type specified for field [{path}]")));
        };
        if declared == "object" {
            continue;
        }
        let subfields = definition.get("fields").and_then(Value::as_object).into_iter().flatten();
        for (subname, subfield) in subfields {
            let kind = kind_of(subfield.get("type").and_then(Value::as_str).unwrap_or("text"));
            fields.insert(format!("{path}.{subname}"), FieldSpec { kind, source_path: path.clone() });
        }
        fields.insert(path.clone(), FieldSpec { kind: kind_of(declared), source_path: path });
    }
    Ok(())
}

/// The kind under which the demo engine treats a mapping type.
fn kind_of(declared: &str) -> Kind {
    match declared {
        "text" | "match_only_text" | "search_as_you_type" | "annotated_text" | "semantic_text" => Kind::Text,
        "keyword" | "constant_keyword" | "wildcard" | "date" | "date_nanos" | "ip" | "version" => Kind::Keyword,
        "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float" | "scaled_float"
        | "unsigned_long" => Kind::Number,
        "boolean" => Kind::Boolean,
        _ => Kind::Opaque,
    }
}

/// Puts the members of `from` into `into`, object by object.
fn merge(into: &mut Map<String, Value>, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        match into.get_mut(key) {
            Some(Value::Object(present)) if value.is_object() => merge(present, value),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_strings_become_text_with_a_keyword_beside_it() {
        let mut mapping = Mapping::default();
        mapping.observe(&json!({"a": {"b": ["x", "y"], "n": 1}, "t": true, "none": null}));
        let kinds: Vec<_> = mapping.fields().iter().map(|(name, spec)| (name.as_str(), spec.kind)).collect();
        let expected =
            [("a.b", Kind::Text), ("a.b.keyword", Kind::Keyword), ("a.n", Kind::Number), ("t", Kind::Boolean)];
        assert_eq!(kinds, expected);
        assert_eq!(mapping.to_json()["properties"]["a"]["properties"]["n"], json!({"type": "long"}));
        assert_eq!(mapping.to_json()["properties"]["t"], json!({"type": "boolean"}));
    }

    #[test]
    fn a_declared_kind_wins_over_the_dynamic_one_and_cannot_change() {
        let mut mapping = Mapping::default();
        mapping.declare(&json!({"properties": {"sku": {"type": "keyword"}}})).unwrap();
        mapping.observe(&json!({"sku": "A-1"}));
        assert_eq!(mapping.fields()["sku"].kind, Kind::Keyword);
        assert!(!mapping.fields().contains_key("sku.keyword"));
        assert!(mapping.declare(&json!({"properties": {"sku": {"type": "text"}}})).is_err());
    }
}
