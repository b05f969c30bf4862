//! The reasons why there is no graph. Every message names the file, and the tensor or the key in it; what the operating system says
//! is the source of the error, and not said twice.

use std::{io, path::PathBuf};

/// The reason why a graph was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be read.
    #[error("cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The graph cannot be written.
    #[error("cannot write {}", .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// There is no graph of ours for such a model.
    #[error("{}: {problem}; there is no compiled graph for it", .file.display())]
    Unsupported {
        /// The configuration.
        file: PathBuf,
        /// The key, its value, and what would be supported.
        problem: String,
    },
    /// The weights are not what the configuration says.
    #[error("{}: `{name}` {problem}", .file.display())]
    Weights {
        /// The file with the weights.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// The problem with it.
        problem: String,
    },
    /// The file holds no weights that can be read.
    #[error("{}: {problem}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The problem, and what to do.
        problem: String,
    },
}
