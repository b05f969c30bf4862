//! The work that is handed to the pool, and what comes back.

use std::time::Instant;

use crate::{
    cache::Key,
    model_output::ModelOutput,
    request::{LongPassages, Priority},
};

/// The work that is handed to the pool.
pub(crate) struct Work {
    /// Each text is run as a pair with it; alone where there is none.
    pub(crate) query: Option<String>,
    /// The texts, first ones first.
    pub(crate) texts: Vec<String>,
    /// The key of each text (with the query); none twice.
    pub(crate) keys: Vec<Key>,
    /// The way in which long texts are read.
    pub(crate) long: LongPassages,
    /// The time at which the outcome must be there, with the outputs that there are by then.
    pub(crate) deadline: Instant,
    /// The place among other work.
    pub(crate) priority: Priority,
}

/// The outcome of [`Work`].
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// One per text; `None` where there was no time, or the run failed or gave no finite numbers.
    pub(crate) outputs: Vec<Option<ModelOutput>>,
    /// The number of texts that were begun with too late.
    pub(crate) open: usize,
    /// The number of texts, the last ones, for which it was clear from the beginning that there would be no time.
    pub(crate) shed: usize,
    /// The reason why the first failed run failed.
    pub(crate) failure: Option<String>,
}
