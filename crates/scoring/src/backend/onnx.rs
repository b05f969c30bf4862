//! ONNX Runtime: the library, its execution providers, and models in sessions of it.

mod execution;
mod initializers;
mod loader;
mod model;
mod opener;
mod output;
mod runtime;
mod weights;

pub use execution::register;
pub(super) use loader::OnnxLoader;
pub use runtime::{Runtime, RuntimeError, TESTED_VERSION};
