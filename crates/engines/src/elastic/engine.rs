//! The engine that the cluster is, Elasticsearch or OpenSearch, by its own word. Owns when it is asked (once in a
//! while: a cluster may be upgraded or exchanged while we run) and which answers are a word on it; sends nothing.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;

/// The time for which a word counts before the cluster is asked again.
const FRESH: Duration = Duration::from_mins(1);

/// The last word of the cluster.
#[derive(Debug, Default)]
pub(super) struct Engine(Mutex<Option<Word>>);

/// A word of the cluster, and its time.
#[derive(Debug, Clone, Copy)]
struct Word {
    is_opensearch: bool,
    at: Instant,
}

impl Engine {
    /// True if nothing is known, or only of old.
    pub(super) fn is_to_be_asked(&self) -> bool {
        self.is_to_be_asked_at(Instant::now())
    }

    /// True if it is OpenSearch, by the last word. While the question fails (a client may not ask it, the cluster is busy)
    /// that stands, however old.
    pub(super) fn is_opensearch(&self) -> bool {
        self.word().is_some_and(|word| word.is_opensearch)
    }

    /// Takes the answer to `GET /` in. One that does not say which engine gave it changes nothing.
    pub(super) fn learn(&self, answer: &[u8]) {
        if let Some(is_opensearch) = is_opensearch(answer) {
            *self.word() = Some(Word { is_opensearch, at: Instant::now() });
        }
    }

    fn is_to_be_asked_at(&self, now: Instant) -> bool {
        self.word().is_none_or(|word| now.saturating_duration_since(word.at) >= FRESH)
    }

    fn word(&self) -> MutexGuard<'_, Option<Word>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine by an answer; `None` where it says neither. Both engines tell their version, and Elasticsearch names no
/// distribution.
fn is_opensearch(answer: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Answer {
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        distribution: Option<String>,
        number: Option<String>,
    }
    let version = serde_json::from_slice::<Answer>(answer).ok()?.version;
    match (version.distribution, version.number) {
        (Some(distribution), _) => Some(distribution == "opensearch"),
        (None, Some(_)) => Some(false),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENSEARCH: &[u8] = br#"{"version":{"distribution":"opensearch","number":"3.1.0"}}"#;
    const ELASTICSEARCH: &[u8] = br#"{"version":{"number":"9.2.0","build_flavor":"default"}}"#;

    #[test]
    fn only_an_answer_that_says_it_is_a_word_on_it() {
        assert_eq!((is_opensearch(OPENSEARCH), is_opensearch(ELASTICSEARCH)), (Some(true), Some(false)));
        let silent = [
            "",
            "[]",
            "{}",
            r#"{"error":{"type":"security_exception"},"status":403}"#,
            r#"{"version":{}}"#,
            r#"{"version":{"number":7}}"#,
            r#"{"version":"9.2.0"}"#,
        ];
        for answer in silent {
            assert_eq!(is_opensearch(answer.as_bytes()), None, "{answer}");
        }
    }

    #[test]
    fn a_cluster_is_asked_again_after_a_while_and_its_last_word_counts_until_it_says_another() {
        let engine = Engine::default();
        assert!(engine.is_to_be_asked());
        engine.learn(OPENSEARCH);
        let soon = Instant::now();
        assert!(!engine.is_to_be_asked_at(soon) && engine.is_to_be_asked_at(soon + FRESH));
        engine.learn(b"");
        assert!(engine.is_opensearch());
        engine.learn(ELASTICSEARCH);
        assert!(!engine.is_opensearch());
    }
}
