//! The large constants of an ONNX file, and their values. Reads just enough of the file's protobuf to find them, and holds
//! neither the file nor two of them in memory. Sharing them is the business of [`super::weights`].

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use zerocopy::{FromBytes, IntoBytes};

use crate::models::{
    external,
    protobuf::{Source, Tensor, malformed},
};

/// A constant of the graph, and the place of its values: row by row, little-endian.
#[derive(Debug)]
pub(super) struct Initializer {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    /// `TensorProto.DataType`.
    pub(super) data_type: i64,
    file: PathBuf,
    start: u64,
    /// The length in bytes.
    length: u64,
}

impl Initializer {
    /// The values, as many as the shape says.
    ///
    /// # Errors
    /// The file cannot be read, is too short, or has another number of values.
    pub(super) fn values<T: FromBytes + IntoBytes + Default + Clone>(&self) -> io::Result<Vec<T>> {
        let wrong = |what: &str| malformed(&format!("`{}` {what}", self.name));
        if cfg!(target_endian = "big") {
            return Err(wrong("is little-endian and this machine is not"));
        }
        let factor = |&length: &i64| usize::try_from(length).ok();
        let count = self.shape.iter().try_fold(1_usize, |count, length| count.checked_mul(factor(length)?));
        let bytes = count.and_then(|count| count.checked_mul(size_of::<T>()));
        let count = count.filter(|_| bytes.is_some_and(|bytes| bytes as u64 == self.length));
        let count = count.ok_or_else(|| wrong("has not as many values as its shape"))?;
        let mut file = File::open(&self.file)?;
        // Looked up before memory is asked for.
        if file.metadata()?.len() < self.start.saturating_add(self.length) {
            return Err(wrong("ends after its file"));
        }
        file.seek(SeekFrom::Start(self.start))?;
        let mut values = vec![T::default(); count];
        file.read_exact(values.as_mut_bytes())?;
        Ok(values)
    }
}

/// The initializers of the graph in `model` whose values take `at_least` bytes or more, from the file itself or from
/// those beside it that it names. Values in other forms than raw bytes are left out; so are subgraphs.
///
/// The fields, with their numbers: `ModelProto.graph` 7, `GraphProto.initializer` 5 (onnx.proto, ONNX 1.19).
pub(super) fn read(model: &Path, at_least: u64) -> io::Result<Vec<Initializer>> {
    let (mut source, end) = Source::open(model)?;
    let mut found = Vec::new();
    while let Some(field) = source.field(end)? {
        if field.number != 7 || !field.is_bytes {
            source.skip(&field)?;
            continue;
        }
        let graph_end = source.end(field.value);
        while let Some(field) = source.field(graph_end)? {
            if field.number == 5 && field.is_bytes {
                found.extend(initializer(source.tensor(field.value)?, model, at_least)?);
            } else {
                source.skip(&field)?;
            }
        }
    }
    Ok(found)
}

fn initializer(tensor: Tensor, model: &Path, at_least: u64) -> io::Result<Option<Initializer>> {
    let place = match tensor.raw {
        _ if tensor.is_external => place(model, &tensor)?,
        Some((start, length)) => Some((model.to_path_buf(), start, length)),
        None => None,
    };
    let place = place.filter(|(_, _, length)| *length >= at_least);
    let Tensor { name, shape, data_type, .. } = tensor;
    Ok(place.map(|(file, start, length)| Initializer { name, shape, data_type, file, start, length }))
}

/// The place that `external_data` names: a `location` beside the model, an `offset` and a `length` in bytes. Without a
/// length it is left to ONNX Runtime.
fn place(model: &Path, tensor: &Tensor) -> io::Result<Option<(PathBuf, u64, u64)>> {
    let (Some(location), Some(length)) = (tensor.external("location"), tensor.external("length")) else {
        return Ok(None);
    };
    let file =
        external::beside(model, location).ok_or_else(|| malformed("external data outside the model's folder"))?;
    let number = |text: &str| text.parse().map_err(|_| malformed("external data with a place that is no number"));
    Ok(Some((file, tensor.external("offset").map_or(Ok(0), number)?, number(length)?)))
}

#[cfg(test)]
mod tests;
