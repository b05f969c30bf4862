//! Elasticsearch and OpenSearch: their search API is one dialect. This file owns which paths are searches, how the parts
//! of a request come together, and how an error looks; its submodules own the request (`plan` and what it reads), the forms
//! of several searches (`multi`, `template`) and the answer (`answer`, `filter_path`).

mod answer;
mod engine;
mod explicit;
mod filter_path;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod multi;
mod plan;
mod query_text;
mod template;
mod url;
mod views;
mod visible;

use std::ops::Range;

use bytes::Bytes;
use http::{Method, StatusCode, uri::PathAndQuery};
use serde::Deserialize;
use serde_json::json;

use crate::plan::{NoPlan, Plan, SkipReason, Terms};
use crate::{
    caps::{MAX_FILTER, MAX_FILTER_KEYS, MAX_SEARCHES, MAX_SHARED_INDICES},
    dialect::{Candidates, Dialect, Door, Forward, Reading, Route, Search, SearchRequest, SearchRoute, Unreadable},
};
use engine::Engine;
use filter_path::FilterPath;
use views::Views;

/// The dialect of Elasticsearch and OpenSearch.
#[derive(Debug, Clone, Default)]
pub struct Elastic {
    views: Views,
    engine: Engine,
}

impl Dialect for Elastic {
    fn classify(&self, method: &Method, path: &str) -> Route {
        if !matches!(*method, Method::GET | Method::POST) {
            return Route::PassThrough;
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (door, indices) = match segments[..] {
            ["_search"] => (Door::Single, ""),
            ["_msearch"] => (Door::Multi, ""),
            ["_search", "template"] => (Door::Template, ""),
            ["_msearch", "template"] => (Door::MultiTemplate, ""),
            [indices, "_search"] => (Door::Single, indices),
            [indices, "_msearch"] => (Door::Multi, indices),
            [indices, "_search", "template"] => (Door::Template, indices),
            [indices, "_msearch", "template"] => (Door::MultiTemplate, indices),
            [indices, "_pit"] | [indices, "_search", "point_in_time"] if *method == Method::POST => {
                return Route::OpensView { indices: url::decode(indices) };
            }
            _ => return Route::PassThrough,
        };
        Route::Searches(SearchRoute { door, indices: url::decode(indices) })
    }

    /// What is asked by `GET` or `HEAD` does, but for the next page of a scroll: each is there once.
    fn only_reads(&self, method: &Method, path: &str) -> bool {
        let path = url::decode(path);
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let scrolls = segments.next() == Some("_search") && segments.next() == Some("scroll");
        matches!(*method, Method::GET | Method::HEAD) && !scrolls
    }

    fn renderings(&self, request: SearchRequest<'_>) -> Result<Vec<(PathAndQuery, Bytes)>, SkipReason> {
        template::renderings(request)
    }

    fn rendered(&self, request: SearchRequest<'_>, rendered: &[Bytes]) -> Result<(PathAndQuery, Bytes), SkipReason> {
        template::rendered(request, rendered)
    }

    /// Which engine it is, as far as answers to templates depend on it. Of several templates, each is answered like a
    /// search among several.
    fn introduction(&self, request: SearchRequest<'_>) -> Option<PathAndQuery> {
        let depends = request.route.door == Door::Template;
        (depends && self.engine.is_to_be_asked()).then(|| PathAndQuery::from_static("/"))
    }

    fn introduce(&self, _request: SearchRequest<'_>, answer: &[u8]) {
        self.engine.learn(answer);
    }

    /// Where it is not known which engine it is (nobody who searches may ask), the answer is left as the search itself has it,
    /// which is all of it in Elasticsearch, and all but one member in OpenSearch.
    fn template_answer(&self, request: SearchRequest<'_>, answer: Bytes) -> Bytes {
        if !self.engine.is_opensearch() {
            return answer;
        }
        let filter = url::parameter(request.path_and_query.query(), "filter_path").filter(|filter| !filter.is_empty());
        if filter.is_some_and(|filter| !FilterPath::parse(&filter).keeps_whole(&["status"])) {
            return answer;
        }
        template::with_status(&answer)
    }

    fn searches(&self, request: SearchRequest<'_>) -> Result<Vec<Search>, SkipReason> {
        let SearchRequest { route, body, .. } = request;
        let speaks_json = plan::speaks_json(request);
        if !route.door.is_multi() {
            return Ok(vec![self.search(route.indices.clone(), body.clone(), speaks_json)]);
        }
        let lines = multi::lines(body).ok_or(SkipReason::Malformed)?;
        if lines.len() > MAX_SEARCHES || route.indices.len() > MAX_SHARED_INDICES {
            return Err(SkipReason::TooComplex);
        }
        lines
            .into_iter()
            .map(|lines| {
                let indices = multi::indices(&body[lines.header], &route.indices).ok_or(SkipReason::Malformed)?;
                Ok(self.search(indices, body.slice(lines.body), speaks_json))
            })
            .collect()
    }

    fn plan(&self, request: SearchRequest<'_>, search: &Search, terms: &Terms<'_>) -> Result<Plan, NoPlan> {
        plan::plan(request, search, terms)
    }

    fn assemble(&self, request: SearchRequest<'_>, plans: &[Option<&Plan>]) -> Result<Forward, SkipReason> {
        let (hits_at, page) = match (request.route.door.is_multi(), plans) {
            (false, [Some(plan)]) => (&["hits", "hits"][..], Some(*plan)),
            // Entries that a filter leaves nothing of are missing from the list.
            _ => (&["responses"][..], None),
        };
        let filter = hiding_filter(request, hits_at)?;
        let mut names = Vec::new();
        let mut added = String::new();
        if filter.is_some() {
            names.push("filter_path");
        }
        // Parameters in the URL win over those in the body, so a body that is fine otherwise stays as it is.
        if let Some(plan) = page.filter(|plan| plan.page.from != 0 || plan.page.size != plan.hits) {
            names.extend(["from", "size"]);
            added = format!("from=0&size={}", plan.hits);
        }
        let path_and_query = match names.is_empty() {
            true => request.path_and_query.clone(),
            false => url::edited(request.path_and_query, &names, &added).map_err(|_| SkipReason::Malformed)?,
        };
        let body = match page {
            Some(plan) => plan.body.clone(),
            None if plans.iter().flatten().all(|plan| plan.body.is_none()) => None,
            None => {
                let lines = multi::lines(request.body).ok_or(SkipReason::Malformed)?;
                let body = |place: usize| plans.get(place).copied().flatten().and_then(|plan| plan.body.as_deref());
                Some(multi::replaced(request.body, &lines, body).into())
            }
        };
        Ok(Forward { path_and_query, body, filter })
    }

    fn only(&self, request: SearchRequest<'_>, places: &[usize]) -> Result<Forward, SkipReason> {
        let lines = multi::lines(request.body).ok_or(SkipReason::Malformed)?;
        let path_and_query =
            url::edited(request.path_and_query, &["filter_path"], "").map_err(|_| SkipReason::Malformed)?;
        let body = Some(multi::only(request.body, &lines, places).into());
        Ok(Forward { path_and_query, body, filter: None })
    }

    fn answers(&self, door: Door, answer: &[u8], count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
        if door.is_multi() {
            return answer::responses(answer, count);
        }
        Ok(std::iter::once(0..answer.len()).collect())
    }

    fn candidates(&self, answer: &[u8], reading: &Reading<'_>) -> Result<Candidates, Unreadable> {
        answer::candidates(answer, reading)
    }

    fn filter(&self, answer: &[u8], filter: &str) -> Vec<u8> {
        FilterPath::parse(filter).apply(answer)
    }

    fn view(&self, answer: &[u8]) -> Option<String> {
        answer::point_in_time(answer)
    }

    fn remember_view(&self, view: &str, indices: &str) {
        self.views.remember(view, indices);
    }

    fn indices_of_hits(&self, answer: &[u8]) -> Option<String> {
        answer::indices_of_hits(answer)
    }

    fn failure(&self, status: StatusCode, kind: &str, reason: &str) -> String {
        let cause = json!({"type": kind, "reason": reason});
        json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status.as_u16()}).to_string()
    }
}

