//! Advice: the best setting within a cost, and what it will be worth on queries that it was not chosen by. Owns the cross-validation: the
//! queries are dealt into folds, each fold is measured with the setting that the others chose, and it is these measurements that are
//! told. What is best on all of them is what is advised; that it looks best there is told nowhere, since it would look so by chance too.

use std::{num::NonZero, thread};

use super::{Observed, trial::Setting};
use crate::{
    measures::{Measure, mean},
    random::Random,
    significance::{Interval, Outcomes, bootstrap_interval, randomisation_p},
};

/// Into how many parts the queries are dealt.
const FOLDS: usize = 5;

/// How often they are dealt anew: one deal may be a lucky one.
const DEALS: usize = 5;

/// The fewest queries that advice is given on: intervals of fewer are too narrow.
pub const LEAST_QUERIES: usize = 20;

/// Two means closer than this are the same, and the cheaper setting is the better one.
const TIE: f64 = 1e-9;

const SEED: u64 = 0x7E57;

/// What a pair costs with each model, in seconds: all workers together.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// By the models' places.
    pub seconds_a_pair: Vec<f64>,
}

/// What a search may cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limit {
    /// The 95th percentile of the seconds that scoring takes, where no score is cached.
    pub seconds: Option<f64>,
    /// The mean of the pairs, of all models together.
    pub pairs: Option<f64>,
}

/// What a setting costs on the queries that were observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The mean of the pairs a search, of all models together.
    pub pairs: f64,
    /// The mean of the seconds that scoring takes, where no score is cached.
    pub mean_seconds: f64,
    /// Their 95th percentile.
    pub p95_seconds: f64,
}

/// Whether to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The interval of the gain lies above zero.
    Recommended,
    /// It includes zero, or what there is now is the best: nothing is known to be better.
    NoGain,
    /// There are fewer than [`LEAST_QUERIES`].
    TooFewQueries,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Whether to change anything.
    pub verdict: Verdict,
    /// The setting that is best on all queries, by its place among those that were tried; `None` where it is the one of now.
    pub best: Option<usize>,
    /// What it costs.
    pub cost: Cost,
    /// What the setting of now costs.
    pub cost_now: Cost,
    /// The mean of the measure with the setting of now.
    pub now: f64,
    /// The mean on queries that had no part in the choice.
    pub expected: f64,
    /// Their differences to the setting of now: query by query, in their order.
    pub gains: Vec<f64>,
    /// Where the mean gain lies, with [`crate::significance::CONFIDENCE`].
    pub interval: Interval,
    /// Where the mean gain of as many other queries will be found, 99 times in 100: they are drawn by chance as well.
    pub of_others: Interval,
    /// The p of a paired randomisation test.
    pub p: f64,
    /// By which setting how many queries are better.
    pub outcomes: Outcomes,
    /// How often the folds chose what all queries choose, of all times.
    pub agreement: f64,
    /// How many of the settings the limit allows.
    pub affordable: usize,
    /// Whether it allows the setting of now.
    pub now_is_affordable: bool,
}

/// What every setting made of every query.
struct Trials {
    /// By setting, by query.
    measured: Vec<Vec<f64>>,
    costs: Vec<Cost>,
}

/// Finds the best of `settings` within `limit`, beside the one of `now`, which is not held to it.
pub fn advise(
    queries: &[Observed],
    settings: &[Setting],
    now: &Setting,
    measure: Measure,
    costs: &Costs,
    limit: Limit,
) -> Advice {
    let mut all = settings.to_vec();
    all.push(now.clone());
    let of_now = settings.len();
    let trials = Trials::of(queries, &all, measure, costs);
    let affordable: Vec<usize> = (0..settings.len()).filter(|place| limit.allows(&trials.costs[*place])).collect();
    // The rule of now comes first: what is no better than it and no cheaper does not take its place, though it be the same in other words.
    let candidates: Vec<usize> = std::iter::once(of_now).chain(affordable.iter().copied()).collect();

    let everyone: Vec<usize> = (0..queries.len()).collect();
    let best = trials.best(&candidates, &everyone);
    let mut sums = vec![0.0; queries.len()];
    let (mut agreed, mut chances) = (0, 0);
    let mut chance = Random::new(SEED);
    for _ in 0..DEALS {
        let dealt = shuffled(queries.len(), &mut chance);
        for fold in 0..FOLDS {
            let (held, train): (Vec<_>, Vec<_>) = dealt.iter().enumerate().partition(|(at, _)| at % FOLDS == fold);
            let train: Vec<usize> = train.into_iter().map(|(_, query)| *query).collect();
            let chosen = trials.best(&candidates, &train);
            agreed += usize::from(chosen == best);
            chances += 1;
            for (_, &query) in held {
                sums[query] += trials.measured[chosen][query];
            }
        }
    }
    let found: Vec<f64> = sums.into_iter().map(|sum| sum / DEALS as f64).collect();
    let before = &trials.measured[of_now];
    let gains: Vec<f64> = found.iter().zip(before).map(|(after, before)| after - before).collect();
    let interval = bootstrap_interval(&gains);
    let verdict = match () {
        () if queries.len() < LEAST_QUERIES => Verdict::TooFewQueries,
        () if best == of_now || interval.low <= 0.0 => Verdict::NoGain,
        () => Verdict::Recommended,
    };
    Advice {
        verdict,
        best: (best != of_now).then_some(best),
        cost: trials.costs[best],
        cost_now: trials.costs[of_now],
        now: mean(before.iter().copied()),
        expected: mean(found.iter().copied()),
        of_others: of_others(interval, mean(gains.iter().copied())),
        p: randomisation_p(&gains),
        outcomes: Outcomes::of(gains.iter().copied()),
        gains,
        interval,
        agreement: f64::from(agreed as u32) / f64::from(chances),
        affordable: affordable.len(),
        now_is_affordable: limit.allows(&trials.costs[of_now]),
    }
}

