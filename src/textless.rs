//! Rules whose hits never have text to score: mostly a field is misspelt, and the proxy would do nothing without a word. Owns
//! when that is told in the log: once, after so many searches in a row.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use engines::plan::SkipReason;
use tracing::warn;

use crate::config::rules::Rule;

/// The searches in a row without text after which it is told.
const TOLD_AFTER: u32 = 50;

/// For each rule, its searches in a row whose hits had no text.
#[derive(Debug)]
pub(crate) struct Textless(Vec<AtomicU32>);

impl Textless {
    /// Of rules that saw no search.
    pub(crate) fn of(rules: &[Rule]) -> Self {
        Self(rules.iter().map(|_| AtomicU32::new(0)).collect())
    }

    /// Notes what became of a search under the rule that is called `label`; `None`: it was reranked.
    pub(crate) fn noted(&self, rules: &[Rule], label: Option<&Arc<str>>, skipped: Option<SkipReason>) {
        let Some(place) = label.and_then(|label| rules.iter().position(|rule| rule.label == *label)) else { return };
        let Some(in_a_row) = self.0.get(place) else { return };
        if skipped == Some(SkipReason::NoPassages) {
            let count = in_a_row.fetch_add(1, Relaxed).saturating_add(1);
            if count == TOLD_AFTER {
                warn!("{}", told(place + 1, &rules[place]));
            }
            return;
        }
        let other_than_text = [SkipReason::Budget, SkipReason::Overloaded, SkipReason::ModelUnavailable];
        let had_text = skipped.is_none_or(|reason| other_than_text.contains(&reason));
        if had_text && in_a_row.load(Relaxed) != 0 {
            in_a_row.store(0, Relaxed);
        }
    }
}

fn told(number: usize, rule: &Rule) -> String {
    let who = match rule.passage_fields() {
        Some(fields) => format!("none of its fields ({}) had text", fields.join(", ")),
        None => "no hit had text".to_owned(),
    };
    format!("rule {number} ({}): {who} in the last {TOLD_AFTER} searches; run `rerank-proxy check`", rule.label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn a_rule_that_had_text_once_begins_anew() {
        let rules = read(&minimal()).expect("right").rules;
        let (textless, label) = (Textless::of(&rules), rules[0].label.clone());
        let note = |skipped, times: u32| (0..times).for_each(|_| textless.noted(&rules, Some(&label), skipped));
        note(Some(SkipReason::NoPassages), 49);
        note(Some(SkipReason::Sort), 3);
        assert_eq!(textless.0[0].load(Relaxed), 49, "what was not looked into says nothing");
        note(None, 1);
        assert_eq!(textless.0[0].load(Relaxed), 0);
        textless.noted(&rules, None, Some(SkipReason::NoPassages));
        assert_eq!(textless.0[0].load(Relaxed), 0, "it is none of its searches");
    }
}
