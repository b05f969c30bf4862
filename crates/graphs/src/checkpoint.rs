//! A model's published weights, by the names that its authors gave them, whichever file they are in: safetensors, or a stock
//! ONNX file. Reading the files is the business of [`safetensors`] and [`stock`].

mod safetensors;
mod stock;

use std::path::{Path, PathBuf};

use crate::{
    array::{Array, Linear, Weights},
    error::BuildError,
};

/// The weights of a model. Names are looked up by their end: `encoder.layer.0.output.dense` finds
/// `bert.encoder.layer.0.output.dense.weight`, since exports put the name of the model in front, or leave it out.
pub struct Checkpoint {
    files: Vec<PathBuf>,
    names: Vec<String>,
    source: Box<dyn Source>,
}

/// A file, or several, with weights in it.
trait Source {
    /// The tensor of that name as floats.
    fn tensor(&self, name: &str) -> Result<Array, BuildError>;

    /// The matrix of the linear layer `module`. `weight` and `bias` are the whole names of its tensors, where there are such.
    fn matrix(&self, module: &str, weight: Option<&str>, bias: Option<&str>) -> Result<Weights, BuildError>;

    /// The tensors that can be asked for.
    fn names(&self) -> Vec<String>;

    /// The files, in the order in which they are read.
    fn files(&self) -> Vec<PathBuf>;
}

impl Checkpoint {
    /// Opens `file`: a `.safetensors` file, the index of several (`model.safetensors.index.json`), or an ONNX file.
    ///
    /// # Errors
    /// It cannot be read, or is none of these.
    pub fn open(file: &Path) -> Result<Checkpoint, BuildError> {
        let name = file.to_string_lossy();
        let source: Box<dyn Source> = if name.ends_with(".onnx") {
            Box::new(stock::Stock::open(file)?)
        } else {
            Box::new(safetensors::Shards::open(file)?)
        };
        Ok(Checkpoint { files: source.files(), names: source.names(), source })
    }

    /// The files that the weights are in.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// True where there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.whole_name(name).is_ok_and(|found| found.is_some())
    }

    /// The tensor `name` as floats.
    ///
    /// # Errors
    /// There is none, or there are several, or it cannot be read.
    pub fn tensor(&self, name: &str) -> Result<Array, BuildError> {
        let whole = self.whole_name(name)?.ok_or_else(|| self.missing(name))?;
        self.source.tensor(whole)
    }

    /// The values of the vector `name`.
    ///
    /// # Errors
    /// See [`Checkpoint::tensor`].
    pub fn vector(&self, name: &str) -> Result<Vec<f32>, BuildError> {
        Ok(self.tensor(name)?.values)
    }

    /// The linear layer `module`.
    ///
    /// # Errors
    /// See [`Checkpoint::tensor`].
    pub fn linear(&self, module: &str) -> Result<Linear, BuildError> {
        let bias = self.whole_name(&format!("{module}.bias"))?;
        let weight = self.whole_name(&format!("{module}.weight"))?;
        let weights = self.source.matrix(module, weight, bias)?;
        let bias = bias.map(|bias| self.source.tensor(bias)).transpose()?.map(|bias| bias.values);
        if bias.as_ref().is_some_and(|bias| bias.len() != weights.outputs) {
            return Err(self.wrong(module, "has a bias of another length than its outputs"));
        }
        Ok(Linear { weights, bias })
    }

    /// The one tensor whose name is `name`, or else ends with it after a dot.
    fn whole_name(&self, name: &str) -> Result<Option<&str>, BuildError> {
        if let Some(same) = self.names.iter().find(|whole| *whole == name) {
            return Ok(Some(same));
        }
        let ends = |whole: &&String| whole.strip_suffix(name).is_some_and(|before| before.ends_with('.'));
        let mut found = self.names.iter().filter(ends);
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => Err(self.wrong(name, &format!("may be `{first}` or `{second}`"))),
            (found, _) => Ok(found.map(String::as_str)),
        }
    }

    fn missing(&self, name: &str) -> BuildError {
        self.wrong(name, "is not there: the configuration promises it")
    }

    fn wrong(&self, name: &str, problem: &str) -> BuildError {
        let file = self.files.first().cloned().unwrap_or_default();
        BuildError::Weights { file, name: name.to_owned(), problem: problem.to_owned() }
    }
}

/// The numbers of `SIZE` bytes each, as floats.
fn numbers<const SIZE: usize>(bytes: &[u8], number: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

#[cfg(test)]
mod tests;
