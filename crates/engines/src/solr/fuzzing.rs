//! What must hold for any input whatever, as functions of raw bytes that panic where it does not: the entry points of the
//! fuzz targets in `fuzz/`, and of their bounded run in `tests/fuzz_entry_points.rs`. Nothing else calls them. Owns no
//! behaviour.

use serde::de::IgnoredAny;

use super::Solr;
use crate::{
    dialect::{Dialect, Reading, Route},
    json,
    passage::{Content, PassageSpec},
    plan::{Echo, Explain, ExtraFields, NoPlan, Page, Plan, Shown, Terms},
    rewrite::{Layout, Placed, rewrite as rewritten},
    sent::Sent,
};

/// What a handler fills in, in one of the runs.
const TOLD: &str =
    r#"{"responseHeader":{"params":{"echoParams":"all","fl":["id","n"],"qf":"title","rows":"20","df":"text"}}}"#;
/// The same for a handler that fills in nothing.
const NOTHING: &str = r#"{"responseHeader":{"params":{"echoParams":"all"}}}"#;

/// Reads `input` as a request, in the form of the seeds, and plans it under several rules.
///
/// It has a plan or a reason why not. A plan's figures fit each other, and the client's own parameters are all sent, as they
/// were written and in their order, behind ours.
pub fn plan(input: &[u8]) {
    let Some(sent) = Sent::read(input) else { return };
    for told in [NOTHING, TOLD] {
        let solr = Solr::default();
        let Route::Searches(route) = solr.classify(&sent.method, sent.path_and_query.path()) else { return };
        let request = sent.request(&route);
        if solr.introduction(request).is_some() {
            solr.introduce(request, told.as_bytes());
        }
        let Ok(searches) = solr.searches(request) else { return };
        let asked_in_header = sent.headers.get("x-rerank-query").and_then(|query| query.to_str().ok());
        let named =
            PassageSpec { content: Content::Fields(vec!["title".to_owned(), "t*".to_owned()]), strip_html: false };
        let asked = ["/params/asked".to_owned(), "/asked".to_owned()];
        for (window, passage) in [(100, &PassageSpec::default()), (5, &named)] {
            let query = asked_in_header;
            let terms = Terms { window, passage, query, query_path: &asked, leave_explicit: false, scores: true };
            match solr.plan(request, &searches[0], &terms) {
                Ok(plan) => planned(&solr, &sent, &route, &plan, window),
                Err(NoPlan::Skip(reason)) => assert!(!reason.as_str().is_empty()),
                Err(NoPlan::Refuse { .. }) => panic!("nothing of Solr's is refused here"),
            }
        }
    }
}

fn planned(solr: &Solr, sent: &Sent, route: &crate::dialect::SearchRoute, plan: &Plan, window: usize) {
    assert!(!plan.query.trim().is_empty(), "a query says something");
    assert!(plan.page.size > 0 && plan.window == window && plan.page.from < window, "{plan:?}");
    assert_eq!(plan.hits, window.max(plan.page.end()), "{plan:?}");
    let Ok(forward) = solr.assemble(sent.request(route), &[Some(plan)]) else { return };
    assert_eq!((forward.body, forward.filter), (None, None));
    let (old, new) = (&sent.path_and_query, &forward.path_and_query);
    assert_eq!(old.path(), new.path());
    if !plan.widened {
        return assert_eq!(old, new, "what is asked for as it was is sent as it was");
    }
    let own = old.query().unwrap_or_default();
    if !own.contains("json") {
        assert!(new.query().unwrap_or_default().ends_with(own), "{old} {new}");
    }
}

/// Reads `input` as Solr's answer under several plans, and rewrites it.
///
/// An answer has documents or a reason why not. What comes out is JSON; documents keep their bytes, but for members that
/// were asked for on our behalf, and where there are none, every document in its own place gives the answer back.
pub fn rewrite(input: &[u8]) {
    for (asked, wanted) in
        [(&[][..], &[][..]), (&["score", "[elevated]", "title"], &["id,s:score", "n*"]), (&["*"], &["id"])]
    {
        let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let extra = ExtraFields { asked: strings(asked), wanted: strings(wanted) };
        answered(input, &plan_of(extra, documents(input)));
    }
}

/// How many documents an answer seems to hold.
fn documents(answer: &[u8]) -> usize {
    let response = json::member(answer, 0, "response");
    let docs = response.and_then(|response| json::member(answer, response.value.start, "docs"));
    docs.map_or(0, |docs| json::elements(answer, docs.value.start).len())
}

/// A plan that asks for as many hits as there are.
fn plan_of(extra: ExtraFields, hits: usize) -> Plan {
    let widened = !extra.asked.is_empty();
    let echo = |name, shown: Shown| Echo { name, explicit: shown.clone(), all: shown };
    let changed = [echo("rows", Shown::Nothing), echo("fl", Shown::Behind(1)), echo("q", Shown::As("x\"".to_owned()))];
    Plan {
        query: "water".to_owned(),
        searched: vec!["title".to_owned()],
        passage: PassageSpec::default(),
        window: 3,
        page: Page { from: usize::from(widened), size: 3 },
        hits,
        min_score: None,
        body: None,
        extra,
        echo: if widened { changed.to_vec() } else { Vec::new() },
        widened,
    }
}

fn answered(answer: &[u8], plan: &Plan) {
    let Ok(found) = Solr::default().candidates(answer, &Reading { plan, explain: Explain::No }) else { return };
    let hits = &found.layout.hits;
    assert_eq!((found.scores.len(), found.passages.len()), (hits.len(), hits.len().min(plan.window)));
    assert!(found.pinned <= hits.len());
    let shown = |layout: &Layout, order: &[usize]| {
        let page: Vec<Placed> = order.iter().copied().map(Placed::unchanged).collect();
        rewritten(answer, layout, &page, None)
    };
    let in_place: Vec<usize> = (0..hits.len()).collect();
    let tells = found.layout.max_score.is_some()
        || json::member(answer, 0, "response")
            .is_none_or(|response| json::member(answer, response.value.start, "maxScore").is_none());
    if !plan.widened && tells {
        assert_eq!(shown(&found.layout, &in_place), answer, "every document in its own place gives the answer back");
    }
    for order in
        [in_place.iter().rev().copied().collect::<Vec<_>>(), in_place.iter().copied().take(1).collect(), Vec::new()]
    {
        let new = shown(&found.layout, &order);
        serde_json::from_slice::<IgnoredAny>(&new).expect("JSON stays JSON");
        if plan.extra.asked.is_empty() {
            for &hit in &order {
                assert!(
                    memchr::memmem::find(&new, &answer[hits[hit].span.clone()]).is_some(),
                    "documents keep their bytes"
                );
            }
        }
    }
    let noted =
        Solr::default().candidates(answer, &Reading { plan, explain: Explain::Fields }).expect("it was read before");
    let page: Vec<Placed> =
        in_place.iter().map(|&hit| Placed { hit, score: Some(0.5), notes: vec!["{\"rank\":1}".to_owned()] }).collect();
    serde_json::from_slice::<IgnoredAny>(&rewritten(answer, &noted.layout, &page, Some(0.5))).expect("JSON stays JSON");
}
