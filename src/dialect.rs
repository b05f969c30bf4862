//! What the proxy must know of one family of search engines: which requests are searches, how to widen one, where the
//! hits lie in an answer, what an error looks like. Everything else is the same for all of them, so adding a family
//! means adding an implementation of [`Dialect`] and nothing else.

pub mod elastic;

use http::{HeaderMap, Method, StatusCode, uri::PathAndQuery};

use crate::{
    passage::PassageSpec,
    plan::{Plan, SkipReason},
    rewrite::Layout,
};

/// What a request is, told by its method and path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A search over an index expression, percent-decoded, `""` where the path names none.
    Search {
        /// For example `products-*,-products-internal`.
        indices: String,
    },
    /// Anything else: streamed through untouched.
    PassThrough,
}

/// A search as the client sent it.
#[derive(Debug, Clone, Copy)]
pub struct SearchRequest<'a> {
    /// Path and query string, raw.
    pub path_and_query: &'a PathAndQuery,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body; empty where there is none.
    pub body: &'a [u8],
}

/// What an answer holds for the reranker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// Where the hits lie.
    pub layout: Layout,
    /// The cluster's own score of each hit.
    pub scores: Vec<Option<f32>>,
    /// The text of each hit within the window; `None` where it has none.
    pub passages: Vec<Option<String>>,
}

/// Whether a media type is JSON: `application/json`, or anything ending in `+json`, whatever its parameters.
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.len() > "+json".len() && essence.ends_with("+json"))
}

/// One family of search engines. All methods are pure.
pub trait Dialect: Send + Sync + 'static {
    /// What the request is.
    fn classify(&self, method: &Method, path: &str) -> Route;

    /// How to rerank the search with a window of `window` hits, or why not.
    fn plan(&self, request: SearchRequest<'_>, window: usize) -> Result<Plan, SkipReason>;

    /// The hits of an answer to the search, with the passages of the first `window` of them.
    fn candidates(&self, answer: &[u8], passage: &PassageSpec, window: usize) -> Result<Candidates, SkipReason>;

    /// The body (always JSON) with which the engine itself would report a failure of `kind` with this `reason`.
    fn failure(&self, status: StatusCode, kind: &str, reason: &str) -> String;
}
