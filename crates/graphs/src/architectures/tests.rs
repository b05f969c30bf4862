//! Configurations that there is no graph for, and what is said of them.

use serde_json::{Value, json};

use super::*;

/// A configuration that there is a graph for.
fn known(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
        "max_position_embeddings": 514, "type_vocab_size": if model_type == "bert" { 2 } else { 1 },
        "dim": 32, "n_heads": 4, "n_layers": 2,
    })
}

/// The architecture, or the refusal in words.
fn read(keys: &Value) -> Result<Box<dyn Architecture>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, keys.to_string()).unwrap();
    of(&Config::read(&file).unwrap(), 512).map_err(|error| error.to_string())
}

#[test]
fn what_is_said_to_be_known_is_known() {
    for model_type in KNOWN.split([',', ' ']).filter(|word| !["", "and"].contains(word)) {
        assert_eq!(read(&known(model_type)).unwrap().width(), 32, "{model_type}");
    }
}

#[test]
fn an_architecture_without_a_graph_is_refused_by_its_name() {
    let error = read(&known("t5")).err().unwrap();
    assert!(error.contains("config.json: `model_type` is \"t5\"") && error.contains("xlm-roberta"), "{error}");
}

#[test]
fn a_switch_without_a_graph_is_refused_by_its_key() {
    let cases = [
        ("bert", "position_embedding_type", json!("relative_key")),
        ("bert", "is_decoder", json!(true)),
        ("bert", "hidden_act", json!("silu")),
        ("bert", "num_attention_heads", json!(5)),
        ("bert", "num_hidden_layers", json!(null)),
        ("xlm-roberta", "position_embedding_type", json!("rotary")),
        ("roberta", "type_vocab_size", json!(2)),
        ("roberta", "pad_token_id", json!(600)),
        ("modernbert", "classifier_pooling", json!("max")),
        ("modernbert", "layer_types", json!(["full_attention"])),
        ("deberta-v2", "pos_att_type", json!("p2p")),
    ];
    for (model_type, key, value) in cases {
        let mut keys = known(model_type);
        keys["relative_attention"] = json!(true);
        keys[key] = value;
        let error = read(&keys).err().unwrap_or_else(|| panic!("{model_type} with {key}"));
        assert!(error.contains(&format!("`{key}`")) && error.contains("there is no compiled graph for it"), "{error}");
    }
}

#[test]
fn positions_bound_the_length_and_those_of_roberta_begin_after_the_padding() {
    assert_eq!(read(&known("bert")).unwrap().longest(), Some(514));
    assert_eq!(read(&known("roberta")).unwrap().longest(), Some(512));
    let mut rotary_but_bounded = known("modernbert");
    rotary_but_bounded["max_position_embeddings"] = json!(8192);
    assert_eq!(read(&rotary_but_bounded).unwrap().longest(), Some(8192));
}

#[test]
fn jina_states_no_model_type_and_is_an_xlm_r() {
    let mut keys = known("xlm-roberta");
    keys["model_type"] = Value::Null;
    assert!(read(&keys).is_err());
    keys["architectures"] = json!(["XLMRobertaForSequenceClassification"]);
    assert!(read(&keys).is_ok());
}
