//! The number of replicas, with how much cache, that a load takes: the simulation run again and again. Pure.

use bytesize::ByteSize;
use serde::Serialize;

use super::{
    costs::Costs,
    simulate::{SearchCosts, Setting, simulate},
    traffic::Traffic,
};

/// More replicas than these are not tried.
pub const REPLICAS_AT_MOST: usize = 64;
/// The seconds that asking the shared cache is taken to add to a search.
pub const SHARED_ROUND_TRIP: f64 = 0.001;

/// The question: what is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Hits to rerank.
    pub window: usize,
    /// The budget in seconds.
    pub budget: f64,
    /// Scoring threads of a replica.
    pub workers: usize,
    /// Sizes of each replica's cache in bytes, smallest first.
    pub caches: Vec<u64>,
    /// The size of a cache that all replicas share, in bytes; 0 for none.
    pub shared_cache: u64,
    /// The share of searches that shall be scored in full, 0 to 1.
    pub target: f64,
}

/// The forecast: what the trials say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The origin of the searches.
    pub traffic: String,
    /// The number of searches.
    pub searches: usize,
    /// The number of different queries among them.
    pub distinct: usize,
    /// The mean rate.
    pub searches_per_second: f64,
    /// Hits to rerank.
    pub window: usize,
    /// The budget in milliseconds.
    pub budget_ms: f64,
    /// Scoring threads of a replica.
    pub workers: usize,
    /// The size of a cache that all replicas share, in bytes.
    pub shared_cache_bytes: u64,
    /// The share of searches that shall be scored in full.
    pub target: f64,
    /// The mean time until a window has all its scores on an idle replica, nothing cached, in milliseconds.
    pub idle_ms: f64,
    /// True where a cached passage would also serve other queries, which is not played.
    pub is_bi_encoder: bool,
    /// The cache that has room for all pairs, in bytes, where larger ones were asked for: they make no difference.
    pub all_pairs_fit_bytes: Option<u64>,
    /// The trials, by cache, then by replicas.
    pub trials: Vec<Trial>,
    /// The trial of the fewest replicas, and of them the smallest cache, that reaches the target.
    pub fewest: Option<Trial>,
}

/// One number of replicas with one size of cache.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trial {
    /// The size of each replica's cache.
    pub cache_bytes: u64,
    /// The number of replicas.
    pub replicas: usize,
    /// The share of pairs that were cached, or in the making for an earlier search.
    pub hit_rate: f64,
    /// The share of the scoring threads' time that was spent on pairs.
    pub utilisation: f64,
    /// The share of searches that had all scores within the budget.
    pub fully_scored: f64,
    /// Scores a search, of the window.
    pub mean_depth: f64,
    /// Added latency in milliseconds.
    pub p50_ms: f64,
    /// The same, of the slowest but 1 %.
    pub p99_ms: f64,
}

/// Tries `question` on `traffic`, saying on `progress` what is being done.
pub fn forecast(traffic: &Traffic, costs: &Costs, question: &Question, progress: &mut dyn FnMut(&str)) -> Forecast {
    let search_costs = SearchCosts::of(costs, question.window);
    let pairs_in = |bytes: u64| (bytes as f64 / costs.cache_entry_bytes) as u64;
    let distinct = traffic.distinct();
    let fits = |bytes: &u64| pairs_in(*bytes) >= (distinct * question.window) as u64;
    let largest = question.caches.iter().copied().find(fits);
    let is_of_use = |bytes: &&u64| largest.is_none_or(|largest| **bytes <= largest);
    let all_pairs_fit_bytes = largest.filter(|largest| question.caches.iter().any(|bytes| bytes > largest));
    let mut trials = Vec::new();
    for &cache_bytes in question.caches.iter().filter(is_of_use) {
        progress(&format!("{} searches, {} of cache", traffic.arrivals.len(), ByteSize(cache_bytes)));
        let mut attempt = |replicas: usize| {
            let setting = Setting {
                replicas,
                workers: question.workers,
                window: question.window as u32,
                budget: question.budget,
                cache_pairs: pairs_in(cache_bytes),
                shared_pairs: pairs_in(question.shared_cache),
                shared_round_trip: SHARED_ROUND_TRIP,
            };
            let outcome = simulate(&traffic.arrivals, &search_costs, &setting);
            Trial {
                cache_bytes,
                replicas,
                hit_rate: outcome.hit_rate,
                utilisation: outcome.utilisation,
                fully_scored: outcome.fully_scored,
                mean_depth: outcome.mean_depth,
                p50_ms: outcome.p50 * 1e3,
                p99_ms: outcome.p99 * 1e3,
            }
        };
        trials.extend(until_enough(&mut attempt, question.target));
    }
    let enough = |trial: &&Trial| trial.fully_scored >= question.target;
    let fewest = trials.iter().filter(enough).min_by_key(|trial| (trial.replicas, trial.cache_bytes)).copied();
    let mean = search_costs.pairs.iter().sum::<f64>() / search_costs.pairs.len() as f64;
    Forecast {
        traffic: traffic.source.clone(),
        searches: traffic.arrivals.len(),
        distinct,
        searches_per_second: traffic.rate(),
        window: question.window,
        budget_ms: question.budget * 1e3,
        workers: question.workers,
        shared_cache_bytes: question.shared_cache,
        target: question.target,
        idle_ms: (question.window.div_ceil(question.workers) as f64 * mean + search_costs.look_up) * 1e3,
        is_bi_encoder: costs.model.is_bi_encoder,
        all_pairs_fit_bytes,
        trials,
        fewest,
    }
}

