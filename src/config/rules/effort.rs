//! The keys `effort` and `pairs` of a rule: how deep a model with `keep` goes, query by query.

use super::signal::{SignalConfig, SourceConfig};
use crate::config::reading::section::Section;

/// Standard deviations below the best hit down to which hits are asked for: chosen by what they cost on the bundled queries, a
/// quarter and half of 20 pairs, and half of 50. docs/relevance.md has the figures.
const EFFORTS: [(&str, f32); 3] = [("fast", 1.25), ("balanced", 1.75), ("thorough", 2.5)];

/// What a gap costs on the bundled queries, in pairs a search.
const COSTS: [(f32, f32); 7] =
    [(5.0, 1.0), (6.0, 1.25), (8.0, 1.5), (10.0, 1.75), (14.0, 2.0), (22.0, 2.5), (30.0, 3.0)];

/// Reads the keys of a rule: the gap of [`ranking::depth`], where the rule has one.
pub(super) fn read(rule: &Section) -> Option<f32> {
    let effort = rule.optional::<String>("effort").map(|_| rule.choice("effort", EFFORTS[1].1, &EFFORTS));
    let pairs: Option<f32> = rule.optional("pairs");
    if effort.is_some() && pairs.is_some() {
        rule.error("pairs", "give either `effort` or `pairs`");
    }
    let ((least, _), (most, _)) = (COSTS[0], COSTS[COSTS.len() - 1]);
    if pairs.is_some_and(|pairs| !(least..=most).contains(&pairs)) {
        rule.error(
            "pairs",
            format!("must be {least} to {most}; for another number of pairs every time, use `keep` alone"),
        );
    }
    effort.or_else(|| pairs.map(gap_for))
}

/// The gap that costs about so many pairs a search: between two of [`COSTS`], in proportion.
fn gap_for(pairs: f32) -> f32 {
    let after = COSTS.iter().position(|(cost, _)| *cost >= pairs).unwrap_or(COSTS.len() - 1).max(1);
    let ((low, narrow), (high, wide)) = (COSTS[after - 1], COSTS[after]);
    narrow + (wide - narrow) * (pairs - low) / (high - low)
}

/// The key of a rule that gives this gap: the word for it, or about how many pairs it costs.
#[cfg(feature = "eval")]
pub(crate) fn effort_key(gap: f32) -> String {
    let word = EFFORTS.iter().find(|(_, of)| (of - gap).abs() < f32::EPSILON);
    word.map_or_else(|| format!("pairs = {:.1}", pairs_for(gap)), |(word, _)| format!("effort = \"{word}\""))
}

/// What [`gap_for`] makes such a gap of.
#[cfg(feature = "eval")]
fn pairs_for(gap: f32) -> f32 {
    let after = COSTS.iter().position(|(_, of)| *of >= gap).unwrap_or(COSTS.len() - 1).max(1);
    let ((low, narrow), (high, wide)) = (COSTS[after - 1], COSTS[after]);
    low + (high - low) * (gap - narrow) / (wide - narrow)
}

/// Has the models with `keep` go as deep as the rule says; a rule without such a model is told that it means nothing there.
pub(super) fn apply(rule: &Section, gap: Option<f32>, signals: &mut [SignalConfig]) {
    let Some(gap) = gap else { return };
    let mut any = false;
    for signal in signals {
        if let SourceConfig::Model { keep: Some(_), gap: own, .. } = &mut signal.source {
            *own = Some(gap);
            any = true;
        }
    }
    if !any {
        refuse(rule);
    }
}

/// Reports the keys of a rule in which they mean nothing.
pub(super) fn refuse(rule: &Section) {
    for key in ["effort", "pairs"].into_iter().filter(|key| rule.has(key)) {
        rule.error(key, "belongs to a rule in which a model has a `keep`: that is the most that it goes to");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read_with_two_models;

    #[test]
    fn a_number_of_pairs_stands_for_a_gap_between_those_that_were_measured() {
        for (pairs, gap) in [(5.0, 1.0), (10.0, 1.75), (18.0, 2.25), (30.0, 3.0), (5.5, 1.125)] {
            assert!((gap_for(pairs) - gap).abs() < 1e-6, "{pairs}: {}", gap_for(pairs));
        }
    }

    #[test]
    fn a_rule_says_how_deep_its_second_model_goes() {
        let rule = |keys: &str| read_with_two_models(&[keys]);
        let list = "signals = [{ model = \"m\" }, { model = \"n\", keep = 20 }]\n";
        let gap = |keys: &str| {
            let settings = rule(keys).expect("right");
            match &settings.fused[&settings.rules[0].model][1].source {
                SourceConfig::Model { gap, .. } => *gap,
                _ => None,
            }
        };
        assert_eq!(gap(list), None);
        assert_eq!(gap(&format!("{list}effort = \"balanced\"")), Some(1.75));
        assert_eq!(gap(&format!("{list}pairs = 14")), Some(2.0));
        assert_eq!(gap("model = { first = \"m\", then = \"n\" }\neffort = \"fast\""), Some(1.25));
        for (keys, mistake) in [
            (format!("{list}effort = \"some\""), "effort: must be one of fast, balanced, thorough"),
            (format!("{list}effort = \"fast\"\npairs = 7"), "pairs: give either `effort` or `pairs`"),
            (format!("{list}pairs = 50"), "pairs: must be 5 to 30"),
            ("model = \"m\"\neffort = \"fast\"".to_owned(), "effort: belongs to a rule in which a model has a `keep`"),
            (
                "signals = [{ model = \"m\" }]\npairs = 7".to_owned(),
                "pairs: belongs to a rule in which a model has a `keep`",
            ),
        ] {
            let errors = rule(&keys).expect_err(&keys);
            assert!(errors.len() == 1 && errors[0].contains(&format!("rules[0].{mistake}")), "{errors:?}");
        }
    }
}
