//! The candidates in the answer to one search: its hits, or the reason why they cannot be read.

use http::StatusCode;

use ranking::field_values::FieldValue;

use crate::{plan::SkipReason, rewrite::Layout};

/// The hits of the answer to one search, as the reranker needs them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// The places of the hits.
    pub layout: Layout,
    /// The cluster's own score of each hit.
    pub scores: Vec<Option<f32>>,
    /// The text of each hit within the window; `None` where it has none.
    pub passages: Vec<Option<String>>,
    /// The values of each of the fields that [`Terms::values`] names, of each hit within the window. A hit that does not
    /// show a field has no values of it.
    ///
    /// [`Terms::values`]: crate::plan::Terms::values
    pub values: Vec<Vec<Vec<FieldValue>>>,
    /// The number of first hits that were put there by name, and stay there.
    pub pinned: usize,
}

/// The reason why an answer cannot be read.
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
