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
};

/// What is added to variances; no key of the configuration.
const EPSILON: f32 = 1e-12;

/// A DistilBERT model as its configuration describes it.
pub struct DistilBert {
    encoder: Encoder,
    /// The rows of the table of positions.
    positions: usize,
}

impl DistilBert {
    /// Reads the switches.
    ///
    /// # Errors
    /// A switch is set in a way that we have no graph for.
    pub fn read(config: &Config) -> Result<DistilBert, BuildError> {
        let encoder = Encoder::read(config, ["dim", "n_heads", "n_layers", "activation"])?;
        Ok(DistilBert { encoder, positions: config.length("max_position_embeddings")? })
    }
}

fn layer(weights: &Checkpoint, place: usize) -> Result<Layer, BuildError> {
    let linear = |part: &str| weights.linear(&format!("transformer.layer.{place}.{part}"));
    let norm = |part: &str| LayerNorm::read(weights, &format!("transformer.layer.{place}.{part}"), EPSILON);
    Ok(Layer {
        projections: [linear("attention.q_lin")?, linear("attention.k_lin")?, linear("attention.v_lin")?],
        gathered: linear("attention.out_lin")?,
        attention_norm: norm("sa_layer_norm")?,
        inner: linear("ffn.lin1")?,
        outer: linear("ffn.lin2")?,
        norm: norm("output_layer_norm")?,
    })
}

impl Architecture for DistilBert {
    fn width(&self) -> usize {
        self.encoder.width
    }

    fn longest(&self) -> Option<usize> {
        Some(self.positions)
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
        let words = graph.embedding(weights.table("embeddings.word_embeddings")?, &inputs.ids);
        let positions = weights.tensor("embeddings.position_embeddings.weight")?.first_rows(inputs.longest);
        let positions = graph.first_positions(positions, &inputs.lengths);
        let x = graph.add_and_norm(&words, &positions, LayerNorm::read(weights, "embeddings.LayerNorm", EPSILON)?);
        self.encoder.run(graph, x, inputs, rows, |place| layer(weights, place), step)
    }

    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError> {
        let x = graph.float_linear(pooled, weights.linear("pre_classifier")?);
        let x = graph.activate(&x, Activation::Relu);
        classifier(graph, weights, "classifier", &x)
    }
}
