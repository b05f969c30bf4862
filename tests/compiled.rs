//! `rerank-proxy models build` as it is used: the program itself, on a copy of the tiny model.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rerank_proxy::open_models::{Config, OpenModel};
use scoring::models::{
    ModelFolder,
    compiled::Report,
    hash::sha256,
    lock::{self, Lock, Locked, LockedFile},
};

/// The program with these arguments: whether it succeeds, and all that it says.
fn program(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rerank-proxy")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// A folder of models with a copy of the tiny one.
fn models() -> (tempfile::TempDir, PathBuf) {
    let models = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/tiny-deberta-v2");
    let tiny = models.path().join("tiny");
    fs::create_dir_all(tiny.join("onnx")).unwrap();
    for name in
        ["config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx", "onnx/model_quantized.onnx"]
    {
        fs::copy(source.join(name), tiny.join(name)).unwrap();
    }
    (models, tiny)
}

/// The folder that `m` is opened as, in a configuration with these keys.
fn opened(tiny: &Path, keys: &[(&'static str, &str)]) -> Result<ModelFolder, String> {
    let mut flags = vec![
        (vec!["upstream", "url"], "http://localhost:9200".to_owned(), "test"),
        (vec!["models", "m", "path"], tiny.to_str().unwrap().to_owned(), "test"),
        (vec!["rules", "0", "index"], "*".to_owned(), "test"),
    ];
    flags.extend(keys.iter().map(|(key, value)| (vec!["models", "m", key], (*value).to_owned(), "test")));
    let models = Config::load(None, [], &flags).map_err(|errors| errors.to_string())?.models;
    let OpenModel::Local(folder) = &models["m"] else { panic!("no folder") };
    Ok(folder.clone())
}

fn scores(model: &Path, keys: &[&str]) -> Vec<f32> {
    let documents = model.with_file_name("documents.txt");
    fs::write(
        &documents,
        "cats purr\ndogs bark at night when strangers come close\nan engine turns fuel into motion\n",
    )
    .unwrap();
    let flags = ["rerank", "--raw-scores", "--json", "--query", "what barks", "--model", model.to_str().unwrap()];
    let (succeeded, said) = program(&[&flags[..], keys, &[documents.to_str().unwrap()]].concat());
    assert!(succeeded, "{said}");
    let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let mut rows: Vec<_> = said.lines().map(row).map(|row| (row["index"].as_u64(), row["score"].as_f64())).collect();
    rows.sort_by_key(|row| row.0);
    rows.into_iter().map(|row| row.1.unwrap() as f32).collect()
}

#[test]
fn a_graph_is_built_verified_run_by_default_and_left_out_again() {
    let (models, tiny) = models();
    let stock = opened(&tiny, &[]).unwrap();
    let missing = opened(&tiny, &[("graph", "compiled")]).unwrap_err();
    let command = format!("rerank-proxy models build {}", tiny.display());
    assert!(missing.contains("models.m.path") && missing.contains(&command), "{missing}");

    // By name, as all commands look for models.
    let folder = models.path().to_str().unwrap();
    let (succeeded, said) = program(&["models", "build", "tiny", "--precision", "fp32", "--models-dir", folder]);
    assert!(succeeded, "{said}");
    for part in ["compiled/fp32.onnx: ", "verified with 220 pairs", "from model.onnx: ", "probe pairs a second"] {
        assert!(said.contains(part), "{said}");
    }
    let compiled = opened(&tiny, &[]).unwrap();
    assert!(compiled.onnx().ends_with("compiled/fp32.onnx"));
    assert_ne!(compiled.revision(), stock.revision());
    assert_eq!(opened(&tiny, &[("graph", "compiled"), ("variant", "fp32")]).unwrap().revision(), compiled.revision());
    assert_eq!(opened(&tiny, &[("graph", "stock")]).unwrap().revision(), stock.revision());

    // The same scores through the pool, and those of fp32.
    let ours = scores(&tiny, &[]);
    fs::rename(tiny.join("compiled"), models.path().join("aside")).unwrap();
    fs::remove_file(tiny.join("onnx/model_quantized.onnx")).unwrap();
    for (ours, stock) in ours.iter().zip(scores(&tiny, &[])) {
        assert!((ours - stock).abs() < 1e-4, "{ours} {stock}");
    }
    fs::rename(models.path().join("aside"), tiny.join("compiled")).unwrap();

    let (succeeded, said) = program(&["models", "verify", "tiny", "--models-dir", folder]);
    assert!(succeeded && said.contains("passed with 220 pairs"), "{said}");
    // Other weights beside it: not run, and told.
    let other = [fs::read(tiny.join("onnx/model.onnx")).unwrap(), vec![0x72, 0]].concat();
    fs::write(tiny.join("onnx/model.onnx"), other).unwrap();
    let folder = opened(&tiny, &[]).unwrap();
    assert!(folder.onnx().ends_with("onnx/model.onnx"));
    let note = &folder.notes()[0];
    assert!(note.contains("model.onnx is not what it was built from") && note.contains(&command), "{note}");
    let mistake = opened(&tiny, &[("graph", "compiled")]).unwrap_err();
    assert!(mistake.contains(note), "{mistake}");
}

#[test]
fn a_graph_that_does_not_pass_is_refused_with_its_figures_and_removed() {
    let (_models, tiny) = models();
    // The export keeps what it was made with: now the graph is of another model.
    let config = fs::read_to_string(tiny.join("config.json")).unwrap();
    let other = config.replace("\"layer_norm_eps\": 1e-07", "\"layer_norm_eps\": 0.3");
    assert_ne!(config, other);
    fs::write(tiny.join("config.json"), other).unwrap();
    for precision in ["fp32", "int8"] {
        let (succeeded, said) = program(&["models", "build", tiny.to_str().unwrap(), "--precision", precision]);
        let figures = [
            "onnx/model_quantized.onnx is run as it is",
            precision,
            "did not pass with 220 pairs",
            "from model.onnx",
            ": FAILED",
        ];
        assert!(!succeeded && figures.iter().all(|part| said.contains(part)), "{said}");
        assert!(!tiny.join("compiled").exists());
        assert!(opened(&tiny, &[]).unwrap().onnx().ends_with("onnx/model_quantized.onnx"));
    }
}

#[test]
fn a_model_without_a_graph_of_ours_is_refused_and_goes_on() {
    let (_models, tiny) = models();
    let config = fs::read_to_string(tiny.join("config.json")).unwrap();
    fs::write(tiny.join("config.json"), config.replace("\"deberta-v2\"", "\"unheard-of\"")).unwrap();
    let (succeeded, said) = program(&["models", "build", tiny.to_str().unwrap()]);
    assert!(
        !succeeded && said.contains("unheard-of") && said.contains("model_quantized.onnx is run as it is"),
        "{said}"
    );
    assert!(opened(&tiny, &[]).unwrap().onnx().ends_with("onnx/model_quantized.onnx"));
    // Without an ONNX file there is nothing that goes on.
    fs::remove_dir_all(tiny.join("onnx")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/graphs/deberta-mxbai/model.safetensors");
    fs::copy(source, tiny.join("model.safetensors")).unwrap();
    let (succeeded, said) = program(&["models", "build", tiny.to_str().unwrap()]);
    assert!(!succeeded && said.contains("has no ONNX file that is run in its place"), "{said}");
    // What the operating system says is said once.
    fs::write(tiny.join("config.json"), config).unwrap();
    let (_, said) = program(&["models", "build", tiny.to_str().unwrap(), "--weights", "nowhere.safetensors"]);
    assert_eq!((said.matches("cannot read").count(), said.matches("No such file").count()), (1, 1), "{said}");
}

/// A tokenizer for models with 96 words: it knows a dozen.
fn small_tokenizer() -> String {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "a", "of", "is", "and", "to", "in", "it"];
    let vocabulary: serde_json::Map<_, _> = (0..).zip(words).map(|(id, word)| (word.to_owned(), id.into())).collect();
    let special =
        |id: u32, name: &str| (name.to_owned(), serde_json::json!({"id": name, "ids": [id], "tokens": [name]}));
    let (cls, sep) = (
        serde_json::json!({"SpecialToken": {"id": "[CLS]", "type_id": 0}}),
        |type_id: u32| serde_json::json!({"SpecialToken": {"id": "[SEP]", "type_id": type_id}}),
    );
    let text = |id: &str, type_id: u32| serde_json::json!({"Sequence": {"id": id, "type_id": type_id}});
    let special: serde_json::Map<_, _> = [special(2, "[CLS]"), special(3, "[SEP]")].into_iter().collect();
    serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, text("A", 0), sep(0)],
            "pair": [cls, text("A", 0), sep(0), text("B", 1), sep(1)],
            "special_tokens": special,
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    })
    .to_string()
}

