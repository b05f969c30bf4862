//! The inline table `blend` of a rule: how the score of the model and that of the cluster become one.

use ranking::order::Blend;

use crate::config::reading::section::Section;

/// The methods, each with its parameters at their defaults.
const METHODS: [(&str, Blend); 3] = [
    ("replace", Blend::Replace),
    ("linear", Blend::Linear { weight: Blend::USUAL_WEIGHT }),
    ("rrf", Blend::Rrf { k: Blend::USUAL_K }),
];

/// Reads the table in a rule; the model's score replaces the cluster's where there is none.
pub(super) fn read(rule: &Section) -> Blend {
    let Some(section) = rule.optional_table("blend") else { return Blend::Replace };
    let method = section.choice("method", Blend::Replace, &METHODS);
    let weight: Option<f32> = section.optional("weight");
    let k: Option<f32> = section.optional("k");
    if weight.is_some() && !matches!(method, Blend::Linear { .. }) {
        section.error("weight", "belongs to method = \"linear\" only");
    }
    if k.is_some() && !matches!(method, Blend::Rrf { .. }) {
        section.error("k", "belongs to method = \"rrf\" only");
    }
    if weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
        section.error("weight", "must be 0 (the cluster alone) to 1 (the model alone)");
    }
    if k.is_some_and(|k| k < 1.0) {
        section.error("k", "must be 1 or more");
    }
    section.finish();
    match method {
        Blend::Replace => Blend::Replace,
        Blend::Linear { weight: usual } => Blend::Linear { weight: weight.unwrap_or(usual) },
        Blend::Rrf { k: usual } => Blend::Rrf { k: k.unwrap_or(usual) },
    }
}
