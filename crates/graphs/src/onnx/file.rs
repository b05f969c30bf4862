//! ONNX files: read as a whole, without copying the constants, and written piece by piece, so that the constants are in memory
//! once. Protobuf allows no file of 2 GiB; the constants of a larger model go to a file beside it ("external data").

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use prost::{
    Message,
    encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len},
};

use super::{EXTERNAL, ModelProto, StringStringEntryProto, TensorProto};

/// Bytes of constants from which they go to a file beside the model. ONNX Runtime reads no protobuf file of 2 GiB or more.
const TOO_LARGE: usize = 1900 << 20;

/// Constants with fewer bytes stay in the model, where shape inference wants to see them.
const SMALL: usize = 1024;

/// The places of the file beside the model begin at multiples of this, as ONNX advises for files that are mapped.
const ALIGNMENT: u64 = 4096;

/// Reads a model. The raw values of its constants are parts of the bytes that were read.
///
/// # Errors
/// It cannot be read, or is no protobuf ([`io::ErrorKind::InvalidData`]).
pub fn read(file: &Path) -> io::Result<ModelProto> {
    let bytes = Bytes::from(std::fs::read(file)?);
    ModelProto::decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a model without the raw values of its initializers, which mostly are most of it: they are skipped and never in memory.
/// Values that lie elsewhere, in nodes or as lists of numbers, are read.
///
/// # Errors
/// See [`read`].
pub fn outline(file: &Path) -> io::Result<ModelProto> {
    /// `ModelProto.graph`, `GraphProto.initializer`, `TensorProto.raw_data`.
    const RAW_VALUES: [u32; 3] = [7, 5, 9];
    let opened = File::open(file)?;
    let length = opened.metadata()?.len();
    let bytes = match without(&mut BufReader::new(opened), length, &RAW_VALUES) {
        // What nobody writes, such as groups, is for the whole reader to skip or to refuse.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return read(file),
        bytes => bytes?,
    };
    ModelProto::decode(Bytes::from(bytes)).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The next `length` bytes, which are a message, without the field that `place` leads to: the number of a field, and those of
/// the ones within it.
fn without(from: &mut BufReader<File>, length: u64, place: &[u32]) -> io::Result<Vec<u8>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let Some((&number, within)) = place.split_first() else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    let mut left = length;
    while left > 0 {
        let key = varint(from, &mut left)?;
        let wire_type = WireType::try_from(key & 7).map_err(|error| invalid(&error.to_string()))?;
        let size = match wire_type {
            WireType::Varint => {
                encode_varint(key, &mut kept);
                encode_varint(varint(from, &mut left)?, &mut kept);
                continue;
            }
            WireType::LengthDelimited => varint(from, &mut left)?,
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::StartGroup | WireType::EndGroup => return Err(invalid("has a group, as no ONNX file does")),
        };
        left = left.checked_sub(size).ok_or_else(|| invalid("ends before its last field does"))?;
        let is_on_the_way = key >> 3 == u64::from(number) && wire_type == WireType::LengthDelimited;
        if is_on_the_way && within.is_empty() {
            from.seek_relative(i64::try_from(size).map_err(|_| invalid("has a field without end"))?)?;
            continue;
        }
        let field = if is_on_the_way { without(from, size, within)? } else { bytes(from, size)? };
        encode_varint(key, &mut kept);
        if wire_type == WireType::LengthDelimited {
            encode_varint(field.len() as u64, &mut kept);
        }
        kept.extend(field);
    }
    Ok(kept)
}

/// The next number, whose bytes are taken off what is `left` of the message.
fn varint(from: &mut BufReader<File>, left: &mut u64) -> io::Result<u64> {
    /// No number has more bytes.
    const LONGEST: u64 = 10;
    let mut written = Vec::new();
    for byte in from.take((*left).min(LONGEST)).bytes() {
        let byte = byte?;
        written.push(byte);
        if byte < 0x80 {
            *left -= written.len() as u64;
            let number = decode_varint(&mut written.as_slice());
            return number.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "ends within a number"))
}

fn bytes(from: &mut BufReader<File>, size: u64) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    from.take(size).read_to_end(&mut read)?;
    match read.len() as u64 == size {
        true => Ok(read),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "ends before its last field does")),
    }
}

/// The raw values of a constant of `model`, from the file itself or from the one beside it that it names.
///
/// # Errors
/// The file beside it cannot be read, or is not where it may be: in the folder of the model, or below it.
pub fn raw_values(constant: &TensorProto, model: &Path) -> io::Result<Bytes> {
    if constant.data_location != EXTERNAL {
        return Ok(constant.raw_data.clone());
    }
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {what}", constant.name));
    let location = constant.external("location").ok_or_else(|| invalid("has external data without a location"))?;
    let file =
        in_folder_of(model, location).ok_or_else(|| invalid("keeps its values outside of the model's folder"))?;
    let number = |key| constant.external(key).map(str::parse::<u64>).transpose().map_err(|_| invalid("has no place"));
    let mut file = File::open(file)?;
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or_else(|| file.metadata().map_or(0, |is| is.len().saturating_sub(offset)));
    if file.metadata()?.len() < offset.saturating_add(length) {
        return Err(invalid("ends after its file"));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut values = vec![0; length as usize];
    file.read_exact(&mut values)?;
    Ok(Bytes::from(values))
}

/// The file that an ONNX file names; `None` where that would be outside of its folder, as ONNX Runtime has it, too.
pub fn in_folder_of(model: &Path, location: &str) -> Option<PathBuf> {
    let location = Path::new(location);
    let is_inside = location.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_inside.then(|| model.parent().unwrap_or(Path::new("")).join(location))
}

/// The name of the file that holds the constants of `model` where they are too large for it.
pub fn beside(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".data");
    PathBuf::from(name)
}

