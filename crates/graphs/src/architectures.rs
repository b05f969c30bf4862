//! The architectures that we have graphs for, one file each, by the `model_type` that configurations state.

pub mod deberta;

#[cfg(doc)]
use crate::precision::Precision;
use crate::{
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::{Graph, Value},
    layers::Lengths,
};

/// The rows of an encoder's output that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// That of the first token: the last layer is worked out for it alone.
    First,
    /// All of them.
    All,
}

/// What an encoder is given in a run.
pub struct Inputs {
    /// Tokens, `[batch, tokens]`.
    pub ids: Value,
    /// 1 for a token that counts, 0 for padding, which is at the right; none where there is no padding ([`Precision::pads`]).
    pub mask: Option<Value>,
    /// The text that each token is of, for architectures that want to know.
    pub token_types: Option<Value>,
    /// The lengths of both axes.
    pub lengths: Lengths,
}

/// A model that there is a graph for.
pub trait Architecture {
    /// The inputs that the graph takes besides tokens and mask.
    fn wants_token_types(&self) -> bool {
        false
    }

    /// The width of a row of the encoder's output.
    fn width(&self) -> usize;

    /// The encoder: `[batch, 1, width]` for [`Rows::First`], `[batch, tokens, width]` for all. `step` is called after each layer.
    ///
    /// # Errors
    /// The weights are not what the configuration says.
    fn encoder(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        inputs: &Inputs,
        rows: Rows,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Value, BuildError>;

    /// The logits, `[batch, 1]`, from the first row of the encoder's output, `[batch, 1, width]`.
    ///
    /// # Errors
    /// The weights are not what the configuration says.
    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, first: &Value) -> Result<Value, BuildError>;
}

/// The architecture that a configuration asks for.
///
/// # Errors
/// We have none for it, or one of its switches is set in a way that we have none for.
pub fn of(config: &Config, max_length: usize) -> Result<Box<dyn Architecture>, BuildError> {
    match config.text("model_type") {
        "deberta-v2" => Ok(Box::new(deberta::Deberta::read(config, max_length)?)),
        other => Err(config.unsupported(&format!("`model_type` is \"{other}\"; deberta-v2 is known"))),
    }
}