impl Elastic {
    /// A search over `indices`, or over the point in time that its body names instead. A body that cannot be read names
    /// none; the plan will say what it thinks of it.
    fn search(&self, indices: String, body: Bytes, speaks_json: bool) -> Search {
        #[derive(Deserialize)]
        struct Body {
            pit: Option<PointInTime>,
        }
        #[derive(Deserialize)]
        struct PointInTime {
            id: String,
        }
        // Only a search that names no index elsewhere may name a point in time.
        let said = indices.is_empty().then(|| serde_json::from_slice::<Body>(&body).ok()).flatten();
        let Some(pit) = said.and_then(|said| said.pit) else {
            return Search { indices: Some(indices), view: None, body, speaks_json };
        };
        Search { indices: self.views.indices(&pit.id), view: Some(pit.id), body, speaks_json }
    }
}

/// The request's `filter_path`, where it may hide what is needed at `hits_at`: then it is ours to apply.
fn hiding_filter(request: SearchRequest<'_>, hits_at: &[&str]) -> Result<Option<String>, SkipReason> {
    let Some(filter) = url::parameter(request.path_and_query.query(), "filter_path") else { return Ok(None) };
    let paths = FilterPath::parse(&filter);
    if filter.is_empty() || paths.keeps_whole(hits_at) {
        return Ok(None);
    }
    if filter.len() > MAX_FILTER || paths.keys() > MAX_FILTER_KEYS {
        return Err(SkipReason::TooComplex);
    }
    Ok(Some(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn route(method: &Method, path: &str) -> Route {
        Elastic::default().classify(method, path)
    }

    fn searches(door: Door, indices: &str) -> Route {
        Route::Searches(SearchRoute { door, indices: indices.to_owned() })
    }

    #[test]
    fn only_searches_are_searches() {
        for (path, door, indices) in [
            ("/_search", Door::Single, ""),
            ("/products/_search", Door::Single, "products"),
            ("/a,b-*/_search/", Door::Single, "a,b-*"),
            ("/%3Clogs-%7Bnow%7D%3E/_search", Door::Single, "<logs-{now}>"),
            ("/_msearch", Door::Multi, ""),
            ("/products/_msearch", Door::Multi, "products"),
            ("/_search/template", Door::Template, ""),
            ("/products/_search/template", Door::Template, "products"),
            ("/products/_msearch/template", Door::MultiTemplate, "products"),
        ] {
            assert_eq!(route(&Method::POST, path), searches(door, indices), "{path}");
            assert_eq!(route(&Method::GET, path), searches(door, indices), "{path}");
            assert_eq!(route(&Method::PUT, path), Route::PassThrough, "{path}");
        }
        for path in ["/", "/products/_doc/_search", "/_search/scroll", "/products/_async_search", "/_sql", "/_pit"] {
            assert_eq!(route(&Method::POST, path), Route::PassThrough, "{path}");
        }
        assert_eq!(route(&Method::HEAD, "/products/_search"), Route::PassThrough);
    }

    #[test]
    fn points_in_time_are_seen_being_opened() {
        let opens = Route::OpensView { indices: "a,b".to_owned() };
        assert_eq!(route(&Method::POST, "/a,b/_pit"), opens);
        assert_eq!(route(&Method::POST, "/a,b/_search/point_in_time"), opens);
        assert_eq!(route(&Method::GET, "/a,b/_pit"), Route::PassThrough);
        assert_eq!(route(&Method::POST, "/_search/point_in_time"), Route::PassThrough);
    }

    #[test]
    fn a_point_in_time_stands_for_the_indices_it_was_opened_on() {
        let elastic = Elastic::default();
        let search = || elastic.search(String::new(), Bytes::from_static(br#"{"pit":{"id":"abc"}}"#), true);
        assert_eq!((search().indices, search().view.as_deref()), (None, Some("abc")));
        let opened = elastic.view(br#"{"pit_id":"abc","_shards":{}}"#).expect("an id");
        elastic.remember_view(&opened, "products");
        assert_eq!(search().indices.as_deref(), Some("products"));
        assert_eq!(elastic.view(br#"{"id":"abc"}"#).as_deref(), Some("abc"));
    }

    #[test]
    fn the_cluster_is_asked_what_it_is_where_that_matters_and_until_it_says_so() {
        let elastic = Elastic::default();
        let route = |door| SearchRoute { door, indices: String::new() };
        let (template, several) = (route(Door::Template), route(Door::MultiTemplate));
        let (path_and_query, headers, body) = (PathAndQuery::from_static("/"), HeaderMap::new(), Bytes::new());
        let request = |route| SearchRequest { route, path_and_query: &path_and_query, headers: &headers, body: &body };
        assert_eq!(elastic.introduction(request(&several)), None);
        let request = request(&template);
        assert_eq!(elastic.introduction(request).expect("not known yet"), "/");
        // What there is of a 403, a 503, or an answer that broke off.
        elastic.introduce(request, b"");
        assert_eq!(elastic.introduction(request).expect("nothing was learned"), "/");
        let answer = || elastic.template_answer(request, Bytes::from_static(br#"{"took":1}"#));
        assert_eq!(answer(), r#"{"took":1}"#);
        elastic.introduce(request, br#"{"version":{"distribution":"opensearch","number":"2.19.3"}}"#);
        assert_eq!(elastic.introduction(request), None);
        assert_eq!(answer(), r#"{"took":1,"status":200}"#);
    }

    #[test]
    fn failures_have_the_engine_s_own_shape() {
        assert_eq!(
            Elastic::default().failure(StatusCode::BAD_GATEWAY, "upstream_unreachable", "refused"),
            r#"{"error":{"root_cause":[{"type":"upstream_unreachable","reason":"refused"}],"type":"upstream_unreachable","reason":"refused"},"status":502}"#
        );
    }
}
