//! The large constants of an ONNX file: which there are, and their values. Reads just enough of the file's protobuf to
//! find them, and holds neither the file nor two of them. What is done with them is the business of
//! [`super::weights`].

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

/// A constant of the graph, and where its values are: row by row, little-endian.
#[derive(Debug)]
pub(super) struct Initializer {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    /// `TensorProto.DataType`.
    pub(super) data_type: i64,
    file: PathBuf,
    start: u64,
    /// In bytes.
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::protobuf::written::{bytes, external, model, number, pair};

    fn read_bytes(file: &[u8]) -> io::Result<Vec<Initializer>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, file).unwrap();
        read(&path, 1)
    }

    #[test]
    fn constants_are_read_from_the_file_and_from_those_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let inside = [number(1, 2), number(2, 1), bytes(8, b"inside"), bytes(9, &values)].concat();
        let place = [pair("location", "model.data"), pair("offset", "3"), pair("length", "8")].concat();
        let beside = [bytes(1, &[1, 2]), number(2, 1), bytes(8, b"beside"), place, number(14, 1)].concat();
        let small = [number(1, 1), number(2, 3), bytes(8, b"small"), bytes(9, &[7])].concat();
        std::fs::write(folder.path().join("model.onnx"), model(&[inside, beside, small])).unwrap();
        std::fs::write(folder.path().join("model.data"), [b"xxx", &values[..]].concat()).unwrap();

        let found = read(&folder.path().join("model.onnx"), 2).unwrap();
        let shapes: Vec<_> = found.iter().map(|one| (one.name.as_str(), &one.shape[..], one.data_type)).collect();
        assert_eq!(shapes, [("inside", &[2][..], 1), ("beside", &[1, 2], 1)]);
        assert!(found.iter().all(|one| one.values::<f32>().unwrap() == [1.5, -2.0]));
        assert!(found[0].values::<i8>().is_err(), "the shape has two, not eight");
    }

    #[test]
    fn nothing_outside_the_folder_is_read() {
        for location in ["../secret", "/etc/passwd"] {
            assert!(read_bytes(&model(&[external(location)])).is_err(), "{location}");
        }
    }

    #[test]
    fn values_that_end_after_the_file_are_an_error_before_memory_is_asked_for() {
        let place = [pair("location", "model.onnx"), pair("length", "4611686018427387904")].concat();
        let shape = bytes(1, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
        let tensor = [shape, number(2, 1), bytes(8, b"x"), place, number(14, 1)].concat();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.onnx"), model(&[tensor])).unwrap();
        let found = read(&folder.path().join("model.onnx"), 1).unwrap();
        assert!(found[0].values::<f32>().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_constants_or_an_error(file in prop::collection::vec(any::<u8>(), 0..200)) {
            let nested = model(std::slice::from_ref(&file));
            for file in [file, nested] {
                for one in read_bytes(&file).unwrap_or_default() {
                    let _ = one.values::<u8>();
                }
            }
        }
    }
}
