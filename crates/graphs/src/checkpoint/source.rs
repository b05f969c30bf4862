//! What files of weights have in common, whatever their format.

use std::path::PathBuf;

use crate::{
    array::{Array, Weights},
    error::BuildError,
};

/// What is said of a tensor that no file has.
pub(super) const MISSING: &str = "is not there: the configuration promises it";

/// A file, or several, with weights in it.
pub(super) trait Source {
    /// The tensor of that name as floats.
    fn tensor(&self, name: &str) -> Result<Array, BuildError>;

    /// The matrix of that name with its rows as they are, where the file has it quantised.
    fn quantised_table(&self, _name: &str) -> Result<Option<Weights>, BuildError> {
        Ok(None)
    }

    /// The matrix of the linear layer `module`. `weight` and `bias` are the whole names of its tensors, where there are such.
    fn matrix(&self, module: &str, weight: Option<&str>, bias: Option<&str>) -> Result<Weights, BuildError>;

    /// The tensors that can be asked for.
    fn names(&self) -> Vec<String>;

    /// The files, in the order in which they are read.
    fn files(&self) -> Vec<PathBuf>;
}

/// The numbers of `SIZE` bytes each, as floats.
pub(super) fn numbers<const SIZE: usize>(bytes: &[u8], number: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}
