//! A search that is to be reranked, as the pipeline knows it: its plan, and what its rule and the request options say of
//! scoring and of the answer.

use std::{sync::Arc, time::Duration};

use engines::plan::{Explain, Plan};
use ranking::{calibration::Curve, order::Blend};
use scoring::LongPassages;

use super::fields::Fields;
use crate::config::{
    Detail,
    rules::{DiversityConfig, ShownScore},
};

/// A search that is to be reranked, and how.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Its place among the searches of its request.
    pub(super) place: usize,
    pub(super) plan: Plan,
    pub(super) model: String,
    pub(super) budget: Duration,
    pub(super) blend: Blend,
    pub(super) fields: Fields,
    pub(super) diversity: Option<Arc<DiversityConfig>>,
    pub(super) long: LongPassages,
    pub(super) shown: ShownScore,
    pub(super) explain: Explain,
    pub(super) detail: Detail,
    /// The curve of the rule's only model.
    pub(super) probability: Option<Curve>,
    /// The probability below which hits go behind all others.
    pub(super) min_score: Option<f32>,
    /// True if they are left out: the client asked for it.
    pub(super) cut: bool,
    /// The headers by which the client asked for more than the rule allows.
    pub(super) clipped: Vec<&'static str>,
}

impl Planned {
    /// True if the order needs the vectors of the hits.
    pub(super) fn needs_vectors(&self) -> bool {
        self.diversity.as_ref().is_some_and(|config| config.diversity.needs_vectors())
    }
}
