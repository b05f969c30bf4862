//! What an ONNX graph says of its model by its outputs: for folders without `config.json`, which would say it. Reads no values.

use std::path::Path;

use graphs::onnx::{ValueInfoProto, file};

use super::ModelError;

/// The output that a model is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// So many numbers an input: a classifier's labels. `None` where that is left open.
    Labels(Option<i64>),
    /// A vector a token.
    Tokens,
    /// A vector an input.
    Sentence,
}

impl Says {
    /// Reads the outputs of `onnx`.
    ///
    /// # Errors
    /// It cannot be read, or has no output that is known.
    pub(super) fn of(onnx: &Path) -> Result<Self, ModelError> {
        let unsupported = |problem: String| ModelError::Unsupported { file: onnx.to_path_buf(), problem };
        let model = file::outline(onnx).map_err(|error| unsupported(format!("is no ONNX file ({error})")))?;
        let outputs = model.graph.map(|graph| graph.output).unwrap_or_default();
        let lone = || (outputs.len() == 1).then(|| Self::of_shape(&outputs[0])).flatten();
        let said = outputs.iter().find_map(Self::of_output).or_else(lone);
        said.ok_or_else(|| {
            let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
            unsupported(format!(
                "has the outputs [{}], none of which is known, and there is no config.json: put the model's beside its \
                 tokenizer",
                names.join(", ")
            ))
        })
    }

    fn of_output(output: &ValueInfoProto) -> Option<Self> {
        match (output.name.as_str(), axes(output).as_deref()) {
            ("logits", Some([_])) => Some(Self::Labels(Some(1))),
            ("logits", Some([_, labels])) => Some(Self::Labels(*labels)),
            ("logits", _) => Some(Self::Labels(None)),
            ("last_hidden_state" | "token_embeddings", _) => Some(Self::Tokens),
            ("sentence_embedding", _) => Some(Self::Sentence),
            _ => None,
        }
    }

    /// An output of any name that is the only one, and can be nothing but a label an input or a vector a token.
    fn of_shape(output: &ValueInfoProto) -> Option<Self> {
        match axes(output).as_deref() {
            Some([_] | [_, Some(1)]) => Some(Self::Labels(Some(1))),
            Some([_, _, _]) => Some(Self::Tokens),
            _ => None,
        }
    }
}

/// The lengths of an output's axes; those that differ from run to run have none.
fn axes(output: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let shape = output.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    Some(shape.dim.iter().map(|axis| axis.dim_value).collect())
}
