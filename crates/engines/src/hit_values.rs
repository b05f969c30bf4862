//! Hit → the values of the fields that a rule names for its order, apart from the passage. Owns how a dotted name leads to values
//! in a hit's bytes, and how many of them are read; what they mean is `ranking`'s. Pure.

use ranking::field_values::FieldValue;

use crate::json::{self, Object};

/// The most values of a field that are read of one hit, and the most elements of a list that are looked at.
const MAX_VALUES: usize = 128;
/// The most bytes of a text that are read; the rest is cut off. Conditions compare names, not passages.
const MAX_TEXT: usize = 1024;
/// The most lists within lists. Each is walked anew, so this also bounds how often a byte is read.
const MAX_DEPTH: usize = 8;

/// The names of some fields, ready to be looked for in the hits of a search. A field that cannot be read there is `None`: the
/// search gives its name to something else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) names: &'a [Option<String>],
}

/// The values that were found for one name.
#[derive(Default)]
struct Found {
    /// Those of the field itself.
    own: Vec<FieldValue>,
    /// Those of the field that it would be a multi-field of (`brand` for `brand.keyword`): a document has no others.
    above: Vec<FieldValue>,
}

impl Values<'_> {
    /// The values of each name in a hit, of which `source` and `fields` lie in `text`: those in `source`, else those in
    /// `fields`. Of a field that the hit does not show there are none.
    pub(super) fn of(self, text: &[u8], source: Option<&Object>, fields: Option<&Object>) -> Vec<Vec<FieldValue>> {
        let in_source = self.found(text, source);
        let in_fields = self.found(text, fields);
        let first = |lists: [Vec<FieldValue>; 3]| lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        in_source
            .into_iter()
            .zip(in_fields)
            .map(|(source, fields)| first([source.own, fields.own, source.above]))
            .collect()
    }

    fn found(self, text: &[u8], object: Option<&Object>) -> Vec<Found> {
        let mut found: Vec<Found> = self.names.iter().map(|_| Found::default()).collect();
        for member in object.iter().flat_map(|object| &object.members) {
            let key = member.name(text);
            for (name, found) in self.names.iter().zip(&mut found) {
                if let Some(rest) = name.as_deref().and_then(|name| beneath(name, &key)) {
                    found.read(text, member.value.start, rest, 0);
                }
            }
        }
        found
    }
}

impl Found {
    /// Reads the value at `at`, or what lies in it under `rest`, the part of the name that is still to go.
    fn read(&mut self, text: &[u8], at: usize, rest: &str, depth: usize) {
        match text.get(at) {
            Some(b'[') if depth < MAX_DEPTH => {
                for element in json::first_elements(text, at, MAX_VALUES) {
                    self.read(text, element.start, rest, depth + 1);
                }
            }
            Some(b'{') if !rest.is_empty() => {
                for member in json::each_member(text, at) {
                    if let Some(rest) = beneath(rest, &member.name(text)) {
                        self.read(text, member.value.start, rest, depth);
                    }
                }
            }
            None | Some(b'[' | b'{') => {}
            Some(_) if rest.is_empty() => push(&mut self.own, &text[json::value(text, at)]),
            Some(_) if !rest.contains('.') => push(&mut self.above, &text[json::value(text, at)]),
            Some(_) => {}
        }
    }
}

/// The part of a dotted name behind `key` and a dot; nothing of it where the key is the name itself.
fn beneath<'n>(name: &'n str, key: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(key)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.').filter(|rest| !rest.is_empty()) }
}

/// Adds a scalar as it is written, unless it says nothing.
fn push(values: &mut Vec<FieldValue>, scalar: &[u8]) {
    if values.len() < MAX_VALUES {
        values.extend(value(scalar));
    }
}

