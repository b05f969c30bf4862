//! The backend: it runs models in this process. All other code names only the traits ([`Loader`], [`Inference`]), [`open`]
//! and the library that is loaded ([`Runtime`]); only this file and those below it know ONNX Runtime.

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
    /// A single one whose failures are told by nobody but who runs it: ONNX Runtime writes nothing on stderr.
    OneQuiet,
    /// A single one that is to take little memory rather than little time: nothing is worked out ahead of a run, and what a
    /// step of it took is given back after it.
    OneSparing,
    /// Several, which share what they can.
    Several,
}

/// Opens a model folder: the loader that this returns makes its sessions. Reads no file yet.
pub fn open(folder: ModelFolder, runtime: &Runtime, sessions: Sessions) -> Arc<dyn Loader> {
    let loader = onnx::OnnxLoader::new(folder, runtime.clone());
    match sessions {
        Sessions::One => Arc::new(loader.for_one_session()),
        Sessions::OneQuiet => Arc::new(loader.for_one_session().quietly()),
        Sessions::OneSparing => Arc::new(loader.for_one_session().sparingly()),
        Sessions::Several => Arc::new(loader),
    }
}
