//! The files that the playground lets one download, read as judgements: `fixtures/playground/`, which
//! `tests/e2e/test_playground.py` holds the page to.

use std::path::{Path, PathBuf};

use evaluation::judgements::{JudgedQueries, LeftOut, Search, beir, rank_eval};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/playground")
}

/// The grades that were given with two keys.
fn has_the_grades(read: &JudgedQueries) {
    let [query] = &read.queries[..] else { panic!("one query: {read:?}") };
    assert_eq!(query.grades, [("cooking-158", 3), ("cooking-161", 1)].into_iter().collect());
    assert_eq!(read.left_out, LeftOut::default());
}

#[test]
fn what_the_playground_writes_is_a_beir_folder() {
    let read = beir::load(&folder(), None).expect("as BEIR has it");
    has_the_grades(&read);
    assert_eq!(read.queries[0].text(), Some("homemade garlic confit shelf life"));
}

#[test]
fn what_the_playground_writes_is_a_rank_eval_request_with_the_search_that_was_judged() {
    let read = rank_eval::load(&folder().join("rank_eval.json")).expect("as _rank_eval has it");
    has_the_grades(&read);
    let Search::Body(body) = &read.queries[0].search else { panic!("a search of its own: {read:?}") };
    assert_eq!(body["query"]["multi_match"]["query"], "homemade garlic confit shelf life");
}
