//! The table `probability` of a rule with one model, or of a signal: the constants of the logistic curve that makes a
//! probability of raw outputs.

use ranking::calibration::Curve;

use crate::config::reading::{section::Section, setting::Setting, tree::Value};

/// The key of the constant that is added.
const OFFSET: &str = "offset";

/// Reads the table in `section`. `signals` are the names of the models whose output may be in the sum, by their places.
pub(super) fn read(section: &Section, signals: &[&str]) -> Option<Curve> {
    let node = section.node("probability")?;
    let Value::Table(table) = &node.value else {
        section.error(
            "probability",
            "must be a table, such as { fast = 0.9, offset = -1.2 }: a factor for each model's output",
        );
        return None;
    };
    let mut curve = Curve { slopes: Vec::new(), offset: 0.0 };
    let mut is_right = true;
    for (key, node) in table {
        let place = signals.iter().position(|name| name == key);
        match (f32::read(node), place) {
            (Ok(number), _) if key == OFFSET => curve.offset = number,
            (Ok(number), Some(place)) => curve.slopes.push((place, number)),
            (Ok(_), None) => {
                section.error(
                    "probability",
                    format!(
                        "`{key}` is not the name of a model that has been asked by then; use: {}",
                        signals.join(", ")
                    ),
                );
                is_right = false;
            }
            (Err(message), _) => {
                section.error("probability", format!("`{key}` {message}"));
                is_right = false;
            }
        }
    }
    if curve.slopes.is_empty() && is_right {
        section.error("probability", "names no model: it wants a factor for the output of one at least");
        is_right = false;
    }
    is_right.then_some(curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read_with_two_models;

    fn rule(keys: &str) -> Result<crate::config::Settings, Vec<String>> {
        read_with_two_models(&[keys])
    }

    #[test]
    fn a_rule_s_model_and_each_model_of_a_list_may_have_a_curve() {
        let settings = rule("model = \"m\"\nprobability = { m = 0.5, offset = -1 }\nmin_score = 0.2").expect("right");
        let curve = Curve { slopes: vec![(0, 0.5)], offset: -1.0 };
        assert_eq!((&settings.rules[0].probability, settings.rules[0].min_score), (&Some(curve), Some(0.2)));
        let list = "signals = [{ model = \"m\", probability = { m = 16 } }, \
                    { cluster = true }, { model = \"n\", probability = { m = 10, n = 0.2, offset = -5 } }]\nmin_score = 0.1";
        let settings = rule(list).expect("right");
        let signals = &settings.fused[&settings.rules[0].model];
        assert_eq!(signals[2].probability, Some(Curve { slopes: vec![(0, 10.0), (2, 0.2)], offset: -5.0 }));
    }

    #[test]
    fn what_makes_no_probability_is_a_mistake() {
        for (keys, mistake) in [
            ("model = \"m\"\nprobability = 3", "probability: must be a table"),
            ("model = \"m\"\nprobability = { offset = 1 }", "probability: names no model"),
            (
                "model = \"m\"\nprobability = { n = 1 }",
                "probability: `n` is not the name of a model that has been asked by then; use: m",
            ),
            ("model = \"m\"\nprobability = { m = \"x\" }", "probability: `m` must be a number"),
            ("model = \"m\"\nmin_score = 0.1", "min_score: needs a `probability`: { MODEL = factor, offset = number }"),
            ("model = \"m\"\nprobability = { m = 1 }\nmin_score = 7", "min_score: must be a probability, 0 to 1"),
            (
                "signals = [{ model = \"m\" }, { model = \"n\" }]\nprobability = { m = 1 }",
                "probability: belongs to a rule with one model",
            ),
            (
                "signals = [{ model = \"m\" }, { cluster = true, probability = { m = 1 } }]",
                "signals[1].probability: belongs to a model",
            ),
        ] {
            let errors = rule(keys).expect_err(keys);
            assert!(errors.len() == 1 && errors[0].contains(&format!("rules[0].{mistake}")), "{errors:?}");
        }
    }
}
