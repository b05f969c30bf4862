//! A search that is to be reranked, as the pipeline knows it: its plan, and what its rule and the request options say of
//! scoring and of the answer.

use std::time::Duration;

use engines::plan::{Explain, Plan};
use ranking::order::Blend;
use scoring::LongPassages;

use crate::config::{Detail, rules::ShownScore};

/// A search that is to be reranked, and how.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Its place among the searches of its request.
    pub(super) place: usize,
    pub(super) plan: Plan,
    pub(super) model: String,
    pub(super) budget: Duration,
    pub(super) blend: Blend,
    pub(super) long: LongPassages,
    pub(super) shown: ShownScore,
    pub(super) explain: Explain,
    pub(super) detail: Detail,
}
