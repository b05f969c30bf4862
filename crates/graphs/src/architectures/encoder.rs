//! The encoder that BERT and its relatives share (Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>): layers of attention
//! and of a feed-forward network, with a layer norm after each sum. What its weights are called, and what goes in at the bottom,
//! is the business of the architectures.
//!
//! ```text
//! x = norm(x + W_o · attention(W_q x, W_k x, W_v x))      attention(q, k, v) = softmax(q kᵀ / √d) v,  for each head
//! x = norm(x + W_2 · activation(W_1 x))
//! ```
//!
//! `1 / √d` is folded into `W_q` and its bias, so that nothing is divided. The last layer is worked out for the first token
//! alone where that is all that is read: keys and values of all tokens, and one row of everything else.

use crate::{
    architecture::{Inputs, Rows},
    array::Linear,
    config::Config,
    error::BuildError,
    graph::{Graph, Value},
    layers::{Activation, LayerNorm},
    size::Size,
};

/// The keys of BERT's configuration for the shape of its encoder.
pub(super) const KEYS: [&str; 5] =
    ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "hidden_act"];

/// The width between the two linear layers of a feed-forward network where no key states it, as transformers has it.
const INNER: usize = 3072;

/// The shape of an encoder.
pub(super) struct Encoder {
    /// The width of a token's row.
    pub(super) width: Size,
    /// The width between the two linear layers of the feed-forward network.
    pub(super) inner: Size,
    /// The heads, which divide the width among them.
    heads: usize,
    /// The number of layers.
    layers: usize,
    /// The function between the two linear layers of the feed-forward network.
    activation: Activation,
}

/// The weights of a layer.
pub(super) struct Layer {
    /// `W_q`, `W_k`, `W_v`.
    pub(super) projections: [Linear; 3],
    /// `W_o`.
    pub(super) output: Linear,
    /// The norm after attention.
    pub(super) attention_norm: LayerNorm,
    /// `W_1`.
    pub(super) up: Linear,
    /// `W_2`.
    pub(super) down: Linear,
    /// The norm after the feed-forward network.
    pub(super) norm: LayerNorm,
}

impl Encoder {
    /// Reads the shape, from the keys for the two widths, the heads, the layers and the activation function.
    pub(super) fn read(
        config: &Config,
        [width, inner, heads, layers, activation]: [&'static str; 5],
    ) -> Result<Encoder, BuildError> {
        let encoder = Encoder {
            width: config.size(width)?,
            inner: config.size_or(inner, INNER)?,
            heads: config.length(heads)?,
            layers: config.length(layers)?,
            activation: config.activation(activation, Activation::Gelu)?,
        };
        if encoder.width.length.is_multiple_of(encoder.heads) {
            return Ok(encoder);
        }
        Err(config.unsupported(&format!("`{width}` is no multiple of `{heads}`")))
    }

    /// All layers over `x`; `layer` reads the weights of the one at a place.
    pub(super) fn run(
        &self,
        graph: &mut Graph,
        mut x: Value,
        inputs: &Inputs,
        rows: Rows,
        layer: impl Fn(usize) -> Result<Layer, BuildError>,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Value, BuildError> {
        for place in 0..self.layers {
            let is_last = place + 1 == self.layers;
            x = self.layer(graph, place, layer(place)?, &x, inputs, if is_last { rows } else { Rows::All });
            step(place + 1, self.layers);
        }
        Ok(x)
    }

    fn layer(&self, graph: &mut Graph, place: usize, layer: Layer, x: &Value, inputs: &Inputs, rows: Rows) -> Value {
        graph.enter(format!("layer.{place}/attention"));
        let [query, key, value] = layer.projections;
        let query = query.scaled(1.0 / ((self.width.length / self.heads) as f32).sqrt());
        let ([q, k, v], residual) = match rows {
            Rows::All => (graph.linears(x, [query, key, value]), x.clone()),
            Rows::First => {
                let first = graph.first_row(x);
                let q = graph.linear(&first, query);
                let [k, v] = graph.linears(x, [key, value]);
                ([q, k, v], first)
            }
        };
        let attended = graph.attention([&q, &k, &v], None, inputs.counts.as_ref(), self.heads);
        let output = graph.linear(&attended, layer.output);
        let x = graph.add_and_norm(&output, &residual, layer.attention_norm);

        graph.enter(format!("layer.{place}/feed_forward"));
        graph.feed_forward(&x, layer.up, self.activation, layer.down, layer.norm)
    }
}
