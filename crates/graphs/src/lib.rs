//! A model's published weights in, an ONNX graph of our own out: the same scores as those of the export that a repository
//! carries, in less time on a CPU. Reads configurations and weights, and writes one ONNX file; runs nothing. Whether what it
//! wrote can be trusted is found out by those who run it.

pub mod architecture;
pub mod architectures;
pub mod array;
pub mod build;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod graph;
pub mod hash;
pub mod layers;
pub mod onnx;
pub mod precision;
pub mod provenance;
pub mod recipe;
mod sentence;
pub mod size;

pub use build::build;
pub use error::BuildError;
pub use graph::ONNXRUNTIME;
pub use precision::Precision;
pub use provenance::Provenance;
pub use recipe::{Output, Recipe};
pub use sentence::Pooling;
