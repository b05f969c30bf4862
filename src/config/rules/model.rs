//! The key `model` of a rule: one model by its name, or two in a cascade. Owns the labels of cascades,
//! which are lists of two signals.

use ranking::fusion::Weighting;

use super::{
    effort,
    signal::{FusedScorings, SignalConfig, SourceConfig, add},
};
use crate::config::{
    models::Models,
    reading::section::Section,
    reading::tree::{Node, Value},
};

/// The usual number of hits that the second model of a cascade re-scores.
const DEFAULT_KEEP: usize = 20;

/// The name of the rule's model, or the label of its cascade, which is added to `fused`. With just one model there is
/// no need to say which.
pub(super) fn read(
    rule: &Section,
    models: &Models,
    window: usize,
    gap: Option<f32>,
    fused: &mut FusedScorings,
) -> Option<String> {
    if gap.is_some() && !matches!(rule.node("model"), Some(Node { value: Value::Table(_), .. })) {
        effort::refuse(rule);
    }
    match rule.node("model").map(|node| &node.value) {
        Some(Value::Table(_)) => {
            let section = rule.optional_table("model")?;
            let label = cascade(&section, models, window, gap, fused);
            section.finish();
            label
        }
        Some(_) => models.named(rule, "model"),
        None if models.is_empty() => {
            rule.error("model", "is missing, and there is no [models.…] table");
            None
        }
        None if models.only().is_none() => {
            rule.error("model", format!("is missing: say which of {}", models.names()));
            None
        }
        None => models.only().map(str::to_owned),
    }
}

/// The label of the cascade that the table describes.
fn cascade(
    section: &Section,
    models: &Models,
    window: usize,
    gap: Option<f32>,
    fused: &mut FusedScorings,
) -> Option<String> {
    let first = stage(section, "first", models);
    let then = stage(section, "then", models);
    let keep: Option<usize> = section.optional("keep");
    let is_bounded = keep.is_none_or(|keep| (1..=window).contains(&keep));
    if !is_bounded {
        section.error("keep", format!("must be 1 to {window}, the rule's window"));
    }
    let (first, then) = (first?, then?);
    if first == then {
        section
            .error("then", format!("must be another model than `first`; for `{then}` alone, write model = \"{then}\""));
        return None;
    }
    let keep = keep.unwrap_or(DEFAULT_KEEP);
    let label = label(&first, &then, keep);
    let signal = |name, keep, gap| SignalConfig {
        source: SourceConfig::Model { name, keep, gap },
        weighting: Weighting::alone(),
        probability: None,
    };
    let signals = vec![signal(first, None, None), signal(then, Some(keep), gap)];
    is_bounded.then(|| add(label, signals, models, fused))
}

fn stage(section: &Section, key: &'static str, models: &Models) -> Option<String> {
    if section.node(key).is_none() {
        section
            .error(key, format!("is missing: a cascade has a `first` model and a `then`, out of {}", models.names()));
        return None;
    }
    models.named(section, key)
}

/// `xsmall>base`; the number of hits that go on is told where it is not the usual one.
fn label(first: &str, then: &str, keep: usize) -> String {
    match keep {
        DEFAULT_KEEP => format!("{first}>{then}"),
        keep => format!("{first}>{then}:{keep}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Settings,
        reading::sources::lay_environment,
        testing::{MODEL, minimal, read, read_tree, read_with_two_models, written},
    };

    /// A configuration with two models, whose rules name this as theirs.
    fn with_two_models(rules: &[&str]) -> Result<Settings, Vec<String>> {
        read_with_two_models(&rules.iter().map(|model| format!("model = {model}")).collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_may_name_two_models_and_how_many_hits_go_on_to_the_second() {
        let settings = with_two_models(&[
            "{ first = \"m\", then = \"n\" }",
            "{ first = \"m\", then = \"n\", keep = 100 }",
            "{ first = \"m\", then = \"n\", keep = 20 }",
            "\"n\"",
        ])
        .expect("right");
        let models: Vec<&str> = settings.rules.iter().map(|rule| rule.model.as_str()).collect();
        assert_eq!(models, ["m>n", "m>n:100", "m>n", "n"]);
        let signal = |name: &str, keep| SignalConfig {
            source: SourceConfig::Model { name: name.to_owned(), keep, gap: None },
            weighting: Weighting::alone(),
            probability: None,
        };
        let cascade = |keep| vec![signal("m", None), signal("n", Some(keep))];
        assert_eq!(settings.fused.len(), 2);
        assert_eq!((&settings.fused["m>n"], &settings.fused["m>n:100"]), (&cascade(20), &cascade(100)));
    }

    #[test]
    fn a_cascade_can_be_set_by_the_environment() {
        let mut root = written(
            &minimal().replace("[[rules]]", &format!("[models.n]\npath = \"{MODEL}\"\n[[rules]]\nmodel = \"n\"")),
        );
        let variables = [("FIRST", "n"), ("THEN", "m"), ("KEEP", "7")];
        let variables =
            variables.map(|(key, value)| (format!("RERANK_PROXY_RULES__0__MODEL__{key}"), value.to_owned())).into();
        lay_environment(&mut root, &variables);
        let settings = read_tree(&root, &|_| None).expect("right");
        assert_eq!(settings.rules[0].model, "n>m:7");
    }

    #[test]
    fn what_does_not_go_together_in_a_cascade_is_a_mistake() {
        for (model, mistake) in [
            ("{ first = \"m\" }", "then: is missing: a cascade has a `first` model and a `then`, out of m, n"),
            ("{ first = \"m\", then = \"x\" }", "then: there is no model `x`; there is: m, n"),
            (
                "{ first = \"m\", then = \"m\" }",
                "then: must be another model than `first`; for `m` alone, write model = \"m\"",
            ),
            ("{ first = \"m\", then = \"n\", keep = 0 }", "keep: must be 1 to 100, the rule's window"),
            ("{ first = \"m\", then = \"n\", keep = 101 }", "keep: must be 1 to 100, the rule's window"),
            ("{ first = \"m\", then = \"n\", kep = 10 }", "kep: unknown key; did you mean `keep`?"),
            ("{ first = 1, then = \"n\" }", "first: must be a text in quotes, not empty"),
        ] {
            let errors = with_two_models(&[model]).expect_err(model);
            assert_eq!(errors, [format!("rerank.toml:9: rules[0].model.{mistake}")]);
        }
    }

    #[test]
    fn a_cascade_whose_name_is_taken_gets_a_number() {
        let text = minimal().replace(
            "[[rules]]",
            &format!("[models.n]\npath = \"{MODEL}\"\n[models.\"m>n\"]\npath = \"{MODEL}\"\n[[rules]]"),
        );
        let rule = "model = { first = \"m\", then = \"n\" }\n";
        let settings =
            read(&format!("{text}{rule}[[rules]]\nindex = \"*\"\n{rule}effort = \"fast\"\n")).expect("right");
        let labels: Vec<&str> = settings.rules.iter().map(|rule| rule.model.as_str()).collect();
        assert_eq!(labels, ["m>n#2", "m>n#3"], "a model has it, and rules of another effort are others");
    }
}
