//! The files beside an ONNX file that it keeps values in ("external data"), under whatever names. Owns the places in the file
//! where such names are, and that none of them leads out of the folder. Reads no values.

use std::{
    collections::BTreeSet,
    io,
    path::{Component, Path, PathBuf},
};

use super::{ModelError, protobuf::Source};

/// The depth at which messages lie within each other at most: protobuf's own readers, ONNX Runtime's among them, refuse
/// what lies deeper than 100.
const DEEPEST: usize = 128;

/// The messages of an ONNX file that tensors lie in, at whatever depth.
#[derive(Debug, Clone, Copy)]
enum Message {
    Model,
    Graph,
    Function,
    Training,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
}

impl Message {
    /// The message that a field holds, where that can have tensors in it. Numbers of onnx.proto, ONNX 1.19.
    fn field(self, number: u64) -> Option<Message> {
        Some(match (self, number) {
            // ModelProto.graph; AttributeProto.g and graphs; TrainingInfoProto.initialization and algorithm
            (Message::Model, 7) | (Message::Attribute, 6 | 11) | (Message::Training, 1 | 2) => Message::Graph,
            // ModelProto.training_info and functions
            (Message::Model, 20) => Message::Training,
            (Message::Model, 25) => Message::Function,
            // GraphProto.node, FunctionProto.node
            (Message::Graph, 1) | (Message::Function, 7) => Message::Node,
            // NodeProto.attribute, FunctionProto.attribute_proto
            (Message::Node, 5) | (Message::Function, 11) => Message::Attribute,
            // GraphProto.sparse_initializer, AttributeProto.sparse_tensor and sparse_tensors
            (Message::Graph, 15) | (Message::Attribute, 22 | 23) => Message::SparseTensor,
            // GraphProto.initializer; AttributeProto.t and tensors; SparseTensorProto.values and indices
            (Message::Graph, 5) | (Message::Attribute, 5 | 10) | (Message::SparseTensor, 1 | 2) => Message::Tensor,
            _ => return None,
        })
    }
}

/// The external files of `onnx`, each once, in the order of their names. A file that is no ONNX has none: loading it will
/// say what is wrong with it.
///
/// # Errors
/// It names a file outside of its folder, or one that is not there; or it cannot be read.
pub(crate) fn files(onnx: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let mut files = Vec::new();
    for location in locations(onnx)? {
        let file = beside(onnx, &location).ok_or_else(|| ModelError::Unsupported {
            file: onnx.to_path_buf(),
            problem: format!(
                "keeps values in `{location}`, outside of its folder, which is not read; export the model again with its \
                 external data beside it"
            ),
        })?;
        if !file.is_file() {
            let name = onnx.file_name().unwrap_or(onnx.as_os_str()).to_string_lossy();
            return Err(ModelError::Missing {
                file,
                remedy: format!("{name} keeps values in it; download the model whole"),
            });
        }
        files.push(file);
    }
    Ok(files)
}

/// The external files that `onnx` names, as it names them.
///
/// # Errors
/// It cannot be read.
pub(crate) fn locations(onnx: &Path) -> Result<BTreeSet<String>, ModelError> {
    match read(onnx) {
        Ok(locations) => Ok(locations),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            Ok(BTreeSet::new())
        }
        Err(source) => Err(ModelError::Unreadable { file: onnx.to_path_buf(), source }),
    }
}

/// The file that an ONNX file names; `None` where that would be outside of its folder, as ONNX Runtime has it, too.
pub(crate) fn beside(onnx: &Path, location: &str) -> Option<PathBuf> {
    let location = Path::new(location);
    let is_inside = location.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_inside.then(|| onnx.parent().unwrap_or(Path::new("")).join(location))
}

fn read(onnx: &Path) -> io::Result<BTreeSet<String>> {
    let (mut source, end) = Source::open(onnx)?;
    let mut locations = BTreeSet::new();
    let mut open = vec![(Message::Model, end)];
    while let Some(&(message, end)) = open.last() {
        let Some(field) = source.field(end)? else {
            open.pop();
            continue;
        };
        match message.field(field.number).filter(|_| field.is_bytes) {
            Some(Message::Tensor) => {
                let tensor = source.tensor(field.value)?;
                locations.extend(tensor.external("location").filter(|_| tensor.is_external).map(str::to_owned));
            }
            Some(inner) if open.len() < DEEPEST => open.push((inner, source.end(field.value))),
            _ => source.skip(&field)?,
        }
    }
    Ok(locations)
}

#[cfg(test)]
mod tests;
