//! A search that is to be reranked, with all that Solr's dialect needs to know of it: what is sent, and how its answer is read.
//! Nothing of this leaves the dialect.

use super::{asked::FieldLists, echo::Echo, fields::Fields};
use crate::{extra_fields::ExtraFields, passage::PassageSpec, plan::Plan};

/// A planned search.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// What the pipeline knows of it.
    pub(crate) plan: Plan,
    /// The fields that the query searched, possibly with `*`.
    pub(crate) searched: Vec<String>,
    /// How passages are read.
    pub(crate) passage: PassageSpec,
    /// What was asked for on our behalf only, and must not reach the client.
    pub(crate) extra: ExtraFields,
    /// What the answer repeats of the request, where the client is to see it otherwise.
    pub(crate) echo: Vec<Echo>,
    /// The values of `fl`, by where they come from.
    pub(crate) lists: FieldLists,
    /// What the client lets documents show.
    pub(crate) client: Fields,
}
