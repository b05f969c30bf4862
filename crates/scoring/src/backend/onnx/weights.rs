//! The weights of a model, once for all of its sessions: the large constants as tensors that ONNX Runtime is given
//! instead of those in the file, and the container in which it keeps what it makes of them ("prepacking") for the next
//! session. It only shares what it made of constants that are shared themselves.

use std::{io, path::Path, sync::Arc};

use graphs::onnx::data_type;
use half::f16;
use ort::{
    session::builder::{PrepackedWeights, SessionBuilder},
    value::{DynValue, Tensor},
};

use super::initializers::{self, Initializer};

/// Smaller constants are left in the file: there is little to share.
const AT_LEAST: u64 = 64 << 10;

/// Weights that any number of sessions may use at once.
pub(super) struct Weights {
    constants: Vec<(String, Arc<DynValue>)>,
    packed: PrepackedWeights,
}

impl Weights {
    /// Reads the large constants of the ONNX file `model`.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub(super) fn read(model: &Path) -> Result<Weights, String> {
        let mut constants = Vec::new();
        for initializer in initializers::read(model, AT_LEAST).map_err(|error| error.to_string())? {
            if let Some(value) = tensor(&initializer)? {
                constants.push((initializer.name().to_owned(), Arc::new(value)));
            }
        }
        Ok(Weights { constants, packed: PrepackedWeights::new() })
    }

    /// Has the session use these weights.
    pub(super) fn share(&self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        let mut builder = builder.with_prepacked_weights(&self.packed)?;
        for (name, value) in &self.constants {
            builder = builder.with_initializer(name, Arc::clone(value))?;
        }
        Ok(builder)
    }
}

/// `None` for a type that models hardly have; such a constant is left in the file.
fn tensor(initializer: &Initializer) -> Result<Option<DynValue>, String> {
    let read = |error: io::Error| error.to_string();
    let shape = initializer.shape().to_vec();
    let tensor = match initializer.data_type() {
        data_type::FLOAT => {
            Tensor::from_array((shape, initializer.values::<f32>().map_err(read)?)).map(Tensor::into_dyn)
        }
        data_type::UINT8 => {
            Tensor::from_array((shape, initializer.values::<u8>().map_err(read)?)).map(Tensor::into_dyn)
        }
        data_type::INT8 => Tensor::from_array((shape, initializer.values::<i8>().map_err(read)?)).map(Tensor::into_dyn),
        data_type::INT64 => {
            Tensor::from_array((shape, initializer.values::<i64>().map_err(read)?)).map(Tensor::into_dyn)
        }
        data_type::FLOAT16 => {
            Tensor::from_array((shape, initializer.values::<f16>().map_err(read)?)).map(Tensor::into_dyn)
        }
        _ => return Ok(None),
    };
    tensor.map(Some).map_err(|error| error.to_string())
}
