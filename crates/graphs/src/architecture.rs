//! What every architecture is to the rest: an encoder, and a head. Owns what an encoder is given in a run; the architectures
//! themselves are files of their own.

#[cfg(doc)]
use crate::precision::Precision;
use crate::{
    checkpoint::Checkpoint,
    error::BuildError,
    graph::{Graph, Value},
    layers::Lengths,
    sentence::Pooling,
    size::Size,
};

/// The rows of an encoder's output that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// That of the first token: the last layer is worked out for it alone.
    First,
    /// All of them.
    All,
}

impl Rows {
    /// The rows that are read where they are pooled so.
    pub(crate) fn read_by(pooling: Pooling) -> Rows {
        if pooling == Pooling::Cls { Rows::First } else { Rows::All }
    }
}

/// What an encoder is given in a run.
pub struct Inputs {
    /// Tokens, `[batch, tokens]`.
    pub ids: Value,
    /// 1 for a token that counts, 0 for padding, which is at the right; none where there is none
    /// ([`Precision::goes_one_by_one`]).
    pub mask: Option<Value>,
    /// The text that each token is of, for architectures that want to know.
    pub token_types: Option<Value>,
    /// How many tokens of each input count, `[batch]`; none where there is no padding.
    pub counts: Option<Value>,
    /// The lengths of both axes.
    pub lengths: Lengths,
    /// The most tokens that an input may have.
    pub longest: usize,
}

/// A model that there is a graph for.
pub trait Architecture {
    /// True where the graph is to be told which text each token is of.
    fn wants_token_types(&self) -> bool {
        false
    }

    /// The width of a row of the encoder's output.
    fn width(&self) -> usize;

    /// The most tokens that it has positions for; `None` where there may be any number.
    fn longest(&self) -> Option<usize> {
        None
    }

    /// The way in which a cross-encoder's classifier reads the encoder's output.
    fn pooling(&self) -> Pooling {
        Pooling::Cls
    }

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

    /// The logits, `[batch, 1]`, from the encoder's output as it is pooled, `[batch, width]`.
    ///
    /// # Errors
    /// The weights are not what the configuration says.
    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError>;
}

/// The last layer of a cross-encoder, in floats at every precision: it is small, and its output is the score.
pub(crate) fn classifier(
    graph: &mut Graph,
    weights: &Checkpoint,
    name: &str,
    x: &Value,
    width: Size,
) -> Result<Value, BuildError> {
    let layer = weights.linear(name, width, Size::ANY)?;
    match layer.weights.outputs {
        1 => Ok(graph.float_linear(x, layer)),
        labels => Err(weights.wrong(name, &format!("gives {labels} numbers; a reranker gives one"))),
    }
}
