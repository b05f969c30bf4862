//! Every clause and retriever, and the text that is read out of it.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use indexmap::IndexSet;
use proptest::prelude::*;
use serde_json::json;

use super::{clauses::CLAUSES, *};
use crate::query_text::{MAX_CHARS, joined};

fn of_q(q: &str, df: Option<&str>) -> Option<QueryText> {
    super::of_q(q, df).expect("within the caps")
}

fn of_query(query: &Value) -> Option<QueryText> {
    super::of_query(query).expect("within the caps")
}

fn of_retriever(retriever: &Value) -> Option<QueryText> {
    super::of_retriever(retriever).expect("within the caps")
}

fn of_knn(knn: &Value) -> Option<QueryText> {
    super::of_knn(knn).expect("within the caps")
}

/// Text and fields as one string, which a table can hold: `red wine @ title,body`.
fn shown(found: Option<QueryText>) -> Option<String> {
    found.map(|found| match found.fields.as_slice() {
        [] => found.text,
        fields => format!("{} @ {}", found.text, fields.join(",")),
    })
}

fn wrapped(query: &Value) -> Value {
    json!({"wrapper": {"query": STANDARD.encode(query.to_string())}})
}

#[test]
fn the_documentation_names_every_clause() {
    let docs = include_str!("../../../../../docs/searches.md");
    let (_, table) = docs.split_once("| clause |").expect("a table of clauses");
    let (table, _) = table.split_once("\n\n").expect("an end of the table");
    for (clause, _) in CLAUSES {
        assert!(table.contains(&format!("`{clause}`")), "docs/searches.md does not name `{clause}`");
    }
}

