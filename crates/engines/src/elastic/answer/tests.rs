//! Answers of Elasticsearch, and where their parts are found.

use ranking::field_values::FieldValue;

use super::*;
use crate::{
    extra_fields::ExtraFields,
    passage::PassageSpec,
    plan::{Page, Plan},
    rewrite::{Placed, rewrite},
};

const PRETTY: &str = r#"{
  "took" : 3,
  "hits" : {
    "total" : { "value" : 2, "relation" : "eq" },
    "max_score" : 1.50,
    "hits" : [
      { "_id" : "a", "_score" : 1.50, "_source" : { "title" : "x", "n" : 1.0e10 } },
      { "_id" : "b", "_score" : 1.2, "_source" : { "title" : "y" } }
    ]
  }
}"#;

fn planned(window: usize, extra: ExtraFields) -> Planned {
    Planned {
        plan: Plan {
            query: "x".to_owned(),
            source: "match",
            window,
            page: Page { from: 0, size: 10 },
            hits: window,
            widened: true,
        },
        searched: Vec::new(),
        passage: PassageSpec::default(),
        min_score: None,
        body: None,
        extra,
        values: Vec::new(),
    }
}

fn extra(asked: &[&str], wanted: &[&str]) -> ExtraFields {
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ExtraFields { asked: strings(asked), wanted: strings(wanted), ..ExtraFields::default() }
}

fn of(answer: &str) -> Result<Candidates, Unreadable> {
    candidates(answer.as_bytes(), &planned(10, ExtraFields::default()), Explain::No)
}

#[test]
fn hits_scores_and_passages_are_found() {
    let found = of(PRETTY).expect("an answer");
    assert_eq!(found.scores, [Some(1.5), Some(1.2)]);
    assert_eq!(found.passages, [Some("x".to_owned()), Some("y".to_owned())]);
    let scored = |hit, score| Placed { score: Some(score), ..Placed::unchanged(hit) };
    let page = [scored(1, 0.5), scored(0, 0.25)];
    let new = rewrite(PRETTY.as_bytes(), &found.layout, &page, Some(0.5));
    assert_eq!(
        String::from_utf8(new).expect("text"),
        r#"{
  "took" : 3,
  "hits" : {
    "total" : { "value" : 2, "relation" : "eq" },
    "max_score" : 0.5,
    "hits" : [
      { "_id" : "b", "_score" : 0.5, "_source" : { "title" : "y" } },
      { "_id" : "a", "_score" : 0.25, "_source" : { "title" : "x", "n" : 1.0e10 } }
    ]
  }
}"#
    );
}

#[test]
fn passages_are_read_within_the_window_only() {
    let planned = planned(1, ExtraFields::default());
    let found = candidates(PRETTY.as_bytes(), &planned, Explain::No).expect("an answer");
    assert_eq!((found.passages.len(), found.scores.len()), (1, 2));
}

#[test]
fn null_scores_and_missing_sources_stay_as_they_are() {
    let found = of(r#"{"hits":{"max_score":null,"hits":[{"_score":null},{"_id":"b"}]}}"#).expect("an answer");
    assert_eq!(found.layout.max_score, None);
    assert_eq!(found.scores, [None, None]);
    assert_eq!(found.passages, [None, None]);
}

#[test]
fn what_is_no_answer_to_a_search_is_malformed() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"hits":[]}"#,
        r#"{"hits":{"hits":[1]}}"#,
        r#"{"hits":{"hits":[]},"hits":{}}"#,
        r#"{"hits":{"hits":[{"_score":1,"_score":null}]}}"#,
        r#"{"hits":{"hits":[{"fields":["a"]}]}}"#,
        r#"{"hits":{"hits":[{"_id":"a"},]}}"#,
        r#"{"hits":{"hits":[]}} {}"#,
    ] {
        assert_eq!(of(text), Err(Unreadable::Malformed), "{text}");
    }
}

