//! The files beside an ONNX file that it keeps values in ("external data"), under whatever names. Owns the places in the file
//! where such names are, and that none of them leads out of the folder. Reads no values.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use graphs::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, file};

use super::ModelError;

/// The external files of `onnx`, each once, in the order of their names. A file that is no ONNX has none: loading it will
/// say what is wrong with it.
///
/// # Errors
/// It names a file outside of its folder, or one that is not there; or it cannot be read.
pub(crate) fn files(onnx: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let mut files = Vec::new();
    for location in locations(onnx)? {
        let file = file::in_folder_of(onnx, &location).ok_or_else(|| ModelError::Unsupported {
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
    match file::outline(onnx) {
        Ok(model) => Ok(locations_in(&model)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(BTreeSet::new()),
        Err(source) => Err(ModelError::Unreadable { file: onnx.to_path_buf(), source }),
    }
}

/// The external files that the tensors of a model name, wherever they are in it.
fn locations_in(model: &ModelProto) -> BTreeSet<String> {
    let mut locations = BTreeSet::new();
    let training = model.training_info.iter().flat_map(|info| info.initialization.iter().chain(&info.algorithm));
    for graph in model.graph.iter().chain(training) {
        of_graph(graph, &mut locations);
    }
    for function in &model.functions {
        of_nodes(&function.node, &mut locations);
        function.attribute_proto.iter().for_each(|attribute| of_attribute(attribute, &mut locations));
    }
    locations
}

fn of_graph(graph: &GraphProto, locations: &mut BTreeSet<String>) {
    of_tensors(&graph.initializer, locations);
    of_sparse(&graph.sparse_initializer, locations);
    of_nodes(&graph.node, locations);
}

fn of_nodes(nodes: &[NodeProto], locations: &mut BTreeSet<String>) {
    nodes.iter().flat_map(|node| &node.attribute).for_each(|attribute| of_attribute(attribute, locations));
}

/// Graphs lie within attributes of graphs, no deeper than the reader of the file allows.
fn of_attribute(attribute: &AttributeProto, locations: &mut BTreeSet<String>) {
    of_tensors(attribute.t.iter().chain(&attribute.tensors), locations);
    of_sparse(attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors), locations);
    attribute.g.iter().chain(&attribute.graphs).for_each(|graph| of_graph(graph, locations));
}

fn of_sparse<'a>(tensors: impl IntoIterator<Item = &'a SparseTensorProto>, locations: &mut BTreeSet<String>) {
    of_tensors(tensors.into_iter().flat_map(|sparse| sparse.values.iter().chain(&sparse.indices)), locations);
}

fn of_tensors<'a>(tensors: impl IntoIterator<Item = &'a TensorProto>, locations: &mut BTreeSet<String>) {
    locations.extend(tensors.into_iter().filter_map(|tensor| tensor.external("location")).map(str::to_owned));
}

#[cfg(test)]
mod tests;
