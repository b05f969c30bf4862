//! The start of the log, on stderr. Owns that nobody waits for it: a thread of its own writes the lines, and where stderr takes them
//! too slowly, some are lost rather than a search held up.

use std::{io::IsTerminal, sync::OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

#[cfg(feature = "otlp")]
use super::traces::Export;
use super::{access::ACCESS, stages::SPANS};
use crate::config::{LogConfig, LogFormat, TracesConfig};

/// The crates whose lines the configured level is for; of others, warnings are shown.
const OWN_CRATES: [&str; 7] = ["rerank_proxy", "engines", "scoring", "net", "http1", "evaluation", "demo_engine"];

/// How many lines may wait to be written.
const WAITING: usize = 16 * 1024;

/// Counts the lines that were lost.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// The log. Lines that wait are written when this is dropped.
#[derive(Debug)]
#[must_use = "without it nothing is written"]
pub struct Log {
    #[cfg(feature = "otlp")]
    _spans: Option<Export>,
    _lines: WorkerGuard,
}

/// Starts the log on stderr, and the sending of traces where it is configured. `RUST_LOG`, where it is set, wins over the configured
/// level. Fails where nothing can be sent.
pub fn start_log(config: &LogConfig, traces: Option<&TracesConfig>) -> anyhow::Result<Log> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        let levels = OWN_CRATES.map(|name| format!("{name}={}", config.level)).join(",");
        // The configuration says by another key which requests have a line.
        EnvFilter::new(format!("{levels},{ACCESS}=info,{SPANS}=off,warn"))
    });
    let is_terminal = std::io::stderr().is_terminal();
    let (stderr, writes) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("write-log")
        .finish(std::io::stderr());
    let lost = stderr.error_counter();
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(is_terminal);
    let lines = match config.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Auto if is_terminal => lines.with_target(false).boxed(),
        LogFormat::Auto | LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let log = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "otlp")]
    let spans = traces.map(Export::begin).transpose()?;
    #[cfg(feature = "otlp")]
    let log = log.with(spans.as_ref().map(Export::layer));
    // Without the feature the configuration refuses them.
    #[cfg(not(feature = "otlp"))]
    let _ = traces;
    // A second start (tests run several servers in one process) leaves the first log in place.
    if log.try_init().is_ok() {
        let _ = LOST.set(lost);
    }
    Ok(Log {
        #[cfg(feature = "otlp")]
        _spans: spans,
        _lines: writes,
    })
}

/// The same for a command that a person runs and that serves nobody else: text, wherever stderr goes.
pub fn start_log_of_command(config: &LogConfig) -> anyhow::Result<Log> {
    let format = if config.format == LogFormat::Auto { LogFormat::Text } else { config.format };
    start_log(&LogConfig { format, ..config.clone() }, None)
}

/// How many lines of the log were lost, since stderr took them too slowly.
pub(super) fn lost_lines() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}
