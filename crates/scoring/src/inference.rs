//! What the worker pool asks of a model, and nothing more: load, encode, run. [`super::onnx`] is the real one; tests
//! have models that hang, panic and fail.

use std::sync::Arc;

use crate::{LongPassages, Span, encode::Encoded};

/// What a model says of one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A cross-encoder's logit.
    Logit(f32),
    /// A score on a scale of the model's own, to be shown as it is.
    Relevance(f32),
    /// A bi-encoder's pooled vector.
    Embedding(Arc<[f32]>),
    /// Those of the windows of one text.
    Embeddings(Arc<[(Span, Arc<[f32]>)]>),
}

impl Output {
    fn number(&self) -> f32 {
        match self {
            Output::Logit(score) | Output::Relevance(score) => *score,
            Output::Embedding(_) | Output::Embeddings(_) => 0.0,
        }
    }

    /// Whether every number is one: a NaN or an infinity is no score.
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

/// An output, and what is to be known of its input.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// What the model said.
    pub output: Output,
    /// Whether the model did not read the end of the text.
    pub truncated: bool,
    /// The window that the output is of, where there were several.
    pub span: Option<Span>,
    /// How many tokens were read for it, those of all windows.
    pub tokens: u32,
}

impl Made {
    /// What comes of a text from the outputs of its `windows`, one each: of numbers the best, of vectors all. One that
    /// is no number leaves none: which window is best could not be told.
    pub fn of(outputs: Vec<Output>, windows: &[Encoded]) -> Option<Made> {
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
            return Some(Made { output: Output::Embeddings(vectors.into()), truncated, span: None, tokens });
        }
        // The first of equals: `max_by` would take the last.
        let best = (0..parts.len()).rev().max_by(|&a, &b| parts[a].0.number().total_cmp(&parts[b].0.number()))?;
        let (output, span) = parts.swap_remove(best);
        Some(Made { output, truncated, span, tokens })
    }
}

/// Opens a model. Called on worker threads: once per worker, again after a panic, and before that to find out what
/// suits the machine.
pub trait Loader: Send + Sync + 'static {
    /// A model of its own for the calling worker, each run of which takes so many threads. May take seconds.
    ///
    /// # Errors
    /// Why it could not be loaded, for the operator's log; the pool tries again later.
    fn load(&self, threads: usize) -> Result<Box<dyn Inference>, String>;

    /// The model's name, for the log.
    fn name(&self) -> String {
        String::new()
    }

    /// What the model that was loaded last is run on; `None` before the first.
    fn device(&self) -> Option<String> {
        None
    }
}

/// A loaded model, owned by one worker.
pub trait Inference {
    /// Encodes each of `texts`, as a pair with `query` or alone: one window, or several where it is long and `long`
    /// says so.
    ///
    /// # Errors
    /// Each text has its own.
    fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>>;

    /// Runs a group of inputs, of any lengths; one output each, in the same order.
    ///
    /// # Errors
    /// The run failed as a whole.
    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, String>;
}
