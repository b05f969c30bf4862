//! Passages as a rule and a query ask for them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn fields(paths: &[&str]) -> PassageSpec {
    PassageSpec { content: Content::Fields(names(paths)), strip_html: false }
}

fn template(text: &str) -> PassageSpec {
    PassageSpec { content: Content::Template(Template::parse(text).expect("a template")), strip_html: false }
}

fn of_source(spec: &PassageSpec, source: &Value) -> Option<String> {
    spec.passage(Document { source: Some(source), fields: None }, &[])
}

fn searched(source: Option<&Value>, fields: Option<&Value>, searched: &[&str]) -> Option<String> {
    PassageSpec::default().passage(Document { source, fields }, &names(searched))
}

#[test]
fn named_fields_come_in_their_own_order_and_missing_ones_are_left_out() {
    let document = json!({"text": "warm and dry", "title": "Coat", "price": 20, "new": true, "none": null});
    assert_eq!(of_source(&fields(&["title", "brand", "text"]), &document).as_deref(), Some("Coat\nwarm and dry"));
    assert_eq!(of_source(&fields(&["price", "new", "none"]), &document).as_deref(), Some("20\ntrue"));
    assert_eq!(of_source(&fields(&["brand"]), &document), None);
    assert_eq!(of_source(&fields(&["tit", ""]), &document), None);
}

#[test]
fn dotted_paths_go_through_objects_arrays_and_dotted_keys() {
    let document = json!({"a": [{"b": "one"}, {"b": ["two", "three"]}], "a.b": "four", "x": {"y.z": "five"}});
    assert_eq!(of_source(&fields(&["a.b"]), &document).as_deref(), Some("one\ntwo\nthree\nfour"));
    assert_eq!(of_source(&fields(&["x.y.z"]), &document).as_deref(), Some("five"));
    assert_eq!(of_source(&fields(&["x", "x.y"]), &document).as_deref(), Some("five"));
}

#[test]
fn without_names_every_string_counts_and_numbers_do_not() {
    let document = json!({"title": "Coat", "stock": 3, "tags": ["red", " ", 5], "deep": {"er": "wool"}});
    assert_eq!(searched(Some(&document), None, &[]).as_deref(), Some("Coat\nred\nwool"));
    assert_eq!(searched(Some(&json!({"stock": 3})), None, &[]), None);
    assert_eq!(searched(None, None, &["title"]), None);
}

#[test]
fn the_fields_that_were_searched_come_in_the_order_of_the_query() {
    let document = json!({"id": "x7", "text": "warm", "title": "Coat", "name": {"short": "C", "long": "Coat, blue"}});
    for (query, passage) in [
        (&["title", "text"][..], "Coat\nwarm"),
        (&["text", "title", "text"], "warm\nCoat"),
        (&["name.*", "title"], "C\nCoat, blue\nCoat"),
        (&["t*"], "warm\nCoat"),
        (&["title", "t*"], "Coat\nwarm"),
        (&["name"], "C\nCoat, blue"),
        (&["*"], "x7\nwarm\nCoat\nC\nCoat, blue"),
    ] {
        assert_eq!(searched(Some(&document), None, query).as_deref(), Some(passage), "{query:?}");
    }
}

#[test]
fn a_multi_field_is_read_where_its_field_is_and_once() {
    let document = json!({"title": "Coat", "text": "warm"});
    for (query, passage) in [
        (&["title.keyword"][..], "Coat"),
        (&["title", "title.english", "title._2gram"], "Coat"),
        (&["title.suggest._2gram"], "Coat"),
        (&["title.*"], "Coat"),
        (&["text", "*.english"], "warm"),
    ] {
        assert_eq!(searched(Some(&document), None, query).as_deref(), Some(passage), "{query:?}");
    }
    assert_eq!(searched(Some(&json!({"a": {"b": "x"}, "c": "y"})), None, &["a.d", "c"]).as_deref(), Some("y"));
}

#[test]
fn where_the_searched_fields_hold_no_text_every_text_is_read() {
    let document = json!({"title": "", "text": "warm", "n": 1});
    for query in [&["title"][..], &["absent", "catch_all"], &["_all", "_id"], &["*.english"], &["n*"]] {
        assert_eq!(searched(Some(&document), None, query).as_deref(), Some("warm"), "{query:?}");
    }
}

#[test]
fn what_the_source_lacks_is_looked_up_in_fields() {
    let source = json!({"title": "Coat"});
    let fields = json!({
        "title": ["COAT"], "text": ["warm", "dry"], "name.first": ["Jo"],
        "user": [{"first": ["Ann"], "last": ["Lee"]}, {"first": ["Bob"], "address.city": ["Rome"]}],
    });
    for (query, passage) in [
        (&["title", "text"][..], "Coat\nwarm\ndry"),
        (&["name.first"], "Jo"),
        (&["name"], "Jo"),
        (&["user.first"], "Ann\nBob"),
        (&["user.address.city", "user.last"], "Rome\nLee"),
        (&["user.f*"], "Ann\nBob"),
    ] {
        assert_eq!(searched(Some(&source), Some(&fields), query).as_deref(), Some(passage), "{query:?}");
        let named = PassageSpec { content: Content::Fields(names(query)), strip_html: false };
        let document = Document { source: Some(&source), fields: Some(&fields) };
        assert_eq!(named.passage(document, &[]).as_deref(), Some(passage), "{query:?}");
    }
    // What is visible of the source does not depend on what else a client asks for.
    assert_eq!(searched(Some(&source), Some(&fields), &[]).as_deref(), Some("Coat"));
}

