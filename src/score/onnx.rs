//! One model in one ONNX Runtime session: inputs by the names that the graph has, outputs as logits or as pooled
//! vectors. Single-threaded by intent; concurrency is the business of `pool`.

use std::sync::{Arc, Mutex, PoisonError};

use ort::{
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::{DynValue, TensorRef},
};

use super::{
    LongPassages,
    encode::{Encoded, Encoder},
    inference::{Inference, Loader, Output},
    runtime::Runtime,
};
use crate::models::{Kind, ModelFolder, Pooling};

/// Opens sessions of one model folder. They share the tokenizer, since reading it takes as long as reading the graph.
#[derive(Debug)]
pub struct OnnxLoader {
    folder: ModelFolder,
    runtime: Runtime,
    encoder: Mutex<Option<Arc<Encoder>>>,
    /// Of each session. The pool's workers have one; only a measurement tries more.
    intra_threads: usize,
}

impl OnnxLoader {
    /// Loads nothing yet.
    pub fn new(folder: ModelFolder, runtime: Runtime) -> OnnxLoader {
        OnnxLoader { folder, runtime, encoder: Mutex::new(None), intra_threads: 1 }
    }

    /// The same, with `threads` threads inside each session.
    #[must_use]
    pub fn with_intra_threads(self, threads: usize) -> OnnxLoader {
        OnnxLoader { intra_threads: threads, ..self }
    }

    fn encoder(&self) -> Result<Arc<Encoder>, String> {
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoder) = &*encoder {
            return Ok(Arc::clone(encoder));
        }
        let loaded = Arc::new(Encoder::load(&self.folder.tokenizer(), self.folder.max_length())?);
        *encoder = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    fn session(&self) -> ort::Result<Session> {
        let mut builder = Session::builder(self.runtime.environment())?
            .with_intra_threads(self.intra_threads)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // A pattern per length would be kept for each of up to 512 lengths.
            .with_memory_pattern(false)?;
        if saturates() {
            builder = builder.with_precise_qmm()?;
        }
        builder.commit_from_file(self.folder.onnx())
    }
}

impl Loader for OnnxLoader {
    fn load(&self) -> Result<Box<dyn Inference>, String> {
        let encoder = self.encoder()?;
        let explain = |error: String| format!("{}: {error}", self.folder.onnx().display());
        let session = self.session().map_err(|error| explain(error.to_string()))?;
        let mut model = OnnxModel::new(session, encoder, self.folder.kind()).map_err(explain)?;
        model.try_out().map_err(explain)?;
        Ok(Box::new(model))
    }
}

/// Whether int8 products (u8 x s8) overflow 16 bits here: x86 without the VNNI instructions.
fn saturates() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !std::is_x86_feature_detected!("avx512vnni") && !std::is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// What a graph wants at one of its inputs.
#[derive(Debug, Clone, Copy)]
enum Feed {
    Ids,
    Mask,
    TypeIds,
}

/// What is read from a graph's output.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Logit,
    Sentence { normalise: bool },
    Tokens { pooling: Pooling, normalise: bool },
}

struct OnnxModel {
    session: Session,
    encoder: Arc<Encoder>,
    feeds: Vec<Feed>,
    output: usize,
    reading: Reading,
    ids: Vec<i64>,
    mask: Vec<i64>,
    type_ids: Vec<i64>,
}

impl OnnxModel {
    fn new(session: Session, encoder: Arc<Encoder>, kind: Kind) -> Result<OnnxModel, String> {
        let feeds: Result<Vec<Feed>, String> = session.inputs().iter().map(|input| feed(input.name())).collect();
        let position = |name: &str| session.outputs().iter().position(|output| output.name() == name);
        let (output, reading) = match (kind, position("sentence_embedding")) {
            (Kind::CrossEncoder, _) => (position("logits").unwrap_or(0), Reading::Logit),
            (Kind::BiEncoder { normalise, .. }, Some(output)) => (output, Reading::Sentence { normalise }),
            (Kind::BiEncoder { pooling, normalise }, None) => {
                let tokens = position("last_hidden_state").or_else(|| position("token_embeddings"));
                (tokens.unwrap_or(0), Reading::Tokens { pooling, normalise })
            }
        };
        let feeds = feeds?;
        Ok(OnnxModel { session, encoder, feeds, output, reading, ids: vec![], mask: vec![], type_ids: vec![] })
    }

