//! What the proxy must know of one family of search engines: which requests are searches, how to widen one, where the
//! hits lie in an answer, what an error looks like. Everything else is the same for all of them, so adding a family
//! means adding an implementation of [`Dialect`] and nothing else.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, uri::PathAndQuery};

use crate::{
    plan::{Explain, NoPlan, Plan, SkipReason, Terms},
    rewrite::Layout,
};

/// What a request is, told by its method and path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// One search, or several.
    Searches(SearchRoute),
    /// Opens a view (a point in time) over an index expression; later searches name the view in place of the indices.
    OpensView {
        /// The index expression.
        indices: String,
    },
    /// Anything else: streamed through untouched.
    PassThrough,
}

/// How a request carries its searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRoute {
    /// The form of the request.
    pub door: Door,
    /// The index expression in the path, percent-decoded; `""` where the path names none.
    pub indices: String,
}

impl SearchRoute {
    /// Whether the path alone says which indices are searched.
    pub fn names_indices(&self) -> bool {
        !self.door.is_multi() && !self.indices.is_empty()
    }
}

/// The forms in which searches come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// One search.
    Single,
    /// Several searches in one request, answered in one.
    Multi,
    /// One search that the cluster renders from a template first.
    Template,
    /// Several of those.
    MultiTemplate,
}

impl Door {
    /// Whether the request holds several searches.
    pub fn is_multi(self) -> bool {
        matches!(self, Self::Multi | Self::MultiTemplate)
    }

    /// Whether its searches must be rendered before they can be read.
    pub fn is_template(self) -> bool {
        matches!(self, Self::Template | Self::MultiTemplate)
    }

    /// The form of the same request once its templates are rendered.
    #[must_use]
    pub fn rendered(self) -> Self {
        match self {
            Self::Template => Self::Single,
            Self::MultiTemplate => Self::Multi,
            door => door,
        }
    }
}

/// A request that holds searches, as the client sent it but for a content coding.
#[derive(Debug, Clone, Copy)]
pub struct SearchRequest<'a> {
    /// Its form.
    pub route: &'a SearchRoute,
    /// Path and query string, raw.
    pub path_and_query: &'a PathAndQuery,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body, decoded; empty where there is none.
    pub body: &'a Bytes,
}

/// One search of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The index expression that it searches, for example `products-*,-products-internal`; `""` for everything, `None`
    /// where only the cluster knows, because the search names a view that was opened elsewhere.
    pub indices: Option<String>,
    /// The id of the view that it searches, if any.
    pub view: Option<String>,
    /// Its body; empty where there is none.
    pub body: Bytes,
    /// Whether the request, as far as that is the same for all of its searches, is in JSON and wants JSON back.
    pub speaks_json: bool,
}

/// What is sent to the cluster in place of the client's request.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Path and query string.
    pub path_and_query: PathAndQuery,
    /// The body; `None` for the client's own.
    pub body: Option<Bytes>,
    /// What the client asked to see of the whole answer, where the cluster is not to apply it: [`Dialect::filter`] does.
    pub filter: Option<String>,
}

/// How an answer is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The plan that the answer is for.
    pub plan: &'a Plan,
    /// Which notes the hits will carry.
    pub explain: Explain,
}

/// What the answer to one search holds for the reranker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// Where the hits lie.
    pub layout: Layout,
    /// The cluster's own score of each hit.
    pub scores: Vec<Option<f32>>,
    /// The text of each hit within the window; `None` where it has none.
    pub passages: Vec<Option<String>>,
    /// How many of the first hits were put there by name, and stay there.
    pub pinned: usize,
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It reports an error, with this HTTP status.
    Error(StatusCode),
    /// It lacks shards or was cut short, which asking for more than the client did may be why.
    Partial,
    /// It is no answer to a search.
    Malformed,
}

impl From<Unreadable> for SkipReason {
    fn from(cause: Unreadable) -> Self {
        match cause {
            Unreadable::Error(_) => Self::UpstreamError,
            Unreadable::Partial => Self::Partial,
            Unreadable::Malformed => Self::Malformed,
        }
    }
}

