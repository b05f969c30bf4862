//! The table `[clients]`: the options that a client may set for one request. Owns the names of the request options; how their headers
//! are read is the business of `request_options.rs`.

use engines::plan::Explain;

use super::reading::section::Section;

/// The influence that clients have on the proxy.
#[derive(Debug, Clone)]
pub struct ClientsConfig {
    /// The request options that count.
    pub headers: Vec<RequestOption>,
    /// The detail of what `X-Rerank-Explain` tells.
    pub explain: Detail,
}

/// An option that a client may set for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOption {
    /// `X-Rerank: off`.
    Off,
    /// `X-Rerank: on`: rerank though the rule's mode is `off` or `shadow`, and whatever its share of the traffic.
    On,
    /// `X-Rerank-Query: TEXT`.
    Query,
    /// `X-Rerank-Model: NAME`, one of the configured models.
    Model,
    /// `X-Rerank-Window: HITS`, up to the rule's.
    Window,
    /// The same, beyond the rule's.
    WiderWindow,
    /// `X-Rerank-Budget: 100ms`, up to the rule's.
    Budget,
    /// The same, beyond the rule's.
    LongerBudget,
    /// `X-Rerank-Explain: true`.
    Explain,
    /// `X-Rerank-Min-Score: 0.5`, below which hits are left out.
    MinScore,
}

impl RequestOption {
    /// Every option by its name in the configuration.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("off", Self::Off),
        ("on", Self::On),
        ("query", Self::Query),
        ("model", Self::Model),
        ("window", Self::Window),
        ("wider-window", Self::WiderWindow),
        ("budget", Self::Budget),
        ("longer-budget", Self::LongerBudget),
        ("explain", Self::Explain),
        ("min-score", Self::MinScore),
    ];

    /// Those that cannot cost more than the rule.
    pub const DEFAULT: [Self; 5] = [Self::Off, Self::Query, Self::Window, Self::Budget, Self::Explain];
}

/// The detail in which clients may see what is said of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All.
    Full,
    /// All but the passage, which a gateway between the client and the proxy may want to hide.
    Scores,
}

impl Detail {
    const NAMES: [(&'static str, Self); 2] = [("full", Self::Full), ("scores", Self::Scores)];

    /// The explanation that a client gets where it asked for `explain`.
    pub(crate) fn of(self, explain: Explain) -> Explain {
        match (explain, self) {
            (Explain::Highlight, Self::Scores) => Explain::Fields,
            (explain, _) => explain,
        }
    }
}

impl ClientsConfig {
    pub(super) fn read(section: &Section) -> Self {
        let headers = section.choices("headers", &RequestOption::NAMES);
        let explain = section.choice("explain", Detail::Full, &Detail::NAMES);
        section.finish();
        Self { headers: headers.unwrap_or_else(|| RequestOption::DEFAULT.to_vec()), explain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn what_explain_may_tell_is_all_or_no_passage() {
        let explain = |value: &str| {
            read(&format!("{}[clients]\nexplain = \"{value}\"", minimal())).map(|settings| settings.clients.explain)
        };
        assert_eq!(read(&minimal()).expect("right").clients.explain, Detail::Full);
        assert_eq!((explain("full"), explain("scores")), (Ok(Detail::Full), Ok(Detail::Scores)));
        assert!(
            explain("none").expect_err("wrong").join("\n").contains("clients.explain: must be one of full, scores")
        );
    }

    #[test]
    fn request_options_that_there_are_not_are_a_mistake() {
        let errors = read(&format!("{}[clients]\nheaders = [\"query\", \"queries\"]", minimal())).expect_err("wrong");
        let names = "off, on, query, model, window, wider-window, budget, longer-budget, explain, min-score";
        assert_eq!(errors, [format!("rerank.toml:8: clients.headers: there is no `queries`; there is: {names}")]);
    }
}
