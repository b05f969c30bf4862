//! A search that is to be reranked, with all that Solr's dialect needs to know of it: what is sent, and how its answer is read.
//! Nothing of this leaves the dialect.

use super::{asked::FieldLists, echo::Echo, fields::Fields};
use crate::{extra_fields::ExtraFields, passage::PassageSpec, plan::Plan};

/// A planned search.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The part of the plan that is the same for every engine.
    pub(crate) plan: Plan,
    /// The fields that the query searched, possibly with `*`.
    pub(crate) searched: Vec<String>,
    /// The rule by which passages are read.
    pub(crate) passage: PassageSpec,
    /// The fields that were asked for on our behalf only, and must not reach the client.
    pub(crate) extra: ExtraFields,
    /// The names of the fields whose values are read; `None` in the place of one that the search gives to something else.
    pub(crate) values: Vec<Option<String>>,
    /// The parameters that the answer repeats and the client is to see otherwise.
    pub(crate) echo: Vec<Echo>,
    /// The values of `fl`, by where they come from.
    pub(crate) lists: FieldLists,
    /// The fields that the client lets documents show.
    pub(crate) client: Fields,
}