/// Twice as many replicas each time until they are enough, then those between, halving. By number of replicas.
fn until_enough(attempt: &mut dyn FnMut(usize) -> Trial, target: f64) -> Vec<Trial> {
    let mut trials = vec![attempt(1)];
    let (mut too_few, mut enough) = (0, 1);
    while trials.last().is_some_and(|trial| trial.fully_scored < target) {
        too_few = enough;
        enough *= 2;
        if enough > REPLICAS_AT_MOST {
            return trials;
        }
        trials.push(attempt(enough));
    }
    while enough - too_few > 1 {
        let between = usize::midpoint(too_few, enough);
        let trial = attempt(between);
        if trial.fully_scored < target {
            too_few = between;
        } else {
            enough = between;
        }
        trials.push(trial);
    }
    trials.sort_by_key(|trial| trial.replicas);
    trials
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::{costs::tests::sample, traffic::Zipf};

    fn asked(ms: f64, rate: f64, budget: f64) -> Forecast {
        let traffic = Zipf { exponent: 0.0, queries: 1_000_000, rate, duration: 60.0, seed: 1 }.traffic();
        let question = Question {
            window: 100,
            budget,
            workers: 2,
            caches: vec![1 << 10, 1 << 30, 1 << 32],
            shared_cache: 0,
            target: 0.99,
        };
        forecast(&traffic, &sample(ms), &question, &mut |_| {})
    }

    #[test]
    fn the_fewest_replicas_that_are_enough_are_found_with_the_smallest_cache() {
        // A search keeps a replica busy for 50 ms: 40 a second are two replicas' whole time, and chance wants some more.
        let forecast = asked(1.0, 40.0, 0.3);
        let fewest = forecast.fewest.unwrap();
        assert!((3..=4).contains(&fewest.replicas) && fewest.cache_bytes == 1 << 10, "{forecast:?}");
        let fewer = forecast.trials.iter().find(|trial| trial.replicas == fewest.replicas - 1).unwrap();
        assert!(fewer.fully_scored < 0.99, "{forecast:?}");
        assert!(forecast.trials.iter().all(|trial| trial.utilisation <= 1.0 + 1e-9));
        // The largest cache has nothing to add.
        assert_eq!(forecast.all_pairs_fit_bytes, Some(1 << 30));
        assert!(forecast.trials.iter().all(|trial| trial.cache_bytes <= 1 << 30));
    }

    #[test]
    fn one_replica_that_is_enough_is_the_answer() {
        let forecast = asked(0.01, 10.0, 0.3);
        assert_eq!(forecast.trials.iter().map(|trial| trial.replicas).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(forecast.fewest.map(|trial| trial.replicas), Some(1));
    }

    #[test]
    fn no_number_of_replicas_helps_a_window_that_takes_longer_than_the_budget() {
        let forecast = asked(10.0, 1.0, 0.3);
        assert_eq!(forecast.fewest, None);
        assert_eq!(forecast.trials.iter().map(|trial| trial.replicas).max(), Some(REPLICAS_AT_MOST));
        assert!((forecast.idle_ms - 500.0).abs() < 1e-6);
    }
}
