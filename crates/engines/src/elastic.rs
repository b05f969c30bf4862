//! Elasticsearch and OpenSearch: their search API is one dialect. This file owns which paths are searches, and how an error
//! looks; its submodules own the request (`request` and what it reads), the forms of several searches (`multi`, `template`)
//! the answer (`reader`, `answer`, `filter_path`), and the nodes that a cluster names (`nodes`).

pub(crate) mod answer;
mod conditions;
mod document;
mod engine;
mod explicit;
pub(crate) mod filter_path;
mod hidden_fields;
mod media_types;
pub(crate) mod multi;
pub mod nodes;
pub(crate) mod planned;
mod points_in_time;
mod query_text;
mod reader;
mod remembered;
pub(crate) mod request;
mod source_filter;
mod strip;
mod template;
pub(crate) mod url;

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
use remembered::Remembered;
use request::ElasticRequest;

/// The dialect of Elasticsearch and OpenSearch.
#[derive(Debug, Clone, Default)]
pub struct Elastic {
    pub(crate) remembered: Arc<Remembered>,
}

impl Dialect for Elastic {
    /// Indices may have any name, so that every path may be theirs.
    fn owns(&self, _path: &str) -> bool {
        true
    }

    fn classify(&self, method: &Method, path: &str) -> Route {
        if !matches!(*method, Method::GET | Method::POST) {
            return Route::PassThrough;
        }
        let (form, indices) = match *Segments::<3>::of(path).as_slice() {
            ["_search"] => (SearchForm::Single, ""),
            ["_msearch"] => (SearchForm::Multi, ""),
            ["_search", "template"] => (SearchForm::Template, ""),
            ["_msearch", "template"] => (SearchForm::MultiTemplate, ""),
            [indices, "_search"] => (SearchForm::Single, indices),
            [indices, "_msearch"] => (SearchForm::Multi, indices),
            [indices, "_search", "template"] => (SearchForm::Template, indices),
            [indices, "_msearch", "template"] => (SearchForm::MultiTemplate, indices),
            [indices, "_pit"] | [indices, "_search", "point_in_time"] if *method == Method::POST => {
                let indices = url::decode(indices);
                return if is_endpoint(&indices) { Route::PassThrough } else { Route::OpenPointInTime { indices } };
            }
            _ => return Route::PassThrough,
        };
        let indices = url::decode(indices);
        if is_endpoint(&indices) {
            return Route::PassThrough;
        }
        Route::Search(SearchRoute { form, indices })
    }

    /// `GET` and `HEAD` only read, but for the next page of a scroll: each is there once.
    fn only_reads(&self, method: &Method, path: &str) -> bool {
        let scrolls = |path: &str| {
            let mut segments = segments(path);
            segments.next() == Some("_search") && segments.next() == Some("scroll")
        };
        let is_coded = path.bytes().any(|byte| byte == b'%');
        matches!(*method, Method::GET | Method::HEAD)
            && !(scrolls(path) || is_coded && scrolls(&percent_decode_str(path).decode_utf8_lossy()))
    }

    fn read(&self, request: RequestParts<'_>, route: &SearchRoute) -> Result<Box<dyn SearchRequest>, SkipReason> {
        Ok(ElasticRequest::read(request, route, &self.remembered)?)
    }

    fn point_in_time_opened(&self, answer: &[u8], indices: &str) {
        if let Some(id) = answer::point_in_time(answer) {
            self.remembered.points_in_time.remember(&id, indices);
        }
    }

    fn hits<'a>(&self, answer: &'a [u8]) -> Vec<ShownHit<'a>> {
        shown::of_elastic(answer)
    }

    fn failure(&self, failure: &Failure) -> String {
        let (kind, reason, status) = (failure.kind.name(), &failure.reason, failure.kind.status());
        let cause = json!({"type": kind, "reason": reason});
        json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status.as_u16()}).to_string()
    }
}

/// Whether what stands where indices do is an endpoint instead: `POST /_scripts/_search` stores a script of that name. No index begins
/// so; `_all` stands for all of them.
fn is_endpoint(indices: &str) -> bool {
    indices.starts_with('_') && indices.split(',').next() != Some("_all")
}

#[cfg(test)]
mod tests;
