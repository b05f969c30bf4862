//! How a model reads text: one or both of a pair, pooled how, and how much of it. Owns what the small files of a folder say
//! about that; loads no weights.

use std::{io, path::Path};

use graphs::{Output, Pooling};
use serde_json::Value;

use super::{ModelError, graph_says::Says};

/// Position tables of these families begin after the padding index, so that two rows of them take no token.
const OFFSET_POSITIONS: [&str; 6] = ["roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"];

/// The modules of sentence-transformers that are known. `Dropout` does nothing but in training.
const MODULES: [&str; 4] = ["Transformer", "Pooling", "Normalize", "Dropout"];

/// Tokens, when no file of the folder says how many the model takes.
const USUAL_MAX_LENGTH: usize = 512;

/// The kind of a model: how it reads text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads query and passage together; one logit.
    CrossEncoder,
    /// Reads each text alone; one vector, compared by cosine.
    BiEncoder {
        /// The way in which token vectors become one, where the graph does not do it.
        pooling: Pooling,
        /// True where the vector is scaled to length 1.
        normalise: bool,
    },
}

/// How the model in a folder reads text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Cross-encoder or bi-encoder.
    pub(crate) kind: Kind,
    /// The most tokens that an input may have, special tokens included.
    pub(crate) max_length: usize,
    /// The token that shorter inputs are filled up with.
    pub(crate) pad_id: i64,
}

impl Reading {
    /// Reads the folder at `path`.
    ///
    /// # Errors
    /// No configuration, a classifier with more than one label, or a pooling that we do not know.
    pub(crate) fn of(path: &Path) -> Result<Reading, ModelError> {
        let config_file = path.join("config.json");
        let config = read_json(&config_file)?.ok_or_else(|| missing(&config_file))?;
        Ok(Reading {
            kind: read_kind(path, &config_file, &config)?,
            max_length: read_max_length(path, &config)?,
            pad_id: config["pad_token_id"].as_i64().unwrap_or(0),
        })
    }

    /// Reads the folder at `path`, of which `onnx` is run: where there is no configuration, what the graph and the tokenizer's files
    /// say counts.
    ///
    /// # Errors
    /// Those of [`Reading::of`]; and of a folder without configuration the first thing that nothing in it says.
    pub(super) fn of_run(path: &Path, onnx: &Path) -> Result<Reading, ModelError> {
        if path.join("config.json").is_file() { Reading::of(path) } else { read_without_config(path, onnx) }
    }

    /// The output that a compiled graph of such a model has.
    pub(crate) fn output(&self) -> Output {
        match self.kind {
            Kind::CrossEncoder => Output::Logit,
            Kind::BiEncoder { pooling, normalise } => Output::Sentence { pooling, normalise },
        }
    }
}

/// The mistake of a folder without a file that every model has.
pub(super) fn missing(file: &Path) -> ModelError {
    ModelError::Missing {
        file: file.to_path_buf(),
        remedy: String::from("a model folder holds config.json, tokenizer.json and an ONNX file; download it whole"),
    }
}

fn read_kind(folder: &Path, config_file: &Path, config: &Value) -> Result<Kind, ModelError> {
    let architecture = config["architectures"][0].as_str().unwrap_or_default();
    if !architecture.ends_with("ForSequenceClassification") {
        return read_bi_encoder(folder);
    }
    let labels = config["id2label"].as_object().map(serde_json::Map::len);
    let labels = labels.or_else(|| config["num_labels"].as_u64().map(|count| count as usize)).unwrap_or(1);
    if labels == 1 {
        return Ok(Kind::CrossEncoder);
    }
    Err(ModelError::Unsupported {
        file: config_file.to_path_buf(),
        problem: format!("{architecture} has {labels} labels; a reranker has one: use another model"),
    })
}

/// A folder as some exports leave it: a graph and a tokenizer. A length that nothing states is not guessed: a text of one token more
/// than the model takes would fail.
fn read_without_config(folder: &Path, onnx: &Path) -> Result<Reading, ModelError> {
    let config = folder.join("config.json");
    let unsupported = |problem: String| ModelError::Unsupported { file: onnx.to_path_buf(), problem };
    let has_pooling = ["modules.json", "1_Pooling/config.json"].iter().any(|name| folder.join(name).is_file());
    let kind = match Says::of(onnx)? {
        Says::Labels(Some(1)) => Kind::CrossEncoder,
        Says::Labels(Some(labels)) => {
            return Err(unsupported(format!("gives {labels} labels; a reranker has one: use another model")));
        }
        Says::Labels(None) => {
            return Err(unsupported(String::from(
                "does not say how many labels it gives, and there is no config.json: put the model's beside its tokenizer",
            )));
        }
        Says::Sentence if !has_pooling => Kind::BiEncoder { pooling: Pooling::Mean, normalise: true },
        Says::Tokens if !has_pooling => {
            let remedy = "there is no config.json, and without either nothing says how the vectors of tokens become one: put \
                          the model's beside its tokenizer";
            return Err(ModelError::Missing { file: folder.join("1_Pooling/config.json"), remedy: remedy.to_owned() });
        }
        Says::Sentence | Says::Tokens => read_bi_encoder(folder)?,
    };
    let read = |name: &str| Ok(read_json(&folder.join(name))?.unwrap_or(Value::Null));
    let (tokenizer, settings) = (read("tokenizer.json")?, read("tokenizer_config.json")?);
    let stated = [
        read("sentence_bert_config.json")?["max_seq_length"].as_f64(),
        settings["model_max_length"].as_f64(),
        tokenizer["truncation"]["max_length"].as_f64(),
    ];
    let Some(max_length) = smallest(stated) else {
        let remedy = "without it nothing says how many tokens the model takes: put the model's beside its tokenizer, or a \
                      tokenizer_config.json with model_max_length";
        return Err(ModelError::Missing { file: config, remedy: remedy.to_owned() });
    };
    Ok(Reading { kind, max_length, pad_id: pad_id(&tokenizer, &settings) })
}

