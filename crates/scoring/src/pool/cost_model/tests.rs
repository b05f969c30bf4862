//! Costs as they are learned from a few runs.

use super::*;
use crate::request::Priority;

fn estimates(costs: &CostModel, lengths: &[usize]) -> Vec<Estimate> {
    let texts = lengths.iter().map(|&length| "x".repeat(length)).collect();
    let keys = vec![];
    costs.estimates(&Work {
        query: None,
        texts,
        keys,
        long: LongPassages::Truncate,
        deadline: Instant::now(),
        priority: Priority::Search,
    })
}

#[test]
fn before_anything_was_run_nothing_is_known_but_the_length() {
    let costs = CostModel::new(512);
    let known = |tokens| Estimate { tokens, time: Duration::ZERO };
    assert_eq!(estimates(&costs, &[400, 1 << 20, 0]), [known(100), known(512), known(1)]);
    assert_eq!(costs.texts_per_second(), None);
}

#[test]
fn a_text_costs_what_those_of_its_length_have_cost() {
    let costs = CostModel::new(512);
    costs.tokenized(1000, 500);
    costs.ran(8, 16, Duration::from_millis(16));
    costs.ran(1, 512, Duration::from_millis(1024));
    let times: Vec<_> = estimates(&costs, &[32, 1024]).iter().map(|estimate| estimate.time.as_millis()).collect();
    assert_eq!(times, [2, 1024]);
    let between = estimates(&costs, &[200])[0];
    assert_eq!((between.tokens, between.time.as_micros()), (100, 200_000), "the nearest length that is known");
}

#[test]
fn it_follows_a_machine_that_slows_down() {
    let costs = CostModel::new(512);
    (0..100).for_each(|_| costs.ran(1, 100, Duration::from_millis(10)));
    assert_eq!(estimates(&costs, &[400])[0].time.as_millis(), 10);
    (0..200).for_each(|_| costs.ran(1, 100, Duration::from_millis(20)));
    assert_eq!(estimates(&costs, &[400])[0].time.as_millis(), 19);
    assert!((costs.texts_per_second().unwrap() - 50.0).abs() < 1.0);
}

#[test]
fn a_run_during_which_the_machine_was_suspended_is_not_what_runs_cost() {
    let costs = CostModel::new(512);
    (0..100).for_each(|_| costs.ran(1, 100, Duration::from_millis(10)));
    costs.ran(1, 100, Duration::from_hours(1));
    assert_eq!(estimates(&costs, &[400])[0].time.as_millis(), 12);
    assert!(costs.texts_per_second().unwrap() > 80.0);
}

#[test]
fn what_is_known_of_a_length_from_long_ago_gives_way_to_what_is_known_of_others() {
    let then = Instant::now();
    let now = then + FRESH;
    let mut learned = Learned::default();
    let millis = |learned: &Learned, now| learned.estimate(512, 512, now).time.as_millis();
    // The very first one, while the machine was suspended.
    learned.ran(1, 512, Duration::from_mins(1), then);
    assert_eq!(millis(&learned, now), 60_000, "there is nothing else");
    learned.ran(1, 128, Duration::from_millis(10), now);
    assert_eq!(millis(&learned, now), 40);
    learned.ran(1, 512, Duration::from_millis(50), now);
    assert_eq!(millis(&learned, now), 50);
}
