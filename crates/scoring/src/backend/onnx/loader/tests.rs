//! The loader with the small models of the fixtures, and the real ONNX Runtime.

use std::path::{Path, PathBuf};

use super::*;
use crate::{encode::Encoded, model_output::Output, request::LongPassages};

const TEXTS: [&str; 4] = [
    "cats",
    "dogs bark at night when strangers come close to the house",
    "a",
    "an internal combustion engine turns fuel into motion, heat and noise",
];

fn folder(model: &str, variant: &str, provider: Provider) -> ModelFolder {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(model);
    ModelFolder::open_for(&path, Some(variant), Providers { list: vec![provider], device: 0 }).unwrap()
}

fn runtime() -> Runtime {
    Runtime::load(None).unwrap()
}

fn loader(model: &str, variant: &str) -> OnnxLoader {
    OnnxLoader::new(folder(model, variant, Provider::Cpu), runtime())
}

fn encoded(model: &dyn Inference) -> Vec<Encoded> {
    let encoded = model.encode(Some("what barks"), &TEXTS, LongPassages::Truncate);
    encoded.into_iter().map(|windows| windows.unwrap().remove(0)).collect()
}

fn one_by_one(model: &mut dyn Inference) -> Vec<Output> {
    encoded(model).iter().map(|encoded| model.run(&[encoded]).unwrap().remove(0)).collect()
}

#[test]
fn sessions_that_share_weights_say_what_one_with_its_own_says_to_the_last_bit() {
    for (model, variant) in [
        ("tiny-deberta-v2", "model"),
        ("ms-marco-MiniLM-L12-v2", "model_quantized"),
        ("all-MiniLM-L6-v2", "model_quantized"),
    ] {
        let expected = one_by_one(&mut *loader(model, variant).for_one_session().load(1).unwrap());
        let sharing = loader(model, variant);
        for mut session in (0..3).map(|_| sharing.load(1).unwrap()).collect::<Vec<_>>() {
            assert_eq!(one_by_one(&mut *session), expected, "{model} {variant}");
        }
        assert!(sharing.opened.lock().unwrap().weights.is_some(), "{model} {variant}");
    }
}

#[test]
fn a_padded_batch_says_what_single_runs_say() {
    let mut model = loader("tiny-deberta-v2", "model").load(1).unwrap();
    let encoded = encoded(&*model);
    let batch = model.run(&encoded.iter().collect::<Vec<_>>()).unwrap();
    for (together, alone) in batch.iter().zip(one_by_one(&mut *model)) {
        let (Output::Logit(together), Output::Logit(alone)) = (together, &alone) else { panic!("no logits") };
        assert!((together - alone).abs() < 1e-5, "{together} {alone}");
    }
}

#[test]
fn vectors_are_pooled_without_the_padding() {
    let mut model = loader("all-MiniLM-L6-v2", "model_quantized").load(1).unwrap();
    let encoded = encoded(&*model);
    let batch = model.run(&encoded.iter().collect::<Vec<_>>()).unwrap();
    for (together, alone) in batch.iter().zip(one_by_one(&mut *model)) {
        let (Output::Embedding(together), Output::Embedding(alone)) = (together, &alone) else { panic!("no vectors") };
        // Activations are quantised with one scale for all: not the same, but next to it.
        let cosine: f32 = together.iter().zip(alone.iter()).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.99, "{cosine}");
    }
}

#[test]
fn what_it_runs_on_is_known_once_it_is_loaded() {
    let loader = loader("tiny-deberta-v2", "model");
    assert_eq!(Loader::device(&loader), None);
    drop(loader.load(1).unwrap());
    assert_eq!((Loader::device(&loader).as_deref(), loader.name().as_str()), (Some("cpu"), "tiny-deberta-v2"));
}

#[test]
fn a_provider_that_the_library_lacks_is_not_tried() {
    let runtime = runtime();
    let both = Providers { list: vec![Provider::Cuda, Provider::Cpu], device: 0 };
    if runtime.providers().contains(&Provider::Cuda) {
        return;
    }
    assert_eq!(runtime.offered(&both), Ok(Providers::default()));
    let told = runtime.second_choice(&both).unwrap();
    assert!(told.contains("has no cuda: cpu is used") && told.contains("onnxruntime-gpu"), "{told}");
    assert_eq!(runtime.second_choice(&Providers::default()), None);
    let lacking = Providers { list: vec![Provider::TensorRt, Provider::Cuda], device: 0 };
    let error = runtime.offered(&lacking).unwrap_err().to_string();
    let library = runtime.library().display().to_string();
    for part in ["no tensorrt and no cuda; it has cpu", "onnxruntime-gpu", "add \"cpu\"", library.as_str()] {
        assert!(error.contains(part), "{error}");
    }
    let loader = OnnxLoader::new(folder("tiny-deberta-v2", "model", Provider::Cuda), runtime);
    let failure = loader.load(1).err().unwrap().to_string();
    assert!(failure.contains("it has cpu"), "{failure}");
}

/// The tiny model with its tokenizer and this as its graph.
fn broken(graph: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-deberta-v2");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(source.join(name), copy.path().join(name)).unwrap();
    }
    std::fs::write(copy.path().join("model.onnx"), graph).unwrap();
    let path = copy.path().to_path_buf();
    (copy, path)
}

#[test]
fn what_onnx_runtime_says_is_cut_down_to_what_an_operator_can_use() {
    let said = "/src/bridge.cc:2043 T& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load x.so: no : y.so\n";
    assert_eq!(plain(said), "Failed to load x.so: no : y.so");
    let said = "info.h:187 Parse Failed to parse \"device_id\": CUDA failure 100: no CUDA-capable device is detected ; \
                GPU=-1 ; hostname=vm ; file=/src/info.cc ; line=70 ; expr=cudaGetDeviceCount(&num_devices);";
    assert!(plain(said).ends_with("CUDA failure 100: no CUDA-capable device is detected"), "{}", plain(said));
    assert_eq!(plain("the output has the shape [1]"), "the output has the shape [1]");
}

#[test]
fn a_file_that_was_exchanged_while_the_process_runs_is_not_loaded_under_the_old_revision() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-deberta-v2/onnx");
    let (float, quantised) = (std::fs::read(source.join("model.onnx")).unwrap(), source.join("model_quantized.onnx"));
    let (_copy, path) = broken(&float);
    let loader = OnnxLoader::new(ModelFolder::open(&path, None).unwrap(), runtime());
    drop(loader.load(1).unwrap());
    std::fs::copy(quantised, path.join("model.onnx")).unwrap();
    let failure = loader.load(1).err().unwrap().to_string();
    assert!(failure.contains("model.onnx: has changed since this process started"), "{failure}");
    std::fs::write(path.join("model.onnx"), float).unwrap();
    assert!(loader.load(1).is_ok(), "the same bytes again are the same model");
}

#[test]
fn a_graph_that_cannot_be_read_is_reported_with_its_file_and_where_it_was_tried() {
    let (_copy, path) = broken(b"\x3a\x05\x2a\x7f");
    let failure =
        OnnxLoader::new(ModelFolder::open(&path, None).unwrap(), runtime()).load(1).err().unwrap().to_string();
    assert!(failure.contains("model.onnx") && failure.contains("on cpu: "), "{failure}");
}
