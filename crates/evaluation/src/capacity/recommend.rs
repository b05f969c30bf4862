//! The recommendation: settings, and the load of one replica, worked out from [`Costs`]. Pure;
//! the rules are stated here and in the report.

use serde::Serialize;

use super::{
    WINDOWS,
    costs::Costs,
    simulate::{Arrival, SearchCosts, Setting, Workers, simulate},
    traffic::gap,
};
use crate::random::Random;

/// Shares of searches found in the cache for which the load is worked out.
pub const HIT_RATES: [f64; 4] = [0.0, 0.5, 0.8, 0.95];
/// The part of the added latency that a window may take on an idle machine: the rest is for searches that come together.
pub const IDLE_SHARE: f64 = 0.5;
/// Searches that shall be scored in full within the added latency, of those that are not cached.
pub const FULLY_SCORED: f64 = 0.95;
/// Windows drawn from the passages, of which the 95th of 100 counts.
const DRAWS: usize = 400;
/// Searches that are played to find the load that a replica carries, and how often that is halved in.
const PLAYED: u32 = 1000;
const HALVINGS: usize = 8;

/// The aim of a recommendation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aim {
    /// The seconds that reranking may add to a search: 95 of 100 searches shall stay below, all end there.
    pub added_latency: f64,
    /// The share of time that the scoring threads may be busy on average, 0 to 1.
    pub utilisation: f64,
}

/// The advice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendation {
    /// The added latency that it was worked out for, in milliseconds.
    pub added_latency_ms: f64,
    /// The share of time that the scoring threads are taken to be busy.
    pub utilisation: f64,
    /// Hits to rerank.
    pub window: usize,
    /// Time for it, in milliseconds: all of the added latency.
    pub budget_ms: f64,
    /// True where the window takes at most its part of the added latency on an idle machine. If not, it is the
    /// smallest window.
    pub fits: bool,
    /// Each window, smallest first.
    pub windows: Vec<WindowLoad>,
}

/// The load that one window size allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowLoad {
    /// Hits to rerank.
    pub window: usize,
    /// The time until all have a score, nothing cached, on an idle machine, in milliseconds: 95 of 100 windows take no
    /// longer.
    pub idle_p95_ms: f64,
    /// Searches a second that one replica carries, by the share of them that are cached: its threads are no busier than
    /// the utilisation, and [`FULLY_SCORED`] of the others are scored in full within the added latency. 0 where a
    /// window takes longer than that on an idle machine.
    pub searches_per_second: Vec<AtHitRate>,
}

/// One share of cached searches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtHitRate {
    /// The share of searches that are cached, 0 to 1.
    pub hit_rate: f64,
    /// The load that one replica carries.
    pub searches_per_second: f64,
}

impl Recommendation {
    /// The recommendation for a machine with these costs.
    pub fn of(costs: &Costs, aim: Aim) -> Recommendation {
        let windows: Vec<WindowLoad> = WINDOWS.iter().map(|&window| load(costs, aim, window)).collect();
        let limit = aim.added_latency * 1e3 * IDLE_SHARE;
        let largest = windows.iter().rev().find(|load| load.idle_p95_ms <= limit);
        Recommendation {
            added_latency_ms: aim.added_latency * 1e3,
            utilisation: aim.utilisation,
            window: largest.map_or(WINDOWS[0], |load| load.window),
            budget_ms: aim.added_latency * 1e3,
            fits: largest.is_some(),
            windows,
        }
    }
}

fn load(costs: &Costs, aim: Aim, window: usize) -> WindowLoad {
    let pairs = costs.pair_costs();
    let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
    let look_up = costs.look_up_seconds(window);
    let rate_at = |busy: f64| aim.utilisation * costs.workers as f64 / busy.max(1e-9);
    let idle_p95 = idle_p95(&pairs, costs.workers, window) + look_up;
    let uncached = match idle_p95 <= aim.added_latency {
        true => in_time(costs, aim, window, rate_at(window as f64 * mean)),
        false => 0.0,
    };
    let at = |&hit_rate: &f64| {
        let busy = window as f64 * (1.0 - hit_rate) * mean + look_up;
        AtHitRate { hit_rate, searches_per_second: rate_at(busy).min(uncached / (1.0 - hit_rate)) }
    };
    WindowLoad { window, idle_p95_ms: idle_p95 * 1e3, searches_per_second: HIT_RATES.iter().map(at).collect() }
}

