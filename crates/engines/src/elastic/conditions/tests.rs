//! Searches, and the plan or the reason that comes of each.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use serde_json::json;

use super::{super::media_types::speaks_json, *};

fn search(path: &str, body: &str) -> Result<Planned, NoPlan> {
    search_with(path, body, &HeaderMap::new())
}

fn terms(passage: &PassageSpec) -> Terms<'_> {
    Terms { window: 100, passage, query: None, query_path: &[], leave_explicit: false, scores: true, values: &[] }
}

fn search_with(path: &str, body: &str, headers: &HeaderMap) -> Result<Planned, NoPlan> {
    search_under(&terms(&PassageSpec::default()), false, path, body, headers)
}

fn search_under(
    terms: &Terms<'_>,
    multi: bool,
    path: &str,
    body: &str,
    headers: &HeaderMap,
) -> Result<Planned, NoPlan> {
    let path_and_query: http::uri::PathAndQuery = path.parse().expect("a path");
    let body = Bytes::copy_from_slice(body.as_bytes());
    let parameters = Parameters::of(path_and_query.query());
    let said = Said { multi, speaks_json: speaks_json(headers, &parameters), parameters };
    plan(&said, || Document::read(&body), terms)
}

fn new_body(planned: &Planned) -> &str {
    std::str::from_utf8(planned.body.as_deref().expect("a new body")).expect("text")
}

fn header(name: header::HeaderName, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
}

const WINE: &str = r#"{"query":{"match":{"t":"wine"}}}"#;