#[test]
fn every_clause_gives_its_text() {
    let inner = json!({"match": {"title": "red wine"}});
    let no = json!({"match": {"no": "no"}});
    let knn = json!({"field": "v", "k": 9, "query_vector_builder": {"text_embedding": {"model_id": "m", "model_text": "red wine"}}});
    for (query, expected) in [
        (json!({"match": {"title": "red wine"}}), "red wine @ title"),
        (json!({"match": {"title": {"query": "red wine", "boost": 2}}}), "red wine @ title"),
        (json!({"match": {"year": 1999}}), "1999 @ year"),
        (json!({"match": {"year": {"query": [1999, "red", true, ["wine"]]}}}), "1999 red @ year"),
        (json!({"match_phrase": {"title": "red wine"}}), "red wine @ title"),
        (json!({"match_phrase": {"title": {"query": "red wine", "slop": 2}}}), "red wine @ title"),
        (json!({"match_phrase_prefix": {"title": "red wi"}}), "red wi @ title"),
        (json!({"match_phrase_prefix": {"title": {"query": "red wi"}}}), "red wi @ title"),
        (json!({"match_bool_prefix": {"title": "red wi"}}), "red wi @ title"),
        (json!({"match_bool_prefix": {"title": {"query": "red wi"}}}), "red wi @ title"),
        (json!({"multi_match": {"query": "red wine"}}), "red wine"),
        (json!({"multi_match": {"query": "red wine", "fields": "title"}}), "red wine @ title"),
        (
            json!({"multi_match": {"query": "red wine", "fields": ["title^2", "name.*^0.5", "a^b", "title"]}}),
            "red wine @ title,name.*,a^b",
        ),
        (json!({"combined_fields": {"query": "red wine", "fields": ["title^3"]}}), "red wine @ title"),
        (json!({"query_string": {"query": "title:red AND wine"}}), "red wine @ title"),
        (json!({"query_string": {"query": "red", "default_field": "body"}}), "red @ body"),
        (json!({"query_string": {"query": "x:red wine", "fields": ["a^2", "b"]}}), "red wine @ x,a,b"),
        (json!({"query_string": {"query": "x:red -wine", "fields": ["a^2", "b"]}}), "red @ x"),
        (json!({"query_string": {"query": "a:(red wine) OR b:(red wine)"}}), "red wine @ a,b"),
        (json!({"simple_query_string": {"query": "red +wine -beer"}}), "red wine"),
        (json!({"simple_query_string": {"query": "a:red*", "fields": ["title^5"], "flags": "NONE"}}), "a:red @ title"),
        (
            json!({"intervals": {"title": {"match": {"query": "red wine", "filter": {"before": {"match": {"query": "no"}}}}}}}),
            "red wine @ title",
        ),
        (json!({"intervals": {"title": {"prefix": {"prefix": "win"}}}}), "win @ title"),
        (
            json!({"intervals": {"title": {"all_of": {"intervals": [
                {"match": {"query": "red"}},
                {"any_of": {"intervals": [{"prefix": {"prefix": "win"}}, {"wildcard": {"pattern": "b*r"}}]}},
                {"fuzzy": {"term": "no"}},
            ]}}}}),
            "red win @ title",
        ),
        (
            json!({"more_like_this": {"fields": ["title", "body"], "like": "red wine", "unlike": "no"}}),
            "red wine @ title,body",
        ),
        (
            json!({"more_like_this": {"fields": ["title"], "like": [" ", "red", {"_id": "no"}, "wine"]}}),
            "red wine @ title",
        ),
        (json!({"more_like_this": {"like_text": "red wine"}}), "red wine"),
        (json!({"semantic": {"field": "body", "query": "red wine"}}), "red wine @ body"),
        (json!({"neural": {"v": {"query_text": "red wine", "model_id": "m", "k": 9, "filter": no}}}), "red wine"),
        (json!({"neural_sparse": {"v": {"query_text": "red wine", "model_id": "m"}}}), "red wine"),
        (json!({"text_expansion": {"ml.tokens": {"model_id": "m", "model_text": "red wine"}}}), "red wine"),
        (json!({"sparse_vector": {"field": "v", "inference_id": "m", "query": "red wine"}}), "red wine"),
        (json!({"knn": knn}), "red wine"),
        (
            json!({"knn": {"query_vector_builder": {"embedding": {"inference_id": "m", "input": "red wine"}}}}),
            "red wine",
        ),
        (
            json!({"knn": {"query_vector_builder": {"embedding": {"input": [
                {"type": "text", "value": "red wine"},
                {"type": "image", "value": "data:no"},
            ]}}}}),
            "red wine",
        ),
        (json!({"bool": {"must": inner, "filter": no}}), "red wine @ title"),
        (
            json!({"bool": {"should": [inner, {"match": {"body": "red  wine "}}], "must_not": [no]}}),
            "red wine @ title,body",
        ),
        (json!({"bool": {"should": {"match": {"body": "dry"}}, "must": [inner]}}), "red wine dry @ title,body"),
        (json!({"bool": {"must": [inner, {"bool": {"filter": no}}, {"bool": {"must_not": no}}]}}), "red wine @ title"),
        (json!({"dis_max": {"queries": [inner, {"match": {"body": "dry"}}]}}), "red wine dry @ title,body"),
        (json!({"boosting": {"positive": inner, "negative": no, "negative_boost": 0.5}}), "red wine @ title"),
        (json!({"constant_score": {"filter": inner, "boost": 2}}), "red wine @ title"),
        (json!({"function_score": {"query": inner, "functions": [{"filter": no}]}}), "red wine @ title"),
        (json!({"script_score": {"query": inner, "script": {}}}), "red wine @ title"),
        (json!({"nested": {"path": "p", "query": inner}}), "red wine @ title"),
        (json!({"has_child": {"type": "t", "query": inner}}), "red wine @ title"),
        (json!({"has_parent": {"parent_type": "t", "query": inner}}), "red wine @ title"),
        (json!({"hybrid": {"queries": [inner, {"neural": {"v": {"query_text": "red wine"}}}]}}), "red wine @ title"),
        (json!({"pinned": {"ids": ["1"], "organic": inner}}), "red wine @ title"),
        (json!({"rule": {"organic": inner, "match_criteria": {"no": "no"}, "ruleset_ids": ["r"]}}), "red wine @ title"),
        (json!({"rule_query": {"organic": inner}}), "red wine @ title"),
        (wrapped(&inner), "red wine @ title"),
        (wrapped(&wrapped(&inner)), "red wine @ title"),
        (json!({"wrapper": {"query": URL_SAFE_NO_PAD.encode(r#"{"match":{"title":"???>>>"}}"#)}}), "???>>> @ title"),
    ] {
        assert_eq!(shown(of_query(&query)).as_deref(), Some(expected), "{query}");
    }
}

#[test]
fn what_nobody_typed_is_no_text() {
    let inner = json!({"match": {"title": "red wine"}});
    for query in [
        json!({"match_all": {}}),
        json!({"term": {"color": "red"}}),
        json!({"span_term": {"color": "red"}}),
        json!({"bool": {"filter": inner, "must_not": inner}}),
        json!({"boosting": {"negative": inner}}),
        json!({"match": {"title": ""}}),
        json!({"match": {"title": " \u{3000}\n"}}),
        json!({"match": {"in_stock": true}}),
        json!({"match": {"title": {"query": {"deep": "red"}}}}),
        json!({"match": "broken"}),
        json!({"multi_match": {"fields": ["title"]}}),
        json!({"query_string": {"query": "*:*", "fields": ["title"]}}),
        json!({"simple_query_string": {"query": "*"}}),
        json!({"intervals": {"title": {"wildcard": {"pattern": "w*e"}}}}),
        json!({"more_like_this": {"fields": ["title"], "like": [{"_index": "i", "_id": "1"}]}}),
        json!({"neural": {"v": {"query_image": "aGk="}}}),
        json!({"neural_sparse": {"v": {"query_tokens": {"red": 1.5}}}}),
        json!({"sparse_vector": {"field": "v", "query_vector": {"red": 1.5}}}),
        json!({"knn": {"field": "v", "query_vector": [1, 2]}}),
        json!({"knn": {"v": {"vector": [1, 2], "k": 9}}}),
        json!({"wrapper": {"query": "no base64!"}}),
        json!({"wrapper": {"query": STANDARD.encode("no json")}}),
        json!([]),
        json!("red wine"),
    ] {
        assert_eq!(of_query(&query), None, "{query}");
    }
}

#[test]
fn every_retriever_gives_its_text() {
    let no = json!({"match": {"no": "no"}});
    let standard = json!({"standard": {"query": {"match": {"title": "red wine"}}, "filter": no}});
    let knn = json!({"knn": {"field": "v", "query_vector_builder": {"text_embedding": {"model_text": "dry"}}}});
    for (retriever, expected) in [
        (standard.clone(), Some("red wine @ title")),
        (knn.clone(), Some("dry")),
        (json!({"knn": {"field": "v", "query_vector": [1]}}), None),
        (json!({"rrf": {"retrievers": [standard, knn], "filter": no}}), Some("red wine dry @ title")),
        (json!({"rrf": {"retrievers": [{"retriever": standard, "weight": 2}, knn]}}), Some("red wine dry @ title")),
        (json!({"rrf": {"query": "red", "fields": ["title^2", "body"]}}), Some("red @ title,body")),
        (
            json!({"linear": {"retrievers": [{"retriever": standard, "weight": 2, "normalizer": "minmax"}]}}),
            Some("red wine @ title"),
        ),
        (json!({"linear": {"query": "red", "fields": ["title^2"], "normalizer": "minmax"}}), Some("red @ title")),
        (
            json!({"rescorer": {"retriever": standard, "rescore": {"query": {"rescore_query": no}}}}),
            Some("red wine @ title"),
        ),
        (json!({"rule": {"retriever": standard, "match_criteria": {"no": "no"}}}), Some("red wine @ title")),
        (json!({"pinned": {"ids": ["1"], "retriever": standard}}), Some("red wine @ title")),
        (
            json!({"text_similarity_reranker": {"retriever": standard, "field": "f", "inference_text": "no"}}),
            Some("red wine @ title"),
        ),
        (json!({"diversify": {"retriever": standard, "type": "mmr", "field": "v"}}), Some("red wine @ title")),
        (json!({"unheard_of": {"retriever": standard}}), None),
        (json!({"standard": {"filter": no}}), None),
        (json!([standard]), None),
    ] {
        assert_eq!(shown(of_retriever(&retriever)).as_deref(), expected, "{retriever}");
    }
}

#[test]
fn knn_beside_the_query_is_one_search_or_several() {
    let knn = |text: &str| json!({"field": "v", "query_vector_builder": {"text_embedding": {"model_text": text}}});
    assert_eq!(shown(of_knn(&knn("red wine"))).as_deref(), Some("red wine"));
    assert_eq!(shown(of_knn(&json!([knn("red"), knn("wine"), knn("red")]))).as_deref(), Some("red wine"));
    assert_eq!(of_knn(&json!({"field": "v", "query_vector": [1, 2]})), None);
    assert_eq!(of_knn(&json!(null)), None);
}

#[test]
fn q_loses_its_syntax() {
    assert_eq!(shown(of_q("title:red AND wine", None)).as_deref(), Some("red wine @ title"));
    assert_eq!(shown(of_q("title:red AND wine", Some("body"))).as_deref(), Some("red wine @ title,body"));
    assert_eq!(shown(of_q("title:red", Some("body"))).as_deref(), Some("red @ title"));
    assert_eq!(of_q("*", Some("body")), None);
}

#[test]
fn a_long_text_is_cut_between_words() {
    let text_of = |text: String| of_query(&json!({"match": {"t": text}})).expect("some text").text;
    assert_eq!(text_of("red wine ".repeat(200)).chars().count(), "red wine ".len() * 111 - 1);
    assert_eq!(text_of("é".repeat(1_000) + " red"), "é".repeat(1_000));
    assert_eq!(text_of("é".repeat(999) + " red"), "é".repeat(999));
    // Where there are no spaces, as in Japanese, nothing but the end of a character is left to cut at.
    assert_eq!(text_of("赤 ワイン".to_owned() + &"ン".repeat(2_000)).chars().count(), 1_000);
}

#[test]
fn depth_is_bounded() {
    let inner = json!({"match": {"title": "red wine"}});
    let within = |depth: usize, wrap: fn(&Value) -> Value| (0..depth).fold(inner.clone(), |query, _| wrap(&query));
    assert!(of_query(&within(30, wrapped)).is_some());
    assert!(of_query(&within(60, |query| json!({"nested": {"query": query}}))).is_some());
    assert_eq!(of_query(&within(500, |query| json!({"bool": {"must": [query]}}))), None);
    assert_eq!(of_retriever(&within(500, |retriever| json!({"pinned": {"retriever": retriever}}))), None);
}

/// JSON of any shape, in which clauses and retrievers that hold one another are frequent.
fn any_query() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &["standard", "rrf", "linear", "pinned", "rescorer", "retriever", "match", "bool", "title"];
    let name = prop_oneof![
        proptest::sample::select(NAMES).prop_map(str::to_owned),
        (0..CLAUSES.len()).prop_map(|at| CLAUSES[at].0.to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "([a-z]{1,5}[ :*^~(-]?){0,300}".prop_map(Value::from),
        Just(json!(STANDARD.encode(r#"{"match": {"title": "red wine"}}"#))),
        Just(json!({"match": {"title": "red wine"}})),
    ];
    let any_json = leaf.clone().prop_recursive(4, 16, 3, {
        let name = name.clone();
        move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::vec((name.clone(), inner.clone()), 0..3)
                    .prop_map(|pairs| pairs.into_iter().collect()),
                (name.clone(), inner.clone(), inner).prop_map(|(name, one, other)| clause(name, one, other)),
            ]
        }
    });
    let any_clause = (name, prop_oneof![leaf, any_json.clone()], any_json.clone());
    prop_oneof![any_json, any_clause.prop_map(|(name, one, other)| clause(name, one, other))]
}

/// A clause with something wherever a clause of any name might look.
fn clause(name: String, one: Value, other: Value) -> Value {
    json!({name: {
        "query": one, "filter": one, "positive": one, "organic": one, "retriever": one, "like": one,
        "must": [one, other], "should": other, "queries": [one, other], "retrievers": [one, other],
        "title": {"query": one, "query_text": one, "model_text": one, "all_of": {"intervals": [one, other]}},
        "query_vector_builder": {"text_embedding": {"model_text": one}, "embedding": {"input": other}},
        "fields": other, "field": other, "": one,
    }})
}

proptest! {
    #[test]
    fn any_json_has_a_clean_text_or_none(query in any_query()) {
        // What is beyond the caps has none.
        let found = [super::of_query(&query), super::of_retriever(&query), super::of_knn(&query)];
        let found = found.map(Result::unwrap_or_default);
        let all = joined(found.iter().flatten().cloned());
        prop_assert_eq!(all.is_some(), found.iter().any(Option::is_some));
        for found in found.into_iter().flatten().chain(all) {
            prop_assert!(!found.text.is_empty());
            prop_assert_eq!(found.text.split_whitespace().collect::<Vec<_>>().join(" "), found.text.as_str());
            prop_assert!(found.text.chars().count() <= MAX_CHARS);
            prop_assert!(found.fields.iter().all(|field| !field.is_empty()));
            prop_assert_eq!(found.fields.iter().collect::<IndexSet<_>>().len(), found.fields.len());
        }
    }
}
