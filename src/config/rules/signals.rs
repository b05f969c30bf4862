//! The key `signals` of a rule: what its hits are ordered by, several things added up. Owns the keys of a signal, the labels
//! that fused scorings go by, and that the words `model = { first, then }` mean a list of two signals.

use ranking::{fusion::Weighting, normalize::Normalize};

use super::{
    effort, field_signal, normalization, probability,
    signal::{FusedScorings, SignalConfig, SourceConfig, add},
};
use crate::config::{
    models::Models,
    reading::{section::Section, tree::Value},
};

/// The label of the rule's list of signals, which is added to `fused`.
pub(super) fn read(
    rule: &Section,
    models: &Models,
    window: usize,
    gap: Option<f32>,
    fused: &mut FusedScorings,
) -> Option<String> {
    for key in ["model", "blend"].into_iter().filter(|key| rule.node(key).is_some()) {
        rule.error(key, "belongs to a rule without `signals`, which say it all");
    }
    let Value::List(entries) = &rule.node("signals")?.value else {
        rule.error(
            "signals",
            "must be a list of tables, such as [{ model = \"fast\" }, { cluster = true, weight = 0.3 }]",
        );
        return None;
    };
    let path = rule.path_of("signals");
    let sections: Vec<Section> =
        entries.iter().enumerate().map(|(place, node)| rule.table_within(node, format!("{path}[{place}]"))).collect();
    let mut names: Vec<&str> = Vec::new();
    let read = |section| {
        names.push(name_in(section));
        signal(section, models, window, &names)
    };
    let signals: Vec<Option<SignalConfig>> = sections.iter().map(read).collect();
    let mut signals: Vec<SignalConfig> = signals.into_iter().collect::<Option<_>>()?;
    if !is_sound(rule, &sections, &signals) {
        return None;
    }
    effort::apply(rule, gap, &mut signals);
    if let [only] = &mut signals[..] {
        if let SourceConfig::Model { name, keep: None, .. } = &only.source
            && only.probability.is_none()
        {
            return Some(name.clone());
        }
        // There is nothing that it has to be made comparable to.
        only.weighting = Weighting::alone();
    }
    Some(add(label(&signals), signals, models, fused))
}

/// Reports what is wrong with the list as a whole.
fn is_sound(rule: &Section, sections: &[Section], signals: &[SignalConfig]) -> bool {
    let mut is_sound = true;
    let mut seen = Vec::new();
    for (signal, section) in signals.iter().zip(sections) {
        let (key, name) = (signal.source.key(), signal.source.name());
        if seen.contains(&(key, name)) {
            section.error(key, format!("`{name}` is there twice: give it one weight"));
            is_sound = false;
        }
        seen.push((key, name));
    }
    if !signals.iter().any(|signal| matches!(signal.source, SourceConfig::Model { .. })) {
        rule.error("signals", "names no model: without one there is nothing to rerank by");
        return false;
    }
    if signals.iter().all(|signal| signal.weighting.weight == 0.0) {
        rule.error("signals", "has no weight above 0: nothing would be put in order");
        return false;
    }
    is_sound
}

/// The model that a signal names, empty where it is none.
fn name_in<'a>(section: &Section<'a>) -> &'a str {
    match section.node("model").map(|node| &node.value) {
        Some(Value::Text(name)) => name,
        _ => "",
    }
}

/// Reads one signal; `names` are the models of the signals up to it.
fn signal(section: &Section, models: &Models, window: usize, names: &[&str]) -> Option<SignalConfig> {
    let source = source(section, models, window);
    let weight = section.or("weight", 1.0_f32);
    if weight < 0.0 {
        section.error("weight", "must be 0 or more");
    }
    let normalize = normalization::read(section);
    if normalize == Normalize::Logit && matches!(source, Some(SourceConfig::Cluster | SourceConfig::Field(_))) {
        section.error("normalize", "\"logit\" is for models: nothing else is a probability");
    }
    let probability = probability::read(section, names);
    if section.has("probability") && !section.has("model") {
        section.error("probability", "belongs to a model");
    }
    section.finish();
    let is_right = weight >= 0.0;
    Some(SignalConfig { source: source?, weighting: Weighting { weight, normalize, alone: false }, probability })
        .filter(|_| is_right)
}

/// The keys of a signal that say where its numbers come from; it has one of them.
const SOURCES: [&str; 3] = ["model", "cluster", "field"];

