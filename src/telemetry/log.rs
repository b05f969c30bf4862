//! The log, on stderr: its start, and its level, which may change later.

use std::{fmt, io::IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The crates whose lines the configured level is for; of others, warnings are shown.
const OWN_CRATES: [&str; 6] = ["rerank_proxy", "engines", "scoring", "net", "evaluation", "demo_engine"];

/// The level of the log that was started.
pub struct LogLevel(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl fmt::Debug for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LogLevel").finish_non_exhaustive()
    }
}

impl LogLevel {
    /// Has the log follow what is configured now.
    pub(crate) fn follow(&self, config: &LogConfig) {
        self.0(filter(config));
    }
}

/// `RUST_LOG`, where it is set, wins over the configured level.
fn filter(config: &LogConfig) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(OWN_CRATES.map(|name| format!("{name}={}", config.level)).join(",") + ",warn")
    })
}

/// Starts the log on stderr.
pub fn start_log(config: &LogConfig) -> LogLevel {
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter(config)).with_ansi(colours).with_writer(std::io::stderr);
    // A second start (tests run several servers in one process) leaves the first log in place.
    match config.format {
        LogFormat::Text => {
            let log = log.with_target(false).with_filter_reloading();
            let handle = log.reload_handle();
            let _ = log.try_init();
            LogLevel(Box::new(move |filter| _ = handle.reload(filter)))
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let handle = log.reload_handle();
            let _ = log.try_init();
            LogLevel(Box::new(move |filter| _ = handle.reload(filter)))
        }
    }
}
