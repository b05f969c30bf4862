//! Requests as the proxy sees them, whatever the engine: what a method and a path stand for, in which forms searches come,
//! and what is sent to the cluster in their place.

use bytes::Bytes;
use http::{HeaderMap, uri::PathAndQuery};

/// The route of a request, told by its method and path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// One search, or several.
    Search(SearchRoute),
    /// The opening of a point in time over an index expression; later searches name the point in time in place of the indices.
    OpenPointInTime {
        /// The index expression.
        indices: String,
    },
    /// Anything else: streamed through untouched.
    PassThrough,
}

/// The segments of a path, empty ones left out; of a path with more than `N`, which is that of no search, nothing.
pub(crate) struct Segments<'a, const N: usize> {
    segments: [&'a str; N],
    count: usize,
}

impl<'a, const N: usize> Segments<'a, N> {
    pub(crate) fn of(path: &'a str) -> Self {
        let mut read = Self { segments: [""; N], count: 0 };
        for segment in segments(path) {
            let Some(place) = read.segments.get_mut(read.count) else { return Self { segments: [""; N], count: 0 } };
            *place = segment;
            read.count += 1;
        }
        read
    }

    pub(crate) fn as_slice(&self) -> &[&'a str] {
        &self.segments[..self.count]
    }
}

/// The segments of a path, empty ones left out. Every request's path is taken apart, so that this goes by bytes: `str::split` takes
/// several times as long for segments this short.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    let split = move || {
        let path = rest?;
        let Some(end) = path.bytes().position(|byte| byte == b'/') else { return rest.take() };
        rest = Some(&path[end + 1..]);
        Some(&path[..end])
    };
    std::iter::from_fn(split).filter(|segment| !segment.is_empty())
}

/// The path of a request that carries searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRoute {
    /// The form of the request.
    pub form: SearchForm,
    /// The index expression in the path, percent-decoded; `""` where the path names none.
    pub indices: String,
}

impl SearchRoute {
    /// True if the path alone says which indices are searched.
    pub fn names_indices(&self) -> bool {
        !self.form.is_multi() && !self.indices.is_empty()
    }
}

/// The forms in which searches come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchForm {
    /// One search.
    Single,
    /// Several searches in one request, answered in one.
    Multi,
    /// One search that the cluster renders from a template first.
    Template,
    /// Several of those.
    MultiTemplate,
}

impl SearchForm {
    /// True if the request holds several searches.
    pub fn is_multi(self) -> bool {
        matches!(self, Self::Multi | Self::MultiTemplate)
    }

    /// True if its searches must be rendered before they can be read.
    pub fn is_template(self) -> bool {
        matches!(self, Self::Template | Self::MultiTemplate)
    }

    /// The form of the same request once its templates are rendered.
    #[must_use]
    pub fn rendered(self) -> Self {
        match self {
            Self::Template => Self::Single,
            Self::MultiTemplate => Self::Multi,
            form => form,
        }
    }
}

/// A request that holds searches, as the client sent it but for a content coding.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// Path and query string, raw.
    pub path_and_query: &'a PathAndQuery,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body, decoded; empty where there is none.
    pub body: &'a Bytes,
}

/// The target of one search of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The index expression, for example `products-*,-products-internal`; `""` for everything, `None` where only the cluster
    /// knows, because the search names a point in time that was opened elsewhere.
    pub indices: Option<String>,
    /// The id of the point in time, if any.
    pub point_in_time: Option<String>,
}

impl Search {
    /// A search of these indices.
    pub fn of(indices: impl Into<String>) -> Self {
        Self { indices: Some(indices.into()), point_in_time: None }
    }
}

/// The request that is sent to the cluster in place of the client's.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Path and query string.
    pub path_and_query: PathAndQuery,
    /// The body; `None` for the client's own.
    pub body: Option<Bytes>,
}

/// True if a media type is JSON: `application/json`, or anything ending in `+json`, whatever its parameters.
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.len() > "+json".len() && essence.ends_with("+json"))
}