fn source(section: &Section, models: &Models, window: usize) -> Option<SourceConfig> {
    let keep: Option<usize> = section.optional("keep");
    let cluster: Option<bool> = section.optional("cluster");
    let model = section.node("model").and_then(|_| models.named(section, "model"));
    let field = section.node("field").and_then(|_| field_signal::read(section));
    let given: Vec<&str> = SOURCES.into_iter().filter(|key| section.has(key)).collect();
    match given[..] {
        [] => section.error("model", "is missing: a signal has a `model`, a `field`, or `cluster = true`"),
        [_] => {}
        [first, ..] => section.error(first, format!("give one of {}: each is a signal of its own", given.join(", "))),
    }
    if let Some(keep) = keep {
        if !section.has("model") {
            section.error("keep", "belongs to a model: everything else is known of every hit");
            return None;
        }
        if !(1..=window).contains(&keep) {
            section.error("keep", format!("must be 1 to {window}, the rule's window"));
            return None;
        }
    }
    if cluster == Some(false) {
        section.error("cluster", "must be true; to go without the cluster's score, leave the signal out");
        return None;
    }
    match given[..] {
        ["cluster"] => cluster.map(|_| SourceConfig::Cluster),
        ["model"] => model.map(|name| SourceConfig::Model { name, keep, gap: None }),
        ["field"] => field.map(SourceConfig::Field),
        _ => None,
    }
}

