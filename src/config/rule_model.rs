//! What scores a rule's searches: one model by its name, or two in a cascade. Owns the key `model` of a rule, and the
//! labels of cascades.

use indexmap::IndexMap;

use super::{
    CascadeConfig,
    models::Models,
    read::{Findings, Section},
    source::Value,
};

/// The cascades of all rules by their labels.
pub(super) type Cascades = IndexMap<String, CascadeConfig>;

/// How many hits the second model of a cascade re-scores.
const DEFAULT_KEEP: usize = 20;

/// The name of the rule's model, or the label of its cascade, which is added to `cascades`. With just one model there is
/// no need to say which.
pub(super) fn rule_model(
    rule: &Section,
    models: &Models,
    window: usize,
    cascades: &mut Cascades,
    findings: &Findings,
) -> Option<String> {
    match rule.node("model") {
        Some(node) if matches!(node.value, Value::Table(_)) => {
            let section = Section::new(node, rule.path_of("model"), findings);
            let label = cascade(&section, models, window, cascades);
            section.finish();
            label
        }
        Some(_) => named(rule, "model", models),
        None if models.len() == 1 => models.keys().next().cloned(),
        None if models.is_empty() => {
            rule.error("model", "is missing, and there is no [models.…] table");
            None
        }
        None => {
            rule.error("model", format!("is missing: say which of {}", names(models)));
            None
        }
    }
}

/// The label of the cascade that the table describes.
fn cascade(section: &Section, models: &Models, window: usize, cascades: &mut Cascades) -> Option<String> {
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
    let cascade = CascadeConfig { first, then, keep: keep.unwrap_or(DEFAULT_KEEP) };
    let label = label(&cascade);
    // Names may hold any characters, those of a label, too.
    if models.contains_key(&label) || cascades.get(&label).is_some_and(|known| *known != cascade) {
        section.error("first", format!("the cascade would go by the name `{label}`, which is taken: rename a model"));
        return None;
    }
    cascades.insert(label.clone(), cascade);
    is_bounded.then_some(label)
}

fn stage(section: &Section, key: &'static str, models: &Models) -> Option<String> {
    if section.node(key).is_none() {
        section.error(key, format!("is missing: a cascade has a `first` model and a `then`, out of {}", names(models)));
        return None;
    }
    named(section, key, models)
}

/// The model under `key`, which must be there.
fn named(section: &Section, key: &'static str, models: &Models) -> Option<String> {
    let name: String = section.optional(key)?;
    if models.contains_key(&name) {
        return Some(name);
    }
    match models.is_empty() {
        true => section.error(key, format!("there is no model `{name}`: add a table [models.{name}]")),
        false => section.error(key, format!("there is no model `{name}`; there is: {}", names(models))),
    }
    None
}

fn names(models: &Models) -> String {
    models.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// `xsmall>base`; how many go on is said where it is not the usual number.
fn label(cascade: &CascadeConfig) -> String {
    let CascadeConfig { first, then, keep } = cascade;
    match *keep {
        DEFAULT_KEEP => format!("{first}>{then}"),
        keep => format!("{first}>{then}:{keep}"),
    }
}
