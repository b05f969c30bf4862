//! What the operator sees from outside: the log and the metrics. Texts of queries and documents never go there.

mod cache;
mod counts;
mod log;
mod memory;
mod metrics;
mod models;
pub(crate) mod seldom;

pub use counts::Counts;
pub use log::start_log;
pub use metrics::Metrics;
