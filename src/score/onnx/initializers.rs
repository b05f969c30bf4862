//! The large constants of an ONNX file: which there are, and their values. Reads just enough of the file's protobuf to
//! find them, and holds neither the file nor two of them. What is done with them is the business of
//! [`super::weights`].

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use zerocopy::{FromBytes, IntoBytes};

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
/// The fields, with their numbers: `ModelProto.graph` 7, `GraphProto.initializer` 5, and of `TensorProto` `dims` 1,
/// `data_type` 2, `name` 8, `raw_data` 9, `external_data` 13, `data_location` 14 (onnx.proto, ONNX 1.19).
pub(super) fn read(model: &Path, at_least: u64) -> io::Result<Vec<Initializer>> {
    let mut source = Source { input: BufReader::new(File::open(model)?), position: 0 };
    let mut found = Vec::new();
    let end = source.input.get_ref().metadata()?.len();
    while let Some(field) = source.field(end)? {
        if field.number != 7 || !field.is_bytes {
            source.skip(&field)?;
            continue;
        }
        let graph_end = source.position + field.value;
        while let Some(field) = source.field(graph_end)? {
            if field.number == 5 && field.is_bytes {
                found.extend(source.tensor(model, field.value, at_least)?);
            } else {
                source.skip(&field)?;
            }
        }
    }
    Ok(found)
}

/// One field's beginning. `value` is a number, or for bytes their length.
struct Field {
    number: u64,
    value: u64,
    is_bytes: bool,
}

/// A protobuf message that is read from front to back. `position` counts from the beginning of the file.
struct Source {
    input: BufReader<File>,
    position: u64,
}

impl Source {
    /// The next field of the message that ends at `end`; `None` at its end.
    fn field(&mut self, end: u64) -> io::Result<Option<Field>> {
        if self.position >= end {
            return if self.position == end { Ok(None) } else { Err(malformed("a message ends too late")) };
        }
        let key = self.varint()?;
        let (value, is_bytes) = match key & 7 {
            0 => (self.varint()?, false),
            1 => (u64::from_le_bytes(self.array()?), false),
            2 => (self.varint()?, true),
            5 => (u64::from(u32::from_le_bytes(self.array()?)), false),
            _ => return Err(malformed("a field of an unknown kind")),
        };
        if is_bytes && value > end.saturating_sub(self.position) {
            return Err(malformed("a field is longer than its message"));
        }
        Ok(Some(Field { number: key >> 3, value, is_bytes }))
    }

    fn tensor(&mut self, model: &Path, length: u64, at_least: u64) -> io::Result<Option<Initializer>> {
        let end = self.position + length;
        let (mut name, mut shape, mut data_type) = (String::new(), Vec::new(), 0);
        let mut raw = None;
        let (mut is_external, mut pairs) = (false, Vec::new());
        while let Some(field) = self.field(end)? {
            match (field.number, field.is_bytes) {
                (1, false) => shape.push(field.value.cast_signed()),
                (1, true) => {
                    let end = self.position + field.value;
                    while self.position < end {
                        shape.push(self.varint()?.cast_signed());
                    }
                }
                (2, false) => data_type = field.value.cast_signed(),
                (8, true) => name = self.text(field.value)?,
                (9, true) => {
                    raw = Some((self.position, field.value));
                    self.skip(&field)?;
                }
                (13, true) => pairs.push(self.pair(field.value)?),
                (14, false) => is_external = field.value == 1,
                _ => self.skip(&field)?,
            }
        }
        let place = match raw {
            _ if is_external => external(model, &pairs)?,
            Some((start, length)) => Some((model.to_path_buf(), start, length)),
            None => None,
        };
        let place = place.filter(|(_, _, length)| *length >= at_least);
        Ok(place.map(|(file, start, length)| Initializer { name, shape, data_type, file, start, length }))
    }

    /// A `StringStringEntryProto`: `key` 1, `value` 2.
    fn pair(&mut self, length: u64) -> io::Result<(String, String)> {
        let end = self.position + length;
        let mut pair = (String::new(), String::new());
        while let Some(field) = self.field(end)? {
            match (field.number, field.is_bytes) {
                (1, true) => pair.0 = self.text(field.value)?,
                (2, true) => pair.1 = self.text(field.value)?,
                _ => self.skip(&field)?,
            }
        }
        Ok(pair)
    }

    fn text(&mut self, length: u64) -> io::Result<String> {
        const LONGEST: u64 = 1 << 16;
        if length > LONGEST {
            return Err(malformed("a name of more than 64 KiB"));
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes)?;
        self.position += length;
        String::from_utf8(bytes).map_err(|_| malformed("a name that is not UTF-8"))
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number of more than ten bytes"))
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, field: &Field) -> io::Result<()> {
        if field.is_bytes {
            let length = i64::try_from(field.value).map_err(|_| malformed("a field is too long"))?;
            self.input.seek_relative(length)?;
            self.position += field.value;
        }
        Ok(())
    }
}

/// The place that `external_data` names: a `location` beside the model, an `offset` and a `length` in bytes. Without a
/// length it is left to ONNX Runtime.
fn external(model: &Path, pairs: &[(String, String)]) -> io::Result<Option<(PathBuf, u64, u64)>> {
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (Some(location), Some(length)) = (value("location"), value("length")) else { return Ok(None) };
    // As ONNX Runtime has it: nothing outside the model's folder.
    let location = Path::new(location);
    if !location.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        return Err(malformed("external data outside the model's folder"));
    }
    let number = |text: &str| text.parse().map_err(|_| malformed("external data with a place that is no number"));
    let file = model.parent().unwrap_or(Path::new("")).join(location);
    Ok(Some((file, value("offset").map_or(Ok(0), number)?, number(length)?)))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A field of bytes, as protobuf writes it.
    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let mut length = value.len();
        while length > 0x7f {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        [&field, value].concat()
    }

    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
        let graph: Vec<u8> = tensors.iter().flat_map(|tensor| bytes(5, tensor)).collect();
        [bytes(2, b"a producer"), bytes(7, &[bytes(2, b"a graph"), graph].concat())].concat()
    }

    fn pair(key: &str, value: &str) -> Vec<u8> {
        bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
    }

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
            let place = [pair("location", location), pair("length", "8")].concat();
            let tensor = [number(1, 2), number(2, 1), bytes(8, b"x"), place, number(14, 1)].concat();
            assert!(read_bytes(&model(&[tensor])).is_err(), "{location}");
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
