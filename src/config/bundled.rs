//! The configuration of an operator who names neither a model nor a rule: the two bundled models, fused, for every index.
//! Owns its text, and when it counts.

use super::reading::{mistake::Origin, tree::Node};

/// What such a configuration is read as. The weights are equal on purpose: nothing is tuned on the bundled judgements,
/// but for the probabilities, which change no order.
pub const BUNDLED: &str = r#"[models.all-MiniLM-L6-v2]
name = "all-MiniLM-L6-v2"

[models.ms-marco-MiniLM-L12-v2]
name = "ms-marco-MiniLM-L12-v2"

[api]
model = "ms-marco-MiniLM-L12-v2"

[[rules]]
index = "*"
# On two cores without VNNI a window of short texts takes 1.3 s where nothing is cached, and 0.4 s where the documents are known;
# of longer texts more. Shorten it to what your searches may take: what is not scored in time follows in the cluster's order.
budget = "3s"
signals = [
    { model = "all-MiniLM-L6-v2", weight = 0.5, probability = { "all-MiniLM-L6-v2" = 16.6, offset = -9.37 } },
    { model = "ms-marco-MiniLM-L12-v2", weight = 0.5, keep = 20, probability = { "all-MiniLM-L6-v2" = 10.5, "ms-marco-MiniLM-L12-v2" = 0.193, offset = -5.58 } },
]
"#;

/// Lays the bundled models and their rule under a tree that has neither models nor rules.
pub(super) fn lay_under(root: &mut Node) {
    if ["models", "rules"].iter().all(|key| root.get(key).is_none()) {
        root.lay_under(Node::built_in(BUNDLED, &Origin::Bundled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Settings, SourceConfig, Sources,
        testing::{MODEL, read_tree, written},
    };

    const UPSTREAM: &str = "[upstream]\nurl = \"http://localhost:9200\"\n";

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        let mut root = written(text);
        lay_under(&mut root);
        read_tree(&root, &|_| None)
    }

    #[test]
    fn without_models_and_rules_every_index_has_the_bundled_pair() {
        let settings = settings(UPSTREAM).expect("right");
        assert!(settings.is_bundled());
        assert!(settings.rules[0].index.matches("anything"));
        let [first, second] = &settings.fused[&settings.rules[0].model][..] else { panic!("two signals") };
        let model = |name: &str, keep| SourceConfig::Model { name: name.to_owned(), keep, gap: None };
        assert_eq!(first.source, model("all-MiniLM-L6-v2", None));
        assert_eq!(second.source, model("ms-marco-MiniLM-L12-v2", Some(20)));
        assert_eq!((first.weighting.weight, second.weighting.weight), (0.5, 0.5));
    }

    #[test]
    fn other_keys_stay_as_they_were_written() {
        let settings =
            settings(&format!("{UPSTREAM}[api]\nmax_documents = 7\n[scoring]\nworkers = 1\n")).expect("right");
        assert_eq!(settings.api.max_documents, 7);
        assert_eq!(settings.api.model.as_deref(), Some("ms-marco-MiniLM-L12-v2"));
    }

    #[test]
    fn nothing_is_added_to_a_configuration_with_models_or_rules_of_its_own() {
        let own = format!("{UPSTREAM}[models.m]\npath = \"{MODEL}\"\n");
        assert!(settings(&own).expect_err("no rule")[0].contains("rules: no rule"));
        let rule = settings(&format!("{UPSTREAM}[[rules]]\nindex = \"*\"\n")).expect_err("no model");
        assert!(rule[0].contains("there is no [models.…] table"), "{rule:?}");
    }

    #[test]
    fn a_model_by_flag_is_the_only_one() {
        let flag = |path: &[&'static str], text: &str| (path.to_vec(), text.to_owned(), "--model");
        let flags = vec![
            flag(&["upstream", "url"], "http://localhost:9200"),
            flag(&["models", "default", "path"], MODEL),
            flag(&["rules", "0", "index"], "*"),
        ];
        let mut root = Sources { flags, ..Sources::default() }.tree().expect("a tree");
        lay_under(&mut root);
        let settings = read_tree(&root, &|_| None).expect("right");
        assert_eq!(settings.models.keys().collect::<Vec<_>>(), ["default"]);
        assert!(!settings.is_bundled());
    }
}
