//! The files beside an ONNX file that it keeps values in ("external data"), under whatever names. Owns where in the file such
//! names are looked for, and that none of them leads out of the folder. Reads no values.

use std::{
    collections::BTreeSet,
    io,
    path::{Component, Path, PathBuf},
};

use super::{ModelError, protobuf::Source};

/// How deep messages lie within each other at most: protobuf's own readers, ONNX Runtime's among them, refuse what lies
/// deeper than 100.
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
    /// What a field holds, where that can have tensors in it. Numbers of onnx.proto, ONNX 1.19.
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
mod tests {
    use super::*;
    use crate::models::protobuf::written::{bytes, external, group, model, number, pair};

    fn found(file: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, file).unwrap();
        locations(&path).unwrap().into_iter().collect()
    }

    #[test]
    fn every_external_file_is_found_wherever_its_tensor_is() {
        let tensor = |name: &str| external(name);
        let sparse = |name: &str| bytes(1, &tensor(name));
        let subgraph = bytes(6, &bytes(5, &tensor("subgraph")));
        let attributes = [
            bytes(5, &bytes(5, &tensor("constant"))),
            bytes(5, &bytes(10, &tensor("list"))),
            bytes(5, &subgraph),
            bytes(5, &bytes(22, &sparse("sparse constant"))),
        ];
        let graph = [
            bytes(1, &attributes.concat()),
            bytes(5, &tensor("initializer")),
            bytes(5, &tensor("initializer")),
            bytes(15, &sparse("sparse")),
        ];
        let function = bytes(25, &bytes(7, &bytes(5, &bytes(5, &tensor("function")))));
        let training = bytes(20, &bytes(1, &bytes(5, &tensor("training"))));
        let file = [number(1, 8), group(30), bytes(7, &graph.concat()), function, training].concat();
        let expected =
            ["constant", "function", "initializer", "list", "sparse", "sparse constant", "subgraph", "training"];
        assert_eq!(found(&file), expected);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        let inside = [number(2, 1), bytes(9, &[7]), pair("location", "stale")].concat();
        assert_eq!(found(&model(&[inside])), [""; 0]);
        assert_eq!(found(b"this is no model"), [""; 0]);
        assert_eq!(found(b""), [""; 0]);
    }

    #[test]
    fn messages_within_each_other_without_end_are_read_in_bounded_memory() {
        let nested = (0..3000).fold(Vec::new(), |inner, _| bytes(6, &bytes(1, &bytes(5, &inner))));
        assert_eq!(found(&bytes(7, &bytes(1, &bytes(5, &nested)))), [""; 0]);
    }

    #[test]
    fn a_file_outside_of_the_folder_is_refused_and_one_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let onnx = folder.path().join("model.onnx");
        for location in ["../secret", "/etc/passwd", "a/../../secret"] {
            std::fs::write(&onnx, model(&[external(location)])).unwrap();
            let error = files(&onnx).unwrap_err().to_string();
            assert!(error.contains("model.onnx") && error.contains(location) && error.contains("outside"), "{error}");
        }
        std::fs::write(&onnx, model(&[external("parts/one.bin")])).unwrap();
        let error = files(&onnx).unwrap_err().to_string();
        assert!(error.contains("one.bin is missing") && error.contains("model.onnx keeps values in it"), "{error}");
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        std::fs::write(folder.path().join("parts/one.bin"), "values").unwrap();
        assert_eq!(files(&onnx).unwrap(), [folder.path().join("parts/one.bin")]);
    }
}
