//! The loader of a model folder: which execution provider is taken, which options a session has, and what the sessions of
//! one model share. The inputs and outputs of a session are the business of [`super::model`], concurrency is that of the
//! pool.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ort::{
    ep,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{execution, model::OnnxModel, opener, runtime::Runtime, weights::Weights};
use crate::{
    backend::inference::{BackendError, Inference, Loader},
    encode::Encoder,
    execution_provider::{Provider, Providers},
    models::{ModelFolder, compiled::saturates},
};

/// Opens sessions of one model folder. They share the tokenizer, since reading it takes as long as reading the graph,
/// and on the CPU the weights, since most of their memory is that.
pub(crate) struct OnnxLoader {
    folder: ModelFolder,
    runtime: Runtime,
    /// The folder's providers that the library has.
    providers: Result<Providers, BackendError>,
    shares_weights: bool,
    is_quiet: bool,
    is_sparing: bool,
    /// Locked while a session is opened, which takes its file's size in memory for a while: one at a time.
    opened: Mutex<Opened>,
    device: Mutex<Option<String>>,
}

/// The parts that sessions share, as far as they have been read.
#[derive(Default)]
struct Opened {
    encoder: Option<Arc<Encoder>>,
    weights: Option<Arc<Weights>>,
    /// True where the weights cannot be read on their own; the sessions have their own copies then.
    is_unshareable: bool,
}

impl OnnxLoader {
    /// A loader that has loaded nothing yet. Its sessions share their weights.
    pub(crate) fn new(folder: ModelFolder, runtime: Runtime) -> OnnxLoader {
        let providers = runtime.offered(folder.providers());
        // An accelerator has one session, whatever it may fall back to.
        let shares_weights = !providers.as_ref().is_ok_and(Providers::prefer_accelerator);
        let (opened, device) = (Mutex::default(), Mutex::default());
        OnnxLoader { folder, runtime, providers, shares_weights, is_quiet: false, is_sparing: false, opened, device }
    }

    /// The same loader for a single session, which has its weights to itself.
    pub(crate) fn for_one_session(self) -> OnnxLoader {
        OnnxLoader { shares_weights: false, ..self }
    }

    /// The same loader for a session that writes nothing on stderr.
    pub(crate) fn quietly(self) -> OnnxLoader {
        OnnxLoader { is_quiet: true, ..self }
    }

    /// The same loader for a session that takes as little memory as it can, and longer for a run.
    pub(crate) fn sparingly(self) -> OnnxLoader {
        OnnxLoader { is_sparing: true, ..self }
    }

    fn encoder(&self, opened: &mut Opened, threads: usize) -> Result<Arc<Encoder>, BackendError> {
        if let Some(encoder) = &opened.encoder {
            return Ok(Arc::clone(encoder));
        }
        let loaded = Encoder::load(&self.folder.tokenizer(), self.folder.max_length()).map_err(BackendError::Files)?;
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
    ) -> Result<OnnxModel, BackendError> {
        // Where an accelerator was wanted there is one session, and it gets all cores, as does the tokenizer.
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let (threads, tokenizing) = if providers.prefer_accelerator() { (cores(), cores()) } else { (threads, 1) };
        let encoder = self.encoder(opened, tokenizing)?;
        let device = providers.device;
        let session = |weights: Option<Arc<Weights>>| -> Result<OnnxModel, BackendError> {
            let options = SessionOptions {
                file: self.folder.onnx().to_path_buf(),
                provider,
                device,
                threads,
                exact_products: saturates() && !self.folder.never_saturates(),
                is_quiet: self.is_quiet,
                is_sparing: self.is_sparing,
            };
            let runtime = self.runtime.clone();
            let opened = opener::run(move || session(&runtime, &options, weights.as_deref()));
            let opened = opened.and_then(|session| session.map_err(|error| error.to_string()));
            let session = opened.map_err(BackendError::Start)?;
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
                self.stop_sharing(opened, &reason.to_string());
                Ok(model)
            }
            result => result,
        }
    }

    /// Logs the device of the model, once and when it changes.
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

