//! Weights as safetensors and stock files hold them, whole and damaged.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::{
    array::{Quantised, Values},
    onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_type, data_type, file},
};

/// A safetensors file of floats, as the format says: the header's length, the header, the values.
fn safetensors(folder: &Path, name: &str, tensors: &[(&str, &[usize], &[f32])]) -> PathBuf {
    let mut header = serde_json::Map::new();
    let mut values = Vec::new();
    for (tensor, shape, floats) in tensors {
        let start = values.len();
        values.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, values.len()] });
        header.insert((*tensor).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], &header, &values].concat()).unwrap();
    file
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let (name, dims) = (name.to_owned(), dims.to_vec());
    TensorProto { name, dims, data_type: data_type::FLOAT, raw_data, ..TensorProto::default() }
}

fn numbers_of(name: &str, dims: &[i64], data_type: i32, values: &[u8]) -> TensorProto {
    let (name, dims, raw_data) = (name.to_owned(), dims.to_vec(), Bytes::copy_from_slice(values));
    TensorProto { dims, data_type, name, raw_data, ..TensorProto::default() }
}

fn node(name: &str, op_type: &str, input: &[&str], output: &str) -> NodeProto {
    let input = input.iter().map(|input| (*input).to_owned()).collect();
    let (name, op_type, output) = (name.to_owned(), op_type.to_owned(), vec![output.to_owned()]);
    NodeProto { input, output, name, op_type, ..NodeProto::default() }
}

fn stock(folder: &Path, node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> PathBuf {
    let graph = GraphProto { node, initializer, ..GraphProto::default() };
    let file = folder.join("model.onnx");
    file::write(ModelProto { graph: Some(graph), ..ModelProto::default() }, &file).unwrap();
    file
}

/// What the layer `dense` is in a file: `y = x W + b` with `W` of two rows and three columns.
const ROWS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const COLUMNS: [f32; 6] = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
const BIAS: [f32; 3] = [0.5, 0.25, 0.125];

fn assert_is_dense(checkpoint: &Checkpoint) {
    let layer = checkpoint.linear("layer.0.dense", Size::ANY, Size::ANY).unwrap();
    assert_eq!((layer.weights.inputs, layer.weights.outputs), (2, 3));
    assert_eq!(layer.weights.into_floats(), ROWS);
    assert_eq!(layer.bias.as_deref(), Some(&BIAS[..]));
}

#[test]
fn a_layer_of_safetensors_has_a_row_for_each_output() {
    let folder = tempfile::tempdir().unwrap();
    let tensors: [(&str, &[usize], &[f32]); 2] =
        [("bert.layer.0.dense.weight", &[3, 2], &COLUMNS), ("bert.layer.0.dense.bias", &[3], &BIAS)];
    assert_is_dense(&Checkpoint::open(&safetensors(folder.path(), "model.safetensors", &tensors)).unwrap());
}

#[test]
fn weights_in_several_files_are_found_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    safetensors(folder.path(), "a.safetensors", &[("layer.0.dense.weight", &[3, 2], &COLUMNS)]);
    safetensors(folder.path(), "b.safetensors", &[("layer.0.dense.bias", &[3], &BIAS)]);
    let index = folder.path().join("model.safetensors.index.json");
    let map = serde_json::json!({ "weight_map": {
        "layer.0.dense.weight": "a.safetensors", "layer.0.dense.bias": "b.safetensors",
    } });
    std::fs::write(&index, map.to_string()).unwrap();
    let checkpoint = Checkpoint::open(&index).unwrap();
    assert_is_dense(&checkpoint);
    assert_eq!(checkpoint.files().len(), 2);
    std::fs::write(&index, map.to_string().replace("a.safetensors", "../a.safetensors")).unwrap();
    let error = Checkpoint::open(&index).err().unwrap().to_string();
    assert!(error.contains("../a.safetensors"), "{error}");
    std::fs::write(&index, r#"{"weight_map": {}}"#).unwrap();
    let error = Checkpoint::open(&index).err().unwrap().to_string();
    assert!(error.contains("index.json: its `weight_map` names no file"), "{error}");
}

#[test]
fn a_file_that_ends_early_or_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = safetensors(folder.path(), "model.safetensors", &[("a", &[3, 2], &COLUMNS)]);
    let whole = std::fs::read(&file).unwrap();
    for broken in [&whole[..4], &whole[..20], &whole[..whole.len() - 1], b"version https://git-lfs.github.com/spec/v1"]
    {
        std::fs::write(&file, broken).unwrap();
        let error = Checkpoint::open(&file).err().unwrap().to_string();
        assert!(error.contains("model.safetensors: no safetensors file"), "{error}");
    }
}