impl Limit {
    fn allows(&self, cost: &Cost) -> bool {
        self.seconds.is_none_or(|most| cost.p95_seconds <= most) && self.pairs.is_none_or(|most| cost.pairs <= most)
    }
}

impl Trials {
    fn of(queries: &[Observed], settings: &[Setting], measure: Measure, costs: &Costs) -> Trials {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let models = costs.seconds_a_pair.len();
        let one = |setting: &Setting| {
            let trials = queries.iter().map(|query| (query, setting.trial(query, models)));
            let (measured, pairs): (Vec<f64>, Vec<Vec<usize>>) =
                trials.map(|(query, trial)| (measure.of(&trial.ranked, &query.grades), trial.pairs)).unzip();
            (measured, Cost::of(&pairs, costs))
        };
        let part = settings.len().div_ceil(threads).max(1);
        let parts: Vec<Vec<(Vec<f64>, Cost)>> = thread::scope(|scope| {
            let running: Vec<_> =
                settings.chunks(part).map(|part| scope.spawn(move || part.iter().map(one).collect())).collect();
            running
                .into_iter()
                .map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let (measured, costs) = parts.into_iter().flatten().unzip();
        Trials { measured, costs }
    }

    /// The candidate that is best on these queries; of equal ones the one that costs least, then the first.
    fn best(&self, candidates: &[usize], queries: &[usize]) -> usize {
        let mean_of = |setting: usize| mean(queries.iter().map(|query| self.measured[setting][*query]));
        let mut best = (candidates[0], mean_of(candidates[0]));
        for &candidate in &candidates[1..] {
            let found = mean_of(candidate);
            let is_cheaper = self.costs[candidate].mean_seconds < self.costs[best.0].mean_seconds;
            if found > best.1 + TIE || (found > best.1 - TIE && is_cheaper) {
                best = (candidate, found);
            }
        }
        best.0
    }
}

impl Cost {
    fn of(pairs: &[Vec<usize>], costs: &Costs) -> Cost {
        let seconds = |pairs: &Vec<usize>| {
            pairs.iter().zip(&costs.seconds_a_pair).map(|(pairs, seconds)| *pairs as f64 * seconds).sum::<f64>()
        };
        let mut all: Vec<f64> = pairs.iter().map(seconds).collect();
        all.sort_unstable_by(f64::total_cmp);
        // The nearest rank.
        let at = (all.len() * 95).div_ceil(100).saturating_sub(1);
        Cost {
            pairs: mean(pairs.iter().map(|pairs| pairs.iter().sum::<usize>() as f64)),
            mean_seconds: mean(all.iter().copied()),
            p95_seconds: all.get(at).copied().unwrap_or_default(),
        }
    }
}

/// The places 0..`count` in an order by chance (Fisher and Yates).
fn shuffled(count: usize, chance: &mut Random) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        places.swap(at, chance.below(at + 1));
    }
    places
}

/// The variances of two samples of the same size add up, so that the bounds are √2 times as far away; and from 95 in 100 to 99 in 100
/// it is 2.576 / 1.960 times as far, by the normal distribution.
fn of_others(Interval { low, high }: Interval, mean: f64) -> Interval {
    const WIDER: f64 = std::f64::consts::SQRT_2 * 2.576 / 1.960;
    let wider = |bound: f64| mean + (bound - mean) * WIDER;
    Interval { low: wider(low), high: wider(high) }
}

#[cfg(test)]
mod tests {
    use ranking::value::Value;

    use super::*;
    use crate::{
        judgements::Grades,
        tuning::{Hit, settings::settings, trial::Scoring},
    };

    const NDCG: &str = "nDCG@10";

    fn measure() -> Measure {
        NDCG.parse().expect("a measure")
    }

    fn costs() -> Costs {
        Costs { seconds_a_pair: vec![0.001, 0.01] }
    }

