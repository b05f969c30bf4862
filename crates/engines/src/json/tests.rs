//! The walk and the edits held against `serde_json`.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn edited(edits: &Edits, text: &str) -> String {
    String::from_utf8(edits.applied(text.as_bytes())).expect("text")
}

/// Keys and strings with everything that makes scanning hard.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,3}",
        prop::sample::select(vec!["\"", "\\", "}{", "][", "a,b:\"c\\", "ü\n", "\u{1}", "𝄞"]).prop_map(str::to_owned)
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        string().prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((string(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn printed(value: &Value, pretty: bool) -> String {
    if pretty { format!("{value:#}\n") } else { value.to_string() }
}

/// Every value in the text that the walk reaches, held against what `serde_json` reads there.
fn check(text: &[u8], span: Range<usize>, expected: &Value) {
    let read: Value = serde_json::from_slice(&text[span.clone()]).expect("a value");
    assert_eq!(&read, expected);
    assert_eq!(value(text, span.start), span);
    let (members, elements) = (members(text, span.start), elements(text, span.start));
    match expected {
        Value::Object(object) => {
            assert_eq!(members.len(), object.len());
            for (found, (name, inner)) in members.iter().zip(object) {
                assert_eq!(&found.name(text), name);
                assert_eq!(member(text, span.start, name).as_ref(), Some(found));
                check(text, found.value.clone(), inner);
            }
            assert!(elements.is_empty());
        }
        Value::Array(array) => {
            assert_eq!(elements.len(), array.len());
            elements.iter().zip(array).for_each(|(found, inner)| check(text, found.clone(), inner));
            assert!(members.is_empty());
        }
        _ => assert!(members.is_empty() && elements.is_empty()),
    }
}

/// Drops items of `value` at every level, the same ones from the text and from the value. `chance` says which: its bits
/// are used up one by one.
fn reduce(text: &[u8], span: Range<usize>, value: &mut Value, chance: &mut impl FnMut() -> bool, edits: &mut Edits) {
    match value {
        Value::Object(object) => {
            let members = members(text, span.start);
            let keep: Vec<bool> = members.iter().map(|_| chance()).collect();
            let spans: Vec<_> = members.iter().map(Member::span).collect();
            for (member, (_, inner)) in members.iter().zip(object.iter_mut()) {
                reduce(text, member.value.clone(), inner, chance, edits);
            }
            edits.retain(text, span, &spans, |i| keep[i]);
            let mut keep = keep.iter();
            object.retain(|_, _| *keep.next().expect("one for each member"));
        }
        Value::Array(array) => {
            let spans = elements(text, span.start);
            let keep: Vec<bool> = spans.iter().map(|_| chance()).collect();
            edits.retain(text, span, &spans, |i| keep[i]);
            for (element, inner) in spans.iter().zip(array.iter_mut()) {
                reduce(text, element.clone(), inner, chance, edits);
            }
            let mut keep = keep.iter();
            array.retain(|_| *keep.next().expect("one for each element"));
        }
        _ => {}
    }
}

/// `serde_json` prints an empty container `{}` also where it prints prettily, Elasticsearch `{ }`. Only outside strings:
/// the strings here hold no such text.
fn without_space_in_empty_containers(text: &str) -> String {
    text.replace("{ }", "{}").replace("[ ]", "[]")
}

#[test]
fn members_are_found_in_any_layout() {
    let text = br#" { "a" :1 ,"b\u0022":[ {"x":"]}"} ] ,"a":  "z" } , 5"#;
    let found = members(text, 0);
    let parts: Vec<_> =
        found.iter().map(|m| (m.name(text), std::str::from_utf8(&text[m.value.clone()]).unwrap())).collect();
    assert_eq!(parts, [("a".into(), "1"), ("b\"".into(), "[ {\"x\":\"]}\"} ]"), ("a".into(), "\"z\"")]);
    assert_eq!(member(text, 0, "a"), Some(found[2].clone()), "the last one counts");
    assert_eq!(member(text, 0, "b\""), Some(found[1].clone()), "keys are unescaped");
    assert_eq!(member(text, 0, "c"), None);
    assert_eq!(&text[value(text, 0)], &text[1..text.len() - 4]);
}

#[test]
fn a_key_that_is_no_unicode_has_a_name_all_the_same() {
    let text = br#"{"\ud800":1}"#;
    assert_eq!(members(text, 0)[0].name(text), r"\ud800");
}

#[test]
fn depth_costs_no_stack() {
    let text = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    assert_eq!(value(&text, 0), 0..text.len());
    assert_eq!(elements(&text, 0).first(), Some(&(1..text.len() - 1)));
}

#[test]
fn what_is_removed_takes_its_comma_along() {
    let text = r#"{"a":1,"b":2,"c":3,"d":4}"#;
    let spans: Vec<_> = members(text.as_bytes(), 0).iter().map(Member::span).collect();
    let kept = |kept: &str| {
        let mut edits = Edits::default();
        edits.retain(text.as_bytes(), 0..text.len(), &spans, |i| kept.contains(["a", "b", "c", "d"][i]));
        edited(&edits, text)
    };
    assert_eq!(kept("abcd"), text);
    assert_eq!(kept("bd"), r#"{"b":2,"d":4}"#);
    assert_eq!(kept("a"), r#"{"a":1}"#);
    assert_eq!(kept("c"), r#"{"c":3}"#);
    assert_eq!(kept("ad"), r#"{"a":1,"d":4}"#);
    assert_eq!(kept(""), "{}");
}

#[test]
fn an_emptied_container_looks_as_elasticsearch_prints_it() {
    let text = "{\n  \"a\" : [\n    1\n  ]\n}\n";
    let mut edits = Edits::default();
    let array = member(text.as_bytes(), 0, "a").unwrap().value;
    edits.retain(text.as_bytes(), array.clone(), &elements(text.as_bytes(), array.start), |_| false);
    assert_eq!(edited(&edits, text), "{\n  \"a\" : [ ]\n}\n");
}

#[test]
fn what_is_added_is_laid_out_as_its_neighbours() {
    for (text, expected) in [
        (r#"{"a":1}"#, r#"{"a":1,"n":2,"o\"":[3]}"#),
        (r#"{"a": 1}"#, r#"{"a": 1,"n": 2,"o\"": [3]}"#),
        ("{}", r#"{"n":2,"o\"":[3]}"#),
        ("{ }", "{\n  \"n\" : 2,\n  \"o\\\"\" : [3]\n}"),
        ("{\n  \"a\" : 1\n}\n", "{\n  \"a\" : 1,\n  \"n\" : 2,\n  \"o\\\"\" : [3]\n}\n"),
    ] {
        let mut edits = Edits::default();
        let object = value(text.as_bytes(), 0);
        edits.add_member(text.as_bytes(), object.clone(), "n", "2");
        edits.add_member(text.as_bytes(), object, "o\"", "[3]");
        assert_eq!(edited(&edits, text), expected);
    }
}

#[test]
fn a_member_can_be_added_where_the_others_are_removed() {
    for (text, expected) in [
        (r#"{"f":{"a":1}}"#, r#"{"f":{"n":2}}"#),
        ("{\n  \"f\" : {\n    \"a\" : 1\n  }\n}", "{\n  \"f\" : {\n    \"n\" : 2\n  }\n}"),
    ] {
        for add_first in [true, false] {
            let text = text.as_bytes();
            let object = member(text, 0, "f").unwrap().value;
            let items: Vec<_> = members(text, object.start).iter().map(Member::span).collect();
            let mut edits = Edits::default();
            if add_first {
                edits.add_member(text, object.clone(), "n", "2");
            }
            edits.retain(text, object.clone(), &items, |_| false);
            if !add_first {
                edits.add_member(text, object, "n", "2");
            }
            assert_eq!(String::from_utf8(edits.applied(text)).unwrap(), expected);
        }
    }
}

#[test]
fn an_outer_edit_wins_over_an_inner_one_and_insertions_at_its_edges_stay() {
    let text = "0123456789";
    let mut edits = Edits::default();
    edits.replace(6..6, "c");
    edits.replace(4..5, "inner");
    edits.replace(3..3, "a");
    edits.replace(5..5, "lost");
    edits.remove(3..6);
    edits.replace(3..3, "b");
    assert_eq!(edited(&edits, text), "012abc6789");
    assert!(!edits.is_empty());
}

#[test]
fn only_the_edits_of_a_range_are_applied_to_it() {
    let text = "0123456789";
    let mut edits = Edits::default();
    edits.replace(10..10, "e");
    edits.replace(5..5, "i");
    edits.replace(1..2, "one");
    let piece = |range| {
        let mut out = b">".to_vec();
        edits.apply(text.as_bytes(), range, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(piece(0..5), ">0one234");
    assert_eq!(piece(2..5), ">234");
    assert_eq!(piece(5..10), ">i56789e");
}

proptest! {
    #[test]
    fn the_walk_finds_what_serde_json_reads(value in json(), pretty: bool) {
        let text = printed(&value, pretty);
        check(text.as_bytes(), 0..text.trim_end().len(), &value);
    }

    #[test]
    fn retaining_equals_removing_from_the_value(mut value in json(), pretty: bool, bits in prop::collection::vec(any::<bool>(), 64)) {
        let text = printed(&value, pretty);
        let mut bits = bits.iter().cycle();
        let mut edits = Edits::default();
        reduce(text.as_bytes(), 0..text.trim_end().len(), &mut value, &mut || *bits.next().unwrap(), &mut edits);
        prop_assert_eq!(without_space_in_empty_containers(&edited(&edits, &text)), printed(&value, pretty));
    }

    #[test]
    fn adding_equals_adding_to_the_value(mut value in json(), name in "[x-z]\"?", pretty: bool) {
        let text = printed(&value, pretty);
        let span = 0..text.trim_end().len();
        let mut edits = Edits::default();
        match &mut value {
            Value::Object(object) if !object.is_empty() => {
                object.insert(name.clone(), true.into());
                edits.add_member(text.as_bytes(), span, &name, "true");
            }
            _ => {}
        }
        prop_assert_eq!(edited(&edits, &text), printed(&value, pretty));
    }

    #[test]
    fn pieces_put_together_are_the_whole(
        changes in prop::collection::vec((0_usize..=40, 0_usize..4, "[a-z]{0,3}"), 0..8),
        cut in 0_usize..40,
    ) {
        let text: Vec<u8> = (b'0'..=b'X').take(40).collect();
        let mut edits = Edits::default();
        for (at, length, with) in changes {
            let at = at..(at + length).min(text.len());
            if !(at.start < cut && cut < at.end) {
                edits.replace(at, with);
            }
        }
        let mut pieces = Vec::new();
        edits.apply(&text, 0..cut, &mut pieces);
        edits.apply(&text, cut..text.len(), &mut pieces);
        prop_assert_eq!(pieces, edits.applied(&text));
    }

    #[test]
    fn nonsense_does_no_harm(text in "[\\[\\]{}\",:a\\\\ ]{0,24}", start in 0_usize..30) {
        let bytes = text.as_bytes();
        let span = value(bytes, start.min(bytes.len()));
        let members = members(bytes, start);
        let spans: Vec<_> = members.iter().map(Member::span).collect();
        members.iter().for_each(|member| drop(member.name(bytes)));
        let mut edits = Edits::default();
        edits.retain(bytes, span.clone(), &spans, |i| i % 2 == 1);
        edits.retain(bytes, span.clone(), &elements(bytes, start), |i| i % 2 == 1);
        edits.add_member(bytes, span, "x", "1");
        edits.applied(bytes);
    }

    #[test]
    fn no_edits_give_the_same_bytes(text in ".{0,40}") {
        prop_assert!(Edits::default().is_empty());
        prop_assert_eq!(edited(&Edits::default(), &text), text);
    }
}
