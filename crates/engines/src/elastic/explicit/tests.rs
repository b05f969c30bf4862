//! Searches that spell reranking out, and what is left of them for the cluster.

use super::*;

const PAGE: Page = Page { from: 0, size: 5 };

fn opensearch_of(body: &str) -> Result<(Option<Explicit>, String), NoPlan> {
    let mut edits = Edits::default();
    let found = opensearch(&Document::read(&body.to_owned().into()).expect("JSON"), &mut edits)?;
    Ok((found, String::from_utf8(edits.applied(body.as_bytes())).expect("text")))
}

fn elasticsearch_of(body: &str) -> Result<(Option<Explicit>, String), NoPlan> {
    let parsed: Value = serde_json::from_str(body).expect("JSON");
    let mut edits = Edits::default();
    let found = elasticsearch(&parsed["retriever"], body.as_bytes(), PAGE, &mut edits)?;
    Ok((found, String::from_utf8(edits.applied(body.as_bytes())).expect("text")))
}

#[test]
fn opensearch_says_the_text_or_where_it_is() {
    for (ext, left) in [
        (r#"{"rerank":{"query_context":{"query_text":"red wine"}}}"#, r#"{"query":{"match":{"t":"red wine"}}}"#),
        (
            r#"{"a":1,"rerank":{"query_context":{"query_text_path":"query.match.t.query"}}}"#,
            r#"{"query":{"match":{"t":"red wine"}},"ext":{"a":1}}"#,
        ),
        (
            r#"{"rerank":{"query_context":{"query_text_path":"query.match.t"}}}"#,
            r#"{"query":{"match":{"t":"red wine"}}}"#,
        ),
    ] {
        let body = format!(r#"{{"query":{{"match":{{"t":"red wine"}}}},"ext":{ext}}}"#);
        let (found, text) = opensearch_of(&body).expect("a plan");
        assert_eq!((found.expect("found").text.as_str(), text.as_str()), ("red wine", left), "{body}");
    }
    assert_eq!(opensearch_of(r#"{"ext":{"a":1}}"#), Ok((None, r#"{"ext":{"a":1}}"#.to_owned())));
}

#[test]
fn a_retriever_that_is_no_object_is_refused() {
    for kind in ["standard", "rrf"] {
        let body = format!(
            r#"{{"retriever":{{"text_similarity_reranker":{{"retriever":{{"{kind}":-1}},"field":"t","inference_text":"x","filter":{{"term":{{"a":1}}}}}}}}}}"#
        );
        let Err(NoPlan::Refuse(Failure { reason, .. })) = elasticsearch_of(&body) else { panic!("{body}") };
        assert!(reason.contains(kind), "{reason}");
    }
}

#[test]
fn what_opensearch_would_refuse_is_refused() {
    for (ext, word) in [
        (r#"{"rerank":{}}"#, "query_context"),
        (r#"{"rerank":{"query_context":{}}}"#, "query_text_path"),
        (r#"{"rerank":{"query_context":{"query_text":1}}}"#, "query_text"),
        (r#"{"rerank":{"query_context":{"query_text":" "}}}"#, "not empty"),
        (r#"{"rerank":{"query_context":{"query_text":"a","query_text_path":"b"}}}"#, "exclude each other"),
        (r#"{"rerank":{"query_context":{"query_text_path":"query.nowhere.x"}}}"#, "[nowhere]"),
        (r#"{"rerank":{"query_context":{"query_text_path":"query.match"}}}"#, "must lead to a text"),
    ] {
        let body = format!(r#"{{"query":{{"match":{{"t":"red"}}}},"ext":{ext}}}"#);
        let Err(NoPlan::Refuse(Failure { reason, .. })) = opensearch_of(&body) else { panic!("{body}") };
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn a_reranked_standard_retriever_becomes_a_plain_search() {
    let body = r#"{"retriever":{"text_similarity_reranker":{"retriever":{"standard":{"query":{"match":{"t":"x"}},"filter":{"term":{"c":1}},"min_score":2}},"field":"t","inference_text":"red wine","rank_window_size":20,"min_score":0.5,"filter":[{"term":{"d":2}}]}},"size":5}"#;
    let (found, text) = elasticsearch_of(body).expect("a plan");
    assert_eq!(
        found,
        Some(Explicit {
            name: "text_similarity_reranker",
            text: "red wine".to_owned(),
            field: Some("t".to_owned()),
            window: Some(20),
            min_score: Some(0.5)
        })
    );
    assert_eq!(
        text,
        r#"{"query":{"bool":{"must":[{"match":{"t":"x"}}],"filter":[{"term":{"d":2}},{"term":{"c":1}}]}},"min_score":2,"size":5}"#
    );
}

#[test]
fn any_other_retriever_stays_one() {
    let body = r#"{"retriever":{"text_similarity_reranker":{"retriever":{"rrf":{"retrievers":[]}},"field":"t","inference_text":"x","filter":{"term":{"d":2}}}}}"#;
    let (found, text) = elasticsearch_of(body).expect("a plan");
    assert_eq!(found.expect("found").window, Some(10));
    assert_eq!(text, r#"{"retriever":{"rrf":{"retrievers":[],"filter":[{"term":{"d":2}}]}}}"#);
}

#[test]
fn a_reranker_further_down_is_left_to_the_cluster() {
    for body in [
        r#"{"retriever":{"rrf":{"retrievers":[{"text_similarity_reranker":{}}]}}}"#,
        r#"{"retriever":{"text_similarity_reranker":{"retriever":{"text_similarity_reranker":{}},"field":"t","inference_text":"x"}}}"#,
    ] {
        assert_eq!(elasticsearch_of(body), Err(NoPlan::Skip(SkipReason::OwnReranker)), "{body}");
    }
    let plain = r#"{"retriever":{"standard":{}}}"#;
    assert_eq!(elasticsearch_of(plain), Ok((None, plain.to_owned())));
}

#[test]
fn what_elasticsearch_would_refuse_is_refused() {
    for (rest, word) in [
        (r#""inference_text":"x""#, "[field]"),
        (r#""field":"t""#, "[inference_text]"),
        (r#""field":"t","inference_text":" ""#, "[inference_text]"),
        (r#""field":"t","inference_text":"x","rank_window_size":3"#, "[size: 5]"),
        (r#""field":"t","inference_text":"x","rank_window_size":0"#, "[rank_window_size]"),
        (r#""field":"t","inference_text":"x","min_score":"high""#, "[min_score]"),
        (r#""field":"t","inference_text":"x","chunk_rescorer":{}"#, "[chunk_rescorer]"),
        (r#""field":"t","inference_text":"x","feild":"u""#, "[feild]"),
    ] {
        let body = format!(
            r#"{{"retriever":{{"text_similarity_reranker":{{"retriever":{{"standard":{{}}}},{rest}}}}},"size":5}}"#
        );
        let Err(NoPlan::Refuse(Failure { reason, .. })) = elasticsearch_of(&body) else { panic!("{body}") };
        assert!(reason.contains(word), "{reason}");
    }
}
