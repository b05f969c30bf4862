//! What a setting makes of one query: the order of its hits, and how many pairs each model is asked for. Owns no arithmetic: fusion,
//! depth, blend and order are those that serve searches.

use ranking::{
    fusion::{Fusion, Weighting},
    order::{Blend, order},
    value::Value,
};
use scoring::fused::Depth;

use super::Observed;

/// A setting of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The number of hits that are put in order.
    pub window: usize,
    /// How.
    pub scoring: Scoring,
}

/// How the hits of a window are put in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Scoring {
    /// Not at all: the cluster's order stands.
    Cluster,
    /// By one model, as `model` and `blend` of a rule say.
    Model {
        /// The model, by its place.
        model: usize,
        /// What its scores are blended with.
        blend: Blend,
    },
    /// By `signals` of a rule.
    Signals(Vec<Signal>),
}

/// One of the `signals` of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Where its numbers come from.
    pub source: Source,
    /// How they count.
    pub weighting: Weighting,
}

/// Where a signal's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    /// The cluster's score.
    Cluster,
    /// A model, by its place.
    Model {
        /// The model.
        model: usize,
        /// The hits that it is asked for.
        depth: Depth,
    },
}

/// What a setting makes of one query.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial<'a> {
    /// The ids of the hits, best first.
    pub ranked: Vec<&'a str>,
    /// How many pairs each model was asked for.
    pub pairs: Vec<usize>,
}

impl Setting {
    /// The cluster's own order.
    pub fn cluster() -> Setting {
        Setting { window: 0, scoring: Scoring::Cluster }
    }

    /// What it makes of a query, with so many models.
    pub fn trial<'a>(&self, query: &'a Observed, models: usize) -> Trial<'a> {
        let window = &query.hits[..self.window.min(query.hits.len())];
        let mut pairs = vec![0; models];
        let output = |hit: usize, model: usize| window[hit].outputs.get(model).copied().flatten();
        let (scores, blend) = match &self.scoring {
            Scoring::Cluster => (Vec::new(), Blend::Replace),
            Scoring::Model { model, blend } => {
                pairs[*model] = window.len();
                ((0..window.len()).map(|hit| output(hit, *model)).collect::<Vec<Option<Value>>>(), *blend)
            }
            Scoring::Signals(signals) => {
                let mut fusion = Fusion::of(window.len());
                for Signal { source, weighting } in signals {
                    match *source {
                        Source::Cluster => {
                            fusion.give(*weighting, window.iter().map(|hit| hit.cluster.map(Value::as_is)).collect());
                        }
                        Source::Model { model, depth } => {
                            let mut values = vec![None; window.len()];
                            for place in depth.places(&fusion) {
                                pairs[model] += 1;
                                values[place] = output(place, model);
                            }
                            fusion.answer(*weighting, values);
                        }
                    }
                }
                (fusion.scores().into_iter().map(|fused| Some(fused?.score)).collect(), Blend::Replace)
            }
        };
        let cluster: Vec<Option<f32>> = query.hits.iter().map(|hit| hit.cluster).collect();
        let ranked = order(&cluster, &scores, 0, blend);
        Trial { ranked: ranked.into_iter().map(|ranked| query.hits[ranked.hit].id.as_str()).collect(), pairs }
    }
}

#[cfg(test)]
mod tests {
    use ranking::normalize::Normalize;

    use super::*;
    use crate::tuning::Hit;

    fn query() -> Observed {
        let hit = |id: &str, cluster, first, second| Hit {
            id: id.to_owned(),
            cluster: Some(cluster),
            outputs: vec![Some(Value::as_is(first)), Some(Value::as_is(second))],
        };
        Observed {
            grades: [("c", 1)].into_iter().collect(),
            hits: vec![
                hit("a", 4.0, 0.1, 0.9),
                hit("b", 3.0, 0.2, 0.1),
                hit("c", 2.0, 0.9, 0.2),
                hit("d", 1.0, 0.8, 0.3),
            ],
        }
    }

    fn summed() -> Weighting {
        Weighting { weight: 1.0, normalize: Normalize::MinMax, alone: false }
    }

    #[test]
    fn what_lies_beyond_the_window_follows_in_the_clusters_order() {
        let query = query();
        assert_eq!(Setting::cluster().trial(&query, 2), Trial { ranked: vec!["a", "b", "c", "d"], pairs: vec![0, 0] });
        let setting = Setting { window: 3, scoring: Scoring::Model { model: 0, blend: Blend::Replace } };
        assert_eq!(setting.trial(&query, 2), Trial { ranked: vec!["c", "b", "a", "d"], pairs: vec![3, 0] });
    }

    #[test]
    fn a_second_model_is_asked_for_the_best_of_the_first_and_no_more() {
        let query = query();
        let model = |model, keep| Signal {
            source: Source::Model { model, depth: Depth { keep, gap: None } },
            weighting: summed(),
        };
        let setting = Setting { window: 10, scoring: Scoring::Signals(vec![model(0, None), model(1, Some(2))]) };
        // c and d are the first one's best; the two together prefer either by .1 less than the other.
        let trial = setting.trial(&query, 2);
        assert_eq!((&trial.ranked[2..], &trial.pairs[..]), (&["b", "a"][..], &[4, 2][..]));
    }
}
