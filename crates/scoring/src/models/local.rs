//! Model folders that are on this machine already: their files as an offer, whether somebody keeps them there or an archive was
//! unpacked. Reads no file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::offer::{Place, RemoteFile};

/// The levels below a model's folder that are looked at: `1_Pooling/config.json`, `onnx/weights/values.bin`.
const DEPTH: usize = 3;

/// The most files of a folder: one with more is no model's.
const MAX_FILES: usize = 10_000;

/// The files of the model in `folder`, those that begin with a dot left out. Links are followed, since a cache of the Hub is made of
/// them.
///
/// # Errors
/// A folder cannot be read, or it is no model's.
pub(super) fn files(folder: &Path, place: fn(PathBuf) -> Place) -> anyhow::Result<Vec<RemoteFile>> {
    let mut found = Vec::new();
    gather(folder, "", DEPTH, &mut found)?;
    found.sort();
    let file = |(path, size): (String, u64)| RemoteFile {
        place: place(folder.join(&path)),
        path,
        size: Some(size),
        hash: None,
    };
    Ok(found.into_iter().map(file).collect())
}

/// The folder of the model within `folder`: that itself, or the only one below it that has a tokenizer.
///
/// # Errors
/// There is none, or more than one.
pub(super) fn model_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    gather(folder, "", DEPTH + 3, &mut found)?;
    let is_tokenizer = |path: &str| path == "tokenizer.json" || path.ends_with("/tokenizer.json");
    let mut folders = found.iter().filter(|(path, _)| is_tokenizer(path));
    let parent = |path: &str| path.rsplit_once('/').map_or(folder.to_path_buf(), |(parent, _)| folder.join(parent));
    match (folders.next(), folders.next()) {
        (Some((path, _)), None) => Ok(parent(path)),
        (None, _) => {
            bail!("there is no tokenizer.json: a model folder holds config.json, tokenizer.json and an ONNX file")
        }
        (Some((one, _)), Some((other, _))) => bail!("there is more than one model: {one} and {other}"),
    }
}

fn gather(folder: &Path, within: &str, depth: usize, found: &mut Vec<(String, u64)>) -> anyhow::Result<()> {
    let reading = || format!("cannot read {}", folder.display());
    for entry in folder.read_dir().with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        // A link that leads nowhere is no file.
        let Ok(metadata) = path.metadata() else { continue };
        let inner = format!("{within}{name}");
        if metadata.is_file() {
            found.push((inner, metadata.len()));
        } else if metadata.is_dir() && depth > 0 {
            gather(&path, &format!("{inner}/"), depth - 1, found)?;
        }
        ensure!(found.len() <= MAX_FILES, "{} has more than {MAX_FILES} files: it is no model's", folder.display());
    }
    Ok(())
}
