//! Evaluation: how good an order is by judged queries, and what load a machine carries ([`capacity`]). Knows no search engine; whoever
//! asks one hands in the answers.
//!
//! [`judgements`] reads judged queries, [`measures`] gives each query of a run a number, [`significance`] says what may be chance in the
//! differences of two runs, [`agreement`] compares runs without judgements, [`trec_run`] writes and reads them as files, [`tuning`] finds
//! the settings that are worth their cost. [`corpus`] and
//! [`comparison`] are the demo's.

pub mod agreement;
pub mod comparison;
pub mod corpus;
pub mod input;
pub mod judgements;
pub mod measures;
pub mod significance;
pub mod trec_run;
pub mod tuning;

pub mod capacity;

mod random;