/// Searches a second, all different and coming independently of one another, that one replica scores in time; no more
/// than `at_most`.
fn in_time(costs: &Costs, aim: Aim, window: usize, at_most: f64) -> f64 {
    let search_costs = SearchCosts::of(costs, window);
    let setting = Setting {
        replicas: 1,
        workers: costs.workers,
        window: window as u32,
        budget: aim.added_latency,
        cache_pairs: 0,
        shared_pairs: 0,
        shared_round_trip: 0.0,
    };
    let is_in_time = |rate: f64| {
        let (mut random, mut at) = (Random::new(0), 0.0);
        let mut arrival = |query| {
            at += gap(&mut random, rate);
            Arrival { at, query }
        };
        let arrivals: Vec<Arrival> = (0..PLAYED).map(&mut arrival).collect();
        simulate(&arrivals, &search_costs, &setting).fully_scored >= FULLY_SCORED
    };
    if is_in_time(at_most) {
        return at_most;
    }
    let (mut few, mut many) = (0.0, at_most);
    for _ in 0..HALVINGS {
        let between = f64::midpoint(few, many);
        if is_in_time(between) { few = between } else { many = between }
    }
    few
}

/// The seconds that a window takes which finds all workers idle.
fn idle_p95(pairs: &[f64], workers: usize, window: usize) -> f64 {
    let mut random = Random::new(0);
    let mut draw = || {
        let mut workers = Workers::idle(workers);
        for _ in 0..window {
            let cost = pairs[(random.unit() * pairs.len() as f64) as usize];
            workers.run(0.0, cost);
        }
        workers.last_end()
    };
    let mut times: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    times.sort_by(f64::total_cmp);
    times[DRAWS * 95 / 100]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::costs::tests::sample;

    fn of(ms: f64, added_latency: f64) -> Recommendation {
        Recommendation::of(&sample(ms), Aim { added_latency, utilisation: 0.7 })
    }

    #[test]
    fn the_largest_window_that_takes_half_of_the_added_latency_is_recommended() {
        // Two workers: 100 pairs of 3 ms take 150 ms.
        for (ms, added, window) in [(3.0, 0.301, 100), (3.0, 0.299, 50), (0.1, 0.3, 200), (1.0, 0.21, 200)] {
            let advice = of(ms, added);
            assert_eq!((advice.window, advice.fits), (window, true), "{ms} {added} {advice:?}");
            assert!((advice.budget_ms - added * 1e3).abs() < 1e-9);
        }
    }

    #[test]
    fn a_machine_too_slow_for_the_smallest_window_is_told_so() {
        let advice = of(100.0, 0.3);
        assert_eq!((advice.window, advice.fits), (20, false));
    }

    #[test]
    fn a_replica_carries_what_its_workers_can_do_at_the_utilisation_given() {
        // 2 workers at 70 %, 1 ms a pair: 1400 pairs a second, and there is time to wait for others.
        let advice = of(1.0, 30.0);
        let rate = |window: usize, hit_rate: usize| advice.windows[window].searches_per_second[hit_rate];
        for (rate, expected) in [(rate(0, 0), 70.0), (rate(2, 0), 14.0), (rate(2, 1), 28.0), (rate(2, 2), 70.0)] {
            assert!((rate.searches_per_second - expected).abs() < 1e-6, "{rate:?}");
        }
    }

    #[test]
    fn a_replica_carries_less_where_there_is_no_time_to_wait() {
        // 100 pairs take 50 ms: with 60 ms in all hardly anybody can wait.
        let (short, long) = (of(1.0, 0.06), of(1.0, 30.0));
        let rates = |advice: &Recommendation, window: usize| -> Vec<f64> {
            advice.windows[window].searches_per_second.iter().map(|at| at.searches_per_second).collect()
        };
        let (in_time, at_leisure) = (rates(&short, 2), rates(&long, 2));
        assert!(in_time[0] > 0.0 && in_time[0] < at_leisure[0] / 2.0, "{in_time:?} {at_leisure:?}");
        assert!(in_time.is_sorted(), "{in_time:?}");
        // 200 pairs take longer than that.
        assert!(rates(&short, 3).iter().all(|rate| *rate < 1e-9), "{short:?}");
    }

    #[test]
    fn searches_that_cost_nothing_are_many_and_not_infinite() {
        let advice = of(0.0, 0.3);
        let rates = advice.windows.iter().flat_map(|load| &load.searches_per_second);
        assert!(rates.clone().all(|rate| rate.searches_per_second.is_finite() && rate.searches_per_second > 1e6));
    }
}
