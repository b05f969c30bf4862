//! What the worker pool asks of a model, and nothing more: load, encode, run. [`super::onnx`] is the real one; tests
//! have models that hang, panic and fail.

use std::sync::Arc;

use super::encode::Encoded;

/// What a model says of one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A cross-encoder's logit.
    Logit(f32),
    /// A score on a scale of the model's own, to be shown as it is.
    Relevance(f32),
    /// A bi-encoder's pooled vector.
    Embedding(Arc<[f32]>),
}

impl Output {
    /// Whether every number is one: a NaN or an infinity is no score.
    pub fn is_finite(&self) -> bool {
        match self {
            Output::Logit(score) | Output::Relevance(score) => score.is_finite(),
            Output::Embedding(vector) => vector.iter().all(|value| value.is_finite()),
        }
    }
}

/// An output, and what is to be known of its input.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// What the model said.
    pub output: Output,
    /// Whether the input was cut to the model's length.
    pub truncated: bool,
}

/// Opens a model. Called on worker threads: once per worker, and again after a panic.
pub trait Loader: Send + Sync + 'static {
    /// A model of its own for the calling worker. May take seconds.
    ///
    /// # Errors
    /// Why it could not be loaded, for the operator's log; the pool tries again later.
    fn load(&self) -> Result<Box<dyn Inference>, String>;
}

/// A loaded model, owned by one worker.
pub trait Inference {
    /// Encodes each of `texts`, as a pair with `query` or alone.
    ///
    /// # Errors
    /// Each text has its own.
    fn encode(&self, query: Option<&str>, texts: &[&str]) -> Vec<Result<Encoded, String>>;

    /// Runs a group of inputs of equal length; one output each, in the same order.
    ///
    /// # Errors
    /// The run failed as a whole.
    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, String>;
}
