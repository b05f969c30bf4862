//! The tools of the tables' tests: the smallest configuration that is right, and its reading out of a text.

use std::path::Path;

use super::{Draft, Settings, reading::tree::Node};

/// A model folder of this repository.
pub(crate) const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

/// The tree of a file `rerank.toml` with this text.
pub(crate) fn written(text: &str) -> Node {
    Node::from_toml(Path::new("rerank.toml"), text).expect("TOML")
}

/// The settings of this text, or all mistakes. The variable `TEST_KEY` is the only one there is.
pub(crate) fn read(text: &str) -> Result<Settings, Vec<String>> {
    read_tree(&written(text), &|name| (name == "TEST_KEY").then(|| "s3cret".to_owned()))
}

pub(crate) fn read_tree(root: &Node, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Vec<String>> {
    let settings = Draft::of(root, variable).finish(Vec::new());
    settings.map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

/// One model `m` and one rule for every index; what is added to the text belongs to the rule.
pub(crate) fn minimal() -> String {
    format!("[upstream]\nurl = \"http://localhost:9200\"\n[models.m]\npath = \"{MODEL}\"\n[[rules]]\nindex = \"*\"\n")
}

/// The settings of two models `m` and `n`, and of a rule for every index with each of these texts as its keys.
pub(crate) fn read_with_two_models<S: AsRef<str>>(rules: &[S]) -> Result<Settings, Vec<String>> {
    let models = minimal().replace("[[rules]]\nindex = \"*\"\n", &format!("[models.n]\npath = \"{MODEL}\"\n"));
    let rules: Vec<String> =
        rules.iter().map(|keys| format!("[[rules]]\nindex = \"*\"\n{}\n", keys.as_ref())).collect();
    read(&(models + &rules.concat()))
}
