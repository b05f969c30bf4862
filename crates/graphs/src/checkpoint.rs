//! A model's published weights, by the names that its authors gave them, whichever file they are in: safetensors, or a stock
//! ONNX file. Reading the files is the business of `safetensors` and `stock`.

mod safetensors;
mod source;
mod stock;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use source::{MISSING, Source};

use crate::{
    array::{Array, Linear, Weights},
    error::BuildError,
    size::{Size, mismatch},
};

/// The weights of a model. Names are looked up by their end: `encoder.layer.0.output.dense` finds
/// `bert.encoder.layer.0.output.dense.weight`, since exports put the name of the model in front, or leave it out.
pub struct Checkpoint {
    files: Vec<PathBuf>,
    names: Vec<String>,
    /// The tensors that were asked for.
    read: RefCell<BTreeSet<String>>,
    /// True where all names are those of the model's authors; an export has constants of its own.
    has_only_weights: bool,
    source: Box<dyn Source>,
}

impl Checkpoint {
    /// Opens `file`: a `.safetensors` file, the index of several (`model.safetensors.index.json`), or an ONNX file.
    ///
    /// # Errors
    /// It cannot be read, or is none of these.
    pub fn open(file: &Path) -> Result<Checkpoint, BuildError> {
        let name = file.to_string_lossy();
        let is_export = name.ends_with(".onnx");
        let source: Box<dyn Source> =
            if is_export { Box::new(stock::Stock::open(file)?) } else { Box::new(safetensors::Shards::open(file)?) };
        let (files, names, read) = (source.files(), source.names(), RefCell::default());
        Ok(Checkpoint { files, names, read, has_only_weights: !is_export, source })
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
    /// There is none, or there are several, or it cannot be read, or its sizes are others than these.
    pub fn tensor(&self, name: &str, sizes: &[Size]) -> Result<Array, BuildError> {
        let whole = self.whole_name(name)?.ok_or_else(|| self.missing(name))?;
        let tensor = self.source.tensor(whole)?;
        if tensor.values.is_empty() || tensor.shape.is_empty() {
            return Err(self.wrong(whole, "has no values, or is a single number"));
        }
        self.check(whole, &tensor.shape, sizes)?;
        self.check_finite(whole, tensor.values.iter().all(|value| value.is_finite()))?;
        Ok(tensor)
    }

    /// Makes sure that no weights of a layer were left out, which would mean that the configuration was not understood.
    ///
    /// # Errors
    /// Some were.
    pub fn check_all_layers_read(&self) -> Result<(), BuildError> {
        let is_of_a_layer = |name: &&String| {
            let mut parts = name.split('.').skip_while(|part| !matches!(*part, "layer" | "layers"));
            parts.nth(1).is_some_and(|place| place.parse::<usize>().is_ok())
        };
        // Checkpoints keep the projections of positions that their configuration does without.
        let left_out = |name: &&String| !self.read.borrow().contains(*name) && !name.contains(".pos_");
        match self.names.iter().filter(is_of_a_layer).find(left_out).filter(|_| self.has_only_weights) {
            Some(name) => {
                Err(self.wrong(name, "is not used: the configuration is of another model, or has a key we do not know"))
            }
            None => Ok(()),
        }
    }

    /// The table of embeddings `module`, with a row for each of what it embeds. What a stock file has quantised stays so.
    ///
    /// # Errors
    /// See [`Checkpoint::tensor`].
    pub fn table(&self, module: &str, rows: Size, width: Size) -> Result<Weights, BuildError> {
        let name = format!("{module}.weight");
        let whole = self.whole_name(&name)?.ok_or_else(|| self.missing(&name))?;
        if let Some(quantised) = self.source.quantised_table(whole)? {
            self.check(whole, &[quantised.inputs, quantised.outputs], &[rows, width])?;
            self.check_finite(whole, quantised.are_finite())?;
            return Ok(quantised);
        }
        let Array { shape, values } = self.tensor(&name, &[rows, width])?;
        Ok(Weights::float(shape[0], shape[1], values))
    }

    /// The values of the vector `name`.
    ///
    /// # Errors
    /// See [`Checkpoint::tensor`].
    pub fn vector(&self, name: &str, length: Size) -> Result<Vec<f32>, BuildError> {
        Ok(self.tensor(name, &[length])?.values)
    }

    /// The linear layer `module`.
    ///
    /// # Errors
    /// See [`Checkpoint::tensor`].
    pub fn linear(&self, module: &str, inputs: Size, outputs: Size) -> Result<Linear, BuildError> {
        match self.linear_with_or_without_bias(module, inputs, outputs)? {
            Linear { bias: None, .. } => Err(self.missing(&format!("{module}.bias"))),
            layer => Ok(layer),
        }
    }

    /// The linear layer `module`, in an architecture whose layers may have no bias.
    ///
    /// # Errors
    /// See [`Checkpoint::tensor`].
    pub fn linear_with_or_without_bias(&self, module: &str, inputs: Size, outputs: Size) -> Result<Linear, BuildError> {
        let bias = self.whole_name(&format!("{module}.bias"))?;
        let weight = self.whole_name(&format!("{module}.weight"))?;
        let weights = self.source.matrix(module, weight, bias)?;
        if weights.inputs == 0 || weights.outputs == 0 {
            return Err(self.wrong(module, "has no values"));
        }
        // As torch keeps it and all configurations mean it, whichever way the file has it.
        self.check(module, &[weights.outputs, weights.inputs], &[outputs, inputs])?;
        self.check_finite(module, weights.are_finite())?;
        let bias = bias.map(|bias| self.source.tensor(bias)).transpose()?.map(|bias| bias.values);
        if bias.as_ref().is_some_and(|bias| bias.len() != weights.outputs) {
            return Err(self.wrong(module, "has a bias of another length than its outputs"));
        }
        self.check_finite(module, bias.iter().flatten().all(|number| number.is_finite()))?;
        Ok(Linear { weights, bias })
    }

    /// The one tensor whose name is `name`, or else ends with it after a dot.
    fn whole_name(&self, name: &str) -> Result<Option<&str>, BuildError> {
        if let Some(same) = self.names.iter().find(|whole| *whole == name) {
            self.read.borrow_mut().insert(same.clone());
            return Ok(Some(same));
        }
        let ends = |whole: &&String| whole.strip_suffix(name).is_some_and(|before| before.ends_with('.'));
        let mut found = self.names.iter().filter(ends);
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => Err(self.wrong(name, &format!("may be `{first}` or `{second}`"))),
            (found, _) => {
                self.read.borrow_mut().extend(found.cloned());
                Ok(found.map(String::as_str))
            }
        }
    }

    fn check(&self, name: &str, shape: &[usize], sizes: &[Size]) -> Result<(), BuildError> {
        mismatch(shape, sizes).map_or(Ok(()), |problem| Err(self.wrong(name, &problem)))
    }

    /// Few bits would make some number of what is none, and the row of a token that no probe has would be found by nobody.
    fn check_finite(&self, name: &str, are_finite: bool) -> Result<(), BuildError> {
        let problem = "has numbers that are NaN or infinite: the file is damaged, or the training of the model was";
        if are_finite { Ok(()) } else { Err(self.wrong(name, problem)) }
    }

    fn missing(&self, name: &str) -> BuildError {
        self.wrong(name, MISSING)
    }

    /// The refusal of the tensor `name`.
    pub(crate) fn wrong(&self, name: &str, problem: &str) -> BuildError {
        let file = self.files.first().cloned().unwrap_or_default();
        BuildError::Weights { file, name: name.to_owned(), problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests;
