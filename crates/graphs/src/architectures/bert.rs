//! BERT (Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>): MiniLM, bge and most other small rerankers and embedding models.
//! A token's row is the sum of three embeddings, normalised: of the token, of its position, and of the text that it is of.

use super::encoder::{self, Encoder, Layer};
use crate::{
    architecture::{Architecture, Inputs, Rows, classifier},
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::{Graph, Value},
    layers::{Activation, LayerNorm},
    size::Size,
};

/// A BERT model as its configuration describes it.
pub struct Bert {
    encoder: Encoder,
    epsilon: f32,
    /// The rows of the table of tokens.
    words: Size,
    /// The rows of the table of positions.
    positions: Size,
    /// The texts that a token may be of.
    token_types: Size,
}

impl Bert {
    /// Reads the switches.
    ///
    /// # Errors
    /// A switch is set in a way that we have no graph for.
    pub fn read(config: &Config) -> Result<Bert, BuildError> {
        only_absolute_positions(config)?;
        Ok(Bert {
            encoder: Encoder::read(config, encoder::KEYS)?,
            epsilon: config.float("layer_norm_eps", 1e-12)? as f32,
            words: config.vocabulary()?,
            positions: config.size("max_position_embeddings")?,
            token_types: config.size_or("type_vocab_size", 2)?,
        })
    }

    fn embeddings(&self, graph: &mut Graph, weights: &Checkpoint, inputs: &Inputs) -> Result<Value, BuildError> {
        graph.enter("embeddings");
        let width = self.encoder.width;
        let norm = LayerNorm::read(weights, "embeddings.LayerNorm", width, self.epsilon)?;
        let words = graph.embedding(weights.table("embeddings.word_embeddings", self.words, width)?, &inputs.ids);
        let positions = [self.positions.or_more(), width];
        let positions = weights.tensor("embeddings.position_embeddings.weight", &positions)?;
        let mut positions = positions.first_rows(inputs.longest);
        let types = weights.tensor("embeddings.token_type_embeddings.weight", &[self.token_types, width])?;
        let Some(token_types) = &inputs.token_types else {
            // All tokens are of the first text: its row is added to the positions here, and not in each run.
            positions.add_to_rows(&types.first_rows(1).values);
            let positions = graph.first_positions(positions, &inputs.lengths);
            return Ok(graph.add_and_norm(&words, &positions, norm));
        };
        let positions = graph.first_positions(positions, &inputs.lengths);
        let types = graph.floats("token_types", &types.shape, types.values);
        let types = graph.gather(&types, token_types, 0);
        let sum = graph.sum(&[&words, &positions, &types]);
        Ok(graph.norm(&sum, norm))
    }
}

/// Refuses what is not absolute: positions that attention knows of (`relative_key`), and those of forks (`alibi`, `rotary`).
pub(super) fn only_absolute_positions(config: &Config) -> Result<(), BuildError> {
    match config.text("position_embedding_type")? {
        "" | "absolute" => Ok(()),
        other => Err(config.unsupported(&format!("`position_embedding_type` is \"{other}\"; absolute is known"))),
    }
}

/// The weights of a layer by the names that BERT and RoBERTa have for them.
pub(super) fn layer(
    weights: &Checkpoint,
    place: usize,
    Encoder { width, inner, .. }: &Encoder,
    epsilon: f32,
) -> Result<Layer, BuildError> {
    let linear = |part: &str, inputs: &Size, outputs: &Size| {
        weights.linear(&format!("encoder.layer.{place}.{part}"), *inputs, *outputs)
    };
    let square = |part: &str| linear(part, width, width);
    let norm = |part: &str| LayerNorm::read(weights, &format!("encoder.layer.{place}.{part}"), *width, epsilon);
    Ok(Layer {
        projections: [square("attention.self.query")?, square("attention.self.key")?, square("attention.self.value")?],
        output: square("attention.output.dense")?,
        attention_norm: norm("attention.output.LayerNorm")?,
        up: linear("intermediate.dense", width, inner)?,
        down: linear("output.dense", inner, width)?,
        norm: norm("output.LayerNorm")?,
    })
}

impl Architecture for Bert {
    fn wants_token_types(&self) -> bool {
        self.token_types.length > 1
    }

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
        let x = self.embeddings(graph, weights, inputs)?;
        self.encoder.run(graph, x, inputs, rows, |place| layer(weights, place, &self.encoder, self.epsilon), step)
    }

    /// The pooler, and the classifier after it.
    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError> {
        let width = self.encoder.width;
        let x = graph.float_linear(pooled, weights.linear("pooler.dense", width, width)?);
        let x = graph.activate(&x, Activation::Tanh);
        classifier(graph, weights, "classifier", &x, width)
    }
}
