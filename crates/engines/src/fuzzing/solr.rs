//! Requests to Solr and its answers: what planning, reading and rewriting may make of them, and what they may not touch.

use serde::de::IgnoredAny;

use super::sent::Sent;
use crate::{
    dialect::{Dialect, SearchRequest},
    extra_fields::ExtraFields,
    json,
    passage::{Content, PassageSpec},
    plan::{Explain, NoPlan, Page, Plan, Terms},
    request::Route,
    rewrite::{Layout, Placed, rewrite as rewritten},
    solr::{
        Solr, answer,
        asked::FieldLists,
        echo::{Echo, Seen},
        fields::Fields,
        planned::Planned,
        request::SolrRequest,
    },
};

/// The defaults of a handler, in one of the runs.
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
        let Route::Search(route) = solr.classify(&sent.method, sent.path_and_query.path()) else { return };
        let read = || SolrRequest::read(sent.parts(), &route, &solr.handlers);
        let Ok(mut request) = read() else { return };
        if request.discovery().is_some() {
            request.discovered(told.as_bytes());
        }
        let asked_in_header = sent.headers.get("x-rerank-query").and_then(|query| query.to_str().ok());
        let named =
            PassageSpec { content: Content::Fields(vec!["title".to_owned(), "t*".to_owned()]), strip_html: false };
        let asked = ["/params/asked".to_owned(), "/asked".to_owned()];
        let values = ["n".to_owned(), "popularity".to_owned()];
        for (window, passage, values) in
            [(100, &PassageSpec::default(), &[][..]), (5, &named, &[]), (7, &named, &values)]
        {
            let query = asked_in_header;
            let terms =
                Terms { window, passage, query, query_path: &asked, leave_explicit: false, scores: true, values };
            let mut request = read().expect("it was read before");
            match request.plan(0, &terms) {
                Ok(plan) => planned(request, &sent, &plan, window),
                Err(NoPlan::Skip(reason)) => assert!(!reason.as_str().is_empty()),
                Err(NoPlan::Refuse { .. }) => panic!("nothing of Solr's is refused here"),
            }
        }
    }
}

fn planned(request: Box<SolrRequest>, sent: &Sent, plan: &Plan, window: usize) {
    assert!(!plan.query.trim().is_empty(), "a query says something");
    assert!(plan.page.size > 0 && plan.window == window && plan.page.from < window, "{plan:?}");
    assert_eq!(plan.hits, window.max(plan.page.end()), "{plan:?}");
    assert_eq!(request.planned().map(|planned| &planned.plan), Some(plan));
    let Ok(assembled) = request.assemble() else { return };
    assert!(assembled.forward.body.is_none() && !assembled.reader.reshapes());
    let (old, new) = (&sent.path_and_query, &assembled.forward.path_and_query);
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
        let extra = ExtraFields { asked: strings(asked), no_text: Vec::new(), wanted: strings(wanted) };
        answered(input, &plan_of(extra, documents(input)));
    }
}

/// The number of documents that an answer seems to hold.
fn documents(answer: &[u8]) -> usize {
    let response = json::member(answer, 0, "response");
    let docs = response.and_then(|response| json::member(answer, response.value.start, "docs"));
    docs.map_or(0, |docs| json::elements(answer, docs.value.start).len())
}

/// A plan that asks for as many hits as there are.
fn plan_of(extra: ExtraFields, hits: usize) -> Planned {
    let widened = !extra.asked.is_empty();
    let echo = |name, seen: Seen| Echo { name, explicit: seen.clone(), all: seen };
    let changed = [echo("rows", Seen::Nothing), echo("fl", Seen::Behind(1)), echo("q", Seen::As("x\"".to_owned()))];
    let page = Page { from: usize::from(widened), size: 3 };
    Planned {
        plan: Plan { query: "water".to_owned(), source: "match", window: 3, page, hits, widened },
        searched: vec!["title".to_owned()],
        passage: PassageSpec::default(),
        client: Fields::read(&extra.wanted),
        extra,
        values: vec![Some("n".to_owned()), None],
        echo: if widened { changed.to_vec() } else { Vec::new() },
        lists: FieldLists::default(),
    }
}

fn answered(answer: &[u8], planned: &Planned) {
    let Ok(found) = answer::candidates(answer, planned, Explain::No) else { return };
    let plan = &planned.plan;
    let hits = &found.layout.hits;
    assert_eq!((found.scores.len(), found.passages.len()), (hits.len(), hits.len().min(plan.window)));
    assert_eq!(found.values.len(), found.passages.len());
    assert!(found.values.iter().all(|values| values.len() == planned.values.len()), "a list of values for each name");
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
        if planned.extra.asked.is_empty() {
            for &hit in &order {
                assert!(
                    memchr::memmem::find(&new, &answer[hits[hit].span.clone()]).is_some(),
                    "documents keep their bytes"
                );
            }
        }
    }
    let noted = answer::candidates(answer, planned, Explain::Fields).expect("it was read before");
    let page: Vec<Placed> =
        in_place.iter().map(|&hit| Placed { hit, score: Some(0.5), notes: vec!["{\"rank\":1}".to_owned()] }).collect();
    serde_json::from_slice::<IgnoredAny>(&rewritten(answer, &noted.layout, &page, Some(0.5))).expect("JSON stays JSON");
}
