//! A search request → a [`Plan`] or a [`SkipReason`]. Owns what may be reranked: the conditions that a request's URL,
//! headers and body can fail. Pure.

use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;

use super::{query_text, url};
use crate::{
    dialect::{SearchRequest, is_json},
    plan::{Page, Plan, SkipReason},
};

/// Elasticsearch's and OpenSearch's own default.
const DEFAULT_SIZE: usize = 10;

/// The parts of a search body that a plan depends on. A key said twice is an error here, as it is in the engines.
#[derive(Deserialize, Default)]
struct Body {
    query: Option<Value>,
    from: Option<Value>,
    size: Option<Value>,
    sort: Option<Value>,
    search_after: Option<Value>,
    slice: Option<Value>,
}

pub(super) fn plan(request: SearchRequest<'_>, window: usize) -> Result<Plan, SkipReason> {
    let parameter = |name: &str| url::parameter(request.path_and_query.query(), name);
    // A body in the URL is a relic of clients that could not send one with GET; its media type comes in the URL too.
    if parameter("source").is_some() || !speaks_json(request.headers, parameter("format").as_deref()) {
        return Err(SkipReason::ContentType);
    }
    let body = read_body(request.body)?;

    if parameter("scroll").is_some() || body.search_after.is_some() || body.slice.is_some() {
        return Err(SkipReason::Cursor);
    }
    let by_score = match parameter("sort") {
        Some(sort) => sort.split(',').all(|key| matches!(key, "_score" | "_score:desc")),
        None => body.sort.as_ref().is_none_or(is_by_score),
    };
    if !by_score {
        return Err(SkipReason::Sort);
    }
    let page = Page {
        from: count(parameter("from"), body.from.as_ref(), 0)?,
        size: count(parameter("size"), body.size.as_ref(), DEFAULT_SIZE)?,
    };
    if page.size == 0 {
        return Err(SkipReason::SizeZero);
    }
    if page.from >= window {
        return Err(SkipReason::BeyondWindow);
    }
    let query = match parameter("q") {
        Some(q) => query_text::of_q(&q, parameter("df").as_deref()),
        None => body.query.as_ref().and_then(query_text::of_query),
    };
    let query = query.ok_or(SkipReason::NoQueryText)?.text;

    let hits = window.max(page.end());
    let widened = page.from != 0 || page.size != hits;
    let path_and_query = if widened {
        url::with_hits(request.path_and_query, hits).map_err(|_| SkipReason::Malformed)?
    } else {
        request.path_and_query.clone()
    };
    Ok(Plan { query, window, page, path_and_query, widened })
}

fn read_body(body: &[u8]) -> Result<Body, SkipReason> {
    if body.trim_ascii().is_empty() {
        return Ok(Body::default());
    }
    serde_json::from_slice(body).map_err(|_| SkipReason::Malformed)
}

/// Whether the body is JSON and the client wants JSON back.
fn speaks_json(headers: &HeaderMap, format: Option<&str>) -> bool {
    let plain = headers.get(header::CONTENT_ENCODING).is_none();
    let sent = headers.get(header::CONTENT_TYPE).is_none_or(|value| value.to_str().is_ok_and(is_json));
    let wanted = match format {
        Some(format) => format == "json",
        None => headers
            .get(header::ACCEPT)
            .is_none_or(|value| value.to_str().is_ok_and(|accept| accept.split(',').any(is_json_or_any))),
    };
    plain && sent && wanted
}

fn is_json_or_any(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    is_json(essence) || matches!(essence, "*/*" | "application/*" | "")
}

/// `"_score"`, `{"_score": "desc"}`, `{"_score": {"order": "desc"}}`, or an array of nothing else. An empty array sorts
/// by score too.
fn is_by_score(sort: &Value) -> bool {
    match sort {
        Value::Null => true,
        Value::String(key) => key == "_score",
        Value::Array(keys) => keys.iter().all(is_by_score),
        Value::Object(keys) => keys.iter().all(|(key, order)| {
            let order = order.get("order").unwrap_or(order);
            key == "_score"
                && (order.as_str().is_some_and(|order| order.eq_ignore_ascii_case("desc"))
                    || order.as_object().is_some_and(serde_json::Map::is_empty))
        }),
        _ => false,
    }
}

/// `from` or `size`: the URL wins over the body. What is no count is the cluster's to refuse.
fn count(in_url: Option<String>, in_body: Option<&Value>, default: usize) -> Result<usize, SkipReason> {
    let text = match (in_url, in_body) {
        (Some(text), _) => text,
        (None, Some(Value::String(text))) => text.clone(),
        (None, Some(Value::Number(number))) => number.to_string(),
        (None, None) => return Ok(default),
        (None, Some(_)) => return Err(SkipReason::Malformed),
    };
    text.parse().map_err(|_| SkipReason::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn search(path: &str, body: &str) -> Result<Plan, SkipReason> {
        search_with(path, body, &HeaderMap::new())
    }

    fn search_with(path: &str, body: &str, headers: &HeaderMap) -> Result<Plan, SkipReason> {
        let path_and_query = path.parse().expect("a path");
        plan(SearchRequest { path_and_query: &path_and_query, headers, body: body.as_bytes() }, 100)
    }

    fn header(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    const WINE: &str = r#"{"query":{"match":{"t":"wine"}}}"#;

    #[test]
    fn a_page_is_widened_to_the_window() {
        let plan = search("/a/_search", r#"{"query":{"match":{"t":"wine"}},"from":20,"size":20}"#).expect("a plan");
        assert_eq!(plan.page, Page { from: 20, size: 20 });
        assert_eq!(plan.path_and_query, "/a/_search?from=0&size=100");
        assert!(plan.widened);
        assert_eq!(plan.query, "wine");
    }

    #[test]
    fn a_page_past_the_window_is_fetched_whole() {
        let plan = search("/a/_search?from=90&size=30", WINE).expect("a plan");
        assert_eq!(plan.path_and_query, "/a/_search?from=0&size=120");
    }

    #[test]
    fn a_page_that_is_the_window_is_asked_for_as_it_was() {
        let plan = search("/a/_search?size=100&pretty", WINE).expect("a plan");
        assert_eq!(plan.path_and_query, "/a/_search?size=100&pretty");
        assert!(!plan.widened);
    }

    #[test]
    fn the_url_wins_over_the_body() {
        let plan = search("/a/_search?size=7&q=red", r#"{"query":{"match":{"t":"wine"}},"size":3,"from":"2"}"#);
        let plan = plan.expect("a plan");
        assert_eq!((plan.query.as_str(), plan.page), ("red", Page { from: 2, size: 7 }));
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
            assert_eq!(search(path, &body), Err(reason), "{path} {body}");
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
            (header::CONTENT_ENCODING, "gzip", false),
            (header::ACCEPT, "*/*", true),
            (header::ACCEPT, "application/vnd.elasticsearch+json;compatible-with=9", true),
            (header::ACCEPT, "application/yaml", false),
            (header::ACCEPT, "text/html, application/json;q=0.5", true),
        ] {
            assert_eq!(search_with("/_search", WINE, &header(name, value)).is_ok(), fine, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_a_plan_or_a_reason(body in "[{}\\[\\]\":,a-z0-9]{0,80}", query in "[a-z=&%+0-9]{0,40}") {
            let _ = search(&format!("/_search?{query}"), &body);
        }
    }
}
