//! Requests: what planning may make of them, and what it may not touch.

use bytes::Bytes;
use http::uri::PathAndQuery;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::sent::Sent;
use crate::{
    dialect::{Assembled, Dialect, SearchRequest},
    elastic::{Elastic, multi, planned::Planned, request::ElasticRequest, url},
    json,
    passage::{Content, PassageSpec, Template},
    plan::{NoPlan, Terms},
    request::{Forward, Route, SearchRoute},
};

/// Reads `input` as a request, written `METHOD /path?query`, a line for each header, an empty line and the body, and plans
/// it under several rules.
///
/// Each search has a plan or a reason why not. A plan's figures fit each other, and the request that is sent in the place
/// of the client's differs from it only where the plan says so, to the byte.
pub fn plan(input: &[u8]) {
    let Some(sent) = Sent::read(input) else { return };
    let elastic = Elastic::default();
    let Route::Search(route) = elastic.classify(&sent.method, sent.path_and_query.path()) else { return };
    if !route.form.is_template() {
        return planned(&elastic, &route, &sent);
    }
    let Ok(request) = ElasticRequest::read(sent.parts(), &route, &elastic.remembered) else { return };
    let Ok(asked) = request.renderings() else { return };
    let answer = Bytes::from_static(br#"{"template_output":{"query":{"match":{"text":"wine"}},"size":3}}"#);
    let Ok(read) = request.with_rendered(&vec![answer; asked.len()]) else { return };
    let rendered = SearchRoute { form: route.form.rendered(), ..route };
    let is_search = elastic.classify(&sent.method, read.path_and_query.path());
    assert_eq!(is_search, Route::Search(rendered.clone()), "what templates stand for is a search");
    let (path_and_query, body) = (read.path_and_query.clone(), read.body.clone());
    assert_eq!(read.assemble().expect("it can be sent").forward.body.as_ref(), Some(&body), "and is sent as one");
    planned(&elastic, &rendered, &Sent { path_and_query, body, ..sent });
}

fn planned(elastic: &Elastic, route: &SearchRoute, sent: &Sent) {
    let read = || ElasticRequest::read(sent.parts(), route, &elastic.remembered);
    let Ok(request) = read() else { return };
    let asked_in_header = sent.headers.get("x-rerank-query").and_then(|query| query.to_str().ok());
    let named =
        PassageSpec { content: Content::Fields(vec!["title".to_owned(), "text".to_owned()]), strip_html: false };
    let template = Template::parse("{title}\n{notes.note}").expect("a template");
    let template = PassageSpec { content: Content::Template(template), strip_html: true };
    let asked = ["/params/asked".to_owned()];
    let zero_config = Terms {
        window: 100,
        passage: &PassageSpec::default(),
        query: asked_in_header,
        query_path: &[],
        leave_explicit: false,
        scores: true,
        values: &[],
    };
    let values = ["popularity".to_owned(), "notes.note".to_owned(), "title".to_owned()];
    let rules = [
        zero_config,
        Terms { window: 5, passage: &named, query_path: &asked, ..zero_config },
        Terms { window: 10, passage: &template, leave_explicit: true, ..zero_config },
        Terms { window: 7, passage: &named, values: &values, ..zero_config },
    ];
    assert_eq!(request.assemble().ok().and_then(|assembled| assembled.forward.body), None);
    for terms in rules {
        let mut request = read().expect("it was read before");
        let places = 0..request.searches().len();
        let bodies: Vec<Bytes> = places.clone().map(|place| request.body_of(place)).collect();
        for place in places.clone() {
            match request.plan(place, &terms) {
                Ok(plan) => assert_eq!(request.planned(place).map(|planned| &planned.plan), Some(&plan)),
                Err(NoPlan::Skip(reason)) => assert!(!reason.as_str().is_empty()),
                Err(NoPlan::Refuse(failure)) => {
                    assert!(!failure.kind.name().is_empty() && !failure.reason.is_empty());
                }
            }
        }
        let plans: Vec<Option<Planned>> = places.map(|place| request.planned(place).cloned()).collect();
        for (body, planned) in bodies.iter().zip(&plans).filter_map(|(body, planned)| Some((body, planned.as_ref()?))) {
            figures_fit(planned, &terms);
            differs_as_planned(body, planned, route.form.is_multi());
        }
        if plans.iter().any(Option::is_some) {
            let Ok(assembled) = request.assemble() else { panic!("planned searches can be sent") };
            url_differs_as_planned(route, sent, &assembled, &plans);
            bodies_differ_as_planned(route, sent, &assembled.forward, &plans);
        }
    }
}

fn figures_fit(planned: &Planned, terms: &Terms<'_>) {
    let plan = &planned.plan;
    assert!(!plan.query.trim().is_empty(), "a query says something");
    assert!(plan.page.size > 0 && plan.window > 0 && plan.window <= plan.hits, "{plan:?}");
    let own_depth = plan.hits == plan.window && planned.passage != *terms.passage;
    assert!(own_depth || (plan.window <= terms.window && plan.page.from < plan.window), "{plan:?}");
    assert!(own_depth || plan.page.end() <= plan.hits, "{plan:?}");
    let same = plan.page.from == 0 && plan.page.size == plan.hits && planned.body.is_none();
    assert_eq!(plan.widened, !same, "{plan:?}");
}

/// The members of `body`, but for those that `changed` names: what they are written as.
fn members<'a>(body: &'a [u8], changed: &[&str]) -> Vec<&'a [u8]> {
    let members = json::members(body, 0).into_iter();
    members.filter(|member| !changed.contains(&&*member.name(body))).map(|member| &body[member.span()]).collect()
}

