//! Searches against replicas in virtual time. All searches have the same budget, so that earliest deadline first is first
//! come, first served: each search's pairs, as many as the queue would take on, go in their order to whichever worker is
//! free first, until its deadline. That is exact without a queue of events. Pure, and the same for the same arrivals.

use std::{ops::Range, time::Duration};

use scoring::Admission;

use super::{
    costs::Costs,
    simulated_cache::{Known, SimulatedCache},
};
use crate::random::mix;

/// A search that comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Seconds since the beginning; never before the arrival in front of it.
    pub at: f64,
    /// The number of the query: equal numbers are equal queries, which find the same hits.
    pub query: u32,
}

/// The costs of searches.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchCosts {
    /// A worker's seconds for a pair; each is as likely. Which one a pair has depends on query and rank alone.
    pub pairs: Vec<f64>,
    /// Seconds that a search takes beside its pairs.
    pub look_up: f64,
}

impl SearchCosts {
    /// The costs for a window of this size.
    pub fn of(costs: &Costs, window: usize) -> SearchCosts {
        SearchCosts { pairs: costs.pair_costs(), look_up: costs.look_up_seconds(window) }
    }

    fn of_pair(&self, query: u32, rank: u32) -> f64 {
        let which = mix(u64::from(query) << 32 | u64::from(rank)) % self.pairs.len().max(1) as u64;
        self.pairs.get(which as usize).copied().unwrap_or(0.0)
    }
}

/// The setting: what the load meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// The number of replicas; searches go to them in turn.
    pub replicas: usize,
    /// The scoring threads of each replica.
    pub workers: usize,
    /// Hits to rerank.
    pub window: u32,
    /// The budget in seconds.
    pub budget: f64,
    /// Pairs that the cache of each replica has room for.
    pub cache_pairs: u64,
    /// Pairs that a cache has room for which all replicas share; 0 for none.
    pub shared_pairs: u64,
    /// Seconds that asking the shared cache takes.
    pub shared_round_trip: f64,
}

/// The outcome of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcome {
    /// The number of searches.
    pub searches: usize,
    /// The share of pairs that were cached, or in the making for an earlier search.
    pub hit_rate: f64,
    /// The share of the workers' time that was spent on running pairs.
    pub utilisation: f64,
    /// The share of searches that had all scores within the budget.
    pub fully_scored: f64,
    /// Scores a search, of the window.
    pub mean_depth: f64,
    /// Added latency of the middle search, in seconds.
    pub p50: f64,
    /// Added latency of the slowest search but 1 %, in seconds.
    pub p99: f64,
}

/// Scoring threads, by when each is free.
#[derive(Debug, Clone)]
pub(super) struct Workers(Vec<f64>);

impl Workers {
    pub(super) fn idle(workers: usize) -> Workers {
        Workers(vec![0.0; workers.max(1)])
    }

    /// The worker that is free first, and when.
    fn next(&self) -> (usize, f64) {
        self.0
            .iter()
            .copied()
            .enumerate()
            .fold((0, f64::INFINITY), |best, this| if this.1 < best.1 { this } else { best })
    }

    /// Gives the worker that is free first a pair that came at `from`; when it is done.
    pub(super) fn run(&mut self, from: f64, seconds: f64) -> f64 {
        let (worker, free) = self.next();
        self.0[worker] = free.max(from) + seconds;
        self.0[worker]
    }

