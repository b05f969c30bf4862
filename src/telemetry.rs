//! What the operator sees from outside: the log and the metrics. Texts of queries and documents never go there.

mod cache;
mod log;
pub(crate) mod log_seldom;
mod memory;
mod metrics;
mod models;
mod search_counts;

pub use log::{LogLevel, start_log};
pub use metrics::Metrics;
pub use search_counts::Counts;
