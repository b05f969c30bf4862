//! The traits of a backend, and nothing more than the worker pool needs: load, encode, run. Tests have models that hang,
//! panic and fail.

use crate::{encode::Encoded, model_output::Output, request::LongPassages};

/// Opens a model. Called on worker threads: once per worker, again after a panic, and before that to find out what
/// suits the machine.
pub trait Loader: Send + Sync + 'static {
    /// A model of its own for the calling worker, each run of which takes so many threads. May take seconds.
    ///
    /// # Errors
    /// The reason why it could not be loaded; the pool tries again later.
    fn load(&self, threads: usize) -> Result<Box<dyn Inference>, BackendError>;

    /// The model's name, for the log.
    fn name(&self) -> String {
        String::new()
    }

    /// The device that the model that was loaded last is run on; `None` before the first.
    fn device(&self) -> Option<String> {
        None
    }

    /// True where one session with batches is to be opened on an accelerator, not a session for each core.
    fn is_accelerated(&self) -> bool {
        false
    }

    /// The revision: loaders of equal revisions give equal scores.
    fn revision(&self) -> String {
        String::new()
    }
}

/// A loaded model, owned by one worker.
pub trait Inference {
    /// Encodes each of `texts`, as a pair with `query` or alone: one window, or several where it is long and `long`
    /// says so.
    ///
    /// # Errors
    /// Each text has its own.
    fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>>;

    /// Runs a group of inputs, of any lengths; one output each, in the same order.
    ///
    /// # Errors
    /// The run failed as a whole.
    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError>;
}

/// The reason why there is no model, or no output of it. The texts are for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The library has none of the providers that the model may be run on.
    #[error("{0}")]
    NoProvider(String),
    /// A file of the model cannot be read, or is not what it was when the folder was looked through.
    #[error("{0}")]
    Files(String),
    /// The model cannot be opened.
    #[error("{0}")]
    Start(String),
    /// A run failed; the model can go on.
    #[error("{0}")]
    Run(String),
    /// There was a panic; the model is in no state to go on.
    #[error("{0}")]
    Panicked(String),
}
