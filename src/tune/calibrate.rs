//! The probabilities of a setting: a curve for its model, or for each of its signals over what has been asked by then, fitted to the
//! judgements. As with the measures, a hit that was not judged is not good.

use evaluation::tuning::{
    Observed,
    calibration::{Judged, Threshold, Worth, fit, thresholds, worth},
    trial::{Scoring, Setting, Signal, Source},
};

use super::rule::Curves;

/// The lowest grade of a hit that is good.
const GOOD: i32 = 1;

/// The curves of a setting, and what they are worth.
#[derive(Debug, Default)]
pub(super) struct Calibration {
    pub(super) curves: Curves,
    /// What the last of them is worth on queries that it was not fitted to; `None` where there is none.
    pub(super) worth: Option<Worth>,
    /// What thresholds let through by the last of them.
    pub(super) thresholds: Vec<Threshold>,
    lacks: bool,
}

impl Calibration {
    /// Whether every model of the setting has a curve, so that a threshold means something.
    pub(super) fn is_whole(&self) -> bool {
        !self.lacks && self.curves.iter().any(Option::is_some)
    }
}

/// Fits the curves of a setting. One that tells no more than the share of good hits is left out.
pub(super) fn calibrate(queries: &[Observed], setting: &Setting, models: usize) -> Calibration {
    let mut calibration = Calibration::default();
    // By signal: the models that have been asked by then, where it is a model.
    let asked: Vec<Option<Vec<usize>>> = match &setting.scoring {
        Scoring::Cluster => Vec::new(),
        Scoring::Model { model, .. } => vec![Some(vec![*model])],
        Scoring::Signals(signals) => {
            let mut asked = Vec::with_capacity(models);
            let models = |signal: &Signal| match signal.source {
                Source::Cluster => None,
                Source::Model { model, .. } => {
                    asked.push(model);
                    Some(asked.clone())
                }
            };
            signals.iter().map(models).collect()
        }
    };
    for models in asked {
        let curve = models.and_then(|models| {
            let judged: Vec<Vec<Judged>> = queries.iter().map(|query| judged(query, setting.window, &models)).collect();
            let found = worth(&judged, &models).filter(|worth| worth.log_loss < worth.log_loss_of_the_share);
            let all: Vec<Judged> = judged.into_iter().flatten().collect();
            let curve = found.and_then(|_| fit(&all, &models));
            calibration.lacks |= curve.is_none();
            if let Some(curve) = &curve {
                (calibration.worth, calibration.thresholds) = (found, thresholds(&all, curve));
            }
            curve
        });
        calibration.curves.push(curve);
    }
    calibration
}

/// The hits of a window of which all these models say something.
fn judged(query: &Observed, window: usize, models: &[usize]) -> Vec<Judged> {
    let hits = query.hits.iter().take(window).filter_map(|hit| {
        let number = |model: &usize| hit.outputs[*model].map(|output| output.raw).filter(|raw| raw.is_finite());
        let numbers = models.iter().map(number).collect::<Option<Vec<f32>>>()?;
        Some(Judged { numbers, good: query.grades.of(&hit.id).is_some_and(|grade| grade >= GOOD) })
    });
    hits.collect()
}

#[cfg(test)]
mod tests {
    use evaluation::tuning::{Hit, settings::settings};
    use ranking::value::Value;

    use super::*;

    /// Queries whose good hits the first model gives more; the second knows nothing.
    fn queries() -> Vec<Observed> {
        let hit = |query: usize, place: usize| Hit {
            id: place.to_string(),
            cluster: Some(10.0 - place as f32),
            outputs: vec![
                // Some overlap.
                Some(Value::as_is(if place < 3 { 2.0 } else { 0.0 } + ((query * 7 + place * 5) % 11) as f32 / 5.0)),
                Some(Value::as_is(((query * 3 + place * 13) % 7) as f32)),
            ],
        };
        let one = |query| Observed {
            grades: ["0", "1", "2"].map(|id| (id, 1)).into_iter().collect(),
            hits: (0..12).map(|place| hit(query, place)).collect(),
        };
        (0..40).map(one).collect()
    }

    #[test]
    fn a_model_that_tells_nothing_gets_no_curve_and_a_threshold_means_nothing() {
        let alone =
            |model| Setting { window: 12, scoring: Scoring::Model { model, blend: ranking::order::Blend::Replace } };
        let found = calibrate(&queries(), &alone(0), 2);
        let curve = found.curves[0].as_ref().expect("a curve");
        assert!(curve.slopes[0].0 == 0 && curve.slopes[0].1 > 0.0 && found.is_whole(), "{found:?}");
        assert_eq!(found.thresholds.len(), 9);
        let found = calibrate(&queries(), &alone(1), 2);
        assert!(found.curves == [None] && !found.is_whole(), "{found:?}");
        assert!(!calibrate(&queries(), &Setting::cluster(), 2).is_whole());
    }

    #[test]
    fn each_signal_has_a_curve_over_what_was_asked_by_then() {
        let fused = settings(&[0, 1], 12).into_iter().find(|setting| match &setting.scoring {
            Scoring::Signals(signals) => signals.len() == 3,
            _ => false,
        });
        let found = calibrate(&queries(), &fused.expect("one with the cluster"), 2);
        let models = |curve: &Option<ranking::calibration::Curve>| {
            curve.as_ref().map(|curve| curve.slopes.iter().map(|(model, _)| *model).collect::<Vec<_>>())
        };
        assert_eq!(found.curves.iter().map(models).collect::<Vec<_>>(), [None, Some(vec![0]), Some(vec![0, 1])]);
        assert!(found.is_whole());
    }
}
