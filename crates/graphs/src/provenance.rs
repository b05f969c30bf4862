//! Where a graph is from: kept in the file itself, so that whoever finds it knows what it is, and so that a graph that no longer
//! goes with the weights beside it is told from one that does.

use std::path::{Path, PathBuf};

use crate::{
    error::BuildError,
    hash::sha256,
    onnx::{ModelProto, StringStringEntryProto},
    precision::Precision,
    recipe::Recipe,
};

/// The version of the graphs that are written. It changes where they give other numbers, or are faster.
pub const GRAPH_VERSION: u32 = 1;

/// The keys of the file's metadata begin with this.
const PREFIX: &str = "rerank_proxy.";

/// Where a graph is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// [`GRAPH_VERSION`] of the program that wrote it.
    pub graph_version: u32,
    /// The precision of its weights.
    pub precision: Precision,
    /// The most tokens that an input may have.
    pub max_length: usize,
    /// The output, in words.
    pub output: String,
    /// The sha256 in hex of each file that it was made of, by name.
    pub sources: Vec<(String, String)>,
    /// The revision of the repository that they are from.
    pub revision: Option<String>,
}

impl Provenance {
    /// Reads the files that a graph is to be made of.
    pub(crate) fn of(config: &Path, weights: &[PathBuf], recipe: &Recipe) -> Result<Provenance, BuildError> {
        let files = std::iter::once(config).chain(weights.iter().map(PathBuf::as_path));
        let hashed = files.map(|file| {
            let hash = sha256(file).map_err(|source| BuildError::Unreadable { file: file.to_path_buf(), source })?;
            Ok((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), hash))
        });
        Ok(Provenance {
            graph_version: GRAPH_VERSION,
            precision: recipe.precision,
            max_length: recipe.max_length,
            output: recipe.output.in_words(),
            sources: hashed.collect::<Result<_, BuildError>>()?,
            revision: recipe.revision.clone(),
        })
    }

    /// What the metadata of a model says; `None` for a model that is none of ours.
    pub fn read(model: &ModelProto) -> Option<Provenance> {
        let entries =
            || model.metadata_props.iter().filter_map(|entry| Some((entry.key.strip_prefix(PREFIX)?, &entry.value)));
        let value = |key: &str| entries().find(|(known, _)| *known == key).map(|(_, value)| value.as_str());
        let source = |(key, hash): (&str, &String)| Some((key.strip_prefix("sha256.")?.to_owned(), hash.clone()));
        Some(Provenance {
            graph_version: value("graph_version")?.parse().ok()?,
            precision: Precision::named(value("precision")?)?,
            max_length: value("max_length")?.parse().ok()?,
            output: value("output")?.to_owned(),
            sources: entries().filter_map(source).collect(),
            revision: value("revision").map(str::to_owned),
        })
    }

    /// The entries of a model's metadata.
    pub(crate) fn entries(&self) -> Vec<StringStringEntryProto> {
        let mut entries = vec![
            (String::from("graph_version"), self.graph_version.to_string()),
            (String::from("precision"), self.precision.name().to_owned()),
            (String::from("max_length"), self.max_length.to_string()),
            (String::from("output"), self.output.clone()),
        ];
        entries.extend(self.sources.iter().map(|(file, hash)| (format!("sha256.{file}"), hash.clone())));
        entries.extend(self.revision.clone().map(|revision| (String::from("revision"), revision)));
        let entry = |(key, value): (String, String)| StringStringEntryProto { key: format!("{PREFIX}{key}"), value };
        entries.into_iter().map(entry).collect()
    }
}