/// The padding token by the tokenizer's own files.
fn pad_id(tokenizer: &Value, settings: &Value) -> i64 {
    let name = settings["pad_token"].as_str().or_else(|| settings["pad_token"]["content"].as_str());
    let added = || {
        let tokens = tokenizer["added_tokens"].as_array()?;
        tokens.iter().find(|token| name.is_some() && token["content"].as_str() == name)?["id"].as_i64()
    };
    tokenizer["padding"]["pad_id"].as_i64().or_else(added).unwrap_or(0)
}

/// sentence-transformers' `modules.json` lists what follows the transformer, each in a folder of its own.
fn read_bi_encoder(folder: &Path) -> Result<Kind, ModelError> {
    let modules = read_json(&folder.join("modules.json"))?.unwrap_or(Value::Null);
    let listed = || modules.as_array().into_iter().flatten();
    let kind = |module: &Value| {
        let path = module["type"].as_str().unwrap_or_default();
        path.rsplit('.').next().unwrap_or_default().to_owned()
    };
    if let Some(unknown) = listed().map(kind).find(|kind| !MODULES.contains(&kind.as_str())) {
        return Err(ModelError::Unsupported {
            file: folder.join("modules.json"),
            problem: format!("has a module `{unknown}`, which nothing here runs; {} are known", MODULES.join(", ")),
        });
    }
    let module = |name: &str| listed().find(|module| kind(module) == name);
    let pooling_folder = module("Pooling").and_then(|module| module["path"].as_str()).unwrap_or("1_Pooling");
    let file = folder.join(pooling_folder).join("config.json");
    let config = read_json(&file)?.unwrap_or(Value::Null);
    let chosen: Vec<&str> = [
        ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_cls_token", "cls"),
        ("pooling_mode_max_tokens", "max"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len"),
        ("pooling_mode_weightedmean_tokens", "weightedmean"),
        ("pooling_mode_lasttoken", "lasttoken"),
    ]
    .into_iter()
    .filter_map(|(key, name)| (config[key] == Value::Bool(true)).then_some(name))
    .collect();
    let pooling = match chosen[..] {
        [] | ["mean"] => Pooling::Mean,
        ["cls"] => Pooling::Cls,
        ["max"] => Pooling::Max,
        _ => {
            let problem = format!("pooling {} is not supported (mean, cls or max)", chosen.join("+"));
            return Err(ModelError::Unsupported { file, problem });
        }
    };
    let normalise = modules.is_null() || module("Normalize").is_some();
    Ok(Kind::BiEncoder { pooling, normalise })
}

/// The smallest of some stated lengths; placeholders such as 1e30 are none.
fn smallest<const N: usize>(stated: [Option<f64>; N]) -> Option<usize> {
    let sensible = stated.into_iter().flatten().filter(|length| (8.0..1e6).contains(length));
    sensible.map(|length| length as usize).min()
}

/// The smallest length that any file states.
fn read_max_length(folder: &Path, config: &Value) -> Result<usize, ModelError> {
    let sentence_bert = read_json(&folder.join("sentence_bert_config.json"))?.unwrap_or(Value::Null);
    let tokenizer = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
    let offset = if OFFSET_POSITIONS.contains(&config["model_type"].as_str().unwrap_or_default()) { 2.0 } else { 0.0 };
    let stated = [
        sentence_bert["max_seq_length"].as_f64(),
        tokenizer["model_max_length"].as_f64(),
        config["max_position_embeddings"].as_f64().map(|positions| positions - offset),
    ];
    Ok(smallest(stated).unwrap_or(USUAL_MAX_LENGTH))
}

fn read_json(file: &Path) -> Result<Option<Value>, ModelError> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Unreadable { file: file.to_path_buf(), source }),
    };
    let parsed = serde_json::from_slice(&text).map_err(|error| ModelError::Unsupported {
        file: file.to_path_buf(),
        problem: format!("not valid JSON ({error}); download it again"),
    })?;
    Ok(Some(parsed))
}