fn value(scalar: &[u8]) -> Option<FieldValue> {
    match scalar {
        b"true" => Some(FieldValue::Bool(true)),
        b"false" => Some(FieldValue::Bool(false)),
        b"null" => None,
        [b'"', ..] => {
            let mut text = json::unescaped(scalar).into_owned();
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            Some(FieldValue::Text(text))
        }
        number => {
            let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
            number.is_finite().then_some(FieldValue::Number(number))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn values_of(names: &[&str], source: Option<&str>, fields: Option<&str>) -> Vec<Vec<FieldValue>> {
        let names: Vec<Option<String>> = names.iter().map(|&name| Some(name.to_owned())).collect();
        let text = [source.unwrap_or_default(), fields.unwrap_or_default()].concat();
        let source_ends = source.map_or(0, str::len);
        let source = source.and_then(|_| json::object(text.as_bytes(), 0));
        let fields = fields.and_then(|_| json::object(text.as_bytes(), source_ends));
        Values { names: &names }.of(text.as_bytes(), source.as_ref(), fields.as_ref())
    }

    fn text(text: &str) -> FieldValue {
        FieldValue::Text(text.to_owned())
    }

    #[test]
    fn a_dotted_name_leads_through_objects_lists_and_keys_with_dots() {
        use FieldValue::{Bool, Number};
        for (source, values) in [
            (r#"{"a":1.50}"#, vec![]),
            (r#"{"a":{"b":{"c":1.50}}}"#, vec![Number(1.5)]),
            (r#"{"a.b":{"c":-2e3}}"#, vec![Number(-2000.0)]),
            (r#"{"a":{"b.c":true}}"#, vec![Bool(true)]),
            (r#"{"a.b.c":"x\"\u00e9"}"#, vec![text("x\"é")]),
            (
                r#"{"a":[{"b":[{"c":1},{"c":null},{"d":9}]},{"b":{"c":["y",[2]]}}]}"#,
                vec![Number(1.0), text("y"), Number(2.0)],
            ),
            (r#"{"\u0061":{"b":{"c":false}}}"#, vec![Bool(false)]),
            (r#"{"a":{"b":{"c":{"d":1}}}}"#, vec![]),
            (r#"{"ab":{"c":1},"a.bc":2,"a.":{"b.c":3}}"#, vec![]),
            (r#"{"a.b.c":1e999}"#, vec![]),
            ("{}", vec![]),
        ] {
            assert_eq!(values_of(&["a.b.c"], Some(source), None), [values], "{source}");
        }
    }

    #[test]
    fn a_multi_field_has_the_values_of_its_field() {
        let source = r#"{"brand":"Acme","deep":{"name":["x","y"]}}"#;
        let found = values_of(&["brand.keyword", "deep.name.raw", "brand.a.b"], Some(source), None);
        assert_eq!(found, [vec![text("Acme")], vec![text("x"), text("y")], vec![]]);
        let fields = r#"{"brand.keyword":["acme"]}"#;
        assert_eq!(values_of(&["brand.keyword"], Some(source), Some(fields)), [vec![text("acme")]]);
    }

    #[test]
    fn the_source_goes_before_the_fields() {
        let found = values_of(&["n", "m", "o"], Some(r#"{"n":1,"m":null}"#), Some(r#"{"n":[2],"m":[3]}"#));
        assert_eq!(found, [vec![FieldValue::Number(1.0)], vec![FieldValue::Number(3.0)], vec![]]);
        assert_eq!(values_of(&["n"], None, None), [vec![]]);
    }

    #[test]
    fn a_name_that_means_something_else_has_no_values() {
        let source = json::object(br#"{"n":1}"#, 0);
        assert_eq!(Values { names: &[None] }.of(br#"{"n":1}"#, source.as_ref(), None), [vec![]]);
    }

    #[test]
    fn long_lists_and_texts_are_cut_off() {
        let source = format!(r#"{{"n":[{}1],"t":"{}"}}"#, "1,".repeat(5000), "é".repeat(5000));
        let found = values_of(&["n", "t"], Some(&source), None);
        assert_eq!((found[0].len(), &found[1][0]), (MAX_VALUES, &text(&"é".repeat(MAX_TEXT / 2))));
        let deep = format!(r#"{{"n":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(values_of(&["n"], Some(&deep), None), [vec![]]);
    }

    /// The same by way of a tree.
    fn in_tree(value: &Value, name: &str, found: &mut Vec<FieldValue>) {
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| in_tree(element, name, found)),
            Value::Object(object) if !name.is_empty() => {
                for (key, value) in object {
                    match name.strip_prefix(key.as_str()) {
                        Some("") => in_tree(value, "", found),
                        Some(rest) if rest.len() > 1 && rest.starts_with('.') => in_tree(value, &rest[1..], found),
                        _ => {}
                    }
                }
            }
            _ if !name.is_empty() => {}
            Value::Number(number) => found.extend(number.as_f64().map(FieldValue::Number)),
            Value::Bool(truth) => found.push(FieldValue::Bool(*truth)),
            Value::String(written) => found.push(text(written)),
            Value::Null | Value::Object(_) => {}
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            "[xyé\"]{0,3}".prop_map(Value::from),
            (-9..9i32).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
        ];
        let key = || prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.b.c", "c"]).prop_map(str::to_owned);
        let value = scalar.prop_recursive(4, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((key(), inner), 0..4).prop_map(Value::from_iter),
            ]
        });
        prop::collection::vec((key(), value), 0..6).prop_map(Value::from_iter)
    }

    proptest! {
        #[test]
        fn values_are_those_that_a_tree_has(
            name in prop::sample::select(vec!["a", "a.b", "a.b.c", "b.a", "c.c", "d"]), document in document(),
        ) {
            let mut expected = Vec::new();
            in_tree(&document, name, &mut expected);
            let found = values_of(&[name], None, Some(&document.to_string())).concat();
            prop_assert_eq!(found, expected);
        }
    }
}