#[test]
fn a_page_is_widened_to_the_window() {
    let plan = search("/a/_search", r#"{"query":{"match":{"t":"wine"}},"from":20,"size":20}"#);
    let Planned { plan, body, .. } = plan.expect("a plan");
    assert_eq!(plan.page, Page { from: 20, size: 20 });
    assert_eq!((plan.hits, plan.widened, body), (100, true, None));
    assert_eq!(plan.query, "wine");
}

#[test]
fn values_are_asked_for_where_the_search_hides_them() {
    let values = ["price".to_owned(), "brand.keyword".to_owned()];
    let passage = PassageSpec { content: Content::Fields(vec!["t".to_owned()]), strip_html: false };
    let terms = Terms { values: &values, ..terms(&passage) };
    let planned = |rest: &str| {
        let body = format!(r#"{{"query":{{"match":{{"t":"wine"}}}}{rest}}}"#);
        search_under(&terms, false, "/a/_search?size=100", &body, &HeaderMap::new()).expect("a plan")
    };
    let shown = planned("");
    assert_eq!((shown.body, shown.plan.widened), (None, false));
    let hidden = planned(r#","_source":["t"],"fields":["x"]"#);
    assert!(new_body(&hidden).ends_with(r#""fields":["price","brand.keyword","x"]}"#), "{}", new_body(&hidden));
    assert!(hidden.plan.widened);
    let scripted = planned(r#","_source":["t"],"script_fields":{"price":{"script":"1"}}"#);
    assert_eq!((scripted.extra.asked, &scripted.values[0]), (vec!["brand.keyword".to_owned()], &None));
    let refused = planned(r#","_source":["t"],"fields":"x""#);
    assert_eq!((refused.extra.asked.len(), refused.body), (0, None));
}

#[test]
fn a_page_past_the_window_is_fetched_whole() {
    let plan = search("/a/_search?from=90&size=30", WINE).expect("a plan");
    assert_eq!(plan.plan.hits, 120);
}

#[test]
fn a_page_that_is_the_window_is_asked_for_as_it_was() {
    let plan = search("/a/_search?size=100&pretty", WINE).expect("a plan");
    assert_eq!((plan.plan.hits, plan.plan.widened), (100, false));
}

#[test]
fn the_url_wins_over_the_body() {
    let plan = search("/a/_search?size=7&q=red", r#"{"query":{"match":{"t":"wine"}},"size":3,"from":"2"}"#);
    let plan = plan.expect("a plan");
    assert_eq!((plan.plan.query.as_str(), plan.plan.page), ("red", Page { from: 2, size: 7 }));
}

#[test]
fn every_condition_has_its_reason() {
    let with = |rest: &str| format!(r#"{{"query":{{"match":{{"t":"wine"}}}},{rest}}}"#);
    for (path, body, reason) in [
        ("/_search", with(r#""size":0"#), SkipReason::SizeZero),
        ("/_search", with(r#""from":100"#), SkipReason::BeyondWindow),
        ("/_search", with(r#""from":-1"#), SkipReason::Malformed),
        ("/_search", with(r#""size":[1]"#), SkipReason::Malformed),
        ("/_search", with(r#""sort":["date"]"#), SkipReason::Sort),
        ("/_search", with(r#""sort":[{"_score":"asc"}]"#), SkipReason::Sort),
        ("/_search", with(r#""sort":["_score","date"]"#), SkipReason::Sort),
        ("/_search?sort=date:desc", WINE.to_owned(), SkipReason::Sort),
        ("/_search?sort=_score", with(r#""sort":["date"]"#), SkipReason::Sort),
        ("/_search?scroll=1m", WINE.to_owned(), SkipReason::Cursor),
        ("/_search", with(r#""search_after":[1]"#), SkipReason::Cursor),
        ("/_search", with(r#""slice":{"id":0,"max":2}"#), SkipReason::Cursor),
        ("/_search", r#"{"query":{"match_all":{}}}"#.to_owned(), SkipReason::NoQueryText),
        ("/_search", String::new(), SkipReason::NoQueryText),
        ("/_search", "{nonsense".to_owned(), SkipReason::Malformed),
        ("/_search", r#"{"size":1,"size":2}"#.to_owned(), SkipReason::Malformed),
        ("/_search?format=yaml", WINE.to_owned(), SkipReason::ContentType),
        ("/_search?source=%7B%7D&source_content_type=application/json", String::new(), SkipReason::ContentType),
    ] {
        assert_eq!(search(path, &body), Err(reason.into()), "{path} {body}");
    }
}

#[test]
fn a_search_at_the_caps_is_planned_and_one_beyond_them_goes_through() {
    let fields = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("f{n}")).collect();
        json!({"query": {"multi_match": {"query": "wine", "fields": names}}})
    };
    let clauses = |count: usize| json!({"query": {"bool": {"must": vec![json!({"match": {"f": "x"}}); count - 1]}}});
    let patterns = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("f{n}*")).collect();
        json!({"query": {"match": {"f": "wine"}}, "_source": names})
    };
    for (most, body) in [
        (caps::MAX_FIELDS, &fields as &dyn Fn(usize) -> Value),
        (caps::MAX_CLAUSES, &clauses),
        (caps::MAX_PATTERNS, &patterns),
    ] {
        assert!(search("/_search", &body(most).to_string()).is_ok(), "{most}");
        let beyond = search("/_search", &body(most + 1).to_string());
        assert_eq!(beyond, Err(SkipReason::TooComplex.into()), "{most}");
    }
}

#[test]
fn sorting_by_score_is_no_sort_of_its_own() {
    for sort in [r#""_score""#, r#"["_score"]"#, r#"[{"_score":"desc"}]"#, r#"{"_score":{"order":"desc"}}"#, "[]"] {
        let body = format!(r#"{{"query":{{"match":{{"t":"wine"}}}},"sort":{sort}}}"#);
        assert!(search("/_search", &body).is_ok(), "{sort}");
    }
    assert!(search("/_search?sort=_score:desc", WINE).is_ok());
}

#[test]
fn only_json_is_reranked() {
    for (name, value, fine) in [
        (header::CONTENT_TYPE, "application/json; charset=UTF-8", true),
        (header::CONTENT_TYPE, "application/vnd.elasticsearch+json;compatible-with=9", true),
        (header::CONTENT_TYPE, "application/cbor", false),
        (header::CONTENT_TYPE, "application/x-ndjson", true),
        (header::ACCEPT, "*/*", true),
        (header::ACCEPT, "application/vnd.elasticsearch+json;compatible-with=9", true),
        (header::ACCEPT, "application/yaml", false),
        (header::ACCEPT, "text/html, application/json;q=0.5", true),
    ] {
        assert_eq!(search_with("/_search", WINE, &header(name, value)).is_ok(), fine, "{value}");
    }
}

#[test]
fn a_search_among_several_says_its_page_in_its_body() {
    let passage = PassageSpec::default();
    let multi = |body| search_under(&terms(&passage), true, "/_msearch?size=3", body, &HeaderMap::new());
    let plan = multi(WINE).expect("a plan");
    assert_eq!(new_body(&plan), r#"{"query":{"match":{"t":"wine"}},"from":0,"size":100}"#);
    let plan = multi(r#"{"size":20,"query":{"match":{"t":"wine"}},"from":20}"#).expect("a plan");
    assert_eq!(new_body(&plan), r#"{"size":100,"query":{"match":{"t":"wine"}},"from":0}"#);
    assert_eq!(plan.plan.page, Page { from: 20, size: 20 });
}

#[test]
fn what_the_passage_needs_is_asked_for_where_it_is_hidden() {
    let with = |rest: &str| format!(r#"{{"query":{{"match":{{"t":"wine"}}}},{rest}}}"#);
    for (path, rest, asked) in [
        ("/_search", r#""_source":true"#, None),
        ("/_search", r#""_source":false"#, Some(r#""_source":false,"fields":["t"]"#)),
        ("/_search", r#""_source":"n""#, Some(r#""_source":"n","fields":["t"]"#)),
        ("/_search", r#""_source":["n","t"]"#, None),
        ("/_search", r#""_source":false,"fields":["n"]"#, Some(r#""_source":false,"fields":["t","n"]"#)),
        ("/_search", r#""_source":false,"fields":[]"#, Some(r#""_source":false,"fields":["t"]"#)),
        ("/_search", r#""_source":false,"fields":null"#, None),
        ("/_search", r#""_source":false,"docvalue_fields":["t"]"#, None),
        ("/_search?_source=false", r#""size":3"#, Some(r#""size":3,"fields":["t"]"#)),
        ("/_search?stored_fields=n", r#""size":3"#, Some(r#""size":3,"fields":["t"]"#)),
    ] {
        let plan = search(path, &with(rest)).expect("a plan");
        assert_eq!(plan.body.as_deref(), asked.map(|asked| with(asked).into_bytes()).as_deref(), "{path} {rest}");
    }
    let plan = search("/_search?q=t:wine&_source=false", "").expect("a plan");
    assert_eq!(new_body(&plan), r#"{"fields":["t"]}"#);
    assert_eq!(search("/_search", &with(r#""stored_fields":"_none_""#)), Err(SkipReason::NoPassages.into()));
}

#[test]
fn what_is_said_aloud_wins_over_what_is_inferred() {
    let passage = PassageSpec::default();
    let body = r#"{"query":{"match":{"t":"wine"}},"params":{"asked":" red "},"ext":{"rerank":{"query_context":{"query_text":"white"}}}}"#;
    let plain = r#"{"query":{"match":{"t":"wine"}},"params":{"asked":" red "}}"#;
    let paths = ["/params/asked".to_owned()];
    let query = |terms: &Terms, body| {
        let plan = search_under(terms, false, "/_search", body, &HeaderMap::new()).expect("a plan");
        plan.plan.query
    };
    let with_path = Terms { query_path: &paths, ..terms(&passage) };
    assert_eq!(query(&terms(&passage), plain), "wine");
    assert_eq!(query(&with_path, plain), "red");
    assert_eq!(query(&with_path, body), "white");
    assert_eq!(query(&Terms { query: Some("rosé"), ..with_path }, body), "rosé");
    let headed = search_under(
        &Terms { query: Some("rosé"), ..with_path },
        false,
        "/_search",
        r#"{"query":{"match_all":{}}}"#,
        &HeaderMap::new(),
    );
    assert_eq!(headed.expect("a plan").plan.query, "rosé");
}

#[test]
fn a_reranking_that_is_spelt_out_is_done_here_or_left_to_the_cluster() {
    let passage = PassageSpec::default();
    let ext = r#"{"query":{"match":{"t":"wine"}},"ext":{"rerank":{"query_context":{"query_text":"white"}}}}"#;
    let reranker = r#"{"retriever":{"text_similarity_reranker":{"retriever":{"standard":{"query":{"match":{"t":"wine"}}}},"field":"t","inference_text":"white","rank_window_size":20}},"from":15}"#;
    for body in [ext, reranker] {
        assert_eq!(search("/_search", body).expect("a plan").plan.query, "white");
        let cluster = Terms { leave_explicit: true, ..terms(&passage) };
        let left = search_under(&cluster, false, "/_search", body, &HeaderMap::new());
        assert_eq!(left, Err(SkipReason::OwnReranker.into()));
    }
    assert_eq!(search("/_search?search_pipeline=p", ext), Err(SkipReason::OwnReranker.into()));
    assert!(search("/_search?search_pipeline=_none", ext).is_ok());
    let plan = search("/_search", reranker).expect("a plan");
    assert_eq!((plan.plan.window, plan.plan.hits, plan.plan.page), (20, 20, Page { from: 15, size: 10 }));
    assert_eq!(new_body(&plan), r#"{"query":{"match":{"t":"wine"}},"from":15}"#);
    assert_eq!(plan.passage.content, Content::Fields(vec!["t".to_owned()]));
}

#[test]
fn an_order_within_a_retriever_is_an_order() {
    let with = |rest: &str| format!(r#"{{"retriever":{{"standard":{{"query":{{"match":{{"t":"wine"}}}},{rest}}}}}}}"#);
    assert_eq!(search("/_search", &with(r#""sort":["n"]"#)), Err(SkipReason::Sort.into()));
    assert_eq!(search("/_search", &with(r#""search_after":[1]"#)), Err(SkipReason::Cursor.into()));
    assert!(search("/_search", &with(r#""sort":["_score"]"#)).is_ok());
}

#[test]
fn a_vector_search_that_leaves_its_k_to_the_page_keeps_its_page() {
    let with = |k: &str| {
        format!(r#"{{"query":{{"match":{{"t":"wine"}}}},"knn":{{"field":"v","query_vector":[1]{k}}},"size":5}}"#)
    };
    assert_eq!(search("/_search", &with("")).expect("a plan").plan.hits, 5);
    assert_eq!(search("/_search", &with(r#","k":50"#)).expect("a plan").plan.hits, 100);
    assert_eq!(search("/_search?from=5", &with("")), Err(SkipReason::BeyondWindow.into()));
}

#[test]
fn a_search_that_merges_is_not_asked_for_more_than_it_merges() {
    let with = |inside: &str, outside: &str| {
        let query = r#"{"standard":{"query":{"match":{"t":"wine"}}}}"#;
        format!(r#"{{"retriever":{{"rrf":{{"retrievers":[{query}]{inside}}}}}{outside}}}"#)
    };
    let plan = search("/_search", &with(r#","rank_window_size":50"#, r#","size":5"#)).expect("a plan");
    assert_eq!((plan.plan.window, plan.plan.hits), (50, 50));
    let plan = search("/_search", &with("", r#","size":5"#)).expect("a plan");
    assert_eq!((plan.plan.window, plan.plan.hits, plan.plan.widened), (5, 5, false));
    assert_eq!(search("/_search", &with("", r#","from":5"#)), Err(SkipReason::BeyondWindow.into()));
    let rank = r#"{"query":{"match":{"t":"wine"}},"rank":{"rrf":{"rank_window_size":30}},"size":5}"#;
    assert_eq!(search("/_search", rank).expect("a plan").plan.hits, 30);
}

proptest! {
    #[test]
    fn any_body_is_a_plan_or_a_reason(body in "[{}\\[\\]\":,a-z0-9]{0,80}", query in "[a-z=&%+0-9]{0,40}") {
        let _ = search(&format!("/_search?{query}"), &body);
    }
}
