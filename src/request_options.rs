//! The request options: what a client asks of the proxy itself, request by request, in `X-Rerank…` headers. Owns the headers
//! and their values, and what they may change: nothing that costs more than the rule, unless the operator allows it
//! (the table `[clients]`, which has the names).

use std::{borrow::Cow, time::Duration};

use engines::plan::{Explain, MAX_WINDOW, MIN_WINDOW};
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode;
use ranking::order::Blend;

use crate::config::{
    Detail, MAX_BUDGET, RequestOption,
    rules::{Mode, Rule},
};

/// The longest query text that a header may hold, in bytes.
pub(crate) const MAX_QUERY: usize = 4096;

/// The options of one request, as far as they are allowed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestOptions {
    /// True: rerank, whatever mode and traffic share the rule has; false: do not.
    pub rerank: Option<bool>,
    /// The query text.
    pub query: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// The window, in hits.
    pub window: Option<usize>,
    /// The budget.
    pub budget: Option<Duration>,
    /// The explanation that is added to each hit.
    pub explain: Explain,
    /// The detail of the explanation, where it is another than the operator's for clients.
    pub detail: Option<Detail>,
    /// The probability below which hits are left out.
    pub min_score: Option<f32>,
    /// The way in which the score of the model and that of the cluster become one.
    pub blend: Option<Blend>,
    /// True if the window may be wider than the rule's.
    pub wider_window: bool,
    /// True if the budget may be longer than the rule's.
    pub longer_budget: bool,
    /// Headers that were sent but do not count here.
    pub ignored: Vec<&'static str>,
}

/// A request option that counts here and cannot be read. The text says which, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    /// `X-Rerank`.
    #[error("X-Rerank must be on or off")]
    Switch,
    /// `X-Rerank-Query`.
    #[error("X-Rerank-Query must be text in UTF-8, or UTF-8'' and percent-encoded text, of at most {MAX_QUERY} bytes")]
    Query,
    /// `X-Rerank-Model`.
    #[error("X-Rerank-Model must be the name of a model")]
    Model,
    /// `X-Rerank-Window`.
    #[error("X-Rerank-Window must be a number of hits from {MIN_WINDOW} to {MAX_WINDOW}")]
    Window,
    /// `X-Rerank-Budget`.
    #[error("X-Rerank-Budget must be a duration with its unit, such as 100ms")]
    Budget,
    /// `X-Rerank-Explain`.
    #[error("X-Rerank-Explain must be true, highlight or false")]
    Explain,
    /// `X-Rerank-Min-Score`.
    #[error("X-Rerank-Min-Score must be a probability, 0 to 1")]
    MinScore,
}

impl RequestOptions {
    /// Reads the headers. A header that is not among `allowed` does not count, and is noted as ignored.
    ///
    /// # Errors
    /// A header that counts cannot be read.
    pub fn read(headers: &HeaderMap, allowed: &[RequestOption]) -> Result<Self, InvalidOption> {
        let may = |option: RequestOption| allowed.contains(&option);
        let mut ignored = Vec::new();
        let mut sent = |name: &'static str, counts: bool| {
            let value = headers.get(name)?;
            if !counts {
                ignored.push(name);
            }
            counts.then_some(value)
        };
        let switch = sent("x-rerank", may(RequestOption::Off) || may(RequestOption::On));
        let query = sent("x-rerank-query", may(RequestOption::Query)).map(read_query).transpose()?.flatten();
        let model = sent("x-rerank-model", may(RequestOption::Model)).map(read_model).transpose()?;
        let window = sent("x-rerank-window", may(RequestOption::Window) || may(RequestOption::WiderWindow));
        let budget = sent("x-rerank-budget", may(RequestOption::Budget) || may(RequestOption::LongerBudget));
        let explain = sent("x-rerank-explain", may(RequestOption::Explain)).map(read_explain).transpose()?;
        let min_score = sent("x-rerank-min-score", may(RequestOption::MinScore)).map(read_min_score).transpose()?;
        let rerank = match switch.map(HeaderValue::as_bytes) {
            None => None,
            Some(switch) if switch.eq_ignore_ascii_case(b"off") => Some(false),
            Some(switch) if switch.eq_ignore_ascii_case(b"on") => Some(true),
            Some(_) => return Err(InvalidOption::Switch),
        };
        let counts = |rerank: &bool| may(if *rerank { RequestOption::On } else { RequestOption::Off });
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
            detail: None,
            min_score,
            // There is no header for it.
            blend: None,
            wider_window: may(RequestOption::WiderWindow),
            longer_budget: may(RequestOption::LongerBudget),
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

