//! The circuit breaker in every state, at times of the test's choice.

use super::*;

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::default();
    let openings: Vec<_> = (0..FAILURES).filter_map(|_| breaker.failed(now)).collect();
    assert_eq!(openings, [SHORTEST]);
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_starts_the_count_anew() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        for _ in 1..FAILURES {
            assert_eq!(breaker.failed(now), None);
        }
        assert!(breaker.admit(now));
        assert!(!breaker.succeeded());
    }
    assert!(!opened(now).admit(now));
}

#[test]
fn after_the_pause_one_call_may_try_and_its_success_closes_it() {
    let now = Instant::now();
    let mut breaker = opened(now);
    assert!(!breaker.admit(now + SHORTEST / 2));
    assert_eq!(breaker.pause_ends(), Some(now + SHORTEST));
    assert!(breaker.admit(now + SHORTEST));
    assert!(!breaker.admit(now + SHORTEST), "one probe at a time");
    assert!(!breaker.is_closed());
    assert!(breaker.succeeded());
    assert!(breaker.is_closed() && breaker.admit(now + SHORTEST));
}

#[test]
fn the_pause_doubles_with_each_failed_probe_up_to_a_bound() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    let mut pause = SHORTEST;
    for expected in [2, 4, 8, 16, 30, 30] {
        now += pause;
        assert!(breaker.admit(now));
        pause = breaker.failed(now).expect("opened again");
        assert_eq!(pause, Duration::from_secs(expected));
        assert_eq!(breaker.failed(now), None, "a late failure changes nothing");
    }
}

#[test]
fn a_probe_that_is_given_up_leaves_room_for_the_next() {
    let now = Instant::now();
    let mut breaker = opened(now);
    assert!(breaker.admit(now + SHORTEST));
    breaker.given_up(now + SHORTEST);
    assert!(breaker.admit(now + SHORTEST));
}
