//! The operator's own file with another setting in one of its rules: everything else in it stays as it is written, comments too.

use similar::TextDiff;
use toml_edit::{DocumentMut, Item, Table};

use super::rule::KEYS;

/// Keys that a rule cannot have where it has neither probabilities nor a model any more.
const NEEDS_PROBABILITIES: &str = "min_score";

/// The text with `lines` in the place of what the rule at `place` says of the same matter; `None` where no such table stands in it, as
/// where the rule comes from flags. `keeps_threshold`: whether a `min_score` still means something.
pub(super) fn with_rule(text: &str, place: usize, lines: &[String], keeps_threshold: bool) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let fresh: DocumentMut = lines.join("\n").parse().ok()?;
    let rule: &mut Table = document.get_mut("rules")?.as_array_of_tables_mut()?.get_mut(place)?;
    for key in KEYS.into_iter().filter(|key| !fresh.contains_key(key)) {
        rule.remove(key);
    }
    if !keeps_threshold {
        rule.remove(NEEDS_PROBABILITIES);
    }
    let turned_on = !fresh.contains_key("mode");
    if turned_on && rule.get("mode").and_then(Item::as_str) == Some("off") {
        rule.remove("mode");
    }
    for (key, item) in fresh.iter() {
        match rule.get_mut(key) {
            // What stands behind the value on its line, stays there.
            Some(Item::Value(known)) => {
                if let Item::Value(new) = item {
                    let mut new = new.clone();
                    *new.decor_mut() = known.decor().clone();
                    *known = new;
                }
            }
            _ => _ = rule.insert(key, item.clone()),
        }
    }
    Some(document.to_string())
}

/// What differs, as `diff -u` tells it, so that `patch` takes it.
pub(super) fn difference(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(3).header(name, name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[upstream]\nurl = \"http://localhost:9200\" # the cluster\n\n[[rules]]\nindex = \"a\"\n\n[[rules]]\nindex = \"b\" # books\n# wide\nwindow = 100 # hits\nmodel = \"m\"\nblend = { method = \"rrf\" }\nbudget = \"1s\"\nmin_score = 0.3\n";

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn one_rule_changes_and_all_else_stays_as_it_was_written() {
        let new = lines(&["window = 50", "signals = [", "    { model = \"m\", weight = 1.0 },", "]"]);
        let text = with_rule(FILE, 1, &new, true).expect("a rule");
        assert_eq!(
            difference("rerank.toml", FILE, &text),
            "--- rerank.toml\n+++ rerank.toml\n@@ -8,8 +8,9 @@\n [[rules]]\n index = \"b\" # books\n # wide\n-window = 100 # hits\n-model = \"m\"\n-blend = { method = \"rrf\" }\n+window = 50 # hits\n budget = \"1s\"\n min_score = 0.3\n+signals = [\n+    { model = \"m\", weight = 1.0 },\n+]\n"
        );
        let without = with_rule(FILE, 1, &new, false).expect("a rule");
        assert!(!without.contains("min_score"));
    }

    #[test]
    fn a_rule_that_is_switched_off_is_switched_on_and_off() {
        let off = with_rule(FILE, 0, &lines(&["mode = \"off\""]), true).expect("a rule");
        assert!(off.contains("index = \"a\"\nmode = \"off\"\n"), "{off}");
        let on = with_rule(&off, 0, &lines(&["window = 20", "model = \"m\""]), true).expect("a rule");
        assert!(on.contains("index = \"a\"\nwindow = 20\nmodel = \"m\"\n") && !on.contains("mode ="), "{on}");
    }

    #[test]
    fn a_rule_that_does_not_stand_there_is_none() {
        assert_eq!(with_rule(FILE, 2, &lines(&["window = 20"]), true), None);
        assert_eq!(with_rule("[upstream]\n", 0, &lines(&["window = 20"]), true), None);
    }
}
