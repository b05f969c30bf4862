//! What the operator sees from outside: the log and the metrics. Texts of queries and documents never go there.

mod access;
mod cache;
mod log;
pub(crate) mod log_seldom;
mod memory;
mod metrics;
mod models;
mod nodes;
mod search_counts;
mod stages;
mod trace_context;
mod traces;

pub use access::AccessLine;
pub(crate) use access::{SearchSummary, SearchTimes};
pub use log::{Log, start_log, start_log_of_command};
pub use metrics::Metrics;
pub use models::ModelFigures;
pub use search_counts::{Counts, Shift};
pub use stages::Stage;
pub(crate) use trace_context::TraceParent;
pub(crate) use traces::{pass_on, search_span};
