//! What a client asks of the proxy itself, request by request, in `X-Rerank…` headers. Owns their names and values, and
//! what they may change: nothing that costs more than the rule, unless the operator allows it.

use std::{borrow::Cow, time::Duration};

use engines::plan::{Explain, MAX_WINDOW, MIN_WINDOW};
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode;

use crate::{
    config::MAX_BUDGET,
    rules::{Mode, Rule},
};

/// What a client may ask for; the names are those of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
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
}

impl Wish {
    /// Every wish by its name in the configuration.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("off", Self::Off),
        ("on", Self::On),
        ("query", Self::Query),
        ("model", Self::Model),
        ("window", Self::Window),
        ("wider-window", Self::WiderWindow),
        ("budget", Self::Budget),
        ("longer-budget", Self::LongerBudget),
        ("explain", Self::Explain),
    ];

    /// Those that cannot cost more than the rule.
    pub const DEFAULT: [Self; 5] = [Self::Off, Self::Query, Self::Window, Self::Budget, Self::Explain];
}

/// The longest query text that a header may hold, in bytes.
const MAX_QUERY: usize = 4096;

/// The wishes of one request, as far as they are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Rerank, whatever mode and traffic share of the rule; or do not.
    pub rerank: Option<bool>,
    /// The query text.
    pub query: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// The window, in hits.
    pub window: Option<usize>,
    /// The budget.
    pub budget: Option<Duration>,
    /// What to say of each hit.
    pub explain: Explain,
    wider_window: bool,
    longer_budget: bool,
    /// Headers that were sent but do not count here.
    pub ignored: Vec<&'static str>,
}

/// How much of what is said of a hit clients may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All.
    Full,
    /// All but the passage, which a gateway between the client and the proxy may want to hide.
    Scores,
}

impl Detail {
    /// What is said of hits where the operator leaves the passage out.
    pub(crate) fn of(self, explain: Explain) -> Explain {
        match (explain, self) {
            (Explain::Highlight, Self::Scores) => Explain::Fields,
            (explain, _) => explain,
        }
    }
}

impl Wishes {
    /// Reads the headers. A header that is not among `allowed` does not count, and is noted as ignored; one that counts
    /// but cannot be read is an error: the sentence says which, and what would be right.
    pub fn read(headers: &HeaderMap, allowed: &[Wish]) -> Result<Self, String> {
        let may = |wish: Wish| allowed.contains(&wish);
        let mut ignored = Vec::new();
        let mut sent = |name: &'static str, counts: bool| {
            let value = headers.get(name)?;
            if !counts {
                ignored.push(name);
            }
            counts.then_some(value)
        };
        let switch = sent("x-rerank", may(Wish::Off) || may(Wish::On));
        let query = sent("x-rerank-query", may(Wish::Query)).map(read_query).transpose()?.flatten();
        let model = sent("x-rerank-model", may(Wish::Model)).map(read_text).transpose()?;
        let window = sent("x-rerank-window", may(Wish::Window) || may(Wish::WiderWindow));
        let budget = sent("x-rerank-budget", may(Wish::Budget) || may(Wish::LongerBudget));
        let explain = sent("x-rerank-explain", may(Wish::Explain)).map(read_explain).transpose()?;
        let rerank = match switch.map(HeaderValue::as_bytes) {
            None => None,
            Some(switch) if switch.eq_ignore_ascii_case(b"off") => Some(false),
            Some(switch) if switch.eq_ignore_ascii_case(b"on") => Some(true),
            Some(_) => return Err("X-Rerank must be on or off".to_owned()),
        };
        let counts = |rerank: &bool| may(if *rerank { Wish::On } else { Wish::Off });
        if rerank.is_some_and(|rerank| !counts(&rerank)) {
            ignored.push("x-rerank");
        }
        Ok(Self {
            rerank: rerank.filter(counts),
            query,
            model,
            window: window.map(read_window).transpose()?,
            budget: budget.map(read_budget).transpose()?,
            explain: explain.unwrap_or_default(),
            wider_window: may(Wish::WiderWindow),
            longer_budget: may(Wish::LongerBudget),
            ignored,
        })
    }

    /// The window of a search under `rule`, in hits.
    pub fn window(&self, rule: &Rule) -> usize {
        match self.window {
            Some(window) if self.wider_window => window,
            Some(window) => window.min(rule.window),
            None => rule.window,
        }
    }

    /// The budget where it is `usual`, by a rule or otherwise.
    pub fn budget(&self, usual: Duration) -> Duration {
        match self.budget {
            Some(budget) if self.longer_budget => budget,
            Some(budget) => budget.min(usual),
            None => usual,
        }
    }

    /// The mode of a search under `rule`.
    pub fn mode(&self, rule: &Rule) -> Mode {
        match self.rerank {
            Some(false) => Mode::Off,
            Some(true) => Mode::On,
            None => rule.mode,
        }
    }
}

fn read_text(value: &HeaderValue) -> Result<String, String> {
    let text = value.to_str().map_err(|_| "X-Rerank-Model must be the name of a model".to_owned())?;
    Ok(text.trim().to_owned())
}

