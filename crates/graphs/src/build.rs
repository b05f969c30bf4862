//! The whole of a build: configuration and weights are read, the graph is written down, and the file gets its provenance.

use std::path::Path;

use crate::{
    architecture::{Architecture, Inputs, Rows},
    architectures,
    checkpoint::Checkpoint,
    config::{Config, LARGEST},
    error::BuildError,
    graph::Graph,
    onnx::file,
    provenance::Provenance,
    recipe::{Output, Recipe},
    sentence,
};

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
    let longest = architecture.longest().map_or(recipe.max_length, |longest| longest.min(recipe.max_length));
    if longest > LARGEST {
        return Err(configuration.unsupported(&format!("takes {longest} tokens; graphs take {LARGEST} at most")));
    }
    let recipe = &Recipe { max_length: longest, ..recipe.clone() };
    let checkpoint = Checkpoint::open(weights)?;
    let provenance = Provenance::of(config, checkpoint.files(), recipe)?;

    let mut graph = Graph::new(recipe.precision, recipe.narrow);
    let inputs = inputs(&mut graph, &*architecture, longest);
    let mut step = |done: usize, all: usize| progress(LAYERS * done as f64 / all as f64);
    let (pooling, normalise) = match recipe.output {
        Output::Logit => (architecture.pooling(), false),
        Output::Sentence { pooling, normalise } => (pooling, normalise),
    };
    let rows = architecture.encoder(&mut graph, &checkpoint, &inputs, Rows::read_by(pooling), &mut step)?;
    let width = architecture.width();
    let vector = sentence::vector(&mut graph, &rows, inputs.mask.as_ref(), pooling, normalise, width);
    match recipe.output {
        Output::Logit => {
            graph.enter("head");
            let logits = architecture.logits(&mut graph, &checkpoint, &vector)?;
            graph.output("logits", &logits, 1);
        }
        Output::Sentence { .. } => graph.output("sentence_embedding", &vector, width),
    }
    checkpoint.check_all_layers_read()?;
    drop(checkpoint);
    let mut model = graph.into_model(architectures::kind(&configuration)?);
    model.metadata_props = provenance.entries();
    file::write(model, to).map_err(|source| BuildError::Unwritable { file: to.to_path_buf(), source })?;
    progress(1.0);
    Ok(provenance)
}

/// The inputs of a graph by the names that exports give them.
fn inputs(graph: &mut Graph, architecture: &dyn Architecture, longest: usize) -> Inputs {
    const IDS: &str = "input_ids";
    const MASK: &str = "attention_mask";
    const TOKEN_TYPES: &str = "token_type_ids";
    let wants_types = architecture.wants_token_types();
    let (ids, mask, token_types) = match (graph.precision().goes_one_by_one(), wants_types) {
        (false, _) => (graph.input(IDS), Some(graph.input(MASK)), wants_types.then(|| graph.input(TOKEN_TYPES))),
        (true, false) => {
            let [ids] = graph.inputs_one_by_one([IDS], MASK);
            (ids, None, None)
        }
        (true, true) => {
            let [ids, types] = graph.inputs_one_by_one([IDS, TOKEN_TYPES], MASK);
            (ids, None, Some(types))
        }
    };
    let lengths = graph.lengths(&ids, longest);
    let counts = mask.as_ref().map(|mask| graph.counts(mask));
    Inputs { ids, mask, token_types, counts, lengths, longest }
}