    pub(super) fn last_end(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

struct Replica {
    workers: Workers,
    cache: SimulatedCache,
}

impl Replica {
    /// The number of these pairs of a search that the queue takes on, where the search comes at `begin`.
    fn depth(&self, query: u32, ranks: Range<u32>, begin: f64, deadline: f64, costs: &SearchCosts) -> u32 {
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let admission = Admission {
            total: seconds((deadline - begin) * self.workers.0.len() as f64),
            ahead: seconds(self.workers.0.iter().map(|free| (free - begin).max(0.0)).sum()),
        };
        admission.depth(ranks.map(|rank| seconds(costs.of_pair(query, rank)))) as u32
    }
}

/// Plays `arrivals` through.
pub fn simulate(arrivals: &[Arrival], costs: &SearchCosts, setting: &Setting) -> Outcome {
    let replica =
        || Replica { workers: Workers::idle(setting.workers), cache: SimulatedCache::new(setting.cache_pairs) };
    let mut replicas: Vec<Replica> = (0..setting.replicas.max(1)).map(|_| replica()).collect();
    let mut shared = SimulatedCache::new(setting.shared_pairs);
    let (mut hits, mut busy, mut full, mut depth, mut end) = (0_u64, 0.0, 0_usize, 0_u64, 0.0_f64);
    let mut latencies = Vec::with_capacity(arrivals.len());
    let count = replicas.len();
    for (number, arrival) in arrivals.iter().enumerate() {
        let replica = &mut replicas[number % count];
        let search = play(arrival, costs, setting, replica, &mut shared);
        hits += u64::from(search.cached);
        busy += search.busy;
        full += usize::from(search.scored == setting.window);
        depth += u64::from(search.scored);
        end = end.max(arrival.at + search.latency);
        latencies.push(search.latency);
    }
    let end = replicas.iter().map(|replica| replica.workers.last_end()).fold(end, f64::max);
    let searches = arrivals.len();
    let each = |sum: f64| if searches == 0 { 0.0 } else { sum / searches as f64 };
    latencies.sort_by(f64::total_cmp);
    let latency = |share: f64| latencies.get((share * searches as f64) as usize).copied().unwrap_or(0.0);
    let time = end * (count * setting.workers.max(1)) as f64;
    Outcome {
        searches,
        hit_rate: each(hits as f64) / f64::from(setting.window.max(1)),
        utilisation: if time > 0.0 { busy / time } else { 0.0 },
        fully_scored: each(full as f64),
        mean_depth: each(depth as f64),
        p50: latency(0.5),
        p99: latency(0.99),
    }
}

struct Search {
    cached: u32,
    scored: u32,
    /// Workers' seconds.
    busy: f64,
    latency: f64,
}

fn play(
    arrival: &Arrival,
    costs: &SearchCosts,
    setting: &Setting,
    replica: &mut Replica,
    shared: &mut SimulatedCache,
) -> Search {
    let deadline = arrival.at + setting.budget;
    let mut begin = arrival.at + costs.look_up;
    let nothing = Known { pairs: 0, ready_at: 0.0 };
    let mut known = replica.cache.get(arrival.query).unwrap_or(nothing);
    if known.pairs < setting.window && setting.shared_pairs > 0 {
        begin += setting.shared_round_trip;
        let elsewhere = shared.get(arrival.query).unwrap_or(nothing);
        if elsewhere.pairs > known.pairs {
            known = elsewhere;
        }
    }
    let cached = known.pairs.min(setting.window);
    // What an earlier search has in the making is waited for.
    let mut done = if cached > 0 { begin.max(known.ready_at) } else { begin };
    let mut scored = cached;
    if done > deadline {
        // What that search has not finished in time are its last pairs, one a worker at most.
        scored = cached.saturating_sub(setting.workers as u32);
        done = deadline;
    }
    let (mut pairs, mut ready_at, mut busy) = (known.pairs, known.ready_at, 0.0);
    let depth = replica.depth(arrival.query, cached..setting.window, begin, deadline, costs);
    for rank in cached..cached + depth {
        let seconds = costs.of_pair(arrival.query, rank);
        if replica.workers.next().1.max(begin) >= deadline && seconds > 0.0 {
            done = deadline;
            break;
        }
        let end = replica.workers.run(begin, seconds);
        busy += seconds;
        pairs = rank + 1;
        ready_at = ready_at.max(end);
        scored += u32::from(end <= deadline);
        done = done.max(end.min(deadline));
    }
    let known = Known { pairs, ready_at };
    replica.cache.keep(arrival.query, known);
    if setting.shared_pairs > 0 {
        shared.keep(arrival.query, known);
    }
    Search { cached, scored, busy, latency: done - arrival.at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTING: Setting = Setting {
        replicas: 1,
        workers: 2,
        window: 10,
        budget: 0.3,
        cache_pairs: 1_000_000,
        shared_pairs: 0,
        shared_round_trip: 0.001,
    };

    fn costs(seconds: f64) -> SearchCosts {
        SearchCosts { pairs: vec![seconds], look_up: 0.0 }
    }

    /// A search every `gap` seconds for these queries.
    fn every(gap: f64, queries: impl IntoIterator<Item = u32>) -> Vec<Arrival> {
        queries.into_iter().enumerate().map(|(number, query)| Arrival { at: number as f64 * gap, query }).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_lone_search_takes_its_pairs_over_all_workers() {
        let outcome = simulate(&every(1.0, [1]), &costs(0.01), &SETTING);
        assert!(close(outcome.p50, 0.05) && close(outcome.utilisation, 1.0), "{outcome:?}");
        assert!(close(outcome.mean_depth, 10.0) && close(outcome.fully_scored, 1.0), "{outcome:?}");
    }

    #[test]
    fn what_the_budget_cuts_off_is_unscored() {
        // Three runs of each worker begin before 0.25, the third ends after it.
        let setting = Setting { budget: 0.25, ..SETTING };
        let outcome = simulate(&every(1.0, [1]), &costs(0.1), &setting);
        assert!(close(outcome.mean_depth, 4.0) && close(outcome.fully_scored, 0.0), "{outcome:?}");
        assert!(close(outcome.p50, 0.25), "{outcome:?}");
    }

    #[test]
    fn a_query_that_was_seen_is_cached_as_far_as_it_was_run() {
        let setting = Setting { budget: 0.25, ..SETTING };
        // Six pairs are run for the first search; the second finds them and runs the other four.
        let outcome = simulate(&every(10.0, [1, 1]), &costs(0.1), &setting);
        assert!(close(outcome.hit_rate, 0.3) && close(outcome.fully_scored, 0.5), "{outcome:?}");
    }

    #[test]
    fn a_query_that_was_pushed_out_is_run_again() {
        let setting = Setting { cache_pairs: 10, ..SETTING };
        for (queries, hit_rate) in [([1, 2, 1], 0.0), ([1, 1, 2], 1.0 / 3.0)] {
            let outcome = simulate(&every(10.0, queries), &costs(0.001), &setting);
            assert!(close(outcome.hit_rate, hit_rate), "{queries:?} {outcome:?}");
        }
    }

    #[test]
    fn a_search_that_comes_while_its_query_is_run_waits_for_it() {
        let outcome = simulate(&every(0.01, [1, 1]), &costs(0.02), &SETTING);
        assert!(close(outcome.hit_rate, 0.5) && close(outcome.p50, 0.1), "{outcome:?}");
        assert!(close(outcome.fully_scored, 1.0), "{outcome:?}");
    }

    #[test]
    fn searches_wait_for_those_before_them() {
        let outcome = simulate(&every(0.0, [1, 2]), &costs(0.02), &SETTING);
        assert!(close(outcome.p99, 0.2), "{outcome:?}");
    }

    #[test]
    fn replicas_share_what_is_cached_only_through_the_shared_cache() {
        let two = Setting { replicas: 2, ..SETTING };
        let arrivals = every(10.0, [1, 1, 1, 1]);
        assert!(close(simulate(&arrivals, &costs(0.001), &two).hit_rate, 0.5));
        let shared = Setting { shared_pairs: 1000, ..two };
        assert!(close(simulate(&arrivals, &costs(0.001), &shared).hit_rate, 0.75));
    }

    #[test]
    fn no_searches_are_no_load() {
        assert_eq!(simulate(&[], &costs(0.1), &SETTING), Outcome::default());
    }

    prop_compose! {
        fn settings()(
            replicas in 1_usize..6,
            workers in 1_usize..5,
            window in 1_u32..40,
            budget in 0.0_f64..0.5,
            cache_pairs in 0_u64..500,
            shared_pairs in prop::sample::select(vec![0_u64, 200]),
        ) -> Setting {
            Setting { replicas, workers, window, budget, cache_pairs, shared_pairs, shared_round_trip: 0.0 }
        }
    }

    prop_compose! {
        fn loads()(searches in prop::collection::vec((0.0_f64..0.2, 0_u32..30), 0..80)) -> Vec<Arrival> {
            let mut at = 0.0;
            let arrival = |(gap, query)| { at += gap; Arrival { at, query } };
            searches.into_iter().map(arrival).collect()
        }
    }

    proptest! {
        #[test]
        fn shares_are_shares_and_nobody_waits_longer_than_the_budget(
            setting in settings(), arrivals in loads(), pairs in prop::collection::vec(0.0_f64..0.05, 1..5),
        ) {
            let outcome = simulate(&arrivals, &SearchCosts { pairs, look_up: 0.0 }, &setting);
            for share in [outcome.hit_rate, outcome.utilisation, outcome.fully_scored] {
                prop_assert!((0.0..=1.0 + 1e-9).contains(&share), "{outcome:?}");
            }
            prop_assert!(outcome.mean_depth <= f64::from(setting.window));
            prop_assert!(outcome.p50 <= outcome.p99 && outcome.p99 <= setting.budget + 1e-9, "{outcome:?}");
        }

        #[test]
        fn pairs_that_cost_nothing_are_all_scored(setting in settings(), arrivals in loads()) {
            prop_assume!(!arrivals.is_empty());
            let outcome = simulate(&arrivals, &costs(0.0), &setting);
            prop_assert!(close(outcome.fully_scored, 1.0) && close(outcome.p99, 0.0), "{outcome:?}");
        }

        #[test]
        fn more_replicas_score_no_fewer_searches_that_come_evenly(
            gap in 0.001_f64..0.1, seconds in 0.0_f64..0.02, setting in settings(), searches in 1_u32..200,
        ) {
            let arrivals = every(gap, 0..searches);
            let mut before = 0.0;
            for replicas in 1..8 {
                let outcome = simulate(&arrivals, &costs(seconds), &Setting { replicas, ..setting });
                // Where the last search of each falls is chance.
                let chance = replicas as f64 / f64::from(searches);
                prop_assert!(outcome.fully_scored >= before - chance, "{replicas}: {outcome:?} after {before}");
                before = outcome.fully_scored;
            }
        }
    }
}
