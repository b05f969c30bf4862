//! Execution providers: what ONNX Runtime computes on, by the names that the configuration has for them, and which of
//! several is taken. Opening a session on one is the business of [`super::onnx`].

use ort::{
    ep::{self, ArenaExtendStrategy, ExecutionProvider, ExecutionProviderDispatch},
    session::builder::SessionBuilder,
};

use crate::runtime::Runtime;

/// What a model is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The processor, by ONNX Runtime's own kernels. Every library has it.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An NVIDIA GPU, by engines that are built for it at the start.
    TensorRt,
    /// Intel's processors and GPUs.
    OpenVino,
    /// Apple's GPU and neural engine.
    CoreMl,
    /// A GPU under Windows.
    DirectMl,
}

impl Provider {
    /// Every provider under its name in the configuration.
    pub const NAMES: [(&'static str, Provider); 6] = [
        ("cpu", Provider::Cpu),
        ("cuda", Provider::Cuda),
        ("tensorrt", Provider::TensorRt),
        ("openvino", Provider::OpenVino),
        ("coreml", Provider::CoreMl),
        ("directml", Provider::DirectMl),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        Provider::NAMES.iter().find(|(_, provider)| *provider == self).map_or("", |(name, _)| name)
    }

    /// Whether it is fast by computing much at once: one session with batches, and not a session for each core.
    pub fn is_accelerator(self) -> bool {
        self != Provider::Cpu
    }

    /// Whether there may be several, which are told apart by a number.
    pub fn has_devices(self) -> bool {
        matches!(self, Provider::Cuda | Provider::TensorRt | Provider::DirectMl)
    }

    /// Whether the library that was loaded last has it. Says nothing about the hardware.
    pub(super) fn is_compiled_in(self) -> bool {
        let asked = match self {
            Provider::Cpu => Ok(true),
            Provider::Cuda => ep::CUDA::is_available(),
            Provider::TensorRt => ep::TensorRT::is_available(),
            Provider::OpenVino => ep::OpenVINO::is_available(),
            Provider::CoreMl => ep::CoreML::is_available(),
            Provider::DirectMl => ep::DirectML::is_available(),
        };
        asked.unwrap_or(false)
    }

    /// Where a library that has it comes from.
    fn source(self) -> &'static str {
        match self {
            Provider::Cpu => "every ONNX Runtime has cpu",
            Provider::Cuda | Provider::TensorRt => {
                "cuda and tensorrt are in PyPI's onnxruntime-gpu (Linux, Windows), which needs the CUDA and cuDNN (for \
                 tensorrt, TensorRT) libraries besides"
            }
            Provider::OpenVino => "openvino is in PyPI's onnxruntime-openvino (Linux, Windows)",
            Provider::CoreMl => "coreml is in PyPI's onnxruntime for macOS",
            Provider::DirectMl => "directml is in PyPI's onnxruntime-directml (Windows)",
        }
    }

    /// Has a session run on it. What it cannot run of a graph, ONNX Runtime runs on the CPU; for TensorRT the GPU comes
    /// between. `threads` are the processor's, where the provider computes there.
    ///
    /// # Errors
    /// The library lacks it, or cannot load what it depends on.
    pub fn register(self, builder: SessionBuilder, device: u32, threads: usize) -> ort::Result<SessionBuilder> {
        let number = device.cast_signed();
        // Batches differ in size: what one of them needed is not to be doubled for the next.
        let cuda = ep::CUDA::default().with_device_id(number);
        let cuda = cuda.with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested).build();
        let dispatches: Vec<ExecutionProviderDispatch> = match self {
            Provider::Cpu => vec![],
            Provider::Cuda => vec![cuda],
            Provider::TensorRt => vec![ep::TensorRT::default().with_device_id(number).build(), cuda],
            Provider::OpenVino => vec![ep::OpenVINO::default().with_num_threads(threads).build()],
            Provider::CoreMl => vec![ep::CoreML::default().build()],
            Provider::DirectMl => vec![ep::DirectML::default().with_device_id(number).build()],
        };
        let must_open = dispatches.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect::<Vec<_>>();
        Ok(builder.with_execution_providers(must_open)?)
    }
}

/// What a model may be run on, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers {
    /// The first that can be opened is used; at least one.
    pub list: Vec<Provider>,
    /// Which GPU, for those that count them.
    pub device: u32,
}

impl Default for Providers {
    fn default() -> Providers {
        Providers { list: vec![Provider::Cpu], device: 0 }
    }
}

impl Providers {
    /// Whether the one that is preferred is an accelerator, so that a file made for accelerators is.
    pub fn prefer_accelerator(&self) -> bool {
        self.list.first().is_some_and(|provider| provider.is_accelerator())
    }

    /// Those that the library has: what is left to be tried.
    ///
    /// # Errors
    /// It has none of them. The message names the library, what it has, and where to get another.
    pub fn in_library(&self, runtime: &Runtime) -> Result<Providers, String> {
        let has = runtime.providers();
        let list: Vec<Provider> = self.list.iter().copied().filter(|provider| has.contains(provider)).collect();
        if !list.is_empty() {
            return Ok(Providers { list, device: self.device });
        }
        let mut sources: Vec<&str> = self.list.iter().map(|provider| provider.source()).collect();
        sources.dedup();
        Err(format!(
            "the ONNX Runtime at {} has no {}; it has {}. {}; or add \"cpu\" to the list, to be used where there is \
             nothing else",
            runtime.library().display(),
            names(&self.list, " and no "),
            names(&has, ", "),
            sources.join("; "),
        ))
    }

    /// Why the first choice is none, where the library lacks it and another one of the list is used instead.
    pub fn second_choice(&self, runtime: &Runtime) -> Option<String> {
        let wanted = *self.list.first()?;
        let used = *self.in_library(runtime).ok()?.list.first()?;
        let (library, source) = (runtime.library().display(), wanted.source());
        (used != wanted).then(|| {
            format!("the ONNX Runtime at {library} has no {}: {} is used. {source}", wanted.name(), used.name())
        })
    }

    /// How a provider of this list is called in logs and by the health endpoint.
    pub(super) fn describe(&self, provider: Provider) -> String {
        if provider.has_devices() { format!("{}:{}", provider.name(), self.device) } else { provider.name().to_owned() }
    }
}

fn names(providers: &[Provider], between: &str) -> String {
    providers.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(between)
}