    /// Runs once, so that a graph of the wrong shape is found at load and the first search does not pay for the first
    /// allocations.
    fn try_out(&mut self) -> Result<(), String> {
        let query = matches!(self.reading, Reading::Logit).then_some("a");
        let encoded = self.encode(query, &["a"], LongPassages::Truncate).remove(0)?;
        self.run(&[&encoded[0]]).map(drop)
    }
}

fn feed(name: &str) -> Result<Feed, String> {
    match name {
        "input_ids" => Ok(Feed::Ids),
        "attention_mask" => Ok(Feed::Mask),
        "token_type_ids" => Ok(Feed::TypeIds),
        _ => Err(format!("the graph wants an input `{name}` that we do not know; use another export of the model")),
    }
}

impl Inference for OnnxModel {
    fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        self.encoder.encode(query, texts, long)
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, String> {
        let (count, length) = (group.len(), group.first().map_or(0, |encoded| encoded.len()));
        if group.iter().any(|encoded| encoded.len() != length) {
            return Err(String::from("a group of unequal lengths"));
        }
        self.ids.clear();
        self.type_ids.clear();
        for encoded in group {
            self.ids.extend_from_slice(&encoded.ids);
            self.type_ids.extend_from_slice(&encoded.type_ids);
        }
        self.mask.clear();
        self.mask.resize(count * length, 1);

        let mut inputs = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let values = match feed {
                Feed::Ids => &self.ids,
                Feed::Mask => &self.mask,
                Feed::TypeIds => &self.type_ids,
            };
            let tensor = TensorRef::from_array_view(([count, length], values.as_slice()));
            inputs.push(SessionInputValue::from(tensor.map_err(|error| error.to_string())?));
        }
        let outputs = self.session.run(inputs.as_slice()).map_err(|error| error.to_string())?;
        read(&outputs[self.output], self.reading, count, length)
    }
}

fn read(value: &DynValue, reading: Reading, count: usize, length: usize) -> Result<Vec<Output>, String> {
    let (shape, values) = value.try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
    let wrong_shape = || format!("the output has the shape {shape:?}, not what {count} inputs of {length} tokens give");
    if values.is_empty() || !values.len().is_multiple_of(count) {
        return Err(wrong_shape());
    }
    let each = values.chunks_exact(values.len() / count);
    match reading {
        Reading::Logit if values.len() == count => Ok(values.iter().map(|&logit| Output::Logit(logit)).collect()),
        Reading::Sentence { normalise } if shape.len() == 2 => {
            Ok(each.map(|vector| embedding(vector.to_vec(), normalise)).collect())
        }
        Reading::Tokens { pooling, normalise } if shape.len() == 3 && usize::try_from(shape[1]) == Ok(length) => {
            Ok(each.map(|tokens| embedding(pool(tokens, length, pooling), normalise)).collect())
        }
        _ => Err(wrong_shape()),
    }
}

/// Pools `length` token vectors, one after another in `tokens`, into one.
fn pool(tokens: &[f32], length: usize, pooling: Pooling) -> Vec<f32> {
    let size = tokens.len() / length;
    let (first, others) = tokens.split_at(size);
    let mut pooled = first.to_vec();
    if pooling == Pooling::Cls {
        return pooled;
    }
    for token in others.chunks_exact(size) {
        for (pooled, &value) in pooled.iter_mut().zip(token) {
            *pooled = if pooling == Pooling::Max { pooled.max(value) } else { *pooled + value };
        }
    }
    if pooling == Pooling::Mean {
        for sum in &mut pooled {
            *sum /= length as f32;
        }
    }
    pooled
}

fn embedding(mut vector: Vec<f32>, normalise: bool) -> Output {
    if normalise {
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
        for value in &mut vector {
            *value /= norm;
        }
    }
    Output::Embedding(vector.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_takes_mean_first_or_largest() {
        let tokens = [1.0, -4.0, 3.0, 2.0];
        assert_eq!(pool(&tokens, 2, Pooling::Mean), [2.0, -1.0]);
        assert_eq!(pool(&tokens, 2, Pooling::Cls), [1.0, -4.0]);
        assert_eq!(pool(&tokens, 2, Pooling::Max), [3.0, 2.0]);
    }

    #[test]
    fn embeddings_are_scaled_to_length_one() {
        assert_eq!(embedding(vec![3.0, 4.0], true), Output::Embedding([0.6, 0.8].into()));
        assert_eq!(embedding(vec![3.0, 4.0], false), Output::Embedding([3.0, 4.0].into()));
        assert!(embedding(vec![0.0, 0.0], true).is_finite());
    }
}
