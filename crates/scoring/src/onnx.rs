//! Opens a model folder: which execution provider, which options of the session, and what the sessions of one model
//! share. What a session is fed and asked is the business of `model`; concurrency is that of `pool`.

mod initializers;
mod model;
mod opener;
mod output;
mod weights;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ort::session::{Session, builder::GraphOptimizationLevel};

use self::{model::OnnxModel, weights::Weights};
use crate::models::ModelFolder;
use crate::{
    encode::Encoder,
    inference::{Inference, Loader},
    provider::{Provider, Providers},
    runtime::Runtime,
};

/// Opens sessions of one model folder. They share the tokenizer, since reading it takes as long as reading the graph,
/// and on the CPU the weights, since most of their memory is that.
pub struct OnnxLoader {
    folder: ModelFolder,
    runtime: Runtime,
    shares_weights: bool,
    /// Locked while a session is opened, which takes its file's size in memory for a while: one at a time.
    opened: Mutex<Opened>,
    device: Mutex<Option<String>>,
}

/// What sessions share, as far as it has been read.
#[derive(Default)]
struct Opened {
    encoder: Option<Arc<Encoder>>,
    weights: Option<Arc<Weights>>,
    /// Whether the weights cannot be read on their own; the sessions have their own copies then.
    is_unshareable: bool,
}

impl OnnxLoader {
    /// Loads nothing yet. Weights are shared: for a single session that is a cost and no gain.
    pub fn new(folder: ModelFolder, runtime: Runtime) -> OnnxLoader {
        OnnxLoader { folder, runtime, shares_weights: true, opened: Mutex::default(), device: Mutex::new(None) }
    }

    /// The same for a single session, which has its weights to itself.
    #[must_use]
    pub fn for_one_session(self) -> OnnxLoader {
        OnnxLoader { shares_weights: false, ..self }
    }

    fn encoder(&self, opened: &mut Opened, threads: usize) -> Result<Arc<Encoder>, String> {
        if let Some(encoder) = &opened.encoder {
            return Ok(Arc::clone(encoder));
        }
        let loaded = Encoder::load(&self.folder.tokenizer(), self.folder.max_length())?;
        let loaded = Arc::new(loaded.with_threads(threads));
        opened.encoder = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// The weights for another session; `None` where it is to read its own.
    fn weights(&self, opened: &mut Opened) -> Option<Arc<Weights>> {
        if opened.weights.is_none() && self.shares_weights && !opened.is_unshareable {
            match Weights::read(self.folder.onnx()) {
                Ok(weights) => opened.weights = Some(Arc::new(weights)),
                Err(reason) => self.stop_sharing(opened, &reason),
            }
        }
        opened.weights.clone()
    }

    fn stop_sharing(&self, opened: &mut Opened, reason: &str) {
        let file = self.folder.onnx().display();
        tracing::debug!(%file, reason, "the sessions of this model cannot share its weights; each reads its own");
        (opened.weights, opened.is_unshareable) = (None, true);
    }

    fn open(
        &self,
        providers: &Providers,
        provider: Provider,
        threads: usize,
        opened: &mut Opened,
    ) -> Result<OnnxModel, String> {
        // Where an accelerator was wanted there is one session, and it gets all cores, as does the tokenizer.
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let (threads, tokenizing) = if providers.prefer_accelerator() { (cores(), cores()) } else { (threads, 1) };
        let encoder = self.encoder(opened, tokenizing)?;
        let device = providers.device;
        let session = |weights: Option<Arc<Weights>>| -> Result<OnnxModel, String> {
            let (runtime, file) = (self.runtime.clone(), self.folder.onnx().to_path_buf());
            let opened = opener::run(move || session(&runtime, &file, provider, device, threads, weights.as_deref()))?;
            let session = opened.map_err(|error| error.to_string())?;
            let (kind, pad_id) = (self.folder.kind(), self.folder.pad_id());
            let mut model = OnnxModel::new(session, Arc::clone(&encoder), kind, pad_id)?;
            model.try_out()?;
            Ok(model)
        };
        let shared = if provider.is_accelerator() { None } else { self.weights(opened) };
        let is_shared = shared.is_some();
        match session(shared) {
            Err(reason) if is_shared => {
                let model = session(None)?;
                self.stop_sharing(opened, &reason);
                Ok(model)
            }
            result => result,
        }
    }

    /// Says where the model is run, once and when that changes.
    fn report(&self, device: String) {
        let mut last = self.device();
        if last.as_ref() != Some(&device) {
            tracing::info!(model = self.folder.name(), device, "the model is opened");
            *last = Some(device);
        }
    }

    fn device(&self) -> MutexGuard<'_, Option<String>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn session(
    runtime: &Runtime,
    file: &Path,
    provider: Provider,
    device: u32,
    threads: usize,
    weights: Option<&Weights>,
) -> ort::Result<Session> {
    let mut builder = Session::builder(runtime.environment())?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // A pattern per length would be kept for each of up to 512 lengths.
        .with_memory_pattern(false)?;
    if saturates() {
        builder = builder.with_precise_qmm()?;
    }
    builder = provider.register(builder, device, threads)?;
    if let Some(weights) = weights {
        builder = weights.share(builder)?;
    }
    builder.commit_from_file(file)
}

impl Loader for OnnxLoader {
    /// The first provider that can be opened is taken. Files that are not what they were when the folder was looked through
    /// give no model: its scores would be taken for those of another. They are looked at afterwards, so that what was read
    /// is what is known.
    fn load(&self, threads: usize) -> Result<Box<dyn Inference>, String> {
        let loaded = self.load_what_is_there(threads);
        self.folder.check_unchanged().map_err(|error| error.to_string())?;
        loaded
    }

