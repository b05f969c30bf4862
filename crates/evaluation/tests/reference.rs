//! Measures, overlaps and exact tests against ir-measures, rbo and scipy, by the values in `fixtures/measures/reference.json`, which
//! `scripts/fixtures/make_measures.py` makes.

use std::collections::HashMap;

use evaluation::{
    agreement::rank_biased_overlap, judgements::Grades, measures::Measure, significance::randomisation_p,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    queries: Vec<Query>,
    overlaps: Vec<Overlap>,
    randomisations: Vec<Randomisation>,
}

#[derive(Deserialize)]
struct Query {
    id: String,
    grades: HashMap<String, i32>,
    ranking: Vec<String>,
    measures: HashMap<String, f64>,
}

#[derive(Deserialize)]
struct Overlap {
    left: Vec<String>,
    right: Vec<String>,
    persistence: f64,
    rbo_ext: f64,
}

#[derive(Deserialize)]
struct Randomisation {
    differences: Vec<f64>,
    p: f64,
}

fn reference() -> Reference {
    let text = include_str!("../../../fixtures/measures/reference.json");
    serde_json::from_str(text).expect("the file is as its script makes it")
}

fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-6
}

#[test]
fn every_measure_equals_that_of_ir_measures() {
    let queries = reference().queries;
    assert_eq!((queries.len(), queries[0].measures.len()), (40, 52));
    for Query { id, grades, ranking, measures } in queries {
        let grades: Grades = grades.into_iter().collect();
        for (name, expected) in measures {
            let measure: Measure = name.parse().unwrap();
            let found = measure.of(&ranking, &grades);
            assert!(is_near(found, expected), "{id}, {name}: {found} is not {expected}");
        }
    }
}

#[test]
fn rank_biased_overlap_equals_that_of_another_implementation() {
    for (number, Overlap { left, right, persistence, rbo_ext }) in reference().overlaps.into_iter().enumerate() {
        let found = rank_biased_overlap(persistence, &left, &right);
        assert!(is_near(found, rbo_ext), "{number}: {found} is not {rbo_ext}");
    }
}

#[test]
fn the_exact_randomisation_test_equals_that_of_scipy() {
    for Randomisation { differences, p } in reference().randomisations {
        let found = randomisation_p(&differences);
        assert!(is_near(found, p), "{differences:?}: {found} is not {p}");
    }
}
