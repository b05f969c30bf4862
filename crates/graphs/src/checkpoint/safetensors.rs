//! Weights in safetensors files: one, or several that an index names. Tensors are read one at a time, so that no more of a
//! file is in memory than is being worked on. The format: <https://github.com/huggingface/safetensors#format>.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use safetensors::{Dtype, tensor::Metadata};
use serde_json::Value;

use super::source::{MISSING, Source, numbers};
use crate::{
    array::{Array, Weights, transposed},
    error::BuildError,
};

/// A header may be so long; the format allows no more.
const LONGEST_HEADER: u64 = 100_000_000;

/// Files of weights, by the names of their tensors.
pub(super) struct Shards {
    files: Vec<Shard>,
    /// The file that each tensor is in.
    places: BTreeMap<String, usize>,
}

/// One file.
struct Shard {
    file: PathBuf,
    header: Metadata,
    /// The place in the file at which values begin.
    start: u64,
}

impl Shards {
    /// Reads the headers of `file`, or of the files that it names as an index.
    pub(super) fn open(file: &Path) -> Result<Shards, BuildError> {
        let is_index = file.extension().is_some_and(|ending| ending == "json");
        let paths = if is_index { indexed(file)? } else { vec![file.to_path_buf()] };
        let files = paths.into_iter().map(Shard::open).collect::<Result<Vec<Shard>, BuildError>>()?;
        let mut places = BTreeMap::new();
        for (place, shard) in files.iter().enumerate() {
            places.extend(shard.header.tensors().into_keys().map(|name| (name, place)));
        }
        Ok(Shards { files, places })
    }
}

impl Source for Shards {
    fn tensor(&self, name: &str) -> Result<Array, BuildError> {
        let shard = &self.files[self.places[name]];
        shard.read(name).map_err(|problem| match problem.kind() {
            io::ErrorKind::InvalidData => {
                BuildError::Weights { file: shard.file.clone(), name: name.to_owned(), problem: problem.to_string() }
            }
            _ => BuildError::Unreadable { file: shard.file.clone(), source: problem },
        })
    }

    fn matrix(&self, module: &str, weight: Option<&str>, _: Option<&str>) -> Result<Weights, BuildError> {
        let wrong = |file: Option<&Shard>, name: String, problem: &str| {
            let file = file.map(|shard| shard.file.clone()).unwrap_or_default();
            BuildError::Weights { file, name, problem: problem.to_owned() }
        };
        let Some(name) = weight else {
            return Err(wrong(self.files.first(), format!("{module}.weight"), MISSING));
        };
        // torch keeps a row for each output.
        let Array { shape, values } = self.tensor(name)?;
        let [outputs, inputs] = shape[..] else {
            return Err(wrong(self.files.get(self.places[name]), name.to_owned(), "is no matrix"));
        };
        Ok(Weights::float(inputs, outputs, transposed(outputs, &values)))
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.iter().map(|shard| shard.file.clone()).collect()
    }
}

impl Shard {
    fn open(file: PathBuf) -> Result<Shard, BuildError> {
        match read_header(&file) {
            Ok((header, start)) => Ok(Shard { file, header, start }),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
                let problem = format!("no safetensors file ({error}); download it again");
                Err(BuildError::Malformed { file, problem })
            }
            Err(source) => Err(BuildError::Unreadable { file, source }),
        }
    }

    /// The values of a tensor as floats.
    fn read(&self, name: &str) -> io::Result<Array> {
        let info = self.header.info(name).ok_or(io::ErrorKind::NotFound)?;
        let (from, to) = info.data_offsets;
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.start + from as u64))?;
        let mut bytes = vec![0; to - from];
        file.read_exact(&mut bytes)?;
        let values = match info.dtype {
            Dtype::F32 => numbers(&bytes, f32::from_le_bytes),
            Dtype::F16 => numbers(&bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => numbers(&bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            other => return Err(invalid(&format!("is of type {other:?}; F32, F16 and BF16 are read"))),
        };
        Ok(Array { shape: info.shape.clone(), values })
    }
}

/// The header, and where values begin.
fn read_header(path: &Path) -> io::Result<(Metadata, u64)> {
    let mut file = File::open(path)?;
    let whole = file.metadata()?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER.min(whole) {
        return Err(invalid("its header is longer than the file"));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| invalid(&error.to_string()))?;
    let start = 8 + length;
    if start + header.data_len() as u64 != whole {
        return Err(invalid("its values are not as long as its header says"));
    }
    Ok((header, start))
}

/// The files that an index names, each once, beside the index.
fn indexed(index: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let text = std::fs::read(index).map_err(|source| BuildError::Unreadable { file: index.to_path_buf(), source })?;
    let malformed = |problem: String| BuildError::Malformed { file: index.to_path_buf(), problem };
    let index_of: Value =
        serde_json::from_slice(&text).map_err(|error| malformed(format!("not valid JSON ({error})")))?;
    let map = index_of["weight_map"].as_object().ok_or_else(|| malformed(String::from("has no `weight_map`")))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let is_beside = |name: &&str| Path::new(name).file_name().is_some_and(|plain| plain == *name);
    if names.is_empty() {
        return Err(malformed(String::from("its `weight_map` names no file; download it again")));
    }
    match names.iter().find(|name| !is_beside(name)) {
        Some(outside) => Err(malformed(format!("names `{outside}`, which is not beside it"))),
        None => Ok(names.into_iter().map(|name| index.with_file_name(name)).collect()),
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
