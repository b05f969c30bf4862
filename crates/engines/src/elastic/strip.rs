//! Fields that were asked for on our behalf, taken out of the hits again. Owns which of a hit's `fields` are the
//! client's. Pure.

use std::ops::Range;

use crate::{
    extra_fields::ExtraFields,
    json::{self, Edits},
    names::Names,
};

/// The greatest depth to which nested fields are looked into. Mappings go 20 deep, unless an operator has other ideas;
/// and since every level is walked anew, this also bounds how often a byte is read.
const MAX_DEPTH: usize = 32;

/// The longest path that nested fields are looked into beneath, in bytes: each of their names would be put behind it anew.
const MAX_PATH: usize = 512;

/// Takes out of a hit what was asked for on our behalf only.
#[derive(Debug)]
pub(super) struct Strip<'a> {
    text: &'a [u8],
    asked: Names<'a>,
    wanted: Names<'a>,
}

impl<'a> Strip<'a> {
    /// For the hits in `text`; `None` where nothing was asked for.
    pub(super) fn of(text: &'a [u8], extra: &'a ExtraFields) -> Option<Self> {
        let names = |list| Names::of(<[String]>::iter(list).map(String::as_str));
        (!extra.asked.is_empty()).then(|| Self { text, asked: names(&extra.asked), wanted: names(&extra.wanted) })
    }

    /// Takes our fields out of `object`, the hit's `fields`; whether anything is left of it.
    pub(super) fn fields(&self, object: Range<usize>, edits: &mut Edits) -> bool {
        self.object(object, &mut String::new(), 0, edits)
    }

    /// `path` leads to the object, and is the same afterwards.
    fn object(&self, object: Range<usize>, path: &mut String, depth: usize, edits: &mut Edits) -> bool {
        let members = json::members(self.text, object.start);
        let mut keep = Vec::with_capacity(members.len());
        for member in &members {
            let end = path.len();
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&member.name(self.text));
            keep.push(self.value(member.value.clone(), path, depth, edits));
            path.truncate(end);
        }
        let spans: Vec<Range<usize>> = members.iter().map(json::Member::span).collect();
        edits.retain(self.text, object, &spans, |member| keep[member]);
        keep.contains(&true) || members.is_empty()
    }

    /// True if the value at `path` stays, in part at least.
    fn value(&self, value: Range<usize>, path: &mut String, depth: usize, edits: &mut Edits) -> bool {
        if self.wanted.match_name(path) {
            return true;
        }
        let is_ours = self.asked.match_name(path);
        if depth == MAX_DEPTH || path.len() > MAX_PATH {
            return !is_ours;
        }
        // Nested fields come as an array of objects under the name of their root.
        let nested = json::first_elements(self.text, value.start, 1);
        let nested = nested.first().is_some_and(|element| self.text[element.start] == b'{');
        if !nested || !(self.asked.have_patterns() || self.asked.lie_beneath(path)) {
            return !is_ours;
        }
        let elements = json::elements(self.text, value.start);
        let keep: Vec<bool> =
            elements.iter().map(|element| self.object(element.clone(), path, depth + 1, edits)).collect();
        edits.retain(self.text, value, &elements, |element| keep[element]);
        keep.contains(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn stripped(fields: &str, asked: &[&str], wanted: &[&str]) -> (String, bool) {
        let extra = ExtraFields { asked: strings(asked), no_text: Vec::new(), wanted: strings(wanted) };
        let mut edits = Edits::default();
        let left = Strip::of(fields.as_bytes(), &extra).expect("something").fields(0..fields.len(), &mut edits);
        (String::from_utf8(edits.applied(fields.as_bytes())).expect("text"), left)
    }

    #[test]
    fn what_only_we_asked_for_is_taken_out() {
        for (fields, asked, wanted, expected, left) in [
            (r#"{"title":["x"],"n":[1]}"#, &["title"][..], &["n"][..], r#"{"n":[1]}"#, true),
            (r#"{"title":["x"],"n":[1]}"#, &["title"], &["t*"], r#"{"title":["x"],"n":[1]}"#, true),
            (r#"{"title":["x"]}"#, &["title"], &[], "{}", false),
            (r#"{"title":["x"],"title.raw":["x"]}"#, &["*"], &["title.raw"], r#"{"title.raw":["x"]}"#, true),
            (r#"{"notes":[{"note":["x"]}],"n":[1]}"#, &["notes.note"], &["n"], r#"{"n":[1]}"#, true),
            (
                r#"{"notes":[{"note":["x"],"by":["y"]},{"note":["z"]}]}"#,
                &["notes.note"],
                &["notes.by"],
                r#"{"notes":[{"by":["y"]}]}"#,
                true,
            ),
            (
                "{\n  \"title\" : [\n    \"x\"\n  ],\n  \"n\" : [\n    1\n  ]\n}",
                &["title"],
                &["n"],
                "{\n  \"n\" : [\n    1\n  ]\n}",
                true,
            ),
        ] {
            assert_eq!(stripped(fields, asked, wanted), (expected.to_owned(), left), "{fields} {asked:?} {wanted:?}");
        }
    }

    #[test]
    fn fields_deeper_than_any_mapping_are_taken_out_whole() {
        let deep = format!("{{\"n\":[1],\"a\":{}1{}}}", "[{\"a\":".repeat(100_000), "}]".repeat(100_000));
        assert_eq!(stripped(&deep, &["*"], &["n"]), ("{\"n\":[1]}".to_owned(), true));
    }
}
