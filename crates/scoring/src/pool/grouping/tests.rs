//! The verdict on figures, and models made of closures that are measured.

use super::*;
use crate::model_output::Output;

/// The longest length in groups of which inputs gain this much, and the lengths that are tried to find it.
fn search(times: impl Fn(usize) -> f64, max_tokens: usize) -> (usize, Vec<usize>) {
    let mut gains = Vec::new();
    while let Some(length) = next(&gains, max_tokens) {
        gains.push(Gain { length, times: times(length) });
    }
    (longest(&gains), gains.iter().map(|gain| gain.length).collect())
}

#[test]
fn groups_are_made_up_to_the_length_from_which_on_they_do_not_pay() {
    let up_to = |most: usize| move |length: usize| if length <= most { 1.3 } else { 1.02 };
    assert_eq!(search(up_to(0), 512), (0, vec![96, 64, 32]));
    assert_eq!(search(up_to(32), 512), (32, vec![96, 64, 32]));
    assert_eq!(search(up_to(64), 512), (64, vec![96, 64]));
    assert_eq!(search(up_to(96), 512), (96, vec![96, 128]));
    assert_eq!(search(up_to(512), 512), (128, vec![96, 128]));
    assert_eq!(search(up_to(512), 100).0, 96, "longer inputs than the model reads are not tried");
    assert_eq!(search(up_to(512), 16), (0, vec![]));
}

#[test]
fn alone_is_how_inputs_are_run_where_groups_gain_little_or_nobody_knows() {
    assert_eq!(search(|_| MARGIN - 0.01, 512).0, 0);
    assert_eq!(search(|_| f64::NAN, 512).0, 0);
    assert_eq!(search(|_| 0.0, 512).0, 0);
}

fn round(alone: f64, together: f64) -> Round {
    Round { alone, together, waited: 0.01 }
}

#[test]
fn the_least_times_of_rounds_in_which_nobody_else_had_the_core_count() {
    assert_eq!(times(&[round(9.0, 3.0), round(6.0, 4.0)]), Some(2.0));
    let busy = Round { waited: 0.5, ..round(1.0, 0.1) };
    assert_eq!(times(&[busy, round(6.0, 4.0)]), Some(1.5));
    assert_eq!(times(&[busy, busy]), None);
    assert_eq!(times(&[round(1.0, f64::INFINITY)]), Some(0.0));
}

/// A model of which a run does this with the number of its inputs.
struct Fake<F>(F);

impl<F: FnMut(usize) -> Result<(), BackendError>> Inference for Fake<F> {
    fn encode(&self, _query: Option<&str>, texts: &[&str], _long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        let encoded = Encoded { ids: vec![7; 5], type_ids: vec![0; 5], truncated: false, span: None };
        texts.iter().map(|_| Ok(vec![encoded.clone()])).collect()
    }

    fn run(&mut self, group: &[&Encoded]) -> Result<Vec<Output>, BackendError> {
        assert!(group.iter().all(|input| input.len() == group[0].len() && input.type_ids.len() == input.len()));
        (self.0)(group.len()).map(|()| group.iter().map(|_| Output::Logit(1.0)).collect())
    }
}

#[test]
fn a_model_that_takes_no_groups_is_given_none() {
    let mut single = Fake(|count| if count == 1 { Ok(()) } else { Err(BackendError::Run(String::from("too many"))) });
    let alone = Grouping::Equal { longest: 0, tokens: 512 };
    // Or nothing can be told, where others have the core now.
    let chosen = Grouping::SHORT.measured(&mut single, 512);
    assert!(chosen == alone || chosen == Grouping::SHORT, "{chosen:?}");
}

#[test]
fn what_cannot_be_measured_stays_as_it_was() {
    let mut broken = Fake(|_| Err(BackendError::Run(String::from("out of memory"))));
    assert_eq!(Grouping::SHORT.measured(&mut broken, 512), Grouping::SHORT);
    assert_eq!(Grouping::IF_MEASURED.measured(&mut broken, 512), Grouping::IF_MEASURED);
    let mut untouched = Fake(|_| panic!("there is nothing to choose"));
    for grouping in [Grouping::Alone, Grouping::Padded { tokens: 100 }] {
        assert_eq!(grouping.measured(&mut untouched, 512), grouping);
    }
    assert_eq!(Grouping::SHORT.measured(&mut untouched, 31), Grouping::SHORT);
}