#[test]
fn a_name_that_is_missing_or_may_be_two_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let tensors: [(&str, &[usize], &[f32]); 2] = [("a.norm.weight", &[1], &[1.0]), ("b.norm.weight", &[1], &[2.0])];
    let checkpoint = Checkpoint::open(&safetensors(folder.path(), "model.safetensors", &tensors)).unwrap();
    assert_eq!(checkpoint.vector("b.norm.weight", Size::ANY).unwrap(), [2.0]);
    let error = checkpoint.vector("norm.weight", Size::ANY).unwrap_err().to_string();
    assert!(error.contains("a.norm.weight") && error.contains("b.norm.weight"), "{error}");
    let error = checkpoint.linear("c.dense", Size::ANY, Size::ANY).unwrap_err().to_string();
    assert!(error.contains("c.dense.weight") && error.contains("is not there"), "{error}");
}

#[test]
fn an_export_is_read_by_the_bias_that_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = vec![
        node("/layer.0/dense/MatMul", "MatMul", &["x", "onnx::MatMul_7"], "product"),
        node("/layer.0/dense/Add", "Add", &["layer.0.dense.bias", "product"], "y"),
    ];
    let constants = vec![floats("onnx::MatMul_7", &[2, 3], &ROWS), floats("layer.0.dense.bias", &[3], &BIAS)];
    assert_is_dense(&Checkpoint::open(&stock(folder.path(), nodes, constants)).unwrap());
}

#[test]
fn an_export_without_biases_is_read_by_the_names_of_its_operators() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = vec![node("/model/layer.0/dense/MatMul", "MatMul", &["x", "onnx::MatMul_7"], "y")];
    let constants = vec![floats("onnx::MatMul_7", &[2, 3], &ROWS)];
    let checkpoint = Checkpoint::open(&stock(folder.path(), nodes, constants)).unwrap();
    let layer = checkpoint.linear_with_or_without_bias("layer.0.dense", Size::ANY, Size::ANY).unwrap();
    assert_eq!((layer.weights.into_floats(), layer.bias), (ROWS.to_vec(), None));
}

#[test]
fn a_gemm_or_a_transposition_tells_which_way_a_matrix_lies() {
    let folder = tempfile::tempdir().unwrap();
    let attribute =
        AttributeProto { name: String::from("transB"), i: 1, r#type: attribute_type::INT, ..AttributeProto::default() };
    let gemm = NodeProto {
        attribute: vec![attribute],
        ..node("gemm", "Gemm", &["x", "layer.0.dense.weight", "layer.0.dense.bias"], "y")
    };
    let turned = vec![
        node("t", "Transpose", &["layer.0.dense.weight"], "turned"),
        node("m", "MatMul", &["x", "turned"], "product"),
        node("a", "Add", &["product", "layer.0.dense.bias"], "y"),
    ];
    let constants =
        || vec![floats("layer.0.dense.weight", &[3, 2], &COLUMNS), floats("layer.0.dense.bias", &[3], &BIAS)];
    for nodes in [vec![gemm], turned] {
        assert_is_dense(&Checkpoint::open(&stock(folder.path(), nodes, constants())).unwrap());
    }
}

/// What `quantize_dynamic` makes of a linear layer.
fn quantised_stock(folder: &Path, data_type: i32, values: &[u8], zero_point: &[u8]) -> Checkpoint {
    let nodes = vec![
        node("q", "MatMulInteger", &["x_q", "onnx::MatMul_7_quantized", "x_zero", "onnx::MatMul_7_zero_point"], "int"),
        node("c", "Cast", &["int"], "float"),
        node("s", "Mul", &["x_scale", "onnx::MatMul_7_scale"], "scale"),
        node("m", "Mul", &["float", "scale"], "product"),
        node("a", "Add", &["product", "layer.0.dense.bias"], "y"),
    ];
    let constants = vec![
        numbers_of("onnx::MatMul_7_quantized", &[2, 3], data_type, values),
        floats("onnx::MatMul_7_scale", &[1], &[0.5]),
        numbers_of("onnx::MatMul_7_zero_point", &[1], data_type, zero_point),
        floats("layer.0.dense.bias", &[3], &BIAS),
    ];
    Checkpoint::open(&stock(folder, nodes, constants)).unwrap()
}

#[test]
fn what_is_quantised_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = quantised_stock(folder.path(), data_type::INT8, &[2, 4, 6, 8, 10, 12], &[0]);
    assert_is_dense(&checkpoint);
    let Values::Quantised(Quantised { values, scales, zero_points }) =
        checkpoint.linear("layer.0.dense", Size::ANY, Size::ANY).unwrap().weights.values
    else {
        panic!("int8 stays int8")
    };
    assert_eq!((values, scales, zero_points), (vec![2, 4, 6, 8, 10, 12], vec![0.5], None));
}