#[test]
fn without_a_source_the_same_text_under_a_multi_field_counts_once() {
    let fields = json!({
        "title.keyword": ["Coat"], "title": ["Coat"], "n": [1], "brand.lower": ["acme"], "brand": ["Acme"],
        "user": [{"first": ["Ann"], "first.keyword": ["Ann"]}, {"first": ["Bob"], "first.keyword": ["Bob"]}],
    });
    let all = "Coat\nacme\nAcme\nAnn\nBob";
    for (query, passage) in [
        (&[][..], all),
        (&["*"], all),
        (&["absent"], all),
        (&["title", "title.keyword"], "Coat"),
        (&["title.keyword"], "Coat"),
        (&["title*"], "Coat"),
        (&["brand.lower"], "acme"),
        (&["user.first.keyword"], "Ann\nBob"),
    ] {
        assert_eq!(searched(None, Some(&fields), query).as_deref(), Some(passage), "{query:?}");
    }
}

#[test]
fn a_template_is_filled_from_the_document() {
    let spec = template("{title} ({year}). {brand.name}\nTags: {tags}");
    let document = json!({"title": " Coat ", "year": 2020, "brand": {"name": "Acme"}, "tags": ["red", "", "blue"]});
    assert_eq!(of_source(&spec, &document).as_deref(), Some("Coat (2020). Acme\nTags: red, blue"));
    assert_eq!(of_source(&spec, &json!({"title": "Coat", "tags": []})).as_deref(), Some("Coat"));
    assert_eq!(of_source(&spec, &json!({"name": "Coat"})), None);
}

#[test]
fn html_is_stripped_from_every_kind_of_passage() {
    let document = json!({"title": "<b>Coat</b>", "text": "<p>warm &amp; dry</p><p>a < b</p>", "empty": "<br>"});
    for content in
        [Content::Searched, fields(&["title", "empty", "text"]).content, template("{title}\n{empty}, {text}").content]
    {
        let spec = PassageSpec { content, strip_html: true };
        assert_eq!(of_source(&spec, &document).as_deref(), Some("Coat\nwarm & dry\na < b"));
    }
    let spec = PassageSpec { strip_html: true, ..PassageSpec::default() };
    let document = json!({"title": "<br>", "text": "<i>warm</i>"});
    let passage = spec.passage(Document { source: Some(&document), fields: None }, &names(&["title"]));
    assert_eq!(passage.as_deref(), Some("warm"), "a field of mark-up alone holds no text");
}

#[test]
fn what_must_be_visible_is_what_is_read() {
    let default = PassageSpec::default();
    assert_eq!(default.wanted(&[]), ["*"]);
    assert_eq!(default.wanted(&names(&["_all"])), ["*"]);
    assert_eq!(default.wanted(&names(&["title", "*"])), ["*"]);
    assert_eq!(default.wanted(&names(&["title", "_id", "name.*", "title"])), ["title", "name.*"]);
    assert_eq!(fields(&["a", "b.c"]).wanted(&names(&["title"])), ["a", "b.c"]);
    assert_eq!(template("{a}. {b.c} {a}").wanted(&names(&["title"])), ["a", "b.c"]);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ \n<>&;=\"'abp/!-]{0,20}", Just("same".to_owned())]
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        4 => any_text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[ab.]{0,3}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn any_spec() -> impl Strategy<Value = PassageSpec> {
    let paths = prop::collection::vec("[ab.*]{0,4}", 0..4);
    let template = ".{0,4}\\{[ab](\\.[ab])?\\}[ .,\n()x]{0,4}\\{b\\}.{0,4}";
    let content = prop_oneof![
        Just(Content::Searched),
        paths.prop_map(Content::Fields),
        template.prop_filter_map("no template", |text| Template::parse(&text).ok().map(Content::Template)),
    ];
    (content, any::<bool>()).prop_map(|(content, strip_html)| PassageSpec { content, strip_html })
}

proptest! {
    #[test]
    fn a_passage_is_the_same_each_time_never_empty_and_trimmed(
        spec in any_spec(),
        source in prop::option::of(any_json()),
        fields in prop::option::of(any_json()),
        searched in prop::collection::vec("[ab.*_]{0,4}", 0..4),
    ) {
        let document = Document { source: source.as_ref(), fields: fields.as_ref() };
        let passage = spec.passage(document, &searched);
        prop_assert_eq!(&spec.passage(document, &searched), &passage);
        if let Some(passage) = passage {
            prop_assert!(!passage.is_empty());
            prop_assert_eq!(passage.trim(), &passage);
        }
    }

    #[test]
    fn any_text_is_a_template_or_a_mistake(text in "[{}ab. \n]{0,12}") {
        match Template::parse(&text) {
            Ok(template) => prop_assert!(template.paths().count() > 0),
            Err(message) => prop_assert!(!message.is_empty()),
        }
    }
}