#[test]
fn a_model_that_is_safetensors_and_nothing_else_is_run_once_it_was_compiled() {
    for fixture in ["deberta-mxbai", "deberta-mxbai-sharded"] {
        let (_models, tiny) = models();
        fs::remove_dir_all(tiny.join("onnx")).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/graphs").join(fixture);
        for file in source.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|file| file.is_file()) {
            fs::copy(&file, tiny.join(file.file_name().unwrap())).unwrap();
        }
        fs::write(tiny.join("tokenizer.json"), small_tokenizer()).unwrap();
        let error = opened(&tiny, &[]).unwrap_err();
        let command = format!("rerank-proxy models build {}", tiny.display());
        assert!(error.contains("onnx/model.onnx is missing") && error.contains(&command), "{error}");
        let (succeeded, said) = program(&["models", "build", tiny.to_str().unwrap(), "--precision", "fp32"]);
        assert!(succeeded, "{fixture}: {said}");
        assert!(opened(&tiny, &[]).unwrap().onnx().ends_with("compiled/fp32.onnx"));
        // What an image needs no longer.
        for file in tiny.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            let is_weights = file.to_string_lossy().contains(".safetensors");
            is_weights.then(|| fs::remove_file(&file).unwrap());
        }
        assert!(opened(&tiny, &[("graph", "compiled")]).is_ok());
        assert!(program(&["models", "verify", "--models-dir", tiny.parent().unwrap().to_str().unwrap()]).0);
    }
}

