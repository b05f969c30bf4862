//! The choices of a build.

use crate::{precision::Precision, sentence::Pooling};

/// The output that a graph is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A cross-encoder's logit: `logits`, `[batch, 1]`.
    Logit,
    /// A bi-encoder's vector: `sentence_embedding`, `[batch, width]`.
    Sentence {
        /// The way in which the vectors of tokens become one.
        pooling: Pooling,
        /// True where it is scaled to length 1.
        normalise: bool,
    },
}

impl Output {
    /// The output as a graph's provenance has it.
    pub fn in_words(self) -> String {
        match self {
            Output::Logit => String::from("logit"),
            Output::Sentence { pooling, normalise } => {
                format!("sentence, {}{}", pooling.name(), if normalise { ", length 1" } else { "" })
            }
        }
    }
}

/// The choices of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The precision of the weights.
    pub precision: Precision,
    /// The output.
    pub output: Output,
    /// The most tokens that an input may have, or fewer where the model has no positions for so many. Longer ones make a run
    /// fail.
    pub max_length: usize,
    /// The revision of the repository that the weights are from, where that is known.
    pub revision: Option<String>,
    /// True where an fp32 graph keeps its weights as narrow as their file has them, as far as that loses nothing, and makes floats
    /// of them in each run, a layer at a time: the same scores but for rounding, in less memory and more time.
    pub narrow: bool,
}