/// Whether a media type is JSON: `application/json`, or anything ending in `+json`, whatever its parameters.
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.len() > "+json".len() && essence.ends_with("+json"))
}

/// One family of search engines. All methods are pure, but for what [`Dialect::remember_view`] and [`Dialect::introduce`]
/// let later ones know.
pub trait Dialect: Send + Sync + 'static {
    /// What the request is.
    fn classify(&self, method: &Method, path: &str) -> Route;

    /// Whether a request without a body that is no search only reads, so that nobody notices when it is sent twice.
    fn only_reads(&self, method: &Method, path: &str) -> bool;

    /// What to `GET` first in the client's name, to learn from the cluster what `request` alone does not say; `None` when
    /// that is known, or nothing.
    fn introduction(&self, request: SearchRequest<'_>) -> Option<PathAndQuery>;

    /// Learns it from the cluster's answer to [`Dialect::introduction`], empty where it gave none.
    fn introduce(&self, request: SearchRequest<'_>, answer: &[u8]);

    /// What to ask the cluster to have the templates of `request` rendered: one request each, as path and body. Of a
    /// dialect without [`Door::Template`] nobody asks.
    fn renderings(&self, request: SearchRequest<'_>) -> Result<Vec<(PathAndQuery, Bytes)>, SkipReason> {
        let _ = request;
        Err(SkipReason::Unsupported)
    }

    /// The request that the rendered templates stand for, as path and body; `rendered` holds the cluster's answers.
    fn rendered(&self, request: SearchRequest<'_>, rendered: &[Bytes]) -> Result<(PathAndQuery, Bytes), SkipReason> {
        let _ = (request, rendered);
        Err(SkipReason::Unsupported)
    }

    /// The answer to a search that was rendered from a template, as the cluster answers the template itself.
    fn template_answer(&self, request: SearchRequest<'_>, answer: Bytes) -> Bytes {
        let _ = request;
        answer
    }

    /// The searches that the request carries, in its order.
    fn searches(&self, request: SearchRequest<'_>) -> Result<Vec<Search>, SkipReason>;

    /// How to rerank one of them, or why not.
    fn plan(&self, request: SearchRequest<'_>, search: &Search, terms: &Terms<'_>) -> Result<Plan, NoPlan>;

    /// The request with the planned searches in place of the client's own; `plans` has an entry for each search.
    fn assemble(&self, request: SearchRequest<'_>, plans: &[Option<&Plan>]) -> Result<Forward, SkipReason>;

    /// A request with only the searches at these places, as the client sent them; its answer comes unfiltered. Of a dialect
    /// without [`Door::Multi`] nobody asks.
    fn only(&self, request: SearchRequest<'_>, places: &[usize]) -> Result<Forward, SkipReason> {
        let _ = (request, places);
        Err(SkipReason::Unsupported)
    }

    /// Where the answer to each of `count` searches lies in the cluster's answer.
    fn answers(&self, door: Door, answer: &[u8], count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
        let _ = (door, count);
        Ok(std::iter::once(0..answer.len()).collect())
    }

    /// The hits of the answer to one search, with the passages of those within the window.
    fn candidates(&self, answer: &[u8], reading: &Reading<'_>) -> Result<Candidates, Unreadable>;

    /// The answer as [`Forward::filter`] lets the client see it.
    fn filter(&self, answer: &[u8], filter: &str) -> Vec<u8> {
        let _ = filter;
        answer.to_vec()
    }

    /// The id of the view that the answer to a request opens, or goes on with.
    fn view(&self, answer: &[u8]) -> Option<String> {
        let _ = answer;
        None
    }

    /// Remembers which indices a view stands for.
    fn remember_view(&self, view: &str, indices: &str) {
        let _ = (view, indices);
    }

    /// The index expression of the hits in `answer`, to judge by where the request itself names no indices.
    fn indices_of_hits(&self, answer: &[u8]) -> Option<String> {
        let _ = answer;
        None
    }

    /// The body (always JSON) with which the engine itself would report a failure of `kind` with this `reason`.
    fn failure(&self, status: StatusCode, kind: &str, reason: &str) -> String;
}