    /// Queries of 40 hits of which 4 are good. The cluster's score knows nothing of that; the first model a little, the second more.
    fn queries(count: usize, seed: u64) -> Vec<Observed> {
        let mut chance = Random::new(seed);
        (0..count)
            .map(|_| {
                let mut grades = Vec::new();
                let mut hits: Vec<Hit> = (0..40)
                    .map(|number| {
                        let good = number % 10 == 0;
                        let id = format!("d{number}");
                        grades.push((id.clone(), i32::from(good)));
                        let mut known =
                            |by: f64| Some(Value::as_is((by * f64::from(u8::from(good)) + chance.unit()) as f32));
                        let outputs = vec![known(0.3), known(0.7)];
                        Hit { id, cluster: Some(chance.unit() as f32), outputs }
                    })
                    .collect();
                hits.sort_by(|a, b| b.cluster.unwrap_or_default().total_cmp(&a.cluster.unwrap_or_default()));
                Observed { grades: grades.into_iter().collect(), hits }
            })
            .collect()
    }

    fn with_grades_dealt_anew(queries: &[Observed], seed: u64) -> Vec<Observed> {
        let mut chance = Random::new(seed);
        let dealt = |query: &Observed| {
            let ids: Vec<&str> = query.hits.iter().map(|hit| hit.id.as_str()).collect();
            let places = shuffled(ids.len(), &mut chance);
            let grade = |(at, place): (usize, &usize)| (ids[at], query.grades.of(ids[*place]).unwrap_or_default());
            Observed { grades: places.iter().enumerate().map(grade).collect::<Grades>(), hits: query.hits.clone() }
        };
        queries.iter().map(dealt).collect()
    }

    fn advised(queries: &[Observed], limit: Limit) -> (Advice, Vec<Setting>) {
        let settings = settings(&[0, 1], 40);
        (advise(queries, &settings, &Setting::cluster(), measure(), &costs(), limit), settings)
    }

    fn mean_gain(setting: &Setting, queries: &[Observed]) -> f64 {
        let of = |setting: &Setting, query: &Observed| measure().of(&setting.trial(query, 2).ranked, &query.grades);
        mean(queries.iter().map(|query| of(setting, query) - of(&Setting::cluster(), query)))
    }

    #[test]
    fn what_is_found_on_one_half_holds_on_the_other_within_its_interval() {
        let all = queries(120, 1);
        let held = (0..10).filter(|seed| {
            let order = shuffled(all.len(), &mut Random::new(*seed));
            let half = |part: &[usize]| part.iter().map(|query| all[*query].clone()).collect::<Vec<_>>();
            let (here, there) = (half(&order[..60]), half(&order[60..]));
            let (advice, settings) = advised(&here, Limit::default());
            assert_eq!(advice.verdict, Verdict::Recommended);
            let gain = mean_gain(&settings[advice.best.expect("another one")], &there);
            (advice.of_others.low..=advice.of_others.high).contains(&gain)
        });
        assert!(held.count() >= 9);
    }

    #[test]
    fn judgements_by_chance_recommend_nothing() {
        let all = queries(60, 2);
        let silent = (0..20).filter(|seed| {
            advised(&with_grades_dealt_anew(&all, *seed), Limit::default()).0.verdict == Verdict::NoGain
        });
        assert!(silent.count() >= 19);
    }

    #[test]
    fn a_limit_is_kept_and_costs_quality() {
        let all = queries(60, 3);
        let (free, _) = advised(&all, Limit::default());
        let (held, settings) = advised(&all, Limit { seconds: Some(0.05), pairs: None });
        assert!(held.cost.p95_seconds <= 0.05 && free.cost.p95_seconds > 0.05, "{held:?} {free:?}");
        assert!(held.affordable < settings.len() && held.expected < free.expected);
        let (few, _) = advised(&all, Limit { seconds: None, pairs: Some(10.0) });
        assert!(few.cost.pairs <= 10.0);
        let (none, settings) = advised(&all, Limit { seconds: None, pairs: Some(0.0) });
        assert_eq!((none.affordable, none.verdict), (1, Verdict::NoGain));
        assert!(none.best.is_none_or(|best| settings[best].scoring == Scoring::Cluster));
    }

    #[test]
    fn what_is_best_already_is_left_alone_and_few_queries_say_nothing() {
        let all = queries(60, 4);
        let (advice, settings) = advised(&all, Limit::default());
        let best = &settings[advice.best.expect("another one")];
        let again = advise(&all, &settings, best, measure(), &costs(), Limit::default());
        assert_eq!(again.verdict, Verdict::NoGain);
        let (few, _) = advised(&all[..LEAST_QUERIES - 1], Limit::default());
        assert_eq!(few.verdict, Verdict::TooFewQueries);
        let (none, _) = advised(&[], Limit::default());
        assert_eq!(none.verdict, Verdict::TooFewQueries);
    }

    #[test]
    fn the_same_queries_give_the_same_advice() {
        let all = queries(30, 5);
        assert_eq!(advised(&all, Limit::default()).0, advised(&all, Limit::default()).0);
    }
}
