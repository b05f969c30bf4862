//! A rule of the configuration as a setting that can be tried, and a setting as the keys of a rule.

use evaluation::tuning::trial::{Scoring, Setting, Signal, Source};
use ranking::{calibration::Curve, fusion::Weighting, order::Blend};
use scoring::fused::Depth;

use crate::config::{
    Settings, SignalConfig, SourceConfig,
    rules::{Mode, Rule, effort_key, normalization_keys},
};

/// The curves of a setting: of its only model, or of each of its signals in their order. A slope's place is that of a model.
pub(super) type Curves = Vec<Option<Curve>>;

/// The keys of a rule that a setting has a say in. [`lines`] writes some of them; the others of a rule are not touched.
pub(super) const KEYS: [&str; 7] = ["window", "model", "signals", "blend", "effort", "pairs", "probability"];

/// What a rule does now, by the places of `models`. Only what tuning changes: pins, diversity and thresholds are left as they are.
///
/// # Errors
/// A sentence on what of it cannot be tried.
pub(super) fn setting(settings: &Settings, rule: &Rule, models: &[&str]) -> Result<Setting, String> {
    if rule.mode == Mode::Off {
        return Ok(Setting::cluster());
    }
    let place = |name: &str| {
        let found = models.iter().position(|model| *model == name);
        found.ok_or_else(|| {
            format!("the rule's model `{name}` is not among those that are tried: {}", models.join(", "))
        })
    };
    let scoring = match settings.fused.get(&rule.model) {
        None => Scoring::Model { model: place(&rule.model)?, blend: rule.blend },
        Some(signals) => {
            let signal = |signal: &SignalConfig| {
                let source = match &signal.source {
                    SourceConfig::Cluster => Source::Cluster,
                    SourceConfig::Model { name, keep, gap } => {
                        Source::Model { model: place(name)?, depth: Depth { keep: *keep, gap: *gap } }
                    }
                    SourceConfig::Field(field) => {
                        return Err(format!(
                            "the rule's signals include the field `{}`, which judgements of texts say nothing about: leave it out \
                             to tune the others, and add it again",
                            field.field
                        ));
                    }
                };
                Ok(Signal { source, weighting: signal.weighting })
            };
            Scoring::Signals(signals.iter().map(signal).collect::<Result<_, _>>()?)
        }
    };
    Ok(Setting { window: rule.window, scoring })
}

/// A setting as lines of a rule.
pub(super) fn lines(setting: &Setting, models: &[&str], curves: &Curves) -> Vec<String> {
    let curve = |place: usize| {
        let curve = curves.get(place)?.as_ref()?;
        let slopes =
            curve.slopes.iter().map(|(model, slope)| format!("{} = {}, ", key(models[*model]), number(*slope)));
        Some(format!("probability = {{ {}offset = {} }}", slopes.collect::<String>(), number(curve.offset)))
    };
    let mut lines = Vec::new();
    match &setting.scoring {
        Scoring::Cluster => return vec!["mode = \"off\"".to_owned()],
        Scoring::Model { model, blend } => {
            lines.push(format!("window = {}", setting.window));
            lines.push(format!("model = {}", text(models[*model])));
            match blend {
                Blend::Replace => {}
                Blend::Linear { weight } => {
                    lines.push(format!("blend = {{ method = \"linear\", weight = {} }}", number(*weight)));
                }
                Blend::Rrf { k } => lines.push(format!("blend = {{ method = \"rrf\", k = {} }}", number(*k))),
            }
            lines.extend(curve(0));
        }
        Scoring::Signals(signals) => {
            lines.push(format!("window = {}", setting.window));
            lines.push("signals = [".to_owned());
            lines.extend(
                signals
                    .iter()
                    .enumerate()
                    .map(|(place, signal)| format!("    {},", table(signal, models, curve(place)))),
            );
            lines.push("]".to_owned());
            let gap = signals.iter().find_map(|signal| match signal.source {
                Source::Model { depth, .. } => depth.gap,
                Source::Cluster => None,
            });
            lines.extend(gap.map(effort_key));
        }
    }
    lines
}