/// Writes a model, and a file beside it where its constants are too large. Equal models give equal bytes.
///
/// # Errors
/// What the operating system says. What was there before is still there then, but for a file beside it.
pub fn write(model: ModelProto, file: &Path) -> io::Result<()> {
    let bytes: usize =
        model.graph.iter().flat_map(|graph| &graph.initializer).map(|tensor| tensor.raw_data.len()).sum();
    write_limited(model, file, if bytes < TOO_LARGE { usize::MAX } else { SMALL })
}

/// Writes a model, with constants of `at_least` so many bytes beside it.
fn write_limited(mut model: ModelProto, file: &Path, at_least: usize) -> io::Result<()> {
    let mut graph = model.graph.take().unwrap_or_default();
    let mut constants = std::mem::take(&mut graph.initializer);
    if constants.iter().any(|tensor| tensor.raw_data.len() >= at_least) {
        move_beside(&mut constants, &beside(file), at_least)?;
    }
    // GraphProto is ModelProto's field 7, and has the constants as field 5. Fields may come in any order.
    let length_of_graph = graph.encoded_len() + constants.iter().map(length_of_constant).sum::<usize>();
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".part");
    let mut to = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
    to.write_all(&model.encode_to_vec())?;
    to.write_all(&beginning(7, length_of_graph))?;
    to.write_all(&graph.encode_to_vec())?;
    for constant in constants {
        write_constant(constant, &mut to)?;
    }
    to.into_inner()?.sync_all()?;
    std::fs::rename(unfinished, file)
}

/// Writes large constants to the file `data` and leaves their places.
fn move_beside(constants: &mut [TensorProto], data: &Path, at_least: usize) -> io::Result<()> {
    let location = data.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut to = BufWriter::new(File::create(data)?);
    let mut end = 0_u64;
    for constant in constants.iter_mut().filter(|constant| constant.raw_data.len() >= at_least) {
        let offset = end.next_multiple_of(ALIGNMENT);
        to.write_all(&vec![0; (offset - end) as usize])?;
        to.write_all(&constant.raw_data)?;
        let length = constant.raw_data.len() as u64;
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        constant.external_data = vec![
            entry("location", location.clone()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        constant.data_location = EXTERNAL;
        constant.raw_data = Bytes::new();
        end = offset + length;
    }
    to.into_inner()?.sync_all()
}

/// The key and the length of a field of bytes.
fn beginning(number: u32, length: usize) -> Vec<u8> {
    let mut written = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut written);
    encode_varint(length as u64, &mut written);
    written
}

fn length_of_constant(constant: &TensorProto) -> usize {
    let length = constant.encoded_len();
    key_len(5) + encoded_len_varint(length as u64) + length
}

/// Writes a constant as a field of its graph. Its raw values are not copied.
fn write_constant(mut constant: TensorProto, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&beginning(5, constant.encoded_len()))?;
    let raw = std::mem::take(&mut constant.raw_data);
    to.write_all(&constant.encode_to_vec())?;
    if raw.is_empty() {
        return Ok(());
    }
    to.write_all(&beginning(9, raw.len()))?;
    to.write_all(&raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{GraphProto, data_type};

    fn model() -> ModelProto {
        let tensor = |name: &str, bytes: Vec<u8>| TensorProto {
            dims: vec![bytes.len() as i64],
            data_type: data_type::UINT8,
            name: name.to_owned(),
            raw_data: Bytes::from(bytes),
            ..TensorProto::default()
        };
        let initializer = vec![tensor("a", vec![1; 10]), tensor("b", vec![2; 5000]), tensor("c", vec![3; 300])];
        let graph = GraphProto { name: String::from("g"), initializer, ..GraphProto::default() };
        ModelProto { ir_version: 8, graph: Some(graph), ..ModelProto::default() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        write(model(), &file).unwrap();
        assert_eq!(read(&file).unwrap(), model());
        assert!(!beside(&file).exists());
    }

    #[test]
    fn constants_that_are_too_large_lie_beside_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        write_limited(model(), &file, 100).unwrap();
        let graph = read(&file).unwrap().graph.unwrap();
        let [a, b, c] = &graph.initializer[..] else { panic!("three constants") };
        assert_eq!((a.external("location"), &a.raw_data[..]), (None, &[1; 10][..]));
        assert_eq!((b.external("offset"), b.external("length")), (Some("0"), Some("5000")));
        assert_eq!((c.external("offset"), c.external("location")), (Some("8192"), Some("model.onnx.data")));
        let data = std::fs::read(beside(&file)).unwrap();
        assert_eq!((&data[..5000], &data[8192..]), (&[2; 5000][..], &[3; 300][..]));
    }

    #[test]
    fn an_outline_is_the_model_without_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        write(model(), &file).unwrap();
        let mut expected = model();
        let constants = &mut expected.graph.as_mut().unwrap().initializer;
        constants.iter_mut().for_each(|constant| constant.raw_data = Bytes::new());
        assert_eq!(outline(&file).unwrap(), expected);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(outline(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_is_no_onnx_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        std::fs::write(&file, b"version https://git-lfs.github.com/spec/v1").unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(outline(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
