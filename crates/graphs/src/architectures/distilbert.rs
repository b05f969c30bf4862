//! DistilBERT (Sanh et al., 2019, <https://arxiv.org/abs/1910.01108>): BERT with half of the layers, without a pooler, and without
//! a word about which text a token is of.

use super::encoder::{Encoder, Layer};
use crate::{
    architecture::{Architecture, Inputs, Rows, classifier},
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::{Graph, Value},
    layers::{Activation, LayerNorm},
    size::Size,
};

/// What is added to variances; no key of the configuration.
const EPSILON: f32 = 1e-12;

/// A DistilBERT model as its configuration describes it.
pub struct DistilBert {
    encoder: Encoder,
    /// The rows of the table of tokens.
    words: Size,
    /// The rows of the table of positions.
    positions: Size,
}

impl DistilBert {
    /// Reads the switches.
    ///
    /// # Errors
    /// A switch is set in a way that we have no graph for.
    pub fn read(config: &Config) -> Result<DistilBert, BuildError> {
        let encoder = Encoder::read(config, ["dim", "hidden_dim", "n_heads", "n_layers", "activation"])?;
        let (words, positions) = (config.vocabulary()?, config.size("max_position_embeddings")?);
        Ok(DistilBert { encoder, words, positions })
    }
}

fn layer(weights: &Checkpoint, place: usize, Encoder { width, inner, .. }: &Encoder) -> Result<Layer, BuildError> {
    let linear = |part: &str, inputs: &Size, outputs: &Size| {
        weights.linear(&format!("transformer.layer.{place}.{part}"), *inputs, *outputs)
    };
    let square = |part: &str| linear(part, width, width);
    let norm = |part: &str| LayerNorm::read(weights, &format!("transformer.layer.{place}.{part}"), *width, EPSILON);
    Ok(Layer {
        projections: [square("attention.q_lin")?, square("attention.k_lin")?, square("attention.v_lin")?],
        output: square("attention.out_lin")?,
        attention_norm: norm("sa_layer_norm")?,
        up: linear("ffn.lin1", width, inner)?,
        down: linear("ffn.lin2", inner, width)?,
        norm: norm("output_layer_norm")?,
    })
}

impl Architecture for DistilBert {
    fn width(&self) -> usize {
        self.encoder.width.length
    }

    fn longest(&self) -> Option<usize> {
        Some(self.positions.length)
    }

    fn encoder(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        inputs: &Inputs,
        rows: Rows,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Value, BuildError> {
        graph.enter("embeddings");
        let width = self.encoder.width;
        let words = graph.embedding(weights.table("embeddings.word_embeddings", self.words, width)?, &inputs.ids);
        let positions = [self.positions.or_more(), width];
        let positions = weights.tensor("embeddings.position_embeddings.weight", &positions)?;
        let positions = graph.first_positions(positions.first_rows(inputs.longest), &inputs.lengths);
        let norm = LayerNorm::read(weights, "embeddings.LayerNorm", width, EPSILON)?;
        let x = graph.add_and_norm(&words, &positions, norm);
        self.encoder.run(graph, x, inputs, rows, |place| layer(weights, place, &self.encoder), step)
    }

    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError> {
        let width = self.encoder.width;
        let x = graph.float_linear(pooled, weights.linear("pre_classifier", width, width)?);
        let x = graph.activate(&x, Activation::Relu);
        classifier(graph, weights, "classifier", &x, width)
    }
}