/// A signal as an inline table.
fn table(Signal { source, weighting }: &Signal, models: &[&str], probability: Option<String>) -> String {
    let what = match source {
        Source::Cluster => "cluster = true".to_owned(),
        Source::Model { model, .. } => format!("model = {}", text(models[*model])),
    };
    let keep = match source {
        Source::Model { depth: Depth { keep: Some(keep), .. }, .. } => format!(", keep = {keep}"),
        _ => String::new(),
    };
    let Weighting { weight, normalize, .. } = weighting;
    let probability = probability.map(|curve| format!(", {curve}")).unwrap_or_default();
    format!("{{ {what}, weight = {}{}{keep}{probability} }}", number(*weight), normalization_keys(*normalize))
}

/// A number with the digits that tell it from others, at least one behind the point.
fn number(number: f32) -> String {
    format!("{number:?}")
}

/// A text in quotes.
fn text(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// A key, in quotes where it must be.
fn key(key: &str) -> String {
    toml_edit::Key::new(key).to_string()
}

#[cfg(test)]
mod tests {
    use evaluation::tuning::settings::settings as grid;

    use super::*;
    use crate::config::testing::{MODEL, read};

    const MODELS: [&str; 2] = ["first", "se.cond"];

    fn configured(rule: &[String]) -> Result<Settings, Vec<String>> {
        let models = format!("[models.first]\npath = \"{MODEL}\"\n[models.\"se.cond\"]\npath = \"{MODEL}\"\n");
        read(&format!(
            "[upstream]\nurl = \"http://localhost:9200\"\n{models}[[rules]]\nindex = \"*\"\n{}\n",
            rule.join("\n")
        ))
    }

    /// A curve for each model that a setting asks, of it and of those before it.
    fn curves(setting: &Setting) -> Curves {
        let curve = |models: &[usize]| {
            Some(Curve { slopes: models.iter().map(|model| (*model, 0.25)).collect(), offset: -1.5 })
        };
        match &setting.scoring {
            Scoring::Cluster => vec![],
            Scoring::Model { model, .. } => vec![curve(&[*model])],
            Scoring::Signals(signals) => {
                let mut asked = Vec::new();
                let of = |signal: &Signal| match signal.source {
                    Source::Cluster => None,
                    Source::Model { model, .. } => {
                        asked.push(model);
                        curve(&asked)
                    }
                };
                signals.iter().map(of).collect()
            }
        }
    }

    #[test]
    fn every_setting_that_is_tried_is_a_rule_and_that_rule_is_the_setting() {
        for setting in &grid(&[0, 1], 200)[1..] {
            for curves in [vec![], curves(setting)] {
                let lines = lines(setting, &MODELS, &curves);
                let settings = configured(&lines).unwrap_or_else(|mistakes| panic!("{lines:?}: {mistakes:?}"));
                let read = self::setting(&settings, &settings.rules[0], &MODELS).expect("a setting");
                assert_eq!(&read, setting, "{lines:?}");
                assert_eq!(settings.is_calibrated(&settings.rules[0], &settings.rules[0].model), !curves.is_empty());
                let keys = lines.iter().filter(|line| !line.starts_with([' ', ']']));
                assert!(keys.filter_map(|line| line.split(" =").next()).all(|key| KEYS.contains(&key)), "{lines:?}");
            }
        }
        let off = [lines(&Setting::cluster(), &MODELS, &vec![]), vec!["model = \"first\"".to_owned()]].concat();
        let off = configured(&off).expect("right");
        assert_eq!(setting(&off, &off.rules[0], &MODELS), Ok(Setting::cluster()));
    }

    #[test]
    fn what_cannot_be_tried_is_named() {
        let rule = |text: &str| configured(&[text.to_owned()]).expect("right");
        let field = rule("signals = [{ model = \"first\" }, { field = \"sales\", missing = 0 }]");
        let mistake = setting(&field, &field.rules[0], &MODELS).expect_err("a field");
        assert!(mistake.contains("the field `sales`"), "{mistake}");
        let other = rule("model = \"se.cond\"");
        let mistake = setting(&other, &other.rules[0], &MODELS[..1]).expect_err("another model");
        assert!(mistake.contains("`se.cond` is not among those that are tried: first"), "{mistake}");
    }
}
