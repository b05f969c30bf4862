//! Calls of every shape, right and wrong, and what is read of them.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::waiting;

const LIMITS: Limits = Limits { documents: 5, windows: 8 };

fn read(version: ApiVersion, body: &[u8]) -> Result<Call, (Shape, Fault)> {
    let (_waiting, waited) = waiting::until(Instant::now() + Duration::from_mins(10));
    super::read(version, body, LIMITS, &waited)
}

fn call(version: ApiVersion, body: &Value) -> Call {
    read(version, body.to_string().as_bytes()).unwrap()
}

fn fault(version: ApiVersion, body: impl AsRef<[u8]>) -> (Shape, Fault) {
    read(version, body.as_ref()).unwrap_err()
}

fn reason(version: ApiVersion, body: &Value) -> String {
    let (_, fault) = fault(version, body.to_string());
    assert_eq!(fault.status().as_u16(), 422, "{fault}");
    fault.to_string()
}

fn texts(call: &Call) -> Vec<&str> {
    call.documents.iter().map(|document| document.text.as_str()).collect()
}

#[test]
fn each_api_is_told_by_its_path_and_its_members() {
    let documents = json!({"query": "q", "documents": ["a"]});
    let with = |name: &str, value: Value| {
        let mut body = documents.clone();
        body[name] = value;
        body
    };
    for (version, body, shape) in [
        (ApiVersion::Unversioned, json!({"query": "q", "texts": ["a"]}), Shape::Tei),
        (ApiVersion::Unversioned, documents.clone(), Shape::Infinity),
        (ApiVersion::V1, documents.clone(), Shape::V1),
        (ApiVersion::V1, with("top_n", json!(3)), Shape::V1),
        (ApiVersion::V1, with("top_k", json!(null)), Shape::Voyage),
        (ApiVersion::V1, with("truncation", json!(true)), Shape::Voyage),
        (ApiVersion::V2, documents.clone(), Shape::V2),
    ] {
        assert_eq!(call(version, &body).shape, shape, "{version:?} {body}");
    }
}

#[test]
fn every_member_counts_by_the_name_that_its_api_has_for_it() {
    let tei = json!({
        "query": "q", "texts": ["a", "b"], "truncate": false, "truncation_direction": "Right", "raw_scores": true,
        "return_text": true, "top_n": 1,
    });
    let read = call(ApiVersion::Unversioned, &tei);
    assert_eq!((read.top, read.with_documents, read.raw_scores, read.may_truncate), (Some(1), true, true, false));
    let cohere = json!({
        "query": "q", "documents": ["a"], "model": "m", "top_n": 2, "return_documents": true, "max_chunks_per_doc": 3,
    });
    let read = call(ApiVersion::V1, &cohere);
    assert_eq!((read.top, read.with_documents, read.may_truncate), (Some(2), true, true));
    assert_eq!(read.model.as_deref(), Some("m"));
    assert_eq!(read.long, Some(LongPassages::Windows { overlap: OVERLAP, at_most: 3 }));
    let second = json!({"query": "q", "documents": ["a"], "max_tokens_per_doc": 7, "return_documents": true});
    let read = call(ApiVersion::V2, &second);
    assert_eq!((read.long, read.with_documents), (Some(LongPassages::Beginning { tokens: 7 }), false));
    let voyage = json!({"query": "q", "documents": ["a"], "top_k": 4, "truncation": false});
    let read = call(ApiVersion::V1, &voyage);
    assert_eq!((read.top, read.may_truncate), (Some(4), false));
}

#[test]
fn what_is_null_was_not_said() {
    let nulls = json!({
        "query": "q", "documents": ["a"], "model": null, "top_n": null, "return_documents": null, "raw_scores": null,
        "max_tokens_per_doc": null, "max_chunks_per_doc": null, "rank_fields": null, "truncate": null,
        "truncation_direction": null,
    });
    let said = call(ApiVersion::V1, &json!({"query": "q", "documents": ["a"]}));
    let read = call(ApiVersion::V1, &nulls);
    assert_eq!((&read.model, read.top, read.long), (&None, None, None));
    assert_eq!((read.with_documents, read.may_truncate), (said.with_documents, said.may_truncate));
    let infinity = json!({"query": "q", "documents": ["a"], "model": "default/not-specified"});
    assert_eq!(call(ApiVersion::Unversioned, &infinity).model, None);
}

