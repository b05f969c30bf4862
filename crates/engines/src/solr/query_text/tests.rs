//! Every parser of Solr, and the text that is read out of its queries.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, uri::PathAndQuery};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::request::RequestParts;

fn of(asked: &Asked) -> Option<QueryText> {
    super::of(asked).unwrap_or_default()
}

fn asked(url: &str, body: &str) -> Asked {
    let path_and_query: PathAndQuery = format!("/solr/c/select?{url}").parse().expect("a path");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = RequestParts { path_and_query: &path_and_query, headers: &headers, body: &body };
    Asked::read(request).expect("a request")
}

/// `text @ fields`
fn shown(asked: &Asked) -> Option<String> {
    of(asked).map(|found| match &found.fields[..] {
        [] => found.text,
        fields => format!("{} @ {}", found.text, fields.join(",")),
    })
}

fn url(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| super::super::params::encoded(name, value)).collect::<Vec<_>>().join("&")
}

#[test]
fn text_is_found_whatever_parser_reads_it() {
    for (pairs, expected) in [
        (&[("q", "title:(red wine) AND -old"), ("df", "text")][..], Some("red wine @ title")),
        (&[("q", "red wine"), ("df", "text")], Some("red wine @ text")),
        (&[("q", "red wine")], Some("red wine")),
        (&[("q", "*:*"), ("fq", "title:wine")], None),
        (
            &[("q", "red \"dry wine\"~2"), ("defType", "edismax"), ("qf", "title^2 body^0.5")],
            Some("red dry wine @ title,body"),
        ),
        (
            &[("q", "c++ -old"), ("defType", "dismax"), ("qf", "title"), ("bq", "cat:x"), ("bf", "n")],
            Some("c++ @ title"),
        ),
        (&[("defType", "edismax"), ("q.alt", "title:wine")], Some("wine @ title")),
        (&[("q", "{!edismax qf=title v=$qq}"), ("qq", "red wine")], Some("red wine @ title")),
        (&[("q", "{!edismax qf=$f}red wine"), ("f", "title body")], Some("red wine @ title,body")),
        (&[("q", "{!df=title}red wine")], Some("red wine @ title")),
        (
            &[("q", "{!boost b=log(n) v=$qq}"), ("qq", "{!dismax qf=title}red wine"), ("df", "x")],
            Some("red wine @ title"),
        ),
        (&[("q", "{!boost b=n}title:wine")], Some("wine @ title")),
        (&[("q", "{!parent which='type:p' v='text:wine'}")], Some("wine @ text")),
        (&[("q", "{!child of=type:p}title:wine")], Some("wine @ title")),
        (&[("q", "{!field f=title}Red Wine")], Some("Red Wine @ title")),
        (&[("q", "{!term f=cat}food")], None),
        (&[("q", "{!terms f=id}1,2")], None),
        (&[("q", "{!knn f=v topK=10}[1,2,3]")], None),
        (&[("q", "{!vectorSimilarity f=v minReturn=0.7}[1,2,3]")], None),
        (&[("q", "{!knn_text_to_vector model=m f=v topK=10}red wine")], Some("red wine")),
        (&[("q", "{!func}sum(a,b)")], None),
        (
            &[("q", "{!bool must=$a should=title:dry must_not=x filter=y}"), ("a", "title:wine")],
            Some("wine dry @ title"),
        ),
        (&[("q", "+{!edismax qf=title v=$qq} +cat:food"), ("qq", "red wine")], Some("food red wine @ cat,title")),
        (&[("q", "_query_:\"{!dismax qf=title}red wine\" OR dry")], Some("dry red wine @ title")),
        (&[("q", "filter(cat:food) wine _val_:\"log(n)\" title:dry^=2 /* no */")], Some("wine dry @ title")),
        (&[("q", "{!edismax}wine"), ("defType", "edismax")], Some("wine")),
        (&[("q", "${who} wine"), ("who", "red")], Some("red wine")),
        (&[("q", "{!nobody f=x}wine")], None),
        (&[("q", "")], None),
    ] {
        assert_eq!(shown(&asked(&url(pairs), "")).as_deref(), expected, "{pairs:?}");
    }
}

#[test]
fn every_parser_is_in_the_documentation() {
    let page = include_str!("../../../../../docs/solr.md");
    for (parser, _) in PARSERS {
        assert!(page.contains(&format!("`{parser}`")), "docs/solr.md does not name `{parser}`");
    }
}

#[test]
fn text_is_found_in_the_json_request_api() {
    for (body, expected) in [
        (json!({"query": "title:wine"}), Some("wine @ title")),
        (json!({"query": "red wine", "params": {"defType": "edismax", "qf": "title"}}), Some("red wine @ title")),
        (json!({"query": {"edismax": {"qf": "title body", "query": "red wine"}}}), Some("red wine @ title,body")),
        (json!({"query": {"lucene": {"df": "title", "query": "red wine"}}}), Some("red wine @ title")),
        (
            json!({"query": {"bool": {"must": ["title:wine", {"field": {"f": "body", "query": "dry"}}], "should": {"lucene": {"query": "x:red"}}, "filter": "cat:a", "must_not": "b:c"}}}),
            Some("wine dry red @ title,body,x"),
        ),
        (
            json!({"query": {"boost": {"b": "n", "query": {"edismax": {"qf": "title", "query": "wine"}}}}}),
            Some("wine @ title"),
        ),
        (
            json!({"queries": {"a": {"field": {"f": "title", "query": "wine"}}}, "query": {"bool": {"must": [{"param": "a"}]}}}),
            Some("wine @ title"),
        ),
        (
            json!({"query": {"#tag": {"dismax": {"query": {"param": "qq"}, "qf": "title"}}}, "params": {"qq": "wine"}}),
            Some("wine @ title"),
        ),
        (
            json!({"query": {"parent": {"which": "a:b", "query": {"lucene": {"query": "text:wine"}}}}}),
            Some("wine @ text"),
        ),
        (json!({"query": {"knn": {"f": "v", "query": "[1,2]"}}}), None),
        (json!({"query": "*:*", "filter": "title:wine"}), None),
        (json!({"filter": "title:wine"}), None),
    ] {
        assert_eq!(shown(&asked("", &body.to_string())).as_deref(), expected, "{body}");
    }
    assert_eq!(shown(&asked("q=white&json.query=red", "")).as_deref(), Some("red"));
    assert_eq!(
        shown(&asked("json.query.edismax.qf=title&json.query.edismax.query=red", "")).as_deref(),
        Some("red @ title")
    );
}

#[test]
fn queries_that_lead_to_one_another_are_read_for_a_while_only() {
    let twice = "{!bool must=$a must=$a must=$a}";
    assert_eq!(shown(&asked(&url(&[("q", twice), ("a", twice)]), "")), None);
    let many = json!({"query": {"param": "a"}, "queries": {"a": vec![json!({"param": "a"}); 1000]}});
    assert_eq!(shown(&asked("", &many.to_string())), None);
    let deep = format!("{}wine", "{!boost b=1}".repeat(1000));
    assert_eq!(shown(&asked(&url(&[("q", &deep)]), "")), None);
}

proptest! {
    #[test]
    fn any_query_is_read(q in r#"[a-z:()"'\[\]{}!$=\\+* é-]{0,60}"#, qq in r"[a-z{}!$= ]{0,20}") {
        for parser in ["lucene", "edismax", "dismax"] {
            if let Some(found) = of(&asked(&url(&[("q", &q), ("qq", &qq), ("defType", parser)]), "")) {
                prop_assert!(!found.text.trim().is_empty());
            }
        }
    }
}
