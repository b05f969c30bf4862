//! RoBERTa (Liu et al., 2019, <https://arxiv.org/abs/1907.11692>), XLM-R and CamemBERT: bge-reranker, multilingual-e5, and
//! jina-reranker-v2, which has other names for the same weights. The encoder is BERT's. What differs is how positions are counted,
//! and the head.
//!
//! ```text
//! position[i] = padding_id + number of tokens up to i that are not padding         for a token
//!             = padding_id                                                          for padding
//! ```

use super::{
    bert::{self, only_absolute_positions},
    encoder::{self, Encoder, Layer},
};
use crate::{
    architecture::{Architecture, Inputs, Rows, classifier},
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::{Graph, Setting, Value},
    layers::{Activation, LayerNorm},
    size::Size,
};

/// A RoBERTa model as its configuration describes it.
pub struct Roberta {
    encoder: Encoder,
    epsilon: f32,
    /// The token that is padding. Positions begin after its number.
    padding: usize,
    /// The rows of the table of tokens.
    words: Size,
    /// The rows of the table of positions.
    positions: Size,
}

impl Roberta {
    /// Reads the switches.
    ///
    /// # Errors
    /// A switch is set in a way that we have no graph for.
    pub fn read(config: &Config) -> Result<Roberta, BuildError> {
        only_absolute_positions(config)?;
        // Where none is stated it is for the weights to say: transformers has 2, and published files have 1.
        match config.number("type_vocab_size", 1)? {
            1 => (),
            other => return Err(config.unsupported(&format!("`type_vocab_size` is {other}; 1 is known"))),
        }
        let (padding, positions) =
            (config.number("pad_token_id", 1)?.max(0) as usize, config.size("max_position_embeddings")?);
        if positions.length <= padding + 1 {
            return Err(config.unsupported("`max_position_embeddings` leaves no position after `pad_token_id`"));
        }
        let (encoder, epsilon) = (Encoder::read(config, encoder::KEYS)?, config.float("layer_norm_eps", 1e-12)? as f32);
        Ok(Roberta { encoder, epsilon, padding, words: config.vocabulary()?, positions })
    }

    fn embeddings(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        inputs: &Inputs,
        is_of_jina: bool,
    ) -> Result<Value, BuildError> {
        graph.enter("embeddings");
        let width = self.encoder.width;
        let words = graph.embedding(weights.table("embeddings.word_embeddings", self.words, width)?, &inputs.ids);
        let table = [self.positions.or_more(), width];
        let table = weights.tensor("embeddings.position_embeddings.weight", &table)?;
        let mut table = table.first_rows(inputs.longest + self.padding + 1);
        // All tokens are of one text: its row is added to the positions here, and not in each run.
        let types = [Size::of("type_vocab_size", 1), width];
        table.add_to_rows(&weights.tensor("embeddings.token_type_embeddings.weight", &types)?.values);
        let table = graph.floats("positions", &table.shape, table.values);
        let positions = self.positions(graph, &inputs.ids);
        let positions = graph.gather(&table, &positions, 0);
        let name = if is_of_jina { "emb_ln" } else { "embeddings.LayerNorm" };
        Ok(graph.add_and_norm(&words, &positions, LayerNorm::read(weights, name, width, self.epsilon)?))
    }

    /// The row of each token in the table of positions. Counted from the tokens and not from the mask, as transformers does it.
    fn positions(&self, graph: &mut Graph, ids: &Value) -> Value {
        let padding = graph.int(self.padding as i64);
        let is_padding = graph.op("Equal", &[ids, &padding], &[]);
        let is_token = graph.op("Not", &[&is_padding], &[]);
        let is_token = graph.as_ints(&is_token);
        let along_tokens = graph.int(1);
        let counted = graph.op("CumSum", &[&is_token, &along_tokens], &[("exclusive", Setting::Int(0))]);
        let counted = graph.multiply(&counted, &is_token);
        graph.add(&counted, &padding)
    }

    fn layer(&self, weights: &Checkpoint, place: usize, is_of_jina: bool) -> Result<Layer, BuildError> {
        if !is_of_jina {
            return bert::layer(weights, place, &self.encoder, self.epsilon);
        }
        let Encoder { width, inner, .. } = &self.encoder;
        let linear = |part: &str, inputs: &Size, outputs: &Size| {
            weights.linear(&format!("encoder.layers.{place}.{part}"), *inputs, *outputs)
        };
        let norm =
            |part: &str| LayerNorm::read(weights, &format!("encoder.layers.{place}.{part}"), *width, self.epsilon);
        Ok(Layer {
            projections: linear("mixer.Wqkv", width, &width.times(3))?.split(),
            output: linear("mixer.out_proj", width, width)?,
            attention_norm: norm("norm1")?,
            up: linear("mlp.fc1", width, inner)?,
            down: linear("mlp.fc2", inner, width)?,
            norm: norm("norm2")?,
        })
    }
}

/// True where the weights have the names of jina's own code for XLM-R.
fn is_of_jina(weights: &Checkpoint) -> bool {
    weights.has("emb_ln.weight")
}

impl Architecture for Roberta {
    fn width(&self) -> usize {
        self.encoder.width.length
    }

    fn longest(&self) -> Option<usize> {
        Some(self.positions.length - self.padding - 1)
    }

    fn encoder(
        &self,
        graph: &mut Graph,
        weights: &Checkpoint,
        inputs: &Inputs,
        rows: Rows,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Value, BuildError> {
        let is_of_jina = is_of_jina(weights);
        let x = self.embeddings(graph, weights, inputs, is_of_jina)?;
        self.encoder.run(graph, x, inputs, rows, |place| self.layer(weights, place, is_of_jina), step)
    }

    fn logits(&self, graph: &mut Graph, weights: &Checkpoint, pooled: &Value) -> Result<Value, BuildError> {
        let width = self.encoder.width;
        let x = graph.float_linear(pooled, weights.linear("classifier.dense", width, width)?);
        let x = graph.activate(&x, Activation::Tanh);
        classifier(graph, weights, "classifier.out_proj", &x, width)
    }
}
