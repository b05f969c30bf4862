//! The reasons why there is no graph. Every message names the file, and the tensor or the key in it.

use std::{io, path::PathBuf};

/// The reason why a graph was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The graph cannot be written.
    #[error("cannot write {}: {source}", .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// There is no graph of ours for such a model. It goes on running as it is.
    #[error("{}: {problem}; there is no compiled graph for it, and it goes on running as it is", .file.display())]
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
