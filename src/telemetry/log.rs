//! The start of the log, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The crates whose lines the configured level is for; of others, warnings are shown.
const OWN_CRATES: [&str; 6] = ["rerank_proxy", "engines", "scoring", "net", "evaluation", "demo_engine"];

/// Starts the log on stderr. `RUST_LOG`, where it is set, wins over the configured level.
pub fn start_log(config: &LogConfig) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(OWN_CRATES.map(|name| format!("{name}={}", config.level)).join(",") + ",warn")
    });
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second start (tests run several servers in one process) leaves the first log in place.
    let _ = match config.format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
