//! The dialect as a whole: which paths are searches, and what it remembers from one request to the next.

use bytes::Bytes;
use http::{HeaderMap, uri::PathAndQuery};

use super::*;
use crate::{failure::FailureKind, passage::PassageSpec, plan::Terms};

fn route(method: &Method, path: &str) -> Route {
    Elastic::default().classify(method, path)
}

fn searches(form: SearchForm, indices: &str) -> Route {
    Route::Search(SearchRoute { form, indices: indices.to_owned() })
}

#[test]
fn only_searches_are_searches() {
    for (path, form, indices) in [
        ("/_search", SearchForm::Single, ""),
        ("/products/_search", SearchForm::Single, "products"),
        ("/a,b-*/_search/", SearchForm::Single, "a,b-*"),
        ("/%3Clogs-%7Bnow%7D%3E/_search", SearchForm::Single, "<logs-{now}>"),
        ("/_msearch", SearchForm::Multi, ""),
        ("/products/_msearch", SearchForm::Multi, "products"),
        ("/_search/template", SearchForm::Template, ""),
        ("/products/_search/template", SearchForm::Template, "products"),
        ("/products/_msearch/template", SearchForm::MultiTemplate, "products"),
        ("/_all/_search", SearchForm::Single, "_all"),
    ] {
        assert_eq!(route(&Method::POST, path), searches(form, indices), "{path}");
        assert_eq!(route(&Method::GET, path), searches(form, indices), "{path}");
        assert_eq!(route(&Method::PUT, path), Route::PassThrough, "{path}");
    }
    for path in ["/", "/products/_doc/_search", "/_search/scroll", "/products/_async_search", "/_sql", "/_pit"] {
        assert_eq!(route(&Method::POST, path), Route::PassThrough, "{path}");
    }
    // A script, a repository and an alias of that name.
    for path in
        ["/_scripts/_search", "/%5Fsnapshot/_search", "/_alias/_msearch", "/_scripts/_pit", "/_x/_search/template"]
    {
        assert_eq!(route(&Method::POST, path), Route::PassThrough, "{path}");
    }
    assert_eq!(route(&Method::HEAD, "/products/_search"), Route::PassThrough);
}

#[test]
fn points_in_time_are_seen_being_opened() {
    let opens = Route::OpenPointInTime { indices: "a,b".to_owned() };
    assert_eq!(route(&Method::POST, "/a,b/_pit"), opens);
    assert_eq!(route(&Method::POST, "/a,b/_search/point_in_time"), opens);
    assert_eq!(route(&Method::GET, "/a,b/_pit"), Route::PassThrough);
    assert_eq!(route(&Method::POST, "/_search/point_in_time"), Route::PassThrough);
}

fn read(elastic: &Elastic, form: SearchForm, body: &'static str) -> Box<ElasticRequest> {
    let (path_and_query, headers) = (PathAndQuery::from_static("/_search/template"), HeaderMap::new());
    let route = SearchRoute { form, indices: String::new() };
    let body = Bytes::from_static(body.as_bytes());
    let request = RequestParts { path_and_query: &path_and_query, headers: &headers, body: &body };
    ElasticRequest::read(request, &route, &elastic.remembered).expect("a search")
}

#[test]
fn a_point_in_time_stands_for_the_indices_it_was_opened_on() {
    let elastic = Elastic::default();
    let search = |id: &str| {
        let body = if id == "abc" { r#"{"pit":{"id":"abc"}}"# } else { r#"{"pit":{"id":"def"}}"# };
        read(&elastic, SearchForm::Single, body).searches()[0].clone()
    };
    assert_eq!((search("abc").indices, search("abc").point_in_time.as_deref()), (None, Some("abc")));
    elastic.point_in_time_opened(br#"{"pit_id":"abc","_shards":{}}"#, "products");
    assert_eq!(search("abc").indices.as_deref(), Some("products"));
    elastic.point_in_time_opened(br#"{"id":"def"}"#, "books");
    assert_eq!(search("def").indices.as_deref(), Some("books"));
}

#[test]
fn a_point_in_time_that_was_opened_elsewhere_is_located_by_its_hits() {
    let elastic = Elastic::default();
    let mut request = read(&elastic, SearchForm::Single, r#"{"pit":{"id":"abc"}}"#);
    assert_eq!(request.located(br#"{"hits":{"hits":[]}}"#), None);
    let answer = br#"{"hits":{"hits":[{"_index":"a"},{"_index":"b"},{"_index":"a"}]}}"#;
    assert_eq!(request.located(answer).as_deref(), Some("a,b"));
    assert_eq!(request.searches()[0].indices.as_deref(), Some("a,b"));
    let again = read(&elastic, SearchForm::Single, r#"{"pit":{"id":"abc"}}"#);
    assert_eq!(again.searches()[0].indices.as_deref(), Some("a,b"));
}

#[test]
fn the_cluster_is_asked_what_it_is_where_that_matters_and_until_it_says_so() {
    let elastic = Elastic::default();
    assert_eq!(read(&elastic, SearchForm::MultiTemplate, "{}\n{}\n").discovery(), None);
    let mut request = read(&elastic, SearchForm::Template, "{}");
    assert_eq!(request.discovery().expect("not known yet"), "/");
    // What there is of a 403, a 503, or an answer that broke off.
    request.discovered(b"");
    assert_eq!(request.discovery().expect("nothing was learned"), "/");
    let answer = || {
        let rendered = Bytes::from_static(br#"{"template_output":{"query":{"match":{"t":"wine"}}}}"#);
        let mut request = read(&elastic, SearchForm::Template, "{}").rendered(&[rendered]).expect("a search");
        let passage = PassageSpec::default();
        let terms = Terms {
            window: 100,
            passage: &passage,
            query: None,
            query_path: &[],
            leave_explicit: false,
            scores: true,
            values: &[],
        };
        request.plan(0, &terms).expect("a plan");
        let reader = request.assemble().expect("a request").reader;
        assert!(reader.reshapes());
        reader.finish(Bytes::from_static(br#"{"took":1}"#))
    };
    assert_eq!(answer(), r#"{"took":1}"#);
    request.discovered(br#"{"version":{"distribution":"opensearch","number":"2.19.3"}}"#);
    assert_eq!(request.discovery(), None);
    assert_eq!(answer(), r#"{"took":1,"status":200}"#);
}

#[test]
fn failures_have_the_engine_s_own_shape() {
    let failure = Failure::new(FailureKind::Unreachable, "refused");
    assert_eq!(
        Elastic::default().failure(&failure),
        r#"{"error":{"root_cause":[{"type":"upstream_connect_exception","reason":"refused"}],"type":"upstream_connect_exception","reason":"refused"},"status":502}"#
    );
}
