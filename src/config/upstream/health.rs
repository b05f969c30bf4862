//! The table `[upstream.health]`: when a node of several is left out, and when it comes back.

use std::time::Duration;

use http::uri::PathAndQuery;

use crate::config::reading::section::Section;

/// The usual time between two checks of a node, where there are several.
const INTERVAL: Duration = Duration::from_secs(5);

/// When a node is left out, and when it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// What a node is asked for to see whether it is there.
    pub path: PathAndQuery,
    /// The time between two checks; `None`: nodes are not checked.
    pub interval: Option<Duration>,
    /// The time that a check may take.
    pub timeout: Duration,
    /// So many failures in a row, of requests or of checks, put a node out. 1 or more.
    pub failures: u32,
    /// How long it is out at least, the first time.
    pub ejection: Duration,
    /// How long its share of the requests grows once it is back.
    pub slow_start: Duration,
}

impl HealthConfig {
    /// Reads the table. A node that `is_alone` is checked only where the operator names an interval.
    pub(super) fn read(section: &Section, is_alone: bool) -> Self {
        let path: String = section.or("path", "/".to_owned());
        let interval: Option<Duration> = section.optional("interval").or((!is_alone).then_some(INTERVAL));
        let timeout = section.or("timeout", Duration::from_secs(2));
        let failures: usize = section.or("failures", 3);
        let ejection = section.or("ejection", Duration::from_secs(10));
        let slow_start = section.or("slow_start", Duration::from_secs(10));
        let path = path.parse().ok().filter(|_| path.starts_with('/')).unwrap_or_else(|| {
            section.error("path", "must be a path that begins with `/`");
            PathAndQuery::from_static("/")
        });
        for (key, time) in [("timeout", timeout), ("ejection", ejection)] {
            if time.is_zero() {
                section.error(key, "must be more than nothing");
            }
        }
        let failures = u32::try_from(failures).ok().filter(|failures| *failures > 0).unwrap_or_else(|| {
            section.error("failures", "must be 1 or more");
            1
        });
        section.finish();
        Self { path, interval: interval.filter(|time| !time.is_zero()), timeout, failures, ejection, slow_start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    fn with(urls: &str, keys: &str) -> Result<HealthConfig, Vec<String>> {
        let text = minimal().replace("url = \"http://localhost:9200\"", urls);
        read(&format!("{text}\n[upstream.health]\n{keys}")).map(|settings| settings.upstream.health)
    }

    #[test]
    fn nodes_are_checked_where_there_are_several_or_somebody_asks_for_it() {
        let interval = |urls: &str, keys: &str| with(urls, keys).expect("right").interval;
        let (one, two) = ("url = \"http://a\"", "urls = [\"http://a\", \"http://b\"]");
        assert_eq!((interval(one, ""), interval(two, "")), (None, Some(INTERVAL)));
        assert_eq!(interval(one, "interval = \"1s\""), Some(Duration::from_secs(1)));
        assert_eq!(interval(two, "interval = \"0s\""), None);
    }

    #[test]
    fn what_cannot_be_is_a_mistake() {
        for (keys, mistake) in [
            ("path = \"_health\"", "path: must be a path that begins with `/`"),
            ("failures = 0", "failures: must be 1 or more"),
            ("timeout = \"0s\"", "timeout: must be more than nothing"),
            ("ejection = \"0s\"", "ejection: must be more than nothing"),
        ] {
            let mistakes = with("url = \"http://a\"", keys).expect_err(keys);
            assert!(mistakes.len() == 1 && mistakes[0].contains(&format!("upstream.health.{mistake}")), "{mistakes:?}");
        }
    }
}
