//! The large constants of an ONNX file, and their values. The file is in memory until all of them have been taken out of it;
//! values from a file beside it are read one constant at a time. Sharing them is the business of [`super::weights`].

use std::{
    io,
    path::{Path, PathBuf},
};

use graphs::onnx::{EXTERNAL, TensorProto, file};
use zerocopy::{FromBytes, IntoBytes};

/// A constant of the graph: its values row by row, little-endian.
#[derive(Debug)]
pub(super) struct Initializer {
    tensor: TensorProto,
    model: PathBuf,
}

impl Initializer {
    pub(super) fn name(&self) -> &str {
        &self.tensor.name
    }

    pub(super) fn shape(&self) -> &[i64] {
        &self.tensor.dims
    }

    /// `TensorProto.DataType`.
    pub(super) fn data_type(&self) -> i32 {
        self.tensor.data_type
    }

    /// The values, as many as the shape says.
    ///
    /// # Errors
    /// The file beside it cannot be read, is too short, or there is another number of values.
    pub(super) fn values<T: FromBytes + IntoBytes + Default + Clone>(&self) -> io::Result<Vec<T>> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {what}", self.name()));
        if cfg!(target_endian = "big") {
            return Err(wrong("is little-endian and this machine is not"));
        }
        let factor = |&length: &i64| usize::try_from(length).ok();
        let count = self.shape().iter().try_fold(1_usize, |count, length| count.checked_mul(factor(length)?));
        let bytes = count.and_then(|count| count.checked_mul(size_of::<T>()));
        let raw = file::raw_values(&self.tensor, &self.model)?;
        let count = count.filter(|_| bytes == Some(raw.len()));
        let mut values = vec![T::default(); count.ok_or_else(|| wrong("has not as many values as its shape"))?];
        values.as_mut_bytes().copy_from_slice(&raw);
        Ok(values)
    }
}

/// The initializers of the graph in `model` whose values take `at_least` bytes or more, from the file itself or from
/// those beside it that it names. Values in other forms than raw bytes are left out; so are subgraphs, and external data of
/// no stated length, which is left to ONNX Runtime.
pub(super) fn read(model: &Path, at_least: u64) -> io::Result<Vec<Initializer>> {
    let constants = file::read(model)?.graph.unwrap_or_default().initializer;
    let mut found = Vec::new();
    for tensor in constants {
        if length(&tensor, model)?.is_some_and(|length| length >= at_least) {
            found.push(Initializer { tensor, model: model.to_path_buf() });
        }
    }
    Ok(found)
}

/// The bytes of raw values, where they are known.
fn length(tensor: &TensorProto, model: &Path) -> io::Result<Option<u64>> {
    if tensor.data_location != EXTERNAL {
        return Ok((!tensor.raw_data.is_empty()).then_some(tensor.raw_data.len() as u64));
    }
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let (Some(location), Some(length)) = (tensor.external("location"), tensor.external("length")) else {
        return Ok(None);
    };
    if file::in_folder_of(model, location).is_none() {
        return Err(malformed("external data outside the model's folder"));
    }
    length.parse().map(Some).map_err(|_| malformed("external data with a place that is no number"))
}

#[cfg(test)]
mod tests;
