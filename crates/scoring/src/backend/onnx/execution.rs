//! Execution providers in ONNX Runtime: whether the loaded library has one, where to get a library that does, and how a
//! session is told to run on it.

use ort::{
    ep::{self, ArenaExtendStrategy, ExecutionProvider, ExecutionProviderDispatch},
    session::builder::SessionBuilder,
};

use crate::execution_provider::Provider;

/// True where the library that was loaded has the provider. Says nothing about the hardware.
pub(super) fn is_compiled_in(provider: Provider) -> bool {
    let asked = match provider {
        Provider::Cpu => Ok(true),
        Provider::Cuda => ep::CUDA::is_available(),
        Provider::TensorRt => ep::TensorRT::is_available(),
        Provider::OpenVino => ep::OpenVINO::is_available(),
        Provider::CoreMl => ep::CoreML::is_available(),
        Provider::DirectMl => ep::DirectML::is_available(),
    };
    asked.unwrap_or(false)
}

/// The place that a library with the provider comes from.
pub(super) fn source(provider: Provider) -> &'static str {
    match provider {
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

/// Has a session run on `provider`. What that cannot run of a graph, ONNX Runtime runs on the CPU; for TensorRT the GPU
/// comes between. `threads` are the processor's, where the provider computes there.
///
/// # Errors
/// The library lacks it, or cannot load what it depends on.
pub fn register(
    provider: Provider,
    builder: SessionBuilder,
    device: u32,
    threads: usize,
) -> ort::Result<SessionBuilder> {
    let number = device.cast_signed();
    // Batches differ in size: what one of them needed is not to be doubled for the next.
    let cuda = ep::CUDA::default().with_device_id(number);
    let cuda = cuda.with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested).build();
    let dispatches: Vec<ExecutionProviderDispatch> = match provider {
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
