//! What an answer says about its reranking: the headers `X-Rerank` (parameters as in RFC 9651) and `Server-Timing`. Owns
//! their syntax.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{plan::SkipReason, score::Scored};

static X_RERANK: HeaderName = HeaderName::from_static("x-rerank");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The figures of one reranked search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Hits within the window.
    pub(super) window: usize,
    /// Those with a score.
    pub(super) scored: usize,
    /// Those whose score came out of the cache.
    pub(super) cached: usize,
    /// Whether the budget cut scoring off.
    pub(super) budget_hit: bool,
}

impl Counts {
    pub(super) fn of(scored: &Scored) -> Self {
        Self {
            window: scored.scores.len(),
            scored: scored.scores.iter().flatten().count(),
            cached: scored.cached,
            budget_hit: scored.budget_hit,
        }
    }
}

pub(super) fn applied(headers: &mut HeaderMap, model: &str, counts: &Counts) {
    let Counts { window, scored, cached, budget_hit } = *counts;
    // An RFC 9651 string holds printable ASCII, with quote and backslash escaped.
    let model: String = model
        .chars()
        .filter(|c| matches!(c, ' '..='~'))
        .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
        .collect();
    let budget_hit = u8::from(budget_hit);
    let text = format!(
        "applied; model=\"{model}\"; window={window}; scored={scored}; cached={cached}; budget-hit=?{budget_hit}"
    );
    insert(headers, &X_RERANK, &text);
}

pub(super) fn skipped(headers: &mut HeaderMap, reason: SkipReason) {
    insert(headers, &X_RERANK, &format!("skipped; reason={}", reason.as_str()));
}

/// Milliseconds that the cluster took, and that we took after it; after whatever the cluster itself says.
pub(super) fn timing(headers: &mut HeaderMap, upstream: Duration, rerank: Duration) {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let text = format!("upstream;dur={:.2}, rerank;dur={:.2}", ms(upstream), ms(rerank));
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(SERVER_TIMING.clone(), value);
    }
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_s_syntax_is_that_of_structured_fields() {
        let mut headers = HeaderMap::new();
        let counts = Counts { window: 100, scored: 99, cached: 37, budget_hit: true };
        applied(&mut headers, "my \"best\" modèl", &counts);
        assert_eq!(
            headers["x-rerank"],
            r#"applied; model="my \"best\" modl"; window=100; scored=99; cached=37; budget-hit=?1"#
        );
        skipped(&mut headers, SkipReason::NoQueryText);
        assert_eq!(headers["x-rerank"], "skipped; reason=no-query-text");
        timing(&mut headers, Duration::from_micros(12_340), Duration::from_millis(3));
        assert_eq!(headers["server-timing"], "upstream;dur=12.34, rerank;dur=3.00");
    }
}