/// UTF-8 as it is, or, for clients that cannot send that in a header, as RFC 8187 has it: `UTF-8''red%20wine`. An empty text
/// is none.
fn read_query(value: &HeaderValue) -> Result<Option<String>, String> {
    let bytes = value.as_bytes();
    let encoded = bytes.get(..7).filter(|start| start.eq_ignore_ascii_case(b"utf-8''")).map(|_| &bytes[7..]);
    let text = match encoded {
        Some(encoded) => percent_decode(encoded).decode_utf8().ok().map(Cow::into_owned),
        None => std::str::from_utf8(bytes).ok().map(str::to_owned),
    };
    let text = text.map(|text| text.trim().to_owned()).filter(|text| text.len() <= MAX_QUERY).ok_or_else(|| {
        format!(
            "X-Rerank-Query must be text in UTF-8, or UTF-8'' and percent-encoded text, of at most {MAX_QUERY} bytes"
        )
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn read_window(value: &HeaderValue) -> Result<usize, String> {
    let window = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    window
        .filter(|window| (MIN_WINDOW..=MAX_WINDOW).contains(window))
        .ok_or_else(|| format!("X-Rerank-Window must be a number of hits from {MIN_WINDOW} to {MAX_WINDOW}"))
}

fn read_budget(value: &HeaderValue) -> Result<Duration, String> {
    let budget = value.to_str().ok().and_then(|text| humantime::parse_duration(text.trim()).ok());
    budget
        .filter(|budget| !budget.is_zero())
        // What an operator may not say either; a moment so far away might not exist.
        .map(|budget| budget.min(MAX_BUDGET))
        .ok_or_else(|| "X-Rerank-Budget must be a duration with its unit, such as 100ms".to_owned())
}

fn read_explain(value: &HeaderValue) -> Result<Explain, String> {
    match value.as_bytes() {
        b"true" => Ok(Explain::Fields),
        b"highlight" => Ok(Explain::Highlight),
        b"false" => Ok(Explain::No),
        _ => Err("X-Rerank-Explain must be true, highlight or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::IndexPatterns;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    fn rule() -> Rule {
        Rule::for_index(IndexPatterns::new(&["*"]).expect("globs"), "m".to_owned())
    }

    #[test]
    fn a_client_may_ask_for_less_but_not_for_more() {
        let sent = headers(&[("x-rerank-window", "20"), ("x-rerank-budget", "50ms"), ("x-rerank-query", "red wine")]);
        let wishes = Wishes::read(&sent, &Wish::DEFAULT).expect("wishes");
        assert_eq!(
            (wishes.window(&rule()), wishes.budget(rule().budget), wishes.query.as_deref()),
            (20, Duration::from_millis(50), Some("red wine"))
        );
        let sent = headers(&[("x-rerank-window", "5000"), ("x-rerank-budget", "1m")]);
        let wishes = Wishes::read(&sent, &Wish::DEFAULT).expect("wishes");
        assert_eq!((wishes.window(&rule()), wishes.budget(rule().budget)), (rule().window, rule().budget));
        let wishes = Wishes::read(&sent, &[Wish::WiderWindow, Wish::LongerBudget]).expect("wishes");
        assert_eq!((wishes.window(&rule()), wishes.budget(rule().budget)), (5000, Duration::from_mins(1)));
    }

    #[test]
    fn what_is_not_allowed_is_ignored_and_noted() {
        let sent = headers(&[("x-rerank", "on"), ("x-rerank-model", "big"), ("x-rerank-explain", "true")]);
        let wishes = Wishes::read(&sent, &Wish::DEFAULT).expect("wishes");
        assert_eq!((wishes.rerank, wishes.model.as_deref(), wishes.explain), (None, None, Explain::Fields));
        assert_eq!(wishes.ignored, ["x-rerank-model", "x-rerank"]);
        let wishes = Wishes::read(&sent, &[Wish::On, Wish::Model]).expect("wishes");
        assert_eq!((wishes.rerank, wishes.model.as_deref(), wishes.explain), (Some(true), Some("big"), Explain::No));
        assert_eq!(wishes.ignored, ["x-rerank-explain"]);
    }

    #[test]
    fn a_query_in_any_script_fits_into_a_header() {
        let query = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-rerank-query", HeaderValue::from_bytes(value).expect("a value"));
            Wishes::read(&headers, &Wish::DEFAULT).map(|wishes| wishes.query.unwrap_or_default())
        };
        assert_eq!(query("Grüße 東京 50%".as_bytes()).as_deref(), Ok("Grüße 東京 50%"));
        assert_eq!(query(b"utf-8''Gr%C3%BC%C3%9Fe%20%E6%9D%B1").as_deref(), Ok("Grüße 東"));
        assert!(query(b"Gr\xfc\xdfe").is_err());
        assert_eq!(query(b" ").as_deref(), Ok(""));
    }

    #[test]
    fn values_that_cannot_be_read_are_errors_that_say_what_is_right() {
        for (name, value) in [
            ("x-rerank", "maybe"),
            ("x-rerank-window", "1"),
            ("x-rerank-window", "many"),
            ("x-rerank-budget", "300"),
            ("x-rerank-budget", "0s"),
            ("x-rerank-explain", "yes"),
        ] {
            let error = Wishes::read(&headers(&[(name, value)]), &Wish::DEFAULT).expect_err(value);
            assert!(error.to_ascii_lowercase().starts_with(name) && error.contains("must be"), "{error}");
        }
    }

    #[test]
    fn the_switch_wins_over_the_rule_s_mode() {
        let shadow = Rule { mode: Mode::Shadow, ..rule() };
        let mode = |value| {
            let wishes = Wishes::read(&headers(&[("x-rerank", value)]), &[Wish::On, Wish::Off]).expect("wishes");
            wishes.mode(&shadow)
        };
        assert_eq!((mode("on"), mode("off")), (Mode::On, Mode::Off));
        assert_eq!(Wishes::default().mode(&shadow), Mode::Shadow);
    }
}
