//! Execution providers by name: what an operator may want a model to be run on. Owns the names and the order of preference;
//! what the ONNX Runtime at hand has of them is the business of [`crate::backend`].

/// An execution provider: the hardware and the kernels that a model is run on.
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

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Provider::NAMES.iter().find(|(_, provider)| *provider == self).map_or("", |(name, _)| name)
    }

    /// True for what is fast by computing much at once: it gets one session with batches, not a session for each core.
    pub fn is_accelerator(self) -> bool {
        self != Provider::Cpu
    }

    /// True where a machine may have several, which are told apart by a number.
    pub fn has_devices(self) -> bool {
        matches!(self, Provider::Cuda | Provider::TensorRt | Provider::DirectMl)
    }
}

/// The providers that a model may be run on, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers {
    /// The first that can be opened is used; at least one.
    pub list: Vec<Provider>,
    /// The number of the GPU, for those that count them.
    pub device: u32,
}

impl Default for Providers {
    fn default() -> Providers {
        Providers { list: vec![Provider::Cpu], device: 0 }
    }
}

impl Providers {
    /// True where an accelerator is preferred, so that an ONNX file made for accelerators is.
    pub fn prefer_accelerator(&self) -> bool {
        self.list.first().is_some_and(|provider| provider.is_accelerator())
    }

    /// The name of a provider of this list in logs and in the health endpoint.
    pub(crate) fn describe(&self, provider: Provider) -> String {
        if provider.has_devices() { format!("{}:{}", provider.name(), self.device) } else { provider.name().to_owned() }
    }
}
