//! The table `[log]`: what is logged on stderr, and how a line looks.

use super::reading::section::Section;

/// The levels by their names.
const LEVELS: [(&str, &str); 5] =
    [("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];

/// The log, on stderr.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `error` to `trace`.
    pub level: &'static str,
    /// The form of a line.
    pub format: LogFormat,
    /// The requests that have a line of their own.
    pub access: Access,
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    const NAMES: [(&'static str, Self); 3] = [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

/// The requests that have a line of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// None.
    Off,
    /// Searches that a rule names, and what the proxy answers itself.
    Searches,
    /// All of them.
    All,
}

impl Access {
    const NAMES: [(&'static str, Self); 3] = [("off", Self::Off), ("searches", Self::Searches), ("all", Self::All)];
}

impl LogConfig {
    pub(super) fn read(section: &Section) -> Self {
        let level = section.choice("level", "info", &LEVELS);
        let format = section.choice("format", LogFormat::Auto, &LogFormat::NAMES);
        let access = section.choice("access", Access::Searches, &Access::NAMES);
        section.finish();
        Self { level, format, access }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn a_level_or_format_that_there_is_not_is_a_mistake() {
        let log = |keys: &str| read(&format!("{}[log]\n{keys}", minimal())).map(|settings| settings.log);
        let usual = log("").expect("right");
        assert_eq!((usual.level, usual.format), ("info", LogFormat::Auto));
        let errors = log("level = \"loud\"\nformat = \"xml\"").expect_err("wrong");
        let levels = "rerank.toml:8: log.level: must be one of error, warn, info, debug, trace";
        assert_eq!(errors, [levels, "rerank.toml:9: log.format: must be one of auto, text, json"]);
    }
}
