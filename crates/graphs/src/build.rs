//! The whole of a build: configuration and weights are read, the graph is written down, and the file gets its provenance.

use std::path::Path;

use crate::{
    architectures::{self, Inputs, Rows},
    checkpoint::Checkpoint,
    config::Config,
    error::BuildError,
    graph::Graph,
    onnx::file,
    precision::Precision,
    provenance::Provenance,
    sentence::{self, Pooling},
};

/// The output that a graph is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A cross-encoder's logit: `logits`, `[batch, 1]`.
    Logit,
    /// A bi-encoder's vector: `sentence_embedding`, `[batch, width]`.
    Sentence {
        /// The way in which the vectors of tokens become one.
        pooling: Pooling,
        /// True where it is scaled to length 1.
        normalise: bool,
    },
}

/// The choices of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The precision of the weights.
    pub precision: Precision,
    /// The output.
    pub output: Output,
    /// The most tokens that an input may have. Longer ones make a run fail.
    pub max_length: usize,
    /// The revision of the repository that the weights are from, where that is known.
    pub revision: Option<String>,
}

/// Writes the graph of the model that `config` describes, with the weights of `weights`, to `to`. `progress` is told the share
/// that is done, 0 to 1. Equal files and recipes give equal bytes.
///
/// # Errors
/// There is no graph of ours for such a model, the weights are not what the configuration says, or a file cannot be read or
/// written. What is at `to` is whole or not there.
pub fn build(
    config: &Path,
    weights: &Path,
    recipe: &Recipe,
    to: &Path,
    progress: &mut dyn FnMut(f64),
) -> Result<Provenance, BuildError> {
    /// The share of the work that is the layers', and not the reading and the writing of files.
    const LAYERS: f64 = 0.8;
    let configuration = Config::read(config)?;
    let architecture = architectures::of(&configuration, recipe.max_length)?;
    let checkpoint = Checkpoint::open(weights)?;
    let provenance = Provenance::of(config, checkpoint.files(), recipe)?;

    let mut graph = Graph::new(recipe.precision);
    let ids = graph.input("input_ids");
    let mask = recipe.precision.pads().then(|| graph.input("attention_mask"));
    let token_types = architecture.wants_token_types().then(|| graph.input("token_type_ids"));
    let lengths = graph.lengths(&ids, recipe.max_length);
    let inputs = Inputs { ids, mask, token_types, lengths };
    let mut step = |done: usize, all: usize| progress(LAYERS * done as f64 / all as f64);
    let mut encoder = |graph: &mut Graph, rows| architecture.encoder(graph, &checkpoint, &inputs, rows, &mut step);
    match recipe.output {
        Output::Logit => {
            let first = encoder(&mut graph, Rows::First)?;
            let logits = architecture.logits(&mut graph, &checkpoint, &first)?;
            graph.output("logits", &logits, 1);
        }
        Output::Sentence { pooling, normalise } => {
            let rows = encoder(&mut graph, if pooling == Pooling::Cls { Rows::First } else { Rows::All })?;
            let vector =
                sentence::vector(&mut graph, &rows, inputs.mask.as_ref(), pooling, normalise, architecture.width());
            graph.output("sentence_embedding", &vector, architecture.width());
        }
    }
    drop(checkpoint);
    let mut model = graph.into_model(configuration.text("model_type"));
    model.metadata_props = provenance.entries();
    file::write(model, to).map_err(|source| BuildError::Unwritable { file: to.to_path_buf(), source })?;
    progress(1.0);
    Ok(provenance)
}
