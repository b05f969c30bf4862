//! The description of a model on a rerank server.

use std::time::Duration;

use http::{HeaderValue, Uri};

use super::api::Api;

/// A model on a rerank server, as the operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteModel {
    /// The address that calls go to.
    pub url: Uri,
    /// The API of the server.
    pub api: Api,
    /// The model's name there.
    pub model: Option<String>,
    /// The header `Authorization`; marked as sensitive, so that it is not shown.
    pub authorization: Option<HeaderValue>,
    /// The number of texts that a call has at most.
    pub batch: usize,
    /// The number of calls that may be in flight at once, those of all searches together.
    pub concurrency: usize,
    /// The time that a call may take.
    pub timeout: Duration,
}
