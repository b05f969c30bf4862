//! What is tried: windows, models, blends, and two models one after the other, to depths. Owns the grid: coarse, since a finer one fits
//! the queries that it is chosen by rather than those that come.

use ranking::{fusion::Weighting, normalize::Normalize, order::Blend};
use scoring::fused::Depth;

use super::trial::{Scoring, Setting, Signal, Source};

/// The windows that are tried, as far as hits were observed.
const WINDOWS: [usize; 5] = [10, 20, 50, 100, 200];

/// The shares of a model in a blend with the cluster's score.
const SHARES: [f32; 4] = [1.0, 0.8, 0.6, 0.4];

/// The depths to which a second model is asked.
const DEPTHS: [(Option<usize>, Option<f32>); 6] = [
    (Some(5), None),
    (Some(10), None),
    (Some(20), None),
    (Some(50), None),
    // `effort` balanced and thorough.
    (Some(20), Some(1.75)),
    (Some(50), Some(2.5)),
];

/// The weights of a second model, where that of the first is 1 less it.
const SECONDS: [f32; 2] = [0.5, 0.8];

/// All settings that are tried for models of which so many are there, `widest` hits having been observed; the cluster's own order
/// is the first of them. `cheapest_first` are their places by what a pair costs: of two, the cheaper one goes first.
pub fn settings(cheapest_first: &[usize], widest: usize) -> Vec<Setting> {
    let mut settings = vec![Setting::cluster()];
    let mut windows: Vec<usize> = WINDOWS.into_iter().filter(|window| *window < widest).collect();
    windows.push(widest);
    for window in windows {
        let setting = |scoring| Setting { window, scoring };
        for &model in cheapest_first {
            let blends = SHARES.map(|weight| if weight < 1.0 { Blend::Linear { weight } } else { Blend::Replace });
            let blends = blends.into_iter().chain([Blend::Rrf { k: 60.0 }]);
            settings.extend(blends.map(|blend| setting(Scoring::Model { model, blend })));
        }
        for (place, &first) in cheapest_first.iter().enumerate() {
            for &second in &cheapest_first[place + 1..] {
                for (keep, gap) in DEPTHS.into_iter().filter(|(keep, _)| keep.is_none_or(|keep| keep < window)) {
                    for weight in SECONDS {
                        for cluster in [0.0, 0.2] {
                            settings.push(setting(fused(first, second, weight, cluster, Depth { keep, gap })));
                        }
                    }
                }
            }
        }
    }
    settings
}

fn fused(first: usize, second: usize, weight: f32, cluster: f32, depth: Depth) -> Scoring {
    let weighted = |weight| Weighting { weight, normalize: Normalize::MinMax, alone: false };
    let model = |model, weight, depth| Signal { source: Source::Model { model, depth }, weighting: weighted(weight) };
    let mut signals = Vec::with_capacity(3);
    if cluster > 0.0 {
        signals.push(Signal { source: Source::Cluster, weighting: weighted(cluster) });
    }
    signals.push(model(first, 1.0 - weight, Depth::default()));
    signals.push(model(second, weight, depth));
    Scoring::Signals(signals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clusters_order_is_among_them_once_and_none_is_there_twice() {
        for widest in [5, 10, 100, 1000] {
            let settings = settings(&[1, 0], widest);
            assert_eq!(settings[0], Setting::cluster());
            assert!(
                settings[1..].iter().all(|setting| setting.scoring != Scoring::Cluster && setting.window <= widest)
            );
            for (place, setting) in settings.iter().enumerate() {
                assert!(!settings[..place].contains(setting), "{setting:?}");
            }
        }
    }

    #[test]
    fn of_two_models_the_cheaper_one_goes_first() {
        let firsts = settings(&[1, 0], 50).into_iter().filter_map(|setting| match setting.scoring {
            Scoring::Signals(signals) => signals.into_iter().find_map(|signal| match signal.source {
                Source::Model { model, .. } => Some(model),
                Source::Cluster => None,
            }),
            _ => None,
        });
        assert!(firsts.into_iter().all(|model| model == 1));
    }
}
