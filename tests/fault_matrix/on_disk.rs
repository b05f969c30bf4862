//! Faults on the disk, each by the name that its table has for it: of a model's files, and of the library that runs models. Before a
//! program of its own, since a library stays once it is loaded.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    cell::{Cell, through, whole_answer},
    common::program::{PLENTY, Program},
    doors::Door,
    faults::Place,
    server::{Cluster, When},
};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");
const LIBRARY: &str = "RERANK_PROXY_SCORING__ONNXRUNTIME";
/// The one that happens while the program runs.
const WHILE_IT_RUNS: &str = "the model's file is replaced while it runs";

/// What is done to a copy of the model.
type Damage = fn(&Path);

#[rustfmt::skip]
const FAULTS: &[(&str, Damage)] = &[
    ("the model's folder is not there", |model| fs::remove_dir_all(model).unwrap()),
    ("the model's file is not there", |model| weights(model).iter().for_each(|file| fs::remove_file(file).unwrap())),
    ("the model's file is empty", |model| rewrite(&weights(model), |_| Vec::new())),
    ("the model's file is cut short", |model| rewrite(&weights(model), |bytes| bytes[..bytes.len() / 3].to_vec())),
    ("the model's file is something else", |model| rewrite(&weights(model), |_| b"no model ".repeat(1000))),
    ("the tokenizer is something else", |model| rewrite(&[model.join("tokenizer.json")], |_| b"{}".to_vec())),
    ("the model's configuration is something else", |model| rewrite(&[model.join("config.json")], |_| b"[".to_vec())),
    ("the ONNX Runtime library is not there", |_| {}),
    ("the ONNX Runtime library is something else", |model| fs::write(library(model), b"no library").unwrap()),
    (WHILE_IT_RUNS, |model| rewrite(&weights(model), |_| b"no model ".repeat(1000))),
];

fn weights(model: &Path) -> [PathBuf; 2] {
    ["model.onnx", "model_quantized.onnx"].map(|name| model.join("onnx").join(name))
}

fn library(model: &Path) -> PathBuf {
    model.with_extension("so")
}

fn rewrite(files: &[PathBuf], new: fn(&[u8]) -> Vec<u8>) {
    for file in files {
        fs::write(file, new(&fs::read(file).unwrap())).unwrap();
    }
}

/// The cells of the row of this name.
pub(crate) async fn tried(name: &str, doors: &[Door]) -> Vec<Cell> {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    copy(Path::new(MODEL), &model);
    let (_, damage) = FAULTS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no fault `{name}`"));
    let cluster = Cluster::start(Place::Nowhere, When::Always).await;
    if name != WHILE_IT_RUNS {
        damage(&model);
    }
    let (path, library) = (model.display().to_string(), library(&model).display().to_string());
    let mut variables = vec![
        ("RERANK_PROXY_MODELS__DISK__PATH", &*path),
        ("RERANK_PROXY_RULES__0__INDEX", "*"),
        ("RERANK_PROXY_RULES__0__MODEL", "disk"),
        ("RERANK_PROXY_RULES__0__WINDOW", "5"),
        ("RERANK_PROXY_RULES__0__BUDGET", "30s"),
        ("RERANK_PROXY_API__MODEL", "disk"),
        // The model is to be asked each time.
        ("RERANK_PROXY_CACHE__SIZE", "0B"),
    ];
    if name.contains("library") {
        variables.push((LIBRARY, &library));
    }
    let program = match Program::try_start(cluster.address, &variables, "") {
        Ok(program) => program,
        Err(told) => {
            assert!(told.contains(if name.contains("library") { &*library } else { &*path }), "{name}: {told}");
            assert!(!told.contains("panicked"), "{told}");
            return doors.iter().map(|_| Cell::of("does not start")).collect();
        }
    };
    settled(&program).await;
    let mut cells = Vec::new();
    if name == WHILE_IT_RUNS {
        let mut before = Vec::new();
        for door in doors {
            before.push(whole_answer(program.address, *door).await);
        }
        damage(&model);
        for (door, before) in doors.iter().zip(before) {
            let is_same = whole_answer(program.address, *door).await == before;
            cells.push(Cell::of(if is_same { "as before" } else { "OTHERWISE THAN BEFORE" }));
        }
        return cells;
    }
    for door in doors {
        cells.push(through(program.address, &cluster, *door, false).await);
    }
    cells
}

/// Waits until the model is there, or will not be.
async fn settled(program: &Program) {
    let began = Instant::now();
    let health = format!("http://{}/_rerank/health", program.address);
    while reqwest::get(&health).await.unwrap().text().await.unwrap().contains("loading") {
        assert!(began.elapsed() < PLENTY, "the model is loading for ever");
        sleep(Duration::from_millis(5)).await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => _ = fs::copy(&path, &to).unwrap(),
        }
    }
}