/// The options of a session.
struct SessionOptions {
    file: PathBuf,
    provider: Provider,
    device: u32,
    threads: usize,
    /// True where the products of int8 weights would overflow.
    exact_products: bool,
    is_quiet: bool,
    is_sparing: bool,
}

fn session(runtime: &Runtime, options: &SessionOptions, weights: Option<&Weights>) -> ort::Result<Session> {
    let mut builder = Session::builder(runtime.environment())?
        .with_intra_threads(options.threads)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        // A pattern per length would be kept for each of up to 512 lengths.
        .with_memory_pattern(false)?;
    if options.exact_products {
        builder = builder.with_precise_qmm()?;
    }
    if options.is_quiet {
        builder = builder.with_log_level(LogLevel::Fatal)?;
    }
    if options.is_sparing {
        // Constants that are widened in each run would be widened once and for all.
        builder = builder.with_optimization_level(GraphOptimizationLevel::Disable)?.with_prepacking(false)?;
        builder = builder.with_execution_providers([ep::CPU::default().with_arena_allocator(false).build()])?;
    }
    builder = execution::register(options.provider, builder, options.device, options.threads)?;
    if let Some(weights) = weights {
        builder = weights.share(builder)?;
    }
    builder.commit_from_file(&options.file)
}

impl Loader for OnnxLoader {
    /// The first provider that can be opened is taken. Files that are not what they were when the folder was looked through
    /// give no model: its scores would be taken for those of another. They are looked at afterwards, so that what was read
    /// is what is known.
    fn load(&self, threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        let loaded = self.load_what_is_there(threads);
        self.folder.check_unchanged().map_err(|error| BackendError::Files(error.to_string()))?;
        loaded
    }

    fn name(&self) -> String {
        self.folder.name()
    }

    fn device(&self) -> Option<String> {
        OnnxLoader::device(self).clone()
    }

    fn is_accelerated(&self) -> bool {
        self.providers.as_ref().is_ok_and(Providers::prefer_accelerator)
    }

    /// The folder's revision, and the accelerators: they calculate a little differently, and may share a cache with
    /// processors.
    fn revision(&self) -> String {
        match &self.providers {
            Ok(providers) if providers.prefer_accelerator() => {
                format!("{} {:?}", self.folder.revision(), providers.list)
            }
            _ => self.folder.revision().to_owned(),
        }
    }
}

impl OnnxLoader {
    fn load_what_is_there(&self, threads: usize) -> Result<Box<dyn Inference>, BackendError> {
        let providers = self.providers.as_ref().map_err(Clone::clone)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = Vec::new();
        for (place, &provider) in providers.list.iter().enumerate() {
            let device = providers.describe(provider);
            match self.open(providers, provider, threads, &mut opened) {
                Ok(model) => {
                    self.report(device);
                    return Ok(Box::new(model));
                }
                Err(error) => {
                    let reason = error.to_string();
                    let reason = plain(&reason);
                    if let Some(&next) = providers.list.get(place + 1) {
                        let next = providers.describe(next);
                        tracing::warn!(model = self.folder.name(), device, reason, next, "cannot be run there");
                    }
                    failures.push(format!("on {device}: {reason}"));
                }
            }
        }
        Err(BackendError::Start(format!("{}: {}", self.folder.onnx().display(), failures.join("; "))))
    }
}

/// A message of ONNX Runtime without the place in its source, the number and the kind of the error; of CUDA's failures also
/// without the machine's name and the call.
fn plain(reason: &str) -> &str {
    let said = reason.split_once("[ONNXRuntimeError] : ").and_then(|(_, said)| said.splitn(3, " : ").nth(2));
    let said = said.unwrap_or(reason);
    said.split_once(" ; GPU=").map_or(said, |(said, _)| said).trim()
}

#[cfg(test)]
mod tests;
