//! Models of the fixtures with one thing changed, in their configuration or in their weights: what is refused, and in which words.
//! What is built of sound ones is held against torch in tests/graphs.rs of the repository.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use graphs::{
    Output, Pooling, Precision, Recipe,
    onnx::{GraphProto, file},
};
use serde_json::{Value, json};

/// A tensor: its shape, and its numbers.
type Tensor = (Vec<usize>, Vec<f32>);

/// A copy of a model whose weights are floats in one file.
struct Model {
    folder: tempfile::TempDir,
    keys: Value,
    tensors: BTreeMap<String, Tensor>,
}

impl Model {
    fn named(name: &str) -> Model {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/graphs").join(name);
        let keys = serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
        let bytes = fs::read(source.join("model.safetensors")).unwrap();
        let (header, values) = bytes[8..].split_at(u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize);
        let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
        let tensor = |(name, entry): (String, Value)| {
            let numbers = |key: &str| -> Vec<usize> { serde_json::from_value(entry[key].clone()).unwrap() };
            let part = &values[numbers("data_offsets")[0]..numbers("data_offsets")[1]];
            let floats = match entry["dtype"].as_str().unwrap() {
                "F32" => part.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                // The upper half of a float.
                _ => {
                    part.as_chunks::<2>().0.iter().map(|bytes| f32::from_le_bytes([0, 0, bytes[0], bytes[1]])).collect()
                }
            };
            (name, (numbers("shape"), floats))
        };
        let tensors = header
            .into_iter()
            .filter(|(_, entry)| entry["dtype"] == "F32" || entry["dtype"] == "BF16")
            .map(tensor)
            .collect();
        Model { folder: tempfile::tempdir().unwrap(), keys, tensors }
    }

    /// The model with another value of a key.
    fn with(mut self, key: &str, value: Value) -> Model {
        self.keys[key] = value;
        self
    }

    /// Changes the one tensor whose name ends so.
    fn tensor(&mut self, ends: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|(name, _)| name.ends_with(ends)).unwrap().1
    }

    fn write(&self) -> (PathBuf, PathBuf) {
        let (mut header, mut values) = (serde_json::Map::new(), Vec::new());
        for (name, (shape, floats)) in &self.tensors {
            let start = values.len();
            values.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
            header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, values.len()]}));
        }
        let header = serde_json::to_vec(&header).unwrap();
        let (config, weights) = (self.folder.path().join("config.json"), self.folder.path().join("model.safetensors"));
        fs::write(&config, self.keys.to_string()).unwrap();
        fs::write(&weights, [&(header.len() as u64).to_le_bytes()[..], &header, &values].concat()).unwrap();
        (config, weights)
    }

    /// The bytes of its graph, or the refusal.
    fn built_as(&self, precision: Precision) -> Result<Vec<u8>, String> {
        let (config, weights) = self.write();
        let has_classifier = self.tensors.keys().any(|name| name.contains("classifier"));
        let sentence = Output::Sentence { pooling: Pooling::Mean, normalise: true };
        let output = if has_classifier { Output::Logit } else { sentence };
        let recipe = Recipe { precision, output, max_length: 512, revision: None, narrow: false };
        let to = self.folder.path().join("graph.onnx");
        graphs::build(&config, &weights, &recipe, &to, &mut |_| ()).map_err(|error| error.to_string())?;
        Ok(fs::read(to).unwrap())
    }

    /// Its graph, without what the file says of where it is from.
    fn graph(&self) -> GraphProto {
        self.built().unwrap();
        file::read(&self.folder.path().join("graph.onnx")).unwrap().graph.unwrap()
    }

    fn built(&self) -> Result<Vec<u8>, String> {
        self.built_as(Precision::Fp32)
    }
}

