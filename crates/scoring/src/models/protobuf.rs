//! The protobuf of an ONNX file, read from front to back: fields, texts, and the description of a tensor. Holds neither
//! the file nor any values. Which messages are looked into is the reader's business.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// One field's beginning. `value` is a number, or for bytes their length.
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) value: u64,
    pub(crate) is_bytes: bool,
}

/// A protobuf message that is read from front to back. `position` counts from the beginning of the file.
pub(crate) struct Source {
    input: BufReader<File>,
    position: u64,
}

/// The description in a `TensorProto`.
#[derive(Debug, Default)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<i64>,
    /// `TensorProto.DataType`.
    pub(crate) data_type: i64,
    /// The place of its raw values in the file: start and length in bytes.
    pub(crate) raw: Option<(u64, u64)>,
    /// True where its values are in another file.
    pub(crate) is_external: bool,
    /// The description of that file in `external_data`, as keys and values.
    pub(crate) external: Vec<(String, String)>,
}

impl Tensor {
    /// The value in `external_data` under `key`.
    pub(crate) fn external(&self, key: &str) -> Option<&str> {
        self.external.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

impl Source {
    /// The message that the file is, and where it ends.
    pub(crate) fn open(file: &Path) -> io::Result<(Source, u64)> {
        let file = File::open(file)?;
        let end = file.metadata()?.len();
        Ok((Source { input: BufReader::new(file), position: 0 }, end))
    }

    /// The end of a field of so many bytes that begins here.
    pub(crate) fn end(&self, length: u64) -> u64 {
        self.position + length
    }

    /// The next field of the message that ends at `end`; `None` at its end. Groups, which ONNX has none of, are skipped, as
    /// any reader of protobuf skips what it does not know.
    pub(crate) fn field(&mut self, end: u64) -> io::Result<Option<Field>> {
        let mut groups = 0_u32;
        loop {
            if self.position >= end {
                let is_whole = self.position == end && groups == 0;
                return if is_whole { Ok(None) } else { Err(malformed("a message ends too late or too early")) };
            }
            let key = self.varint()?;
            let (value, is_bytes) = match key & 7 {
                0 => (self.varint()?, false),
                1 => (u64::from_le_bytes(self.array()?), false),
                2 => (self.varint()?, true),
                3 => {
                    groups += 1;
                    continue;
                }
                4 => {
                    groups = groups.checked_sub(1).ok_or_else(|| malformed("a group ends that did not begin"))?;
                    continue;
                }
                5 => (u64::from(u32::from_le_bytes(self.array()?)), false),
                _ => return Err(malformed("a field of an unknown kind")),
            };
            if is_bytes && value > end.saturating_sub(self.position) {
                return Err(malformed("a field is longer than its message"));
            }
            let field = Field { number: key >> 3, value, is_bytes };
            if groups == 0 {
                return Ok(Some(field));
            }
            self.skip(&field)?;
        }
    }

    /// A `TensorProto` of so many bytes: `dims` 1, `data_type` 2, `name` 8, `raw_data` 9, `external_data` 13, `data_location`
    /// 14 (onnx.proto, ONNX 1.19).
    pub(crate) fn tensor(&mut self, length: u64) -> io::Result<Tensor> {
        let end = self.end(length);
        let mut tensor = Tensor::default();
        while let Some(field) = self.field(end)? {
            match (field.number, field.is_bytes) {
                (1, false) => tensor.shape.push(field.value.cast_signed()),
                (1, true) => {
                    let end = self.end(field.value);
                    while self.position < end {
                        tensor.shape.push(self.varint()?.cast_signed());
                    }
                }
                (2, false) => tensor.data_type = field.value.cast_signed(),
                (8, true) => tensor.name = self.text(field.value)?,
                (9, true) => {
                    tensor.raw = Some((self.position, field.value));
                    self.skip(&field)?;
                }
                (13, true) => tensor.external.push(self.pair(field.value)?),
                (14, false) => tensor.is_external = field.value == 1,
                _ => self.skip(&field)?,
            }
        }
        Ok(tensor)
    }

    /// A `StringStringEntryProto`: `key` 1, `value` 2.
    fn pair(&mut self, length: u64) -> io::Result<(String, String)> {
        let end = self.end(length);
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
        // What is longer is cut, and what is no UTF-8 altered: no file and no constant goes by such a name.
        const LONGEST: u64 = 1 << 16;
        let end = self.end(length);
        let mut bytes = vec![0; length.min(LONGEST) as usize];
        self.input.read_exact(&mut bytes)?;
        self.position += bytes.len() as u64;
        self.skip_to(end)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
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

    /// Leaves a field out.
    pub(crate) fn skip(&mut self, field: &Field) -> io::Result<()> {
        if field.is_bytes { self.skip_to(self.end(field.value)) } else { Ok(()) }
    }

    fn skip_to(&mut self, end: u64) -> io::Result<()> {
        let length = i64::try_from(end - self.position).map_err(|_| malformed("a field is too long"))?;
        self.input.seek_relative(length)?;
        self.position = end;
        Ok(())
    }
}

/// The error of a file that is not what it should be.
pub(crate) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A writer of protobuf, for tests: messages as bytes.
#[cfg(test)]
pub(crate) mod written {
    /// A field of bytes.
    pub(crate) fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        let mut field = key(number, 2);
        let mut length = value.len();
        while length > 0x7f {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        [&field, value].concat()
    }

    /// A field that is a number.
    pub(crate) fn number(number: u8, value: u8) -> Vec<u8> {
        [key(number, 0), vec![value]].concat()
    }

    /// A group with nothing in it.
    pub(crate) fn group(number: u8) -> Vec<u8> {
        [key(number, 3), key(number, 4)].concat()
    }

    /// A model with these initializers.
    pub(crate) fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
        let graph: Vec<u8> = tensors.iter().flat_map(|tensor| bytes(5, tensor)).collect();
        [bytes(2, b"a producer"), bytes(7, &[bytes(2, b"a graph"), graph].concat())].concat()
    }

    /// An entry of `external_data`.
    pub(crate) fn pair(key: &str, value: &str) -> Vec<u8> {
        bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
    }

    /// A tensor whose values are in the file `location`.
    pub(crate) fn external(location: &str) -> Vec<u8> {
        [number(2, 1), bytes(8, b"x"), pair("location", location), pair("length", "8"), number(14, 1)].concat()
    }

    fn key(number: u8, kind: u8) -> Vec<u8> {
        match number {
            0..16 => vec![number << 3 | kind],
            _ => vec![number << 3 & 0x7f | kind | 0x80, number >> 4],
        }
    }
}
