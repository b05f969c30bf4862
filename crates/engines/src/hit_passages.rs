//! Hit → passage, without reading more of the document than that takes. Owns which members of a document may matter to
//! the names that a passage is read from; what a passage is, `passage` says. Pure.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    json::{self, Member, Object},
    passage::{Content, Document, PassageSpec, Reader},
};

/// Reads the passages of hits.
pub(super) struct Passages<'a> {
    spec: &'a PassageSpec,
    reader: Reader<'a>,
    /// The first segments of the paths that passages are read from, where they are known by name.
    heads: Option<HashSet<&'a str>>,
}

impl<'a> Passages<'a> {
    /// A reader for the hits of a search that looks in these fields.
    pub(super) fn of(spec: &'a PassageSpec, searched: &'a [String]) -> Self {
        let names = spec.wanted(searched);
        let known = !names.iter().any(|name| name.contains('*'));
        let heads = known.then(|| names.into_iter().map(head).collect());
        Self { spec, reader: spec.reader(searched), heads }
    }

    /// The passage of a hit, of which `source` and `fields` lie in `text`.
    ///
    /// A name stands for the field that is called so, for what lies beneath it or for a field that it lies beneath (see
    /// [`PassageSpec::passage`]): all of them begin with the same segment. So members that begin otherwise need not be read,
    /// unless the fields that the query searched say nothing and every text of the document counts.
    ///
    /// [`PassageSpec::passage`]: crate::passage::PassageSpec::passage
    pub(super) fn passage(&self, text: &str, source: Option<&Object>, fields: Option<&Object>) -> Option<String> {
        if let Some(heads) = &self.heads {
            let part = |object: Option<&Object>| object.and_then(|object| part(text, object, heads));
            let (source, fields) = (part(source), part(fields));
            let passage = self.reader.named(Document { source: source.as_ref(), fields: fields.as_ref() });
            if passage.is_some() || self.spec.content != Content::Searched {
                return passage;
            }
        }
        let parsed = |object: Option<&Object>| object.and_then(|object| members(text, &object.members));
        let (source, fields) = (parsed(source), parsed(fields));
        self.reader.passage(Document { source: source.as_ref(), fields: fields.as_ref() })
    }
}

/// The members of an object that begin with one of these segments. What is not read need not be readable: some numbers
/// and strings of JSON (`1e999`, `"\ud800"`) have no [`Value`].
fn part(text: &str, object: &Object, heads: &HashSet<&str>) -> Option<Value> {
    let is_wanted = |member: &&Member| heads.contains(head(&member.name(text.as_bytes())));
    members(text, object.members.iter().filter(is_wanted))
}

/// The largest tree that is made of a member, in bytes; a document with a larger one has no passage. A vector of a thousand
/// numbers takes 200 KB.
const MAX_TREE: usize = 64 << 20;

/// An object of these members.
fn members<'a>(text: &str, members: impl IntoIterator<Item = &'a Member>) -> Option<Value> {
    let mut read = Map::new();
    for member in members {
        if json::has_larger_tree(&text.as_bytes()[member.value.clone()], MAX_TREE) {
            return None;
        }
        let value = serde_json::from_str(&text[member.value.clone()]).ok()?;
        read.insert(member.name(text.as_bytes()).into_owned(), value);
    }
    Some(Value::Object(read))
}

/// `a` of `a.b.c`; a key may hold dots of its own.
fn head(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json, passage::Template};
    use proptest::prelude::*;

    /// A rule's word on passages, and the fields that a search looks in.
    struct Rule {
        spec: PassageSpec,
        searched: Vec<String>,
    }

    fn rule(content: Content, searched: Vec<String>) -> Rule {
        Rule { spec: PassageSpec { content, strip_html: false }, searched }
    }

    fn passage_of(rule: &Rule, source: Option<&str>, fields: Option<&str>) -> Option<String> {
        let text = [source.unwrap_or_default(), fields.unwrap_or_default()].concat();
        let source_ends = source.map_or(0, str::len);
        let source = source.and_then(|_| json::object(text.as_bytes(), 0));
        let fields = fields.and_then(|_| json::object(text.as_bytes(), source_ends));
        Passages::of(&rule.spec, &rule.searched).passage(&text, source.as_ref(), fields.as_ref())
    }

    #[test]
    fn what_is_not_read_need_not_be_readable() {
        let rule = rule(Content::Fields(vec!["title".to_owned()]), Vec::new());
        let source = r#"{"n":1e999,"title":"x","s":"\ud800","title.raw":"y"}"#;
        assert_eq!(passage_of(&rule, Some(source), None).as_deref(), Some("x"));
    }

    #[test]
    fn a_document_that_would_take_more_memory_than_it_is_worth_has_no_passage() {
        let rule = rule(Content::Searched, Vec::new());
        let passage = |numbers: usize| {
            passage_of(&rule, Some(&format!(r#"{{"title":"x","n":[{}0]}}"#, "0,".repeat(numbers))), None)
        };
        assert_eq!(passage(1000).as_deref(), Some("x"));
        assert_eq!(passage(MAX_TREE / 200), None);
    }

    #[test]
    fn a_key_said_twice_counts_as_it_does_in_the_whole_document() {
        let rule = rule(Content::Searched, vec!["title".to_owned()]);
        let passage = |source| passage_of(&rule, Some(source), None);
        assert_eq!(passage(r#"{"title":"x","t\u0069tle":"y"}"#).as_deref(), Some("y"));
        assert_eq!(passage(r#"{"title":"","other":"z"}"#).as_deref(), Some("z"));
    }

    /// Few names, so that documents and rules meet.
    fn name() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.b.c", "c", "_id", "a*", "*.b"]).prop_map(str::to_owned)
    }

    fn document() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            "[xyz ]{0,3}".prop_map(Value::from),
            (-9..9i32).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
        ];
        let value = scalar.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((name(), inner), 0..4).prop_map(Value::from_iter),
            ]
        });
        prop::collection::vec((name(), value), 0..6).prop_map(Value::from_iter)
    }

    fn content() -> impl Strategy<Value = Content> {
        let template = |names: Vec<String>| {
            let text: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
            Content::Template(Template::parse(&text.join(" - ")).expect("a template"))
        };
        prop_oneof![
            Just(Content::Searched),
            prop::collection::vec(name(), 0..3).prop_map(Content::Fields),
            prop::collection::vec(name(), 1..3).prop_map(template),
        ]
    }

    proptest! {
        #[test]
        fn a_part_of_a_document_gives_the_passage_of_the_whole(
            content in content(),
            searched in prop::collection::vec(name(), 0..3),
            source in prop::option::weighted(0.8, document()),
            fields in prop::option::weighted(0.5, document()),
        ) {
            let rule = rule(content, searched);
            let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
            let found = passage_of(&rule, text(&source).as_deref(), text(&fields).as_deref());
            let document = Document { source: source.as_ref(), fields: fields.as_ref() };
            prop_assert_eq!(found, rule.spec.passage(document, &rule.searched));
        }
    }
}
