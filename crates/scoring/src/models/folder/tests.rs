//! Model folders of a few small files, whole and broken.

use graphs::onnx::{
    DimensionProto, GraphProto, ModelProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

use super::*;
use crate::models::Pooling;
use crate::models::written;

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

/// A folder with these files beside a tokenizer and an ONNX file.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("config.json", "{}"), ("tokenizer.json", "{}"), ("onnx/model.onnx", "float")] {
        write(folder.path(), name, text);
    }
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn opened(files: &[(&str, &str)]) -> ModelFolder {
    ModelFolder::open(folder(files).path(), None).unwrap()
}

fn refused(files: &[(&str, &str)], variant: Option<&str>) -> String {
    ModelFolder::open(folder(files).path(), variant).unwrap_err().to_string()
}

#[test]
fn a_classifier_with_one_label_is_a_cross_encoder() {
    let config = r#"{"architectures": ["DebertaV2ForSequenceClassification"], "id2label": {"0": "LABEL_0"}}"#;
    assert_eq!(opened(&[("config.json", config)]).kind(), Kind::CrossEncoder);
    let config = r#"{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}"#;
    let error = refused(&[("config.json", config)], None);
    assert!(error.contains("config.json") && error.contains("2 labels"), "{error}");
}

#[test]
fn pooling_and_normalisation_come_from_the_sentence_transformers_files() {
    let modules = r#"[{"path": "pool", "type": "sentence_transformers.models.Pooling"}]"#;
    let pooling = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
    let kind = opened(&[("modules.json", modules), ("pool/config.json", pooling)]).kind();
    assert_eq!(kind, Kind::BiEncoder { pooling: Pooling::Cls, normalise: false });
    assert_eq!(opened(&[]).kind(), Kind::BiEncoder { pooling: Pooling::Mean, normalise: true });
    let error = refused(&[("1_Pooling/config.json", r#"{"pooling_mode_lasttoken": true}"#)], None);
    assert!(error.contains("1_Pooling") && error.contains("lasttoken"), "{error}");
}

#[test]
fn the_smallest_sensible_length_counts() {
    let config = ("config.json", r#"{"model_type": "bert", "max_position_embeddings": 512}"#);
    assert_eq!(opened(&[config, ("sentence_bert_config.json", r#"{"max_seq_length": 256}"#)]).max_length(), 256);
    let endless = ("tokenizer_config.json", r#"{"model_max_length": 1000000000000000019884624838656}"#);
    assert_eq!(opened(&[config, endless]).max_length(), 512);
    let offset = ("config.json", r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514}"#);
    assert_eq!(opened(&[offset, endless]).max_length(), 512);
    assert_eq!(opened(&[]).max_length(), 512);
}

#[test]
fn a_quantised_graph_is_preferred_and_a_variant_overrides() {
    let folder = folder(&[("onnx/model_quantized.onnx", "xDynamicQuantizeLinearx")]);
    let preferred = ModelFolder::open(folder.path(), None).unwrap();
    assert!(preferred.onnx().ends_with("onnx/model_quantized.onnx") && preferred.company() == Company::Sways);
    for variant in ["model", "model.onnx"] {
        let chosen = ModelFolder::open(folder.path(), Some(variant)).unwrap();
        assert!(chosen.onnx().ends_with("onnx/model.onnx") && chosen.company() == Company::Rounds);
    }
    let error = ModelFolder::open(folder.path(), Some("model_fp16")).unwrap_err().to_string();
    assert!(error.contains("model_fp16.onnx") && error.contains("model_quantized.onnx"), "{error}");
}

#[test]
fn the_revision_changes_with_the_content_and_with_nothing_else() {
    let revision = |files: &[(&str, &str)]| opened(files).revision().to_owned();
    let base = revision(&[]);
    assert_eq!((base.len(), &base), (32, &revision(&[("README.md", "other words")])));
    for changed in ["onnx/model.onnx", "tokenizer.json", "config.json", "onnx/model.onnx_data"] {
        assert_ne!(base, revision(&[(changed, r#"{"changed": 1}"#)]), "{changed}");
    }
}

#[test]
fn the_revision_covers_every_file_that_the_graph_keeps_values_in_whatever_its_name() {
    let folder = folder(&[("onnx/weights.bin", "values"), ("onnx/parts/two", "more")]);
    let graph = written::model(&[written::external("weights.bin"), written::external("parts/two")]);
    write(folder.path(), "onnx/model.onnx", graph);
    let open = || ModelFolder::open(folder.path(), None);
    let before = open().unwrap();
    assert_eq!(before.external(), ["onnx/parts/two", "onnx/weights.bin"].map(|name| folder.path().join(name)));
    for changed in ["onnx/weights.bin", "onnx/parts/two"] {
        let content = std::fs::read(folder.path().join(changed)).unwrap();
        write(folder.path(), changed, "other");
        assert_ne!(open().unwrap().revision(), before.revision(), "{changed}");
        write(folder.path(), changed, content);
        assert_eq!(open().unwrap().revision(), before.revision(), "{changed}");
    }
    std::fs::remove_file(folder.path().join("onnx/weights.bin")).unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("weights.bin is missing"), "{error}");
    write(folder.path(), "onnx/model.onnx", written::model(&[written::external("../config.json")]));
    let error = open().unwrap_err().to_string();
    assert!(error.contains("model.onnx") && error.contains("`../config.json`, outside of its folder"), "{error}");
}

#[test]
fn files_that_were_exchanged_are_noticed_and_files_that_were_touched_are_none() {
    let folder = folder(&[]);
    let opened = ModelFolder::open(folder.path(), None).unwrap();
    opened.check_unchanged().unwrap();
    for name in ["onnx/model.onnx", "tokenizer.json", "config.json"] {
        let content = std::fs::read(folder.path().join(name)).unwrap();
        write(folder.path(), name, "f1oat");
        let error = opened.check_unchanged().unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("has changed") && error.contains("restart"), "{error}");
        write(folder.path(), name, content);
        opened.check_unchanged().unwrap();
    }
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = opened.check_unchanged().unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}

#[test]
fn an_operator_is_noticed_across_two_reads() {
    let graph = format!("{}DynamicQuantizeLinear", "x".repeat((1 << 20) - 5));
    assert_eq!(opened(&[("onnx/model.onnx", &graph)]).company(), Company::Sways);
}

/// A graph with one output of these axes.
fn graph(name: &str, axes: &[Option<i64>]) -> ModelProto {
    let dim = axes.iter().map(|&dim_value| DimensionProto { dim_value, dim_param: None }).collect();
    let tensor = TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) };
    let output = ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) };
    ModelProto { graph: Some(GraphProto { output: vec![output], ..GraphProto::default() }), ..ModelProto::default() }
}

/// A folder without `config.json`, with this graph and these files.
fn without_config(graph: ModelProto, files: &[(&str, &str)]) -> Result<ModelFolder, String> {
    let folder = folder(files);
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    graphs::onnx::file::write(graph, &folder.path().join("onnx/model.onnx")).unwrap();
    ModelFolder::open(folder.path(), None).map_err(|error| error.to_string())
}

#[test]
fn without_a_configuration_the_graph_and_the_tokenizer_say_what_they_know() {
    let settings = r#"{"model_max_length": 256, "pad_token": {"content": "<pad>"}}"#;
    let tokenizer = r#"{"added_tokens": [{"id": 0, "content": "<s>"}, {"id": 1, "content": "<pad>"}]}"#;
    let files = [("tokenizer_config.json", settings), ("tokenizer.json", tokenizer)];
    for (name, axes) in [("logits", &[None, Some(1)][..]), ("logits", &[None]), ("score", &[None, Some(1)])] {
        let opened = without_config(graph(name, axes), &files).unwrap();
        assert_eq!((opened.kind(), opened.max_length(), opened.pad_id()), (Kind::CrossEncoder, 256, 1), "{name}");
    }
    let bi_encoder = Kind::BiEncoder { pooling: Pooling::Mean, normalise: true };
    let sentence = without_config(graph("sentence_embedding", &[None, Some(8)]), &files).unwrap();
    assert_eq!(sentence.kind(), bi_encoder);
    let pooled = [&files[..], &[("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#)]].concat();
    let tokens = graph("last_hidden_state", &[None, None, Some(8)]);
    assert_eq!(without_config(tokens.clone(), &pooled).unwrap().kind(), bi_encoder);
    let truncated = [("tokenizer.json", r#"{"truncation": {"max_length": 128}, "padding": {"pad_id": 3}}"#)];
    let opened = without_config(graph("logits", &[None, Some(1)]), &truncated).unwrap();
    assert_eq!((opened.max_length(), opened.pad_id()), (128, 3));

    for (graph, files, said) in [
        (graph("logits", &[None, Some(3)]), &files[..], "3 labels"),
        (graph("logits", &[None, None]), &files, "how many labels"),
        (tokens, &files, "1_Pooling/config.json is missing"),
        (graph("start", &[None, None]), &files, "the outputs [start]"),
        (graph("logits", &[None, Some(1)]), &[], "how many tokens"),
    ] {
        let error = without_config(graph, files).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_clone_without_its_large_files_is_recognised() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for name in ["onnx/model.onnx", "tokenizer.json"] {
        let error = refused(&[(name, pointer)], None);
        assert!(error.contains(name) && error.contains("a pointer of Git LFS"), "{error}");
    }
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let folder = folder(&[]);
    std::fs::remove_file(folder.path().join("onnx/model.onnx")).unwrap();
    let error = ModelFolder::open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("optimum-cli export onnx"), "{error}");
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = ModelFolder::open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json is missing"), "{error}");
    let error = refused(&[("config.json", "{")], None);
    assert!(error.contains("config.json") && error.contains("not valid JSON"), "{error}");
}
