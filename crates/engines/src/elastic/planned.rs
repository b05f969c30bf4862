//! A search that is to be reranked, with all that Elasticsearch and OpenSearch need to know of it: how its body is sent, and
//! how its answer is read. Nothing of this leaves the dialect.

use bytes::Bytes;

use crate::{extra_fields::ExtraFields, passage::PassageSpec, plan::Plan};

/// A planned search.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// The part of the plan that is the same for every engine.
    pub(crate) plan: Plan,
    /// The fields that the query searched, possibly with `*`.
    pub(crate) searched: Vec<String>,
    /// The rule by which passages are read.
    pub(crate) passage: PassageSpec,
    /// The lowest score that a reranked hit may have, where the search names one for its reranked hits.
    pub(crate) min_score: Option<f32>,
    /// The body to send in place of the client's own; `None` where that one serves.
    pub(crate) body: Option<Bytes>,
    /// The fields that were asked for on our behalf only, and must not reach the client.
    pub(crate) extra: ExtraFields,
    /// The names of the fields whose values are read; `None` in the place of one that the search gives to something else.
    pub(crate) values: Vec<Option<String>>,
}
