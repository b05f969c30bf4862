//! One model in one session: inputs by the names that the graph has, of any lengths, and its output.

use std::sync::Arc;

use ort::{
    session::{Session, SessionInputValue},
    value::TensorRef,
};

use super::output::{self, Reading};
use crate::{
    backend::inference::{BackendError, Inference},
    encode::{Encoded, Encoder},
    model_output::Output,
    models::Kind,
    request::LongPassages,
};

/// The values that a graph wants at one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    Ids,
    Mask,
    TypeIds,
}

pub(super) struct OnnxModel {
    session: Session,
    encoder: Arc<Encoder>,
    pad_id: i64,
    feeds: Vec<Feed>,
    output: usize,
    reading: Reading,
    ids: Vec<i64>,
    mask: Vec<i64>,
    type_ids: Vec<i64>,
}

impl OnnxModel {
    /// Looks the graph's inputs and outputs through; `pad_id` is the token that shorter inputs are filled up with.
    ///
    /// # Errors
    /// The graph wants an input that we do not know.
    pub(super) fn new(
        session: Session,
        encoder: Arc<Encoder>,
        kind: Kind,
        pad_id: i64,
    ) -> Result<OnnxModel, BackendError> {
        let feeds: Result<Vec<Feed>, BackendError> = session.inputs().iter().map(|input| feed(input.name())).collect();
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
        Ok(OnnxModel { session, encoder, pad_id, feeds, output, reading, ids: vec![], mask: vec![], type_ids: vec![] })
    }

    /// Runs once, so that a graph of the wrong shape is found at load and the first search does not pay for the first
    /// allocations.
    pub(super) fn try_out(&mut self) -> Result<(), BackendError> {
        let query = matches!(self.reading, Reading::Logit).then_some("a");
        let encoded = self.encode(query, &["a"], LongPassages::Truncate).remove(0).map_err(BackendError::Start)?;
        self.run(&[&encoded[0]]).map(drop)
    }
}

fn feed(name: &str) -> Result<Feed, BackendError> {
    match name {
        "input_ids" => Ok(Feed::Ids),
        "attention_mask" => Ok(Feed::Mask),
        "token_type_ids" => Ok(Feed::TypeIds),
        _ => {
            let problem =
                format!("the graph wants an input `{name}` that we do not know; use another export of the model");
            Err(BackendError::Start(problem))
        }
    }
}

impl Inference for OnnxModel {
    fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        self.encoder.encode(query, texts, long)
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        let lengths: Vec<usize> = group.iter().map(|encoded| encoded.len()).collect();
        let (count, padded) = (group.len(), lengths.iter().copied().max().unwrap_or(0));
        if lengths.iter().any(|&length| length < padded) && !self.feeds.contains(&Feed::Mask) {
            let problem = "the graph has no `attention_mask`, so that its inputs cannot be padded";
            return Err(BackendError::Run(problem.to_owned()));
        }
        self.ids.clear();
        self.mask.clear();
        self.type_ids.clear();
        for (row, encoded) in (1..).zip(group) {
            self.ids.extend_from_slice(&encoded.ids);
            self.ids.resize(row * padded, self.pad_id);
            self.mask.resize(self.mask.len() + encoded.len(), 1);
            self.mask.resize(row * padded, 0);
            self.type_ids.extend_from_slice(&encoded.type_ids);
            self.type_ids.resize(row * padded, 0);
        }

        let mut inputs = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let values = match feed {
                Feed::Ids => &self.ids,
                Feed::Mask => &self.mask,
                Feed::TypeIds => &self.type_ids,
            };
            let tensor = TensorRef::from_array_view(([count, padded], values.as_slice()));
            inputs.push(SessionInputValue::from(tensor.map_err(run_failed)?));
        }
        let outputs = self.session.run(inputs.as_slice()).map_err(run_failed)?;
        output::read(&outputs[self.output], self.reading, &lengths).map_err(BackendError::Run)
    }
}

fn run_failed(error: ort::Error) -> BackendError {
    BackendError::Run(error.to_string())
}