/// Weights of other sizes would make a graph that says something else.
#[test]
fn sizes_that_the_weights_do_not_have_are_refused_by_the_key() {
    let cases = [
        ("bert-mean", "hidden_size", json!(64)),
        ("bert-mean", "intermediate_size", json!(32)),
        ("bert-mean", "vocab_size", json!(97)),
        ("bert-mean", "max_position_embeddings", json!(513)),
        ("bert-cross", "type_vocab_size", json!(0)),
        ("bert-cross", "type_vocab_size", json!(1)),
        ("bert-cross", "type_vocab_size", json!(1000)),
        ("distilbert-cross", "dim", json!(36)),
        ("distilbert-cross", "hidden_dim", json!(36)),
        ("xlmr-cross", "hidden_size", json!(36)),
        ("jina-cross", "hidden_size", json!(36)),
        ("jina-cross", "intermediate_size", json!(36)),
        ("modernbert-cross", "hidden_size", json!(64)),
        ("modernbert-cross", "intermediate_size", json!(65)),
        ("modernbert-cross", "local_attention", json!(-1)),
        ("modernbert-cross", "global_attn_every_n_layers", json!(0)),
        ("modernbert-cross", "global_attn_every_n_layers", json!(-1)),
        ("deberta-mxbai", "position_buckets", json!(3)),
        ("deberta-mxbai", "position_buckets", json!(257)),
        ("deberta-unbucketed", "max_relative_positions", json!(63)),
        ("deberta-mxbai", "pos_att_type", json!(5)),
        ("deberta-mxbai", "pos_att_type", json!(true)),
        ("deberta-mxbai", "pos_att_type", json!(["c2p", 1.5])),
        ("deberta-projected", "embedding_size", json!(8)),
        ("deberta-conv", "conv_kernel_size", json!(5)),
        ("deberta-conv", "conv_groups", json!(2)),
        ("deberta-absolute", "type_vocab_size", json!(3)),
    ];
    for (name, key, value) in cases {
        let error = Model::named(name).with(key, value.clone()).built();
        let error = error.err().unwrap_or_else(|| panic!("{name} with {key} = {value}"));
        assert!(error.contains(&format!("`{key}`")), "{name} with {key} = {value}: {error}");
    }
    let error = Model::named("bert-mean").with("hidden_size", json!(64)).built().unwrap_err();
    assert!(error.contains("LayerNorm.weight` is [32]; `hidden_size` asks for [64]"), "{error}");
}

/// Such numbers are multiplied, and asked for as memory, before any weight is seen.
#[test]
fn numbers_that_no_model_has_are_refused_by_the_key() {
    let huge = [json!(1_u64 << 31), json!(1_u64 << 40), json!(i64::MAX)];
    let cases = [
        ("deberta-mxbai", "position_buckets"),
        ("deberta-mxbai", "hidden_size"),
        ("deberta-unbucketed", "max_relative_positions"),
        ("modernbert-cross", "hidden_size"),
        ("modernbert-cross", "max_position_embeddings"),
        ("modernbert-cross", "num_hidden_layers"),
        ("modernbert-cross", "local_attention"),
        ("roberta-cross", "max_position_embeddings"),
        ("roberta-cross", "pad_token_id"),
        ("bert-cross", "vocab_size"),
    ];
    for (name, key) in cases {
        for value in &huge {
            let error = Model::named(name).with(key, value.clone()).built();
            let error = error.err().unwrap_or_else(|| panic!("{name} with {key} = {value}"));
            assert!(error.contains(&format!("`{key}`")), "{name} with {key} = {value}: {error}");
        }
    }
}