#[test]
fn numbers_without_a_sign_are_moved_and_stand_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = quantised_stock(folder.path(), data_type::UINT8, &[202, 204, 206, 208, 210, 212], &[200]);
    assert_is_dense(&checkpoint);
}

#[test]
fn a_graph_whose_layers_are_no_longer_apart_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = vec![node("fused", "Attention", &["x", "qkv", "layer.0.dense.bias"], "y")];
    let constants = vec![floats("qkv", &[2, 9], &[0.0; 18]), floats("layer.0.dense.bias", &[3], &BIAS)];
    let checkpoint = Checkpoint::open(&stock(folder.path(), nodes, constants)).unwrap();
    let error = checkpoint.linear("layer.0.dense", Size::ANY, Size::ANY).unwrap_err().to_string();
    assert!(error.contains("layer.0.dense") && error.contains("may have been optimised"), "{error}");
}

#[test]
fn a_quantised_table_is_read_as_floats() {
    let folder = tempfile::tempdir().unwrap();
    let constants = vec![
        numbers_of("e.word_embeddings.weight_quantized", &[2, 2], data_type::UINT8, &[10, 12, 14, 16]),
        floats("e.word_embeddings.weight_scale", &[], &[0.5]),
        numbers_of("e.word_embeddings.weight_zero_point", &[], data_type::UINT8, &[12]),
    ];
    let checkpoint = Checkpoint::open(&stock(folder.path(), vec![], constants)).unwrap();
    assert_eq!(checkpoint.tensor("word_embeddings.weight", &[Size::ANY; 2]).unwrap().values, [-1.0, 0.0, 1.0, 2.0]);
}

#[test]
fn a_table_that_is_quantised_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let constants = vec![
        numbers_of("bert.words.weight_quantized", &[3, 2], data_type::UINT8, &[128, 129, 127, 130, 0, 255]),
        floats("bert.words.weight_scale", &[], &[0.5]),
        numbers_of("bert.words.weight_zero_point", &[], data_type::UINT8, &[127]),
    ];
    let checkpoint = Checkpoint::open(&stock(folder.path(), vec![], constants)).unwrap();
    let table = checkpoint.table("words", Size::ANY, Size::ANY).unwrap();
    assert_eq!((table.inputs, table.outputs), (3, 2));
    let Values::Quantised(Quantised { values, scales, zero_points }) = table.values else { panic!("int8 stays int8") };
    assert_eq!((values, scales, zero_points), (vec![0, 1, -1, 2, -128, 127], vec![0.5], Some(vec![-1])));
    assert_eq!(checkpoint.tensor("words.weight", &[Size::ANY; 2]).unwrap().values, [0.5, 1.0, 0.0, 1.5, -63.5, 64.0]);
}

