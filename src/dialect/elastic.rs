//! Elasticsearch and OpenSearch: their search API is one dialect. This file owns which paths are searches and how an
//! error looks; its submodules own the request (`plan`) and the answer (`answer`).

mod answer;
#[allow(dead_code)] // until the plan widens filtered searches
mod filter_path;
mod lucene;
mod plan;
mod query_text;
mod url;

use http::{Method, StatusCode};
use serde_json::json;

use super::{Candidates, Dialect, Route, SearchRequest};
use crate::{
    passage::PassageSpec,
    plan::{Plan, SkipReason},
};

/// The dialect of Elasticsearch and OpenSearch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Elastic;

impl Dialect for Elastic {
    /// `GET|POST /_search` and `/{index}/_search`; everything else passes through.
    fn classify(&self, method: &Method, path: &str) -> Route {
        if !matches!(*method, Method::GET | Method::POST) {
            return Route::PassThrough;
        }
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let indices = match (segments.next(), segments.next(), segments.next()) {
            (Some("_search"), None, None) => String::new(),
            (Some(indices), Some("_search"), None) => url::decode(indices),
            _ => return Route::PassThrough,
        };
        Route::Search { indices }
    }

    fn plan(&self, request: SearchRequest<'_>, window: usize) -> Result<Plan, SkipReason> {
        plan::plan(request, window)
    }

    fn candidates(&self, answer: &[u8], passage: &PassageSpec, window: usize) -> Result<Candidates, SkipReason> {
        answer::candidates(answer, passage, window)
    }

    fn failure(&self, status: StatusCode, kind: &str, reason: &str) -> String {
        let cause = json!({"type": kind, "reason": reason});
        json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status.as_u16()}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(method: &Method, path: &str) -> Option<String> {
        match Elastic.classify(method, path) {
            Route::Search { indices } => Some(indices),
            Route::PassThrough => None,
        }
    }

    #[test]
    fn only_searches_are_searches() {
        assert_eq!(indices(&Method::GET, "/_search").as_deref(), Some(""));
        assert_eq!(indices(&Method::POST, "/products/_search").as_deref(), Some("products"));
        assert_eq!(indices(&Method::POST, "/a,b-*/_search/").as_deref(), Some("a,b-*"));
        assert_eq!(indices(&Method::GET, "/%3Clogs-%7Bnow%7D%3E/_search").as_deref(), Some("<logs-{now}>"));
        for path in ["/", "/products/_doc/_search", "/products/_msearch", "/_search/template", "/_search/scroll"] {
            assert_eq!(indices(&Method::POST, path), None, "{path}");
        }
        assert_eq!(indices(&Method::PUT, "/products/_search"), None);
        assert_eq!(indices(&Method::HEAD, "/products/_search"), None);
    }

    #[test]
    fn failures_have_the_engine_s_own_shape() {
        assert_eq!(
            Elastic.failure(StatusCode::BAD_GATEWAY, "upstream_unreachable", "refused"),
            r#"{"error":{"root_cause":[{"type":"upstream_unreachable","reason":"refused"}],"type":"upstream_unreachable","reason":"refused"},"status":502}"#
        );
    }
}
