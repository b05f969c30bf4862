//! What an answer says about its reranking: the headers `X-Rerank` (parameters as in RFC 9651) and `Server-Timing`. Owns
//! their syntax.

use std::time::Duration;

use engines::plan::SkipReason;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::telemetry::Counts;

static X_RERANK: HeaderName = HeaderName::from_static("x-rerank");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What became of one search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// It was answered in the new order.
    Applied {
        /// The model that scored it.
        model: String,
        /// The figures.
        counts: Counts,
        /// Headers of the client that did not count.
        ignored: Vec<&'static str>,
    },
    /// It was answered as the cluster would.
    Skipped(SkipReason),
    /// A list of documents was ranked.
    Ranked {
        /// The model that scored it.
        model: String,
        /// The figures.
        counts: Counts,
        /// How many tokens the scores are of.
        tokens: u64,
        /// Whether it is told how many of the scores were cached.
        tells_cached: bool,
    },
}

impl Report {
    pub(crate) fn applied(model: &str, counts: Counts, ignored: &[&'static str]) -> Self {
        Self::Applied { model: model.to_owned(), counts, ignored: ignored.to_vec() }
    }

    /// An item of an RFC 9651 list.
    fn item(&self) -> String {
        let (model, counts, ignored, tokens, tells_cached) = match self {
            Self::Skipped(reason) => return format!("skipped; reason={}", reason.as_str()),
            Self::Applied { model, counts, ignored } => (model, counts, ignored.as_slice(), None, true),
            Self::Ranked { model, counts, tokens, tells_cached } => {
                (model, counts, &[][..], Some(tokens), *tells_cached)
            }
        };
        let Counts { window, scored, cached, shed, budget_hit, truncated, good, shift: _ } = *counts;
        // An RFC 9651 string holds printable ASCII, with quote and backslash escaped.
        let model: String = model
            .chars()
            .filter(|c| matches!(c, ' '..='~'))
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        let cached = if tells_cached { format!("; cached={cached}") } else { String::new() };
        let budget_hit = u8::from(budget_hit);
        let truncated = if truncated == 0 { String::new() } else { format!("; truncated={truncated}") };
        let good = good.map_or_else(String::new, |good| format!("; good={good}"));
        let ignored = if ignored.is_empty() { String::new() } else { format!("; ignored=\"{}\"", ignored.join(" ")) };
        let tokens = tokens.map_or_else(String::new, |tokens| format!("; tokens={tokens}"));
        let shed = if shed == 0 { String::new() } else { format!("; shed={shed}") };
        format!(
            "applied; model=\"{model}\"; window={window}; scored={scored}{cached}; budget-hit=?{budget_hit}{shed}{truncated}{good}{tokens}{ignored}"
        )
    }
}

/// How many searches of one request are told one by one; a header has its limits.
const TOLD: usize = 32;

/// `X-Rerank`: an item for each search of the request, in its order. Of more than [`TOLD`], the last item says how many
/// there are in all.
pub(crate) fn outcomes<'a>(headers: &mut HeaderMap, reports: impl ExactSizeIterator<Item = &'a Report>) {
    let searches = reports.len();
    let mut items: Vec<String> = reports.take(TOLD).map(Report::item).collect();
    if searches > TOLD {
        items.push(format!("more; searches={searches}"));
    }
    let text = if let [item] = &mut items[..] { std::mem::take(item) } else { items.join(", ") };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(X_RERANK.clone(), value);
    }
}

/// Milliseconds that the cluster took, and that we took after it; after whatever the cluster itself says.
pub(crate) fn timing(headers: &mut HeaderMap, upstream: Duration, rerank: Duration) {
    append(headers, format!("upstream;dur={:.2}, rerank;dur={:.2}", ms(upstream), ms(rerank)));
}

/// Milliseconds that a call took which the cluster had no part in.
pub(crate) fn took(headers: &mut HeaderMap, rerank: Duration) {
    append(headers, format!("rerank;dur={:.2}", ms(rerank)));
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn append(headers: &mut HeaderMap, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(SERVER_TIMING.clone(), value);
    }
}

/// The time that reranking took of an answer, by its `Server-Timing`.
#[cfg(any(feature = "demo", feature = "eval"))]
pub(crate) fn time_of_reranking(header: &str) -> Option<Duration> {
    let (_, rest) = header.split_once("rerank;dur=")?;
    let milliseconds: f64 = rest.split(',').next()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(milliseconds / 1e3).ok()
}

/// A number that an answer's `X-Rerank` tells, by its name.
#[cfg(feature = "eval")]
pub(crate) fn figure(header: &str, name: &str) -> Option<u64> {
    let mut parameters = header.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    parameters.find(|(known, _)| *known == name)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "eval")]
    #[test]
    fn what_an_answer_says_is_read_as_it_was_written() {
        let mut headers = HeaderMap::new();
        timing(&mut headers, Duration::from_micros(12_340), Duration::from_micros(3500));
        let header = headers["server-timing"].to_str().expect("text");
        assert_eq!(time_of_reranking(header), Some(Duration::from_micros(3500)));
        assert_eq!(time_of_reranking("upstream;dur=12.34, rerank;dur=3.50"), Some(Duration::from_micros(3500)));
        assert_eq!(time_of_reranking("upstream;dur=12.34"), None);
        let counts = Counts {
            window: 100,
            scored: 99,
            cached: 37,
            shed: 1,
            budget_hit: true,
            truncated: 0,
            good: None,
            shift: None,
        };
        outcomes(&mut headers, [Report::applied("m", counts, &[])].iter());
        let header = headers["x-rerank"].to_str().expect("text");
        assert_eq!(
            (figure(header, "scored"), figure(header, "cached"), figure(header, "good")),
            (Some(99), Some(37), None)
        );
    }

    #[test]
    fn the_header_s_syntax_is_that_of_structured_fields() {
        let mut headers = HeaderMap::new();
        let counts = Counts {
            window: 100,
            scored: 99,
            cached: 37,
            shed: 1,
            budget_hit: true,
            truncated: 0,
            good: None,
            shift: None,
        };
        outcomes(&mut headers, [Report::applied("my \"best\" modèl", counts, &[])].iter());
        assert_eq!(
            headers["x-rerank"],
            r#"applied; model="my \"best\" modl"; window=100; scored=99; cached=37; budget-hit=?1; shed=1"#
        );
        let counts = Counts { truncated: 12, good: Some(0), ..counts };
        outcomes(&mut headers, [Report::applied("m", counts, &["x-rerank-model"])].iter());
        assert_eq!(
            headers["x-rerank"],
            r#"applied; model="m"; window=100; scored=99; cached=37; budget-hit=?1; shed=1; truncated=12; good=0; ignored="x-rerank-model""#
        );
        outcomes(&mut headers, [Report::Skipped(SkipReason::NoQueryText), Report::Skipped(SkipReason::Sort)].iter());
        assert_eq!(headers["x-rerank"], "skipped; reason=no-query-text, skipped; reason=sort");
        outcomes(&mut headers, vec![Report::Skipped(SkipReason::Sort); 1000].iter());
        assert!(headers["x-rerank"].to_str().expect("text").ends_with(", more; searches=1000"));
        assert!(headers["x-rerank"].len() < 1000);
        timing(&mut headers, Duration::from_micros(12_340), Duration::from_millis(3));
        assert_eq!(headers["server-timing"], "upstream;dur=12.34, rerank;dur=3.00");
    }
}
