//! A request to score: the pairs, how long passages are read, and by when. Owns no behaviour.

use std::time::Instant;

/// One search's work for a model.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The query.
    pub query: &'a str,
    /// The passages to be scored against it, first ones first.
    pub passages: Vec<String>,
    /// The way in which passages are read that are longer than the model reads.
    pub long: LongPassages,
    /// The time at which the answer must be there, with the scores that there are by then.
    pub deadline: Instant,
    /// The place among other requests.
    pub priority: Priority,
    /// What is known of the passages besides their text; models do not look at it.
    pub known: Option<&'a Known>,
    /// True if the vectors of the passages are wanted besides their scores, where the model makes them.
    pub vectors: bool,
}

/// What is known of the passages of a request besides their text: lists with one number for each passage, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// The cluster's own scores.
    pub cluster: Vec<Option<f32>>,
    /// The numbers of the fields that a rule scores by, one list for each field.
    pub fields: Vec<Vec<Option<f32>>>,
}

/// The place of a request among others: those of a lower priority wait for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// A search, whose client waits.
    #[default]
    Search,
    /// Background work, such as a rerank call: searches go first.
    Background,
}

/// The way in which passages are read that are longer than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LongPassages {
    /// The beginning is read, as the model's reference implementation does it.
    #[default]
    Truncate,
    /// The beginning is read, which may be shorter than the model's length.
    Beginning {
        /// The number of tokens of a passage that are read at most, special ones not counted.
        tokens: usize,
    },
    /// The passage is read in windows, of which the best one counts.
    Windows {
        /// The number of tokens that a window shares with the one before.
        overlap: usize,
        /// The number of windows that are read at most, from the beginning.
        at_most: usize,
    },
}