    /// The headers that ask for more than `rule` allows, and count for as much as it does.
    pub fn clipped(&self, rule: &Rule) -> Vec<&'static str> {
        let window = self.window.is_some_and(|window| window > self.window(rule)).then_some("x-rerank-window");
        let budget = self.budget.is_some_and(|budget| budget > self.budget(rule.budget)).then_some("x-rerank-budget");
        window.into_iter().chain(budget).collect()
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

fn read_model(value: &HeaderValue) -> Result<String, InvalidOption> {
    let text = value.to_str().map_err(|_| InvalidOption::Model)?;
    Ok(text.trim().to_owned())
}

/// The query text: UTF-8 as it is, or, for clients that cannot send that in a header, as RFC 8187 has it:
/// `UTF-8''red%20wine`. An empty text counts as none.
fn read_query(value: &HeaderValue) -> Result<Option<String>, InvalidOption> {
    let bytes = value.as_bytes();
    let encoded = bytes.get(..7).filter(|start| start.eq_ignore_ascii_case(b"utf-8''")).map(|_| &bytes[7..]);
    let text = match encoded {
        Some(encoded) => percent_decode(encoded).decode_utf8().ok().map(Cow::into_owned),
        None => std::str::from_utf8(bytes).ok().map(str::to_owned),
    };
    let text = text.map(|text| text.trim().to_owned()).filter(|text| text.len() <= MAX_QUERY);
    Ok(Some(text.ok_or(InvalidOption::Query)?).filter(|text| !text.is_empty()))
}

fn read_window(value: &HeaderValue) -> Result<usize, InvalidOption> {
    let window = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    window.filter(|window| (MIN_WINDOW..=MAX_WINDOW).contains(window)).ok_or(InvalidOption::Window)
}

fn read_budget(value: &HeaderValue) -> Result<Duration, InvalidOption> {
    let budget = value.to_str().ok().and_then(|text| humantime::parse_duration(text.trim()).ok());
    budget
        .filter(|budget| !budget.is_zero())
        // The bound is the operator's, too; a moment so far away might not exist.
        .map(|budget| budget.min(MAX_BUDGET))
        .ok_or(InvalidOption::Budget)
}

fn read_min_score(value: &HeaderValue) -> Result<f32, InvalidOption> {
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.filter(|number| (0.0..=1.0).contains(number)).ok_or(InvalidOption::MinScore)
}

fn read_explain(value: &HeaderValue) -> Result<Explain, InvalidOption> {
    match value.as_bytes() {
        b"true" => Ok(Explain::Fields),
        b"highlight" => Ok(Explain::Highlight),
        b"false" => Ok(Explain::No),
        _ => Err(InvalidOption::Explain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules::IndexPatterns;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    fn rule() -> Rule {
        Rule::for_index(IndexPatterns::new(&["*"]).expect("globs"), "m".to_owned())
    }

    #[test]
    fn a_client_may_ask_for_less_but_not_for_more() {
        let sent = headers(&[("x-rerank-window", "20"), ("x-rerank-budget", "50ms"), ("x-rerank-query", "red wine")]);
        let options = RequestOptions::read(&sent, &RequestOption::DEFAULT).expect("options");
        assert_eq!(
            (options.window(&rule()), options.budget(rule().budget), options.query.as_deref()),
            (20, Duration::from_millis(50), Some("red wine"))
        );
        let sent = headers(&[("x-rerank-window", "5000"), ("x-rerank-budget", "1m")]);
        let options = RequestOptions::read(&sent, &RequestOption::DEFAULT).expect("options");
        assert_eq!((options.window(&rule()), options.budget(rule().budget)), (rule().window, rule().budget));
        assert_eq!(options.clipped(&rule()), ["x-rerank-window", "x-rerank-budget"]);
        let options =
            RequestOptions::read(&sent, &[RequestOption::WiderWindow, RequestOption::LongerBudget]).expect("options");
        assert_eq!((options.window(&rule()), options.budget(rule().budget)), (5000, Duration::from_mins(1)));
        assert!(options.clipped(&rule()).is_empty());
    }

    #[test]
    fn what_is_not_allowed_is_ignored_and_noted() {
        let sent = headers(&[("x-rerank", "on"), ("x-rerank-model", "big"), ("x-rerank-explain", "true")]);
        let options = RequestOptions::read(&sent, &RequestOption::DEFAULT).expect("options");
        assert_eq!((options.rerank, options.model.as_deref(), options.explain), (None, None, Explain::Fields));
        assert_eq!(options.ignored, ["x-rerank-model", "x-rerank"]);
        let options = RequestOptions::read(&sent, &[RequestOption::On, RequestOption::Model]).expect("options");
        assert_eq!((options.rerank, options.model.as_deref(), options.explain), (Some(true), Some("big"), Explain::No));
        assert_eq!(options.ignored, ["x-rerank-explain"]);
    }

    #[test]
    fn a_query_in_any_script_fits_into_a_header() {
        let query = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-rerank-query", HeaderValue::from_bytes(value).expect("a value"));
            RequestOptions::read(&headers, &RequestOption::DEFAULT).map(|options| options.query.unwrap_or_default())
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
            let error =
                RequestOptions::read(&headers(&[(name, value)]), &RequestOption::DEFAULT).expect_err(value).to_string();
            assert!(error.to_ascii_lowercase().starts_with(name) && error.contains("must be"), "{error}");
        }
    }

    #[test]
    fn the_switch_wins_over_the_rule_s_mode() {
        let shadow = Rule { mode: Mode::Shadow, ..rule() };
        let mode = |value| {
            let options =
                RequestOptions::read(&headers(&[("x-rerank", value)]), &[RequestOption::On, RequestOption::Off])
                    .expect("options");
            options.mode(&shadow)
        };
        assert_eq!((mode("on"), mode("off")), (Mode::On, Mode::Off));
        assert_eq!(RequestOptions::default().mode(&shadow), Mode::Shadow);
    }
}
