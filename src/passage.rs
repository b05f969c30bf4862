//! Hit → text. Owns how a passage is read from a document: which fields, in which order, how arrays and numbers become
//! text. Pure; knows JSON but no search engine.

use serde_json::Value;

/// Between two fields of a passage, and between two entries of an array.
const SEPARATOR: &str = "\n";

/// Which fields of a document make up its passage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fields {
    /// Every string in the document, in the order of the document.
    #[default]
    All,
    /// These dotted paths, in this order; those that a document lacks are left out.
    Named(Vec<String>),
}

impl Fields {
    /// The passage of `document`, or `None` where the fields hold no text.
    pub fn passage(&self, document: &Value) -> Option<String> {
        let mut texts = Vec::new();
        match self {
            Self::All => collect_strings(document, &mut texts),
            Self::Named(paths) => {
                for path in paths {
                    collect_path(document, path, &mut texts);
                }
            }
        }
        (!texts.is_empty()).then(|| texts.join(SEPARATOR))
    }
}

/// Follows a dotted path through objects and arrays. Documents may spell `{"a": {"b": …}}` as `{"a.b": …}`, so every
/// prefix of the path is tried as a key.
fn collect_path(value: &Value, path: &str, texts: &mut Vec<String>) {
    match value {
        Value::Array(entries) => entries.iter().for_each(|entry| collect_path(entry, path, texts)),
        Value::Object(object) => {
            if let Some(found) = object.get(path) {
                collect_scalars(found, texts);
            }
            for (dot, _) in path.match_indices('.') {
                if let Some(inner) = object.get(&path[..dot]) {
                    collect_path(inner, &path[dot + 1..], texts);
                }
            }
        }
        _ => {}
    }
}

/// The text of a field's value: strings, numbers and booleans, arrays of them, objects of them.
fn collect_scalars(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => push(text, texts),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Bool(truth) => texts.push(truth.to_string()),
        Value::Array(entries) => entries.iter().for_each(|entry| collect_scalars(entry, texts)),
        Value::Object(object) => object.values().for_each(|entry| collect_scalars(entry, texts)),
        Value::Null => {}
    }
}

fn collect_strings(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => push(text, texts),
        Value::Array(entries) => entries.iter().for_each(|entry| collect_strings(entry, texts)),
        Value::Object(object) => object.values().for_each(|entry| collect_strings(entry, texts)),
        _ => {}
    }
}

fn push(text: &str, texts: &mut Vec<String>) {
    let text = text.trim();
    if !text.is_empty() {
        texts.push(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(paths: &[&str]) -> Fields {
        Fields::Named(paths.iter().map(|&path| path.to_owned()).collect())
    }

    #[test]
    fn named_fields_come_in_their_own_order_and_missing_ones_are_left_out() {
        let document = json!({"text": "warm and dry", "title": "Coat", "price": 20});
        assert_eq!(named(&["title", "brand", "text"]).passage(&document).as_deref(), Some("Coat\nwarm and dry"));
        assert_eq!(named(&["price"]).passage(&document).as_deref(), Some("20"));
        assert_eq!(named(&["brand"]).passage(&document), None);
    }

    #[test]
    fn dotted_paths_go_through_objects_arrays_and_dotted_keys() {
        let document = json!({"a": [{"b": "one"}, {"b": ["two", "three"]}], "a.b": "four", "x": {"y.z": "five"}});
        assert_eq!(named(&["a.b"]).passage(&document).as_deref(), Some("four\none\ntwo\nthree"));
        assert_eq!(named(&["x.y.z"]).passage(&document).as_deref(), Some("five"));
    }

    #[test]
    fn without_names_every_string_counts_and_numbers_do_not() {
        let document = json!({"title": "Coat", "stock": 3, "tags": ["red", " "], "deep": {"er": "wool"}});
        assert_eq!(Fields::All.passage(&document).as_deref(), Some("Coat\nred\nwool"));
        assert_eq!(Fields::All.passage(&json!({"stock": 3})), None);
    }
}