#[test]
fn a_stock_file_that_is_none_is_named_and_what_to_do_about_it() {
    let (_models, tiny) = models();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/graphs/deberta-mxbai");
    for name in ["config.json", "model.safetensors"] {
        fs::copy(source.join(name), tiny.join(name)).unwrap();
    }
    fs::write(tiny.join("tokenizer.json"), small_tokenizer()).unwrap();
    fs::remove_file(tiny.join("onnx/model_quantized.onnx")).unwrap();
    // What a clone without Git LFS has.
    fs::write(tiny.join("onnx/model.onnx"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let build = ["models", "build", tiny.to_str().unwrap(), "--precision", "fp32"];
    let (succeeded, said) = program(&build);
    let parts = ["cannot be compared with", "onnx/model.onnx", "download that file again, or remove it"];
    assert!(!succeeded && parts.iter().all(|part| said.contains(part)), "{said}");
    assert!(!tiny.join("compiled").exists());
    fs::remove_file(tiny.join("onnx/model.onnx")).unwrap();
    let (succeeded, said) = program(&build);
    assert!(succeeded, "{said}");
}

#[test]
fn a_graph_of_locked_weights_may_be_run_and_one_of_others_not() {
    let (models, tiny) = models();
    let entry = |name: &str| {
        let file = tiny.join(name);
        let locked = LockedFile { size: file.metadata().unwrap().len(), sha256: sha256(&file).unwrap() };
        (name.to_owned(), locked)
    };
    let files = ["config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model_quantized.onnx"].map(entry);
    let locked = Locked { files: BTreeMap::from(files), ..Locked::default() };
    let lock_file = models.path().join(lock::FILE_NAME);
    let write = |locked: &Locked| {
        Lock { models: BTreeMap::from([(String::from("tiny"), locked.clone())]) }.write(&lock_file).unwrap();
    };
    write(&locked);
    let (succeeded, said) = program(&["models", "build", tiny.to_str().unwrap(), "--precision", "fp32"]);
    assert!(succeeded, "{said}");
    assert!(opened(&tiny, &[]).unwrap().onnx().ends_with("compiled/fp32.onnx"));

    let built = Lock::read(&lock_file).unwrap().models.remove("tiny").unwrap();
    assert!(built.files.contains_key("compiled/fp32.onnx"), "a build locks its graph");

    write(&locked);
    let error = opened(&tiny, &[]).unwrap_err();
    assert!(error.contains("compiled/fp32.onnx: is not in the lock file"), "{error}");

    let mut other = built;
    other.files.get_mut("onnx/model.onnx").unwrap().sha256 = "0".repeat(64);
    write(&other);
    let error = opened(&tiny, &[]).unwrap_err();
    assert!(error.contains("model.onnx that is not in the lock file"), "{error}");
    opened(&tiny, &[("graph", "stock")]).unwrap();
}

#[test]
fn a_graph_that_is_slower_than_stock_is_not_run_by_default() {
    let (_models, tiny) = models();
    let (succeeded, said) = program(&["models", "build", tiny.to_str().unwrap(), "--precision", "int8"]);
    assert!(succeeded, "{said}");
    let compiled = tiny.join("compiled/int8.onnx");
    let mut report = Report::read(&compiled).unwrap();
    let own = report.pairs_per_second["compiled/int8.onnx"];
    report.pairs_per_second.insert(String::from("model_quantized.onnx"), 2.0 * own);
    report.write(&compiled).unwrap();
    let folder = opened(&tiny, &[]).unwrap();
    assert!(folder.onnx().ends_with("onnx/model_quantized.onnx"));
    assert!(folder.notes()[0].contains("was measured to be faster"), "{:?}", folder.notes());
    assert!(opened(&tiny, &[("graph", "compiled")]).unwrap().onnx().ends_with("compiled/int8.onnx"));
}

#[test]
fn a_build_locks_the_graph_of_the_model_that_it_built_and_of_no_other_of_that_name() {
    let (models, _tiny) = models();
    let (_others, other) = self::models();
    let lock_file = models.path().join(lock::FILE_NAME);
    let before = Lock { models: BTreeMap::from([(String::from("tiny"), Locked::default())]) };
    before.write(&lock_file).unwrap();
    let build = |model: &str| {
        let folder = models.path().to_str().unwrap();
        let (succeeded, said) = program(&["models", "build", model, "--precision", "fp32", "--models-dir", folder]);
        assert!(succeeded, "{said}");
        Lock::read(&lock_file).unwrap().models["tiny"].files.contains_key("compiled/fp32.onnx")
    };
    assert!(!build(other.to_str().unwrap()), "of another folder");
    assert!(!other.with_file_name(lock::FILE_NAME).exists());
    assert!(build("tiny"), "of this one");
}

#[cfg(unix)]
#[test]
fn a_build_of_the_folder_where_one_is_locks_its_graph() {
    let (models, tiny) = models();
    let lock_file = models.path().join(lock::FILE_NAME);
    Lock { models: BTreeMap::from([(String::from("tiny"), Locked::default())]) }.write(&lock_file).unwrap();
    let mut here = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    let library = std::env::var_os("ORT_DYLIB_PATH");
    let library = library.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnxruntime").into());
    here.args(["models", "build", ".", "--precision", "fp32"]).current_dir(tiny).env("ORT_DYLIB_PATH", library);
    let output = here.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Lock::read(&lock_file).unwrap().models["tiny"].files.contains_key("compiled/fp32.onnx"));
}
