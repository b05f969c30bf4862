//! Models on disk: where they are looked for and what to tell an operator whose model is not there. The content of a folder
//! is the business of [`folder`]; running it is that of [`crate::backend`].

mod archive;
mod choice;
pub mod compiled;
mod content;
pub(crate) mod external;
pub mod folder;
mod graph_says;
pub mod hold;
pub mod hub;
mod local;
pub mod lock;
mod oci;
mod offer;
mod pointer;
pub mod pull;
pub(crate) mod reading;
pub mod short_names;
pub mod variant;
pub mod wanted;
pub mod web;
#[cfg(test)]
pub(crate) mod written;

use std::path::{Path, PathBuf};

pub use compiled::GraphChoice;
pub use folder::{Choice, Company, ModelFolder};
pub use graphs::{Pooling, hash};
pub use reading::Kind;

/// The reason why a model cannot be used. Every message names the file or folder and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither a path nor a known folder.
    #[error("no model `{name}`; looked in {}{}", list(.looked_in), hint(.name))]
    NotFound {
        /// The name that was asked for.
        name: String,
        /// Every folder or path that was tried.
        looked_in: Vec<PathBuf>,
    },
    /// A file of the folder is missing.
    #[error("{} is missing: {remedy}", .file.display())]
    Missing {
        /// The file that should be there.
        file: PathBuf,
        /// The remedy.
        remedy: String,
    },
    /// A file of the folder could not be read.
    #[error("cannot read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file of the folder says something that we cannot work with.
    #[error("{}: {problem}", .file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The problem, and the remedy.
        problem: String,
    },
}

/// Finds the folder of a model: `name_or_path` is a folder that exists, or a name, with or without its `org/` part, of
/// a folder in one of `search`.
///
/// # Errors
/// [`ModelError::NotFound`] lists every place tried and, for well-known models, the command that downloads it.
pub fn locate(name_or_path: &str, search: &[PathBuf]) -> Result<PathBuf, ModelError> {
    let as_path = Path::new(name_or_path);
    if as_path.is_dir() {
        return Ok(as_path.to_path_buf());
    }
    let short_name = as_path.file_name().map_or(as_path, Path::new);
    let found = search
        .iter()
        .flat_map(|folder| [folder.join(as_path), folder.join(short_name)])
        .find(|candidate| candidate.is_dir());
    found.ok_or_else(|| ModelError::NotFound {
        name: name_or_path.to_owned(),
        looked_in: std::iter::once(as_path.to_path_buf()).chain(search.iter().cloned()).collect(),
    })
}

/// The folders that models are looked for in, best first: the configured folder, `models` in the working directory and
/// beside the executable, `share/rerank-proxy/models` of where it is installed, and the bundled `fixtures/models` of a source checkout. Folders that do not exist are listed
/// too, so that an error can name them.
pub fn search_folders(configured: Option<&Path>) -> Vec<PathBuf> {
    let executable = std::env::current_exe().unwrap_or_default();
    let mut folders: Vec<PathBuf> = configured.map(Path::to_path_buf).into_iter().collect();
    folders.push(PathBuf::from("models"));
    folders.extend(executable.parent().map(|folder| folder.join("models")));
    let installed = executable.parent().and_then(Path::parent).map(|prefix| prefix.join("share/rerank-proxy/models"));
    folders.extend(installed.filter(|folder| folder.is_dir()));
    folders.push(PathBuf::from("fixtures/models"));
    let above = executable.ancestors().skip(1).map(|folder| folder.join("fixtures/models"));
    folders.extend(above.filter(|folder| folder.is_dir()));
    folders
}

/// The models that are shipped with the program.
const BUNDLED: [&str; 2] = ["all-MiniLM-L6-v2", "ms-marco-MiniLM-L12-v2"];

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

fn hint(name: &str) -> String {
    let short_name = name.rsplit('/').next().unwrap_or(name);
    let nearest = short_names::KNOWN
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(known.name, short_name), known.name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, known)) if BUNDLED.contains(&known) && known == short_name => format!(
            ". It comes with the program: beside it in `models` or in share/rerank-proxy/models of a package, and in fixtures/models of \
             a checkout; scoring.models_dir names another folder, and it can be had with: rerank-proxy models pull {known}"
        ),
        Some((similarity, known)) if similarity > 0.999 => {
            format!(". Get it with: rerank-proxy models pull {known}")
        }
        Some((similarity, known)) if similarity > 0.8 => format!(". Did you mean `{known}`?"),
        _ => String::from(
            ". A model is a folder with config.json, tokenizer.json and an ONNX file; get one with: \
             rerank-proxy models pull NAME (or ORG/NAME)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(locate(path, &[]).unwrap(), folder.path());
    }

    #[test]
    fn a_name_is_found_with_and_without_its_organisation() {
        let models = tempfile::tempdir().unwrap();
        std::fs::create_dir(models.path().join("tiny")).unwrap();
        let search = [PathBuf::from("/nowhere"), models.path().to_path_buf()];
        for name in ["tiny", "acme/tiny"] {
            assert_eq!(locate(name, &search).unwrap(), models.path().join("tiny"));
        }
    }

    #[test]
    fn an_unknown_name_says_where_was_looked_and_what_to_run() {
        let search = [PathBuf::from("/nowhere/models")];
        let error = locate("ms-marco-MiniLM-L12-v2", &search).unwrap_err().to_string();
        assert!(error.contains("share/rerank-proxy/models") && error.contains("fixtures/models"), "{error}");
        let error = locate("mixedbread-ai/mxbai-rerank-xsmall-v1", &search).unwrap_err().to_string();
        assert!(error.contains("/nowhere/models"), "{error}");
        assert!(error.contains("rerank-proxy models pull mxbai-rerank-xsmall-v1"), "{error}");
        let error = locate("mxbai-rerank-xsmal-v1", &search).unwrap_err().to_string();
        assert!(error.contains("Did you mean `mxbai-rerank-xsmall-v1`?"), "{error}");
    }
}
