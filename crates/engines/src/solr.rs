//! Apache Solr: `/solr/COLLECTION/select` and `/query`, by GET, as a form and in JSON. This file owns which paths are
//! searches and how an error looks; its submodules own the request (`request` and what it is made of, `plan`, `forward`) and
//! the answer (`answer`, `echo`). What becomes of each parameter is told in docs/solr.md.

mod answer;
mod echo;
mod embedded;
mod fields;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handlers;
mod local_params;
mod params;
mod plan;
mod query_text;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{Method, StatusCode, uri::PathAndQuery};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::dialect::{
    Candidates, Dialect, Door, Forward, Reading, Route, Search, SearchRequest, SearchRoute, Unreadable,
};
use crate::plan::{NoPlan, Plan, SkipReason, Terms};
use handlers::Handlers;
use request::Asked;

/// The dialect of Solr 9; of older ones as far as they speak JSON.
#[derive(Debug, Clone, Default)]
pub struct Solr {
    handlers: Handlers,
}

/// Whether a path can only be Solr's: `/solr/…` and, of its second API, `/api/…`, where no Elasticsearch endpoint follows.
pub fn owns(path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let is_solr = matches!(segments.next(), Some("solr" | "api"));
    // What comes behind an index in Elasticsearch begins with an underscore.
    is_solr && segments.next().is_none_or(|segment| !segment.starts_with('_'))
}

impl Dialect for Solr {
    fn classify(&self, method: &Method, path: &str) -> Route {
        if !matches!(*method, Method::GET | Method::POST) {
            return Route::PassThrough;
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (["solr", collections, "select" | "query"]
        | ["api", "collections" | "c" | "cores", collections, "select" | "query"]) = segments[..]
        else {
            return Route::PassThrough;
        };
        let indices = percent_decode_str(collections).decode_utf8_lossy().into_owned();
        Route::Searches(SearchRoute { door: Door::Single, indices })
    }

    /// Much is changed by `GET`, too (`/update`, `/admin/collections`, `/stream`), so only these handlers count.
    fn only_reads(&self, method: &Method, path: &str) -> bool {
        let handler = path.rsplit('/').find(|segment| !segment.is_empty());
        let reads = matches!(handler, Some("select" | "query" | "get" | "terms" | "export" | "ping" | "schema"));
        matches!(*method, Method::GET | Method::HEAD) && reads
    }

    fn introduction(&self, request: SearchRequest<'_>) -> Option<PathAndQuery> {
        let asked = Asked::read(request, Arc::default()).ok()?;
        plan::speaks_json(&asked).ok()?;
        self.handlers.question(request.path_and_query.path(), &asked.sent)
    }

    fn introduce(&self, request: SearchRequest<'_>, answer: &[u8]) {
        if let Ok(sent) = Asked::sent(request) {
            self.handlers.learn(request.path_and_query.path(), &sent, answer);
        }
    }

    fn searches(&self, request: SearchRequest<'_>) -> Result<Vec<Search>, SkipReason> {
        // The collections of this parameter are searched in the place of the one in the path.
        let named = Asked::sent(request)?.first("collection").map(str::to_owned);
        let indices = named.filter(|named| !named.is_empty()).unwrap_or_else(|| request.route.indices.clone());
        Ok(vec![Search { indices: Some(indices), view: None, body: request.body.clone(), speaks_json: true }])
    }

    fn plan(&self, request: SearchRequest<'_>, _search: &Search, terms: &Terms<'_>) -> Result<Plan, NoPlan> {
        plan::plan(&self.asked(request)?, terms)
    }

    fn assemble(&self, request: SearchRequest<'_>, plans: &[Option<&Plan>]) -> Result<Forward, SkipReason> {
        let path_and_query = match plans {
            [Some(plan)] => forward::forward(request.path_and_query, &self.asked(request)?, plan)?,
            _ => request.path_and_query.clone(),
        };
        Ok(Forward { path_and_query, body: None, filter: None })
    }

    fn candidates(&self, answer: &[u8], reading: &Reading<'_>) -> Result<Candidates, Unreadable> {
        answer::candidates(answer, reading)
    }

    fn failure(&self, status: StatusCode, kind: &str, reason: &str) -> String {
        let code = status.as_u16();
        let error = json!({"metadata": ["error-class", kind], "msg": reason, "code": code});
        json!({"responseHeader": {"status": code, "QTime": 0}, "error": error}).to_string()
    }
}

impl Solr {
    /// The request, taken apart. Where the handler has not told its defaults, nobody knows what the client asked for.
    fn asked(&self, request: SearchRequest<'_>) -> Result<Asked, SkipReason> {
        let asked = Asked::read(request, Arc::default())?;
        plan::speaks_json(&asked)?;
        let defaults = self.handlers.defaults(request.path_and_query.path(), &asked.sent);
        Ok(asked.over(defaults.ok_or(SkipReason::UpstreamError)?))
    }
}