    fn name(&self) -> String {
        self.folder.name()
    }

    fn device(&self) -> Option<String> {
        OnnxLoader::device(self).clone()
    }
}

impl OnnxLoader {
    fn load_what_is_there(&self, threads: usize) -> Result<Box<dyn Inference>, String> {
        let providers = self.folder.providers().in_library(&self.runtime)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = Vec::new();
        for (place, &provider) in providers.list.iter().enumerate() {
            let device = providers.describe(provider);
            match self.open(&providers, provider, threads, &mut opened).map_err(|reason| plain(&reason).to_owned()) {
                Ok(model) => {
                    self.report(device);
                    return Ok(Box::new(model));
                }
                Err(reason) => {
                    if let Some(&next) = providers.list.get(place + 1) {
                        let next = providers.describe(next);
                        tracing::warn!(model = self.folder.name(), device, reason, next, "cannot be run there");
                    }
                    failures.push(format!("on {device}: {reason}"));
                }
            }
        }
        Err(format!("{}: {}", self.folder.onnx().display(), failures.join("; ")))
    }
}

/// What ONNX Runtime says, without the place in its source, the number and the kind of the error; of CUDA's failures also
/// without the machine's name and the call.
fn plain(reason: &str) -> &str {
    let said = reason.split_once("[ONNXRuntimeError] : ").and_then(|(_, said)| said.splitn(3, " : ").nth(2));
    let said = said.unwrap_or(reason);
    said.split_once(" ; GPU=").map_or(said, |(said, _)| said).trim()
}

/// Whether int8 products (u8 x s8) overflow 16 bits here: x86 without the VNNI instructions.
fn saturates() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !std::is_x86_feature_detected!("avx512vnni") && !std::is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{LongPassages, encode::Encoded, inference::Output};

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
            ("tiny-deberta-v2", "model_quantized"),
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
            let (Output::Embedding(together), Output::Embedding(alone)) = (together, &alone) else {
                panic!("no vectors")
            };
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
        assert_eq!(both.in_library(&runtime), Ok(Providers::default()));
        let told = both.second_choice(&runtime).unwrap();
        assert!(told.contains("has no cuda: cpu is used") && told.contains("onnxruntime-gpu"), "{told}");
        assert_eq!(Providers::default().second_choice(&runtime), None);
        let lacking = Providers { list: vec![Provider::TensorRt, Provider::Cuda], device: 0 };
        let error = lacking.in_library(&runtime).unwrap_err();
        let library = runtime.library().display().to_string();
        for part in ["no tensorrt and no cuda; it has cpu", "onnxruntime-gpu", "add \"cpu\"", library.as_str()] {
            assert!(error.contains(part), "{error}");
        }
        let loader = OnnxLoader::new(folder("tiny-deberta-v2", "model", Provider::Cuda), runtime);
        let failure = loader.load(1).err().unwrap();
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
        let (float, quantised) =
            (std::fs::read(source.join("model.onnx")).unwrap(), source.join("model_quantized.onnx"));
        let (_copy, path) = broken(&float);
        let loader = OnnxLoader::new(ModelFolder::open(&path, None).unwrap(), runtime());
        drop(loader.load(1).unwrap());
        std::fs::copy(quantised, path.join("model.onnx")).unwrap();
        let failure = loader.load(1).err().unwrap();
        assert!(failure.contains("model.onnx: has changed since this process started"), "{failure}");
        std::fs::write(path.join("model.onnx"), float).unwrap();
        assert!(loader.load(1).is_ok(), "the same bytes again are the same model");
    }

    #[test]
    fn a_graph_that_cannot_be_read_is_reported_with_its_file_and_where_it_was_tried() {
        let (_copy, path) = broken(b"\x3a\x05\x2a\x7f");
        let failure = OnnxLoader::new(ModelFolder::open(&path, None).unwrap(), runtime()).load(1).err().unwrap();
        assert!(failure.contains("model.onnx") && failure.contains("on cpu: "), "{failure}");
    }
}
