//! Backends: whatever runs a model in this process. Everything else names only the traits ([`Loader`], [`Inference`]) and
//! [`open`]; that there is ONNX Runtime behind them is known below this file alone.

mod inference;
mod onnx;

use std::sync::Arc;

pub use inference::{BackendError, Inference, Loader};
pub use onnx::{Runtime, RuntimeError, TESTED_VERSION, register};

use crate::models::ModelFolder;

/// The number of sessions that a model is opened for, as far as it matters to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// A single one, which has the weights to itself.
    One,
    /// Several, which share what they can.
    Several,
}

/// Opens a model folder: its sessions are loaded with what this returns. Reads nothing yet.
pub fn open(folder: ModelFolder, runtime: &Runtime, sessions: Sessions) -> Arc<dyn Loader> {
    let loader = onnx::OnnxLoader::new(folder, runtime.clone());
    match sessions {
        Sessions::One => Arc::new(loader.for_one_session()),
        Sessions::Several => Arc::new(loader),
    }
}