#[test]
fn documents_are_texts_or_objects_with_them() {
    let body = json!({"query": {"text": "q"}, "documents": ["a", {"id": 1, "text": "b"}, ""], "priority": 3});
    let read = call(ApiVersion::V1, &body);
    assert_eq!((read.query.as_str(), texts(&read)), ("q", vec!["a", "b", ""]));
    let sent = body.to_string();
    let written: Vec<&str> = read.documents.iter().map(|document| &sent[document.span.clone()]).collect();
    assert_eq!(written, [r#""a""#, r#"{"id":1,"text":"b"}"#, r#""""#]);
}

#[test]
fn rank_fields_say_what_is_read_of_objects() {
    let documents = json!([
        {"title": "T", "body": "B", "year": 1999, "tags": ["x", "y"]}, {"body": "only"}, {"other": "o"}, "plain"
    ]);
    let body = json!({"query": "q", "documents": documents, "rank_fields": ["title", "tags", "body"]});
    assert_eq!(texts(&call(ApiVersion::V1, &body)), ["T\nx\ny\nB", "only", "", "plain"]);
}

#[test]
fn a_call_for_which_nobody_waits_any_more_is_read_no_further() {
    let body = json!({"query": "q", "documents": ["a", {"text": 7}]}).to_string();
    let over = |waited: &waiting::Waited| super::read(ApiVersion::V2, body.as_bytes(), LIMITS, waited).unwrap_err();
    let late = (Shape::V2, Fault::NotRanked(NotRanked::Late { scored: 0, documents: 2 }));
    let (_waiting, waited) = waiting::until(Instant::now());
    assert_eq!(over(&waited), late, "the deadline");
    let (waiting, waited) = waiting::until(Instant::now() + Duration::from_mins(10));
    drop(waiting);
    assert_eq!(over(&waited), late, "the client");
}

#[test]
fn of_several_members_of_one_name_the_last_one_counts() {
    let body = r#"{"query":"a","qu\u0065ry":"b","documents":7,"documents":["x"],"top_n":1,"top_n":null}"#;
    let read = read(ApiVersion::V1, body.as_bytes()).unwrap();
    assert_eq!((read.query.as_str(), texts(&read), read.top), ("b", vec!["x"], None));
}

#[test]
fn half_of_a_surrogate_pair_is_no_reason_to_refuse_a_text() {
    let body = r#"{"query":"q \ud83d","documents":["\ude00 a",{"t":"b\ud800"}],"rank_fields":["t"]}"#;
    let read = read(ApiVersion::V1, body.as_bytes()).unwrap();
    assert_eq!((read.query.as_str(), texts(&read)), ("q \u{fffd}", vec!["\u{fffd} a", "b\u{fffd}"]));
    assert_eq!(&body[read.documents[0].span.clone()], r#""\ude00 a""#, "it goes back as it came");
}

#[test]
fn what_is_wrong_is_told_by_its_name() {
    let body = |name: &str, value: Value| {
        let mut body = json!({"query": "q", "documents": ["a"]});
        body[name] = value;
        body
    };
    for (name, value, told) in [
        ("query", json!(null), "`query` is missing"),
        ("query", json!(7), "`query` must be a text"),
        ("query", json!("  "), "`query` is empty"),
        ("query", json!("q".repeat(MAX_QUERY + 1)), "`query` is longer than 65536 bytes"),
        ("documents", json!(null), "`documents` is missing"),
        ("documents", json!("a"), "`documents` must be a list of texts"),
        ("documents", json!(["a", null]), "`documents[1]` must be a text, or an object"),
        ("documents", json!([{"title": "t"}]), "`documents[0]` must be a text, or an object"),
        ("documents", json!([{"text": 7}]), "`documents[0]` must be a text, or an object"),
        ("model", json!(7), "`model` must be the name of a model"),
        ("model", json!("m".repeat(1000)), "`model` must be the name of a model"),
        ("top_n", json!(0), "`top_n` must be a whole number of 1 or more"),
        ("top_n", json!(-1), "`top_n` must be a whole number of 1 or more"),
        ("top_n", json!(1.5), "`top_n` must be a whole number of 1 or more"),
        ("return_documents", json!("yes"), "`return_documents` must be true or false"),
        ("raw_scores", json!(1), "`raw_scores` must be true or false"),
        ("rank_fields", json!("title"), "`rank_fields` must be a list of names"),
        ("rank_fields", json!([1]), "`rank_fields` must be a list of names"),
        ("rank_fields", json!(vec!["title"; MAX_FIELDS + 1]), "`rank_fields` has more than 64 names"),
        ("rank_fields", json!(["t".repeat(MAX_FIELD + 1)]), "`rank_fields` has a name of more than 255 bytes"),
        ("max_tokens_per_doc", json!("all"), "`max_tokens_per_doc` must be a whole number"),
        ("truncation_direction", json!("left"), "`truncation_direction` must be \"right\""),
    ] {
        let reason = reason(ApiVersion::V1, &body(name, value));
        assert!(reason.starts_with(told), "{reason}");
    }
    let (_, unread) = fault(ApiVersion::V1, r#"{"query":"q","documents":[{"t":"a","n":1e999}],"rank_fields":["t"]}"#);
    assert!(unread.to_string().starts_with("`documents[0]` must be"), "{unread}");
    let both = json!({"query": "q", "documents": ["a"], "max_tokens_per_doc": 1, "max_chunks_per_doc": 1});
    assert!(reason(ApiVersion::V1, &both).contains("exclude each other"));
    assert_eq!(reason(ApiVersion::Unversioned, &json!({"query": "q"})), "`texts` is missing");
}

#[test]
fn what_is_no_json_or_no_list_or_too_long_has_a_status_of_its_own() {
    for (body, status) in [
        (&b""[..], 400),
        (b"{", 400),
        (b"{\"query\":\"\xff\",\"documents\":[\"a\"]}", 400),
        (b"{\"query\":\"q\",\"documents\":[\"a\"]} x", 400),
        (b"[]", 422),
        (b"\"query\"", 422),
        (br#"{"query":"q","documents":[]}"#, 400),
        (br#"{"query":"q","documents":["","","","",""]}"#, 0),
        (br#"{"query":"q","documents":["","","","","",""]}"#, 413),
    ] {
        let outcome = read(ApiVersion::V1, body).map_or_else(|(_, fault)| fault.status().as_u16(), |_| 0);
        assert_eq!(outcome, status, "{}", String::from_utf8_lossy(body));
    }
    let (shape, too_long) = fault(ApiVersion::V2, r#"{"query":"q","documents":[1,1,1,1,1,1]}"#);
    assert_eq!((shape, too_long.to_string()), (Shape::V2, "more than 5 documents (api.max_documents)".to_owned()));
}

#[test]
fn more_windows_than_there_may_be_are_as_many_as_there_may_be() {
    let body = json!({"query": "q", "documents": ["a"], "max_chunks_per_doc": 1024});
    assert_eq!(call(ApiVersion::V1, &body).long, Some(LongPassages::Windows { overlap: OVERLAP, at_most: 8 }));
}

proptest! {
    #[test]
    fn any_texts_come_through_in_their_order(
        query in "[a-z]{1,9}",
        documents in prop::collection::vec(any::<String>(), 1..6),
    ) {
        for (version, name) in [(ApiVersion::Unversioned, "texts"), (ApiVersion::V1, "documents"), (ApiVersion::V2, "documents")] {
            let read = call(version, &json!({"query": query, name: documents}));
            prop_assert_eq!(&read.query, &query);
            prop_assert_eq!(texts(&read), documents.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_body_is_read_or_refused(body in r#"(\{"query":"q","(documents|texts)":)?[\[\]{}",:a\\u0-9d ]{0,40}"#) {
        for version in [ApiVersion::Unversioned, ApiVersion::V1, ApiVersion::V2] {
            let _ = read(version, body.as_bytes());
        }
    }
}