#[test]
fn what_was_asked_for_on_our_behalf_is_read_and_taken_out() {
    let answer = r#"{"hits":{"hits":[{"_id":"a","fields":{"title":["x"],"n":[1]}},{"_id":"b","ignored_field_values":{"n":["?"]},"fields":{"title":["y"]}}]}}"#;
    let extra = extra(&["title"], &["n"]);
    let planned = planned(10, extra);
    let found = candidates(answer.as_bytes(), &planned, Explain::No).expect("an answer");
    assert_eq!(found.passages, [Some("x".to_owned()), Some("y".to_owned())]);
    let page = [Placed::unchanged(1), Placed::unchanged(0)];
    let new = String::from_utf8(rewrite(answer.as_bytes(), &found.layout, &page, None)).expect("text");
    assert_eq!(new, r#"{"hits":{"hits":[{"_id":"b"},{"_id":"a","fields":{"n":[1]}}]}}"#);
}

#[test]
fn values_are_read_within_the_window_and_say_nothing_to_the_passage() {
    let answer = r#"{"hits":{"hits":[{"_source":{"n":7},"fields":{"brand":["Acme"],"title":["x"]}},{"fields":{"brand":["Other"]}},{"fields":{"brand":["Last"]}}]}}"#;
    let brand = extra(&["brand"], &["title"]);
    let mut planned = planned(2, ExtraFields { no_text: vec!["brand".to_owned()], ..brand });
    planned.values = vec![Some("brand".to_owned()), Some("n".to_owned()), None];
    let found = candidates(answer.as_bytes(), &planned, Explain::No).expect("an answer");
    let text = |text: &str| vec![FieldValue::Text(text.to_owned())];
    let expected = [vec![text("Acme"), vec![FieldValue::Number(7.0)], vec![]], vec![text("Other"), vec![], vec![]]];
    assert_eq!(found.values, expected);
    assert_eq!(found.passages, [Some("x".to_owned()), None]);
    let page = [Placed::unchanged(1), Placed::unchanged(0)];
    let new = String::from_utf8(rewrite(answer.as_bytes(), &found.layout, &page, None)).expect("text");
    assert_eq!(new, r#"{"hits":{"hits":[{},{"_source":{"n":7},"fields":{"title":["x"]}}]}}"#);
}

#[test]
fn what_a_field_of_ours_ignored_is_taken_out_too() {
    let answer = r#"{"hits":{"hits":[{"fields":{"n":[1],"t":["x"]},"ignored_field_values":{"t.raw":["x"],"n":["?"]}},{"ignored_field_values":{"t.raw":["y"]},"fields":{"n":[2]}}]}}"#;
    let extra = extra(&["*"], &["n"]);
    let planned = planned(10, extra);
    let found = candidates(answer.as_bytes(), &planned, Explain::No).expect("an answer");
    let page = [Placed::unchanged(0), Placed::unchanged(1)];
    let new = String::from_utf8(rewrite(answer.as_bytes(), &found.layout, &page, None)).expect("text");
    assert_eq!(
        new,
        r#"{"hits":{"hits":[{"fields":{"n":[1]},"ignored_field_values":{"n":["?"]}},{"fields":{"n":[2]}}]}}"#
    );
}

#[test]
fn notes_find_their_place_with_and_without_fields() {
    let answer = r#"{"hits":{"hits":[{"_id":"a","fields":{"title":["x"],"n":[1]}},{"_id":"b","fields":{"title":["y"]},"highlight":{"t":["z"]}}]}}"#;
    let extra = extra(&["title"], &["n"]);
    let planned = planned(10, extra);
    let found = candidates(answer.as_bytes(), &planned, Explain::Highlight).expect("an answer");
    let noted = |hit| Placed { notes: vec!["1".to_owned(), "2".to_owned()], ..Placed::unchanged(hit) };
    let new = rewrite(answer.as_bytes(), &found.layout, &[noted(0), noted(1)], None);
    assert_eq!(
        String::from_utf8(new).expect("text"),
        r#"{"hits":{"hits":[{"_id":"a","fields":{"n":[1],"_rerank":[1]},"highlight":{"_rerank":[2]}},{"_id":"b","highlight":{"t":["z"],"_rerank":[2]},"fields":{"_rerank":[1]}}]}}"#
    );
}

#[test]
fn an_error_in_place_of_an_answer_keeps_its_status() {
    assert_eq!(of(r#"{"error":{"type":"x"},"status":404}"#), Err(Unreadable::Error(StatusCode::NOT_FOUND)));
    let both = r#"{"responses":[{"hits":{"hits":[]}},{"error":{},"status":400}],"took":1}"#;
    assert_eq!(responses(both.as_bytes(), 2).expect("two").len(), 2);
    assert_eq!(responses(both.as_bytes(), 3), Err(SkipReason::Malformed));
}

#[test]
fn hits_that_were_promoted_by_name_are_pinned() {
    let found = of(r#"{"hits":{"hits":[{"_score":1.7014122E38},{"_score":1.7014118E38},{"_score":9.5}]}}"#);
    assert_eq!(found.expect("an answer").pinned, 2);
    assert_eq!(of(r#"{"hits":{"hits":[{"_score":9.5},{"_score":1.7014118E38}]}}"#).expect("an answer").pinned, 0);
}

#[test]
fn an_answer_that_is_not_whole_is_used_only_where_it_is_the_client_s_own() {
    for (text, whole) in [
        (r#"{"timed_out":false,"_shards":{"total":3,"failed":0},"hits":{"hits":[]}}"#, true),
        (r#"{"timed_out":true,"_shards":{"total":3,"failed":0},"hits":{"hits":[]}}"#, false),
        (r#"{"timed_out":false,"_shards":{"total":3,"failed":1,"failures":[]},"hits":{"hits":[]}}"#, false),
    ] {
        assert_eq!(of(text).is_ok(), whole, "{text}");
        let mut own = planned(10, ExtraFields::default());
        own.plan.widened = false;
        assert!(candidates(text.as_bytes(), &own, Explain::No).is_ok(), "{text}");
    }
}

#[test]
fn hits_tell_their_indices() {
    let answer = br#"{"hits":{"hits":[{"_index":"b"},{"_index":"a"},{"_index":"b"}]}}"#;
    assert_eq!(indices_of_hits(answer).as_deref(), Some("b,a"));
    assert_eq!(indices_of_hits(br#"{"hits":{"hits":[]}}"#), None);
}