/// The label of a list: `fast+cluster`, `fast+best:20`.
fn label(signals: &[SignalConfig]) -> String {
    let part = |signal: &SignalConfig| match &signal.source {
        SourceConfig::Model { name, keep: Some(keep), .. } => format!("{name}:{keep}"),
        other => other.name().to_owned(),
    };
    signals.iter().map(part).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Settings,
        reading::sources::lay_environment,
        testing::{MODEL, minimal, read_tree, read_with_two_models, written},
    };

    /// A configuration with two models, whose rules have these lists.
    fn with_two_models(rules: &[&str]) -> Result<Settings, Vec<String>> {
        read_with_two_models(&rules.iter().map(|signals| format!("signals = {signals}")).collect::<Vec<_>>())
    }

    fn model(name: &str, keep: Option<usize>, weight: f32, normalize: Normalize) -> SignalConfig {
        let source = SourceConfig::Model { name: name.to_owned(), keep, gap: None };
        SignalConfig { source, weighting: Weighting { weight, normalize, alone: false }, probability: None }
    }

    #[test]
    fn a_rule_may_list_models_and_the_cluster_with_their_weights() {
        let settings = with_two_models(&[
            "[{ model = \"m\" }, { cluster = true, weight = 0.3 }, { model = \"n\", keep = 20, weight = 2 }]",
            "[{ model = \"m\", normalize = \"zscore\" }, { model = \"n\", normalize = \"rank\", k = 5 }]",
            "[{ model = \"m\" }, { model = \"n\" }]",
            "[{ model = \"n\" }]",
            "[{ model = \"n\", keep = 5 }]",
        ])
        .expect("right");
        let labels: Vec<&str> = settings.rules.iter().map(|rule| rule.model.as_str()).collect();
        assert_eq!(labels, ["m+cluster+n:20", "m+n", "m+n#2", "n", "n:5"], "each list has a label of its own");
        let cluster = SignalConfig {
            source: SourceConfig::Cluster,
            weighting: Weighting { weight: 0.3, normalize: Normalize::MinMax, alone: false },
            probability: None,
        };
        let expected =
            [model("m", None, 1.0, Normalize::MinMax), cluster, model("n", Some(20), 2.0, Normalize::MinMax)];
        assert_eq!(settings.fused[labels[0]], expected);
        let expected = [model("m", None, 1.0, Normalize::ZScore), model("n", None, 1.0, Normalize::Rank { k: 5.0 })];
        assert_eq!(settings.fused[labels[1]], expected);
        assert!(settings.fused[labels[4]][0].weighting.alone, "one signal has nothing to be compared to");
        assert!(settings.fuses_the_cluster(labels[0]) && !settings.fuses_the_cluster("m"));
    }

    #[test]
    fn a_rule_may_list_fields_of_the_document() {
        let list = |scale| {
            format!(
                "[{{ model = \"m\" }}, {{ field = \"m\", modifier = \"log1p\", missing = 0, weight = 0.2 }}, \
                 {{ field = \"published\", decay = \"exp\", scale = \"{scale}\", normalize = \"none\" }}]"
            )
        };
        let settings = with_two_models(&[&list("30d"), &list("60d"), &list("30d")]).expect("right");
        let labels: Vec<&str> = settings.rules.iter().map(|rule| rule.model.as_str()).collect();
        assert_eq!(labels, ["m+m+published", "m+m+published#2", "m+m+published"]);
        let fields: Vec<_> = settings.field_signals(labels[1]).collect();
        assert_eq!((fields.len(), fields[0].missing, fields[1].field.as_str()), (2, Some(0.0), "published"));
        assert_eq!(settings.fused[labels[0]][2].weighting.normalize, Normalize::Off);
        assert_eq!(settings.field_signals("m").count(), 0);
    }

    #[test]
    fn signals_can_be_set_by_the_environment() {
        let mut root = written(&minimal().replace(
            "[[rules]]\nindex = \"*\"\n",
            &format!("[models.n]\npath = \"{MODEL}\"\n[[rules]]\nindex = \"*\"\n"),
        ));
        let variables = [("0__MODEL", "n"), ("1__MODEL", "m"), ("1__KEEP", "7"), ("1__WEIGHT", "0.25")];
        let variables =
            variables.map(|(key, value)| (format!("RERANK_PROXY_RULES__0__SIGNALS__{key}"), value.to_owned())).into();
        lay_environment(&mut root, &variables);
        let settings = read_tree(&root, &|_| None).expect("right");
        assert_eq!(settings.rules[0].model, "n+m:7");
    }

    #[test]
    fn what_does_not_go_together_in_a_list_is_a_mistake() {
        for (signals, mistake) in [
            ("\"m\"", ": must be a list of tables, such as"),
            ("[]", ": names no model: without one there is nothing to rerank by"),
            ("[{ cluster = true }]", ": names no model: without one there is nothing to rerank by"),
            ("[{ weight = 1 }]", "[0].model: is missing: a signal has a `model`, a `field`, or `cluster = true`"),
            ("[{ model = \"x\" }]", "[0].model: there is no model `x`; there is: m, n"),
            ("[{ model = \"m\" }, { model = \"m\" }]", "[1].model: `m` is there twice: give it one weight"),
            (
                "[{ model = \"m\", cluster = true }]",
                "[0].model: give one of model, cluster: each is a signal of its own",
            ),
            ("[{ model = \"m\", keep = 0 }]", "[0].keep: must be 1 to 100, the rule's window"),
            ("[{ model = \"m\" }, { cluster = true, keep = 5 }]", "[1].keep: belongs to a model"),
            ("[{ model = \"m\" }, { cluster = false }]", "[1].cluster: must be true"),
            ("[{ model = \"m\", weight = -1 }]", "[0].weight: must be 0 or more"),
            ("[{ model = \"m\", weight = 0 }]", ": has no weight above 0"),
            (
                "[{ model = \"m\", normalize = \"max\" }]",
                "[0].normalize: must be one of minmax, zscore, logit, rank, none",
            ),
            ("[{ model = \"m\", k = 5 }]", "[0].k: belongs to normalize = \"rank\" only"),
            ("[{ model = \"m\", normalize = \"rank\", k = 0 }]", "[0].k: must be 1 or more"),
            (
                "[{ model = \"m\" }, { cluster = true, normalize = \"logit\" }]",
                "[1].normalize: \"logit\" is for models",
            ),
            ("[{ field = \"n\" }]", ": names no model: without one there is nothing to rerank by"),
            (
                "[{ model = \"m\" }, { field = \"n\" }, { field = \"n\" }]",
                "[2].field: `n` is there twice: give it one weight",
            ),
            ("[{ model = \"m\" }, { field = \"n\", keep = 5 }]", "[1].keep: belongs to a model"),
            ("[{ model = \"m\" }, { field = \"n\", normalize = \"logit\" }]", "[1].normalize: \"logit\" is for models"),
            (
                "[{ model = \"m\" }, { field = \"n\", modifier = \"ln\", missing = 0 }]",
                "[1].missing: stands in for a value",
            ),
            ("[{ model = \"m\", field = \"n\" }]", "[0].model: give one of model, field: each is a signal of its own"),
            ("[{ model = \"m\", wait = 1 }]", "[0].wait: unknown key; did you mean"),
        ] {
            let errors = with_two_models(&[signals]).expect_err(signals);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].starts_with(&format!("rerank.toml:9: rules[0].signals{mistake}")), "{errors:?}");
        }
        let errors =
            with_two_models(&["[{ model = \"m\" }]\nmodel = \"n\"\nblend = { method = \"rrf\" }"]).expect_err("both");
        assert!(errors[0].contains("rules[0].model: belongs to a rule without `signals`"), "{errors:?}");
        assert!(errors[1].contains("rules[0].blend: belongs to a rule without `signals`"), "{errors:?}");
    }
}