#[test]
fn a_layer_that_nobody_asks_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["bert.encoder.layer.0.norm.weight", "bert.encoder.layer.1.norm.weight", "bert.pooler.dense.weight"];
    let tensors = names.map(|name| (name, &[1_usize][..], &[1.0_f32][..]));
    let checkpoint = Checkpoint::open(&safetensors(folder.path(), "model.safetensors", &tensors)).unwrap();
    checkpoint.vector("encoder.layer.0.norm.weight", Size::ANY).unwrap();
    let error = checkpoint.check_all_layers_read().unwrap_err().to_string();
    assert!(error.contains("bert.encoder.layer.1.norm.weight") && error.contains("is not used"), "{error}");
    checkpoint.vector("encoder.layer.1.norm.weight", Size::ANY).unwrap();
    checkpoint.check_all_layers_read().unwrap();
}

#[test]
fn tensors_without_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tensors: [(&str, &[usize], &[f32]); 4] =
        [("a.weight", &[], &[1.0]), ("b.weight", &[3, 0], &[]), ("b.bias", &[3], &BIAS), ("c.weight", &[0, 3], &[])];
    let checkpoint = Checkpoint::open(&safetensors(folder.path(), "model.safetensors", &tensors)).unwrap();
    assert!(checkpoint.tensor("a.weight", &[Size::ANY]).is_err());
    assert!(checkpoint.linear("b", Size::ANY, Size::ANY).is_err());
    assert!(
        checkpoint.table("b", Size::ANY, Size::ANY).is_err() && checkpoint.table("c", Size::ANY, Size::ANY).is_err()
    );
}

#[test]
fn quantised_tensors_without_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let constants = vec![
        numbers_of("e.LayerNorm.weight_quantized", &[5, 0], data_type::INT8, &[]),
        floats("e.LayerNorm.weight_scale", &[], &[0.5]),
        numbers_of("e.words.weight_quantized", &[0, 0], data_type::INT8, &[]),
        floats("e.words.weight_scale", &[], &[0.5]),
    ];
    let checkpoint = Checkpoint::open(&stock(folder.path(), vec![], constants)).unwrap();
    let error = checkpoint.vector("LayerNorm.weight", Size::ANY).unwrap_err().to_string();
    assert!(error.contains("has no values"), "{error}");
    assert!(checkpoint.tensor("words.weight", &[Size::ANY; 2]).is_err());
    assert!(checkpoint.table("words", Size::ANY, Size::ANY).is_err());
}

/// Everything that a graph would ask of a file; what it answers does not matter, only that it answers.
fn ask(file: &Path) {
    let Ok(checkpoint) = Checkpoint::open(file) else { return };
    let _ = checkpoint.linear("layer.0.dense", Size::ANY, Size::ANY).map(|layer| layer.split::<3>());
    let _ = checkpoint.tensor("word_embeddings.weight", &[Size::ANY; 2]);
    let _ = checkpoint.table("word_embeddings", Size::ANY, Size::ANY);
    let _ = checkpoint.vector("layer.0.dense.bias", Size::ANY);
}

proptest::proptest! {
    #[test]
    fn no_damage_of_a_file_is_worse_than_an_error(places in proptest::collection::vec((0..4000_usize, 0..=255_u8), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let table = floats("word_embeddings.weight", &[2, 3], &ROWS);
        let tensors: [(&str, &[usize], &[f32]); 3] = [
            ("layer.0.dense.weight", &[3, 2], &COLUMNS),
            ("layer.0.dense.bias", &[3], &BIAS),
            ("word_embeddings.weight", &[2, 3], &ROWS),
        ];
        let safetensors = safetensors(folder.path(), "model.safetensors", &tensors);
        let nodes = vec![
            node("q", "MatMulInteger", &["x_q", "w_quantized", "x_zero", "w_zero_point"], "product"),
            node("a", "Add", &["product", "layer.0.dense.bias"], "y"),
        ];
        let constants = vec![
            numbers_of("w_quantized", &[2, 3], data_type::INT8, &[1, 2, 3, 4, 5, 6]),
            floats("w_scale", &[3], &BIAS),
            numbers_of("w_zero_point", &[3], data_type::INT8, &[0, 0, 0]),
            floats("layer.0.dense.bias", &[3], &BIAS),
            table,
        ];
        for file in [safetensors, stock(folder.path(), nodes, constants)] {
            let mut bytes = std::fs::read(&file).unwrap();
            for (place, value) in &places {
                let place = place % bytes.len();
                bytes[place] = *value;
            }
            std::fs::write(&file, bytes).unwrap();
            ask(&file);
        }
    }
}