/// What JSON says; bytes that are no UTF-8 are nobody's business before the cluster has read them.
fn value(json: &[u8]) -> Value {
    serde_json::from_str(&String::from_utf8_lossy(json)).unwrap_or_default()
}

/// The new body holds every member of the client's as it was written, but for those that a plan may change.
fn differs_as_planned(body: &[u8], planned: &Planned, multi: bool) {
    let Planned { plan, extra, .. } = planned;
    let Some(new) = planned.body.as_deref() else { return };
    let old: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let has = |pointer: &str| value(old).pointer(pointer).is_some();
    serde_json::from_slice::<IgnoredAny>(new).expect("the new body is JSON");
    let mut changed = Vec::new();
    if !extra.asked.is_empty() {
        changed.push("fields");
        let list = |body| json::member(body, 0, "fields").map(|member| value(&body[member.value]));
        let (old, new) = (list(old), list(new));
        let asked = extra.asked.iter().map(|name| Value::from(name.as_str()));
        let own = old.map_or_else(Vec::new, |old| old.as_array().expect("a list can be added to").clone());
        assert_eq!(new, Some(asked.chain(own).collect()));
    }
    if multi {
        changed.extend(["from", "size"]);
        if plan.page.from != 0 || plan.page.size != plan.hits {
            let new = value(new);
            assert_eq!((&new["from"], &new["size"]), (&Value::from(0), &Value::from(plan.hits)));
        }
    }
    if has("/ext/rerank") {
        changed.push("ext");
        let new = value(new);
        assert_eq!(new.pointer("/ext/rerank"), None, "the cluster need not know it");
    }
    if has("/retriever/text_similarity_reranker") {
        changed.extend(["retriever", "query", "min_score", "terminate_after", "collapse"]);
        let new = value(new);
        assert_eq!(new.pointer("/retriever/text_similarity_reranker"), None, "the cluster need not do it");
    }
    assert_eq!(members(new, &changed), members(old, &changed));
}

/// Nothing of the URL but the page and, where it would hide the hits, the filter.
fn url_differs_as_planned(route: &SearchRoute, sent: &Sent, assembled: &Assembled, plans: &[Option<Planned>]) {
    let forward = &assembled.forward;
    // Of a request that is no template, only the filter gives the answer as a whole another shape.
    let is_filtered = assembled.reader.reshapes();
    let (old, new) = (&sent.path_and_query, &forward.path_and_query);
    let single = plans[0].as_ref().filter(|_| !route.form.is_multi()).map(|planned| &planned.plan);
    let other = |path_and_query: &PathAndQuery| -> Vec<String> {
        // The cluster takes both for what stands between two parameters.
        let pairs = path_and_query.query().unwrap_or_default().split(['&', ';']);
        let changed =
            |name: &str| matches!(name, "from" | "size") && single.is_some() || name == "filter_path" && is_filtered;
        let name = |pair: &str| url::decode(&pair.split('=').next().unwrap_or_default().replace('+', " "));
        pairs.filter(|pair| !pair.is_empty() && !changed(&name(pair))).map(str::to_owned).collect()
    };
    assert_eq!((old.path(), other(old)), (new.path(), other(new)));
    if let Some(plan) = single.filter(|plan| plan.page.from != 0 || plan.page.size != plan.hits) {
        let said = |name| url::parameter(new.query(), name).and_then(|value| value.parse::<usize>().ok());
        assert_eq!((said("from"), said("size")), (Some(0), Some(plan.hits)));
    }
    if single.is_some_and(|plan| !plan.widened) && !is_filtered {
        assert_eq!((old, &forward.body), (new, &None), "what is asked for as it was is sent as it was");
    }
}

/// The body is the client's, with the planned searches in their places.
fn bodies_differ_as_planned(route: &SearchRoute, sent: &Sent, forward: &Forward, plans: &[Option<Planned>]) {
    let Some(new) = &forward.body else {
        return assert!(plans.iter().flatten().all(|planned| planned.body.is_none()));
    };
    let planned_body = |place: usize| plans[place].as_ref().and_then(|planned| planned.body.as_ref());
    if !route.form.is_multi() {
        return assert_eq!(Some(new), planned_body(0));
    }
    let old = multi::lines(&sent.body).expect("lines");
    let lines = multi::lines(new).expect("still lines");
    assert_eq!((old.len(), lines.len()), (plans.len(), plans.len()));
    for (place, (old, lines)) in old.into_iter().zip(lines).enumerate() {
        assert_eq!(sent.body[old.header], new[lines.header]);
        match planned_body(place) {
            None => assert_eq!(sent.body[old.body], new[lines.body]),
            Some(planned) => {
                let spaces = |text: &[u8]| text.iter().filter(|byte| !byte.is_ascii_whitespace()).copied().collect();
                let (planned, sent): (Vec<u8>, Vec<u8>) = (spaces(planned), spaces(&new[lines.body]));
                assert_eq!(planned, sent);
            }
        }
    }
}
