//! The output of a model for one text: what is cached, and what scores are made of.

use std::sync::Arc;

use ranking::value::Scale;

use crate::{
    encode::Encoded,
    score::{Score, Span},
};

/// The output of one run for one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A cross-encoder's logit.
    Logit(f32),
    /// A score on a scale of the model's own, to be shown as it is.
    Relevance(f32),
    /// A bi-encoder's pooled vector.
    Embedding(Arc<[f32]>),
    /// The vectors of the windows of one text.
    Embeddings(Arc<[(Span, Arc<[f32]>)]>),
}

impl Output {
    fn number(&self) -> f32 {
        match self {
            Output::Logit(score) | Output::Relevance(score) => *score,
            Output::Embedding(_) | Output::Embeddings(_) => 0.0,
        }
    }

    /// True where every number is finite: a NaN or an infinity is no score.
    pub fn is_finite(&self) -> bool {
        match self {
            Output::Logit(score) | Output::Relevance(score) => score.is_finite(),
            Output::Embedding(vector) => vector.iter().all(|value| value.is_finite()),
            Output::Embeddings(windows) => {
                windows.iter().all(|(_, vector)| vector.iter().all(|value| value.is_finite()))
            }
        }
    }
}

/// An output, and what is to be known of the text that it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelOutput {
    /// The output itself.
    pub output: Output,
    /// True where the model did not read the end of the text.
    pub truncated: bool,
    /// The window that the output is of, where there were several.
    pub span: Option<Span>,
    /// The number of tokens that were read for it, those of all windows.
    pub tokens: u32,
}

impl ModelOutput {
    /// The output for a text from the outputs of its `windows`, one each: of numbers the best, of vectors all. `None` where
    /// one of them is not finite: which window is best could not be told.
    pub fn of(outputs: Vec<Output>, windows: &[Encoded]) -> Option<ModelOutput> {
        let truncated = windows.iter().any(|window| window.truncated);
        let tokens = u32::try_from(windows.iter().map(Encoded::len).sum::<usize>()).unwrap_or(u32::MAX);
        let mut parts: Vec<(Output, Option<Span>)> =
            outputs.into_iter().zip(windows.iter().map(|window| window.span)).collect();
        if parts.iter().any(|(output, _)| !output.is_finite()) {
            return None;
        }
        let vector = |(output, span): &(Output, Option<Span>)| match (output, span) {
            (Output::Embedding(vector), Some(span)) => Some((*span, Arc::clone(vector))),
            _ => None,
        };
        if parts.len() > 1
            && let Some(vectors) = parts.iter().map(vector).collect::<Option<Vec<_>>>()
        {
            return Some(ModelOutput { output: Output::Embeddings(vectors.into()), truncated, span: None, tokens });
        }
        // The first of equals: `max_by` would take the last.
        let best = (0..parts.len()).rev().max_by(|&a, &b| parts[a].0.number().total_cmp(&parts[b].0.number()))?;
        let (output, span) = parts.swap_remove(best);
        Some(ModelOutput { output, truncated, span, tokens })
    }

    /// The output of a server, which tells nothing of how it read the text.
    pub(crate) fn of_server(output: Output) -> ModelOutput {
        ModelOutput { output, truncated: false, span: None, tokens: 0 }
    }

    /// The score of a pair, where the output is one number; a vector is no score without another one.
    pub(crate) fn score(&self, cached: bool) -> Option<Score> {
        let ModelOutput { truncated, span, tokens, .. } = *self;
        let (raw, scale) = match self.output {
            Output::Logit(logit) => (logit, Scale::Logit),
            Output::Relevance(relevance) => (relevance, Scale::AsIs),
            Output::Embedding(_) | Output::Embeddings(_) => return None,
        };
        Some(Score { raw, scale, cached, truncated, span, tokens, stage: None, probability: None })
    }
}
