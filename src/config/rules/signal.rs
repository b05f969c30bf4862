//! A signal, as the configuration describes it. Owns that each list of signals has a label of its own.

use indexmap::IndexMap;
use ranking::{calibration::Curve, field_values::FieldSignal, fusion::Weighting};

use crate::config::models::Models;

/// One of the things that the hits of a rule are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalConfig {
    /// The origin of its numbers.
    pub source: SourceConfig,
    /// The way in which they count.
    pub weighting: Weighting,
    /// The probability that a hit is good which no later model knows.
    pub probability: Option<Curve>,
}

/// The origin of a signal's numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceConfig {
    /// The cluster's own score.
    Cluster,
    /// A model.
    Model {
        /// Its name.
        name: String,
        /// The number of hits that it is asked for at most, the best of what precedes it; `None` for the window.
        keep: Option<usize>,
        /// The distance from the best hit down to which hits are asked for ([`ranking::depth`]); `None` for all of `keep`.
        gap: Option<f32>,
    },
    /// A field of the document.
    Field(FieldSignal),
}

/// The signals that are fused, by the label that stands for them in a rule's `model`.
pub(in crate::config) type FusedScorings = IndexMap<String, Vec<SignalConfig>>;

impl SourceConfig {
    /// The key that says it.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Model { .. } => "model",
            Self::Field(_) => "field",
        }
    }

    /// The name of the signal in labels and explanations.
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster => "cluster",
            Self::Model { name, .. } => name,
            Self::Field(signal) => &signal.field,
        }
    }
}

impl SignalConfig {
    /// True if there is a probability for every hit that it has a number for.
    pub(in crate::config) fn is_calibrated(&self) -> bool {
        self.probability.is_some() || !matches!(self.source, SourceConfig::Model { .. })
    }
}

/// Adds signals to those that are fused, and gives the label that stands for them: `label`, with a number where it stands for
/// a model or for other signals already.
pub(super) fn add(label: String, signals: Vec<SignalConfig>, models: &Models, fused: &mut FusedScorings) -> String {
    let numbered = (2..).map(|number| format!("{label}#{number}"));
    let is_free = |label: &String| !models.contains(label) && fused.get(label).is_none_or(|known| *known == signals);
    let label = std::iter::once(label.clone()).chain(numbered).find(is_free).unwrap_or(label);
    fused.insert(label.clone(), signals);
    label
}
