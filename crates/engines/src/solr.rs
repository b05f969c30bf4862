//! Apache Solr: `/solr/COLLECTION/select` and `/query`, by GET, as a form and in JSON. This file owns which paths are Solr's
//! and which of them are searches, and how an error looks; its submodules own the request (`request` and what it is made of)
//! and the answer (`reader`, `answer`, `echo`). What becomes of each parameter is told in docs/solr.md.

pub(crate) mod answer;
pub(crate) mod asked;
mod conditions;
pub(crate) mod echo;
mod embedded;
pub(crate) mod fields;
mod forward;
mod handlers;
mod local_params;
mod params;
pub(crate) mod planned;
mod query_text;
mod reader;
pub(crate) mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::{
    dialect::{Dialect, SearchRequest},
    failure::Failure,
    plan::SkipReason,
    request::{RequestParts, Route, SearchForm, SearchRoute, Segments, segments},
    shown::{self, ShownHit},
};
use handlers::Handlers;
use request::SolrRequest;

/// The dialect of Solr 9; of older ones as far as they speak JSON.
#[derive(Debug, Clone, Default)]
pub struct Solr {
    pub(crate) handlers: Arc<Handlers>,
}

impl Dialect for Solr {
    /// `/solr/…` and, of its second API, `/api/…`, where no Elasticsearch endpoint follows.
    fn owns(&self, path: &str) -> bool {
        let mut segments = segments(path);
        let is_solr = matches!(segments.next(), Some("solr" | "api"));
        // What comes behind an index in Elasticsearch begins with an underscore.
        is_solr && segments.next().is_none_or(|segment| !segment.starts_with('_'))
    }

    fn classify(&self, method: &Method, path: &str) -> Route {
        if !matches!(*method, Method::GET | Method::POST) {
            return Route::PassThrough;
        }
        let segments = Segments::<4>::of(path);
        let (["solr", collections, "select" | "query"]
        | ["api", "collections" | "c" | "cores", collections, "select" | "query"]) = *segments.as_slice()
        else {
            return Route::PassThrough;
        };
        let indices = percent_decode_str(collections).decode_utf8_lossy().into_owned();
        Route::Search(SearchRoute { form: SearchForm::Single, indices })
    }

    /// Much is changed by `GET`, too (`/update`, `/admin/collections`, `/stream`), so only these handlers count.
    fn only_reads(&self, method: &Method, path: &str) -> bool {
        let handler = path.rsplit('/').find(|segment| !segment.is_empty());
        let reads = matches!(handler, Some("select" | "query" | "get" | "terms" | "export" | "ping" | "schema"));
        matches!(*method, Method::GET | Method::HEAD) && reads
    }

    fn read(&self, request: RequestParts<'_>, route: &SearchRoute) -> Result<Box<dyn SearchRequest>, SkipReason> {
        Ok(SolrRequest::read(request, route, &self.handlers)?)
    }

    fn hits<'a>(&self, answer: &'a [u8]) -> Vec<ShownHit<'a>> {
        shown::of_solr(answer)
    }

    fn failure(&self, failure: &Failure) -> String {
        let code = failure.kind.status().as_u16();
        let error = json!({"metadata": ["error-class", failure.kind.name()], "msg": failure.reason, "code": code});
        json!({"responseHeader": {"status": code, "QTime": 0}, "error": error}).to_string()
    }
}