/// int8 would make 0 of them.
#[test]
fn weights_that_are_no_numbers_are_refused_at_every_precision() {
    for name in ["word_embeddings.weight", "layer.1.output.dense.weight", "self.key.bias", "LayerNorm.bias"] {
        for number in [f32::NAN, f32::INFINITY] {
            let mut model = Model::named("bert-cross");
            *model.tensor(name).1.last_mut().unwrap() = number;
            for (_, precision) in Precision::NAMES {
                let error = model.built_as(precision).unwrap_err();
                assert!(error.contains("NaN or infinite"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn a_projection_that_was_cut_is_refused() {
    let mut model = Model::named("bert-cross");
    for (part, numbers) in [("layer.0.attention.self.query", 16), ("layer.0.attention.self.key", 16)] {
        let (shape, values) = model.tensor(&format!("{part}.weight"));
        *shape = vec![numbers, 32];
        values.truncate(numbers * 32);
        let (shape, values) = model.tensor(&format!("{part}.bias"));
        *shape = vec![numbers];
        values.truncate(numbers);
    }
    let error = model.built().unwrap_err();
    assert!(error.contains("self.query` is [16, 32]; `hidden_size` asks for [32, 32]"), "{error}");
}

#[test]
fn what_tables_have_beyond_the_configuration_is_padding() {
    for (key, value) in [("vocab_size", json!(90)), ("max_position_embeddings", json!(500))] {
        Model::named("bert-mean").with(key, value).built().unwrap();
    }
}

/// As transformers 5 saves it, which writes neither `global_attn_every_n_layers` nor `global_rope_theta`.
fn saved_by_transformers_5() -> Model {
    let mut model = Model::named("modernbert-cross");
    let keys = model.keys.as_object_mut().unwrap();
    for key in ["global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"] {
        keys.remove(key).unwrap();
    }
    let (full, sliding) = ("full_attention", "sliding_attention");
    model.with("layer_types", json!([full, sliding, sliding, full])).with(
        "rope_parameters",
        json!({
            full: {"rope_theta": 160_000.0, "rope_type": "default"},
            sliding: {"rope_theta": 10_000.0, "rope_type": "default"},
        }),
    )
}

#[test]
fn a_modernbert_of_transformers_5_is_the_graph_of_transformers_4() {
    let four = Model::named("modernbert-cross").graph();
    assert!(saved_by_transformers_5().graph() == four);
    let [full, sliding] = ["full_attention", "sliding_attention"];
    // Each layer has its own type, and each type its own angles.
    let others = [
        saved_by_transformers_5().with("layer_types", json!([full, full, sliding, full])),
        saved_by_transformers_5().with("rope_parameters", json!({full: {"rope_theta": 10_000.0}})),
        saved_by_transformers_5().with("rope_parameters", json!({sliding: {"rope_theta": 20_000}})),
    ];
    for other in others {
        assert!(other.graph() != four, "{}", other.keys);
    }
    let both = json!({full: null, sliding: {"rope_theta": 10_000}});
    assert!(saved_by_transformers_5().with("rope_parameters", both).graph() == four);
}

#[test]
fn a_rotation_or_a_layer_of_another_type_is_refused_by_its_key() {
    let [full, sliding] = ["full_attention", "sliding_attention"];
    let cases = [
        ("layer_types", json!([full, sliding, sliding])),
        ("layer_types", json!([full, sliding, sliding, "chunked_attention"])),
        ("layer_types", json!("full_attention")),
        ("layer_types", json!([1, 2, 3, 4])),
        ("rope_parameters", json!({"rope_theta": 10_000.0, "rope_type": "default"})),
        ("rope_parameters", json!({full: {"rope_type": "yarn", "factor": 2.0}})),
        ("rope_parameters", json!({full: {"rope_theta": "10000"}})),
        ("rope_parameters", json!(5)),
        ("rope_scaling", json!({"rope_type": "yarn"})),
    ];
    for (key, value) in cases {
        let error = saved_by_transformers_5().with(key, value.clone()).built().unwrap_err();
        assert!(error.contains(&format!("`{key}`")), "{key} = {value}: {error}");
    }
}

#[test]
fn names_of_old_are_the_same_weights_and_functions() {
    let mut old = Model::named("bert-cross").with("hidden_act", json!("gelu_python"));
    let renamed = |name: String| match name.split_once("LayerNorm.") {
        Some((before, "weight")) => format!("{before}LayerNorm.gamma"),
        Some((before, _)) => format!("{before}LayerNorm.beta"),
        None => name,
    };
    old.tensors = old.tensors.into_iter().map(|(name, tensor)| (renamed(name), tensor)).collect();
    assert!(old.tensors.contains_key("bert.embeddings.LayerNorm.gamma"));
    assert!(old.graph() == Model::named("bert-cross").graph());
}

#[test]
fn a_roberta_that_does_not_state_its_texts_has_as_many_as_its_weights() {
    let silent = || Model::named("xlmr-cross").with("type_vocab_size", Value::Null);
    assert!(silent().graph() == Model::named("xlmr-cross").graph());
    let mut two = silent();
    let (shape, values) = two.tensor("token_type_embeddings.weight");
    *shape = vec![2, 32];
    values.extend_from_within(..);
    let error = two.built().unwrap_err();
    assert!(error.contains("is [2, 32]; `type_vocab_size`"), "{error}");
}
