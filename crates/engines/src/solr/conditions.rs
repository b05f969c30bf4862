//! A search → its plan or the reason why there is none. Owns what may be reranked: the conditions that a request can
//! fail, and in which order they are looked at. What is sent in its place is in `forward`. Pure.

use serde_json::Value;

use super::{
    asked::{Asked, as_text},
    fields::{Fields, SCORE, few_globs},
    forward::echo,
    planned::Planned,
    query_text,
};
use crate::{
    caps,
    extra_fields::ExtraFields,
    names::{is_pattern, matches},
    passage::Content,
    plan::{NoPlan, Page, Plan, QUERY_HEADER, QUERY_PATH, SkipReason, Terms},
};

/// Solr's own default.
const DEFAULT_ROWS: usize = 10;

/// Features whose part of an answer depends on the page, or on what its documents show, as a whole: hits in groups (`group`),
/// what stands beside each hit of the page (`expand`, `mlt`, `tv`), what the page has in common (`clustering`). `isShard` is
/// a node asking another one.
pub(super) const UNSUPPORTED: [&str; 6] = ["group", "expand", "mlt", "tv", "clustering", "isShard"];

pub(super) fn plan(asked: &Asked, terms: &Terms<'_>) -> Result<Planned, NoPlan> {
    speaks_json(asked)?;
    if asked.first("cursorMark").is_some() {
        return Err(SkipReason::Cursor.into());
    }
    if UNSUPPORTED.iter().any(|name| asked.is_true(name)) {
        return Err(SkipReason::Unsupported.into());
    }
    if asked.first("rq").is_some_and(|query| !query.trim().is_empty()) {
        return Err(SkipReason::OwnReranker.into());
    }
    if !said(asked, "sort", "sort").is_none_or(|sort| is_by_score(&sort)) {
        return Err(SkipReason::Sort.into());
    }
    let page = Page {
        from: count(said(asked, "offset", "start"), 0)?,
        size: count(said(asked, "limit", "rows"), DEFAULT_ROWS)?,
    };
    if page.size == 0 {
        return Err(SkipReason::SizeZero.into());
    }
    let window = terms.window;
    if page.from >= window {
        return Err(SkipReason::BeyondWindow.into());
    }
    let hits = window.max(page.end());

    let inferred = query_text::of(asked)?;
    let query = terms.query.map(|query| (query.to_owned(), QUERY_HEADER));
    let query = query.or_else(|| Some((parameter(asked, "rerank.q")?, "rerank.q")));
    let query = query.or_else(|| Some((at_query_path(asked, terms.query_path)?, QUERY_PATH)));
    let (found, searched) =
        inferred.map_or((None, Vec::new()), |found| (Some((found.text, found.source)), found.fields));
    let (query, source) = query.or(found).ok_or(SkipReason::NoQueryText)?;
    caps::searched(&searched)?;

    let lists = asked.fields();
    let all = lists.all();
    let wanted = terms.passage.wanted(&searched);
    // The fields that a query searches are often copies that no document shows.
    let spare = terms.passage.content == Content::Searched;
    let client = Fields::read(&all);
    if asked.too_many_macros() || !client.within_caps() || !few_globs(&searched) {
        return Err(SkipReason::TooComplex.into());
    }
    if terms.scores && client.has_children() && !client.shows(SCORE) {
        // Solr would show the score of each child, too.
        return Err(SkipReason::Unsupported.into());
    }
    let mut asked_for = client.extra(&wanted, spare, terms.scores);
    let values = client.extra_values(terms.values, &asked_for);
    // What a pattern brings for the passage is its text, whatever else it is.
    let is_passage = |name: &&String| asked_for.iter().any(|asked| is_pattern(asked) && matches(asked, name));
    let no_text = values.iter().filter(|name| !is_passage(name)).cloned().collect();
    asked_for.extend(values);
    let extra = ExtraFields { asked: asked_for, no_text, wanted: all };
    let values = terms.values.iter().map(|name| Some(name).filter(|name| !client.gives_away(name)).cloned()).collect();
    let mut plan = Plan { query, source, window, page, hits, widened: false };
    plan.widened = plan.changes_page() || !extra.asked.is_empty();
    let echo = echo(asked, &plan, &extra, &lists)?;
    Ok(Planned { plan, searched, passage: terms.passage.clone(), extra, values, echo, lists, client })
}

/// Makes sure that the client wants JSON back, and nothing around it. Other requests than forms and JSON are not read at all.
pub(super) fn speaks_json(asked: &Asked) -> Result<(), SkipReason> {
    let wraps = asked.first("json.wrf").is_some_and(|function| !function.is_empty());
    let streams = ["stream.body", "stream.file", "stream.url"].iter().any(|name| asked.first(name).is_some());
    let is_json = asked.first("wt").is_none_or(|format| matches!(format.as_str(), "json" | ""));
    if is_json && !wraps && !streams { Ok(()) } else { Err(SkipReason::ContentType) }
}

/// The member of the JSON, else the parameter.
fn said(asked: &Asked, member: &str, name: &str) -> Option<String> {
    asked.json(member).map(as_text).or_else(|| asked.first(name))
}

/// A parameter that says something.
fn parameter(asked: &Asked, name: &str) -> Option<String> {
    asked.first(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// `score desc`, or nothing.
fn is_by_score(sort: &str) -> bool {
    let mut words = sort.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (None, ..) => true,
        (Some("score"), Some(order), None) => order.eq_ignore_ascii_case("desc"),
        _ => false,
    }
}

/// A count. Anything else is the cluster's to refuse.
fn count(said: Option<String>, default: usize) -> Result<usize, SkipReason> {
    said.filter(|text| !text.is_empty()).map_or(Ok(default), |text| text.parse().map_err(|_| SkipReason::Malformed))
}

/// The texts at the rule's pointers, joined: in the JSON of the request, or, as `/NAME`, in a parameter.
fn at_query_path(asked: &Asked, pointers: &[String]) -> Option<String> {
    let text = |pointer: &String| {
        let in_json = asked.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        in_json.or_else(|| asked.first(pointer.strip_prefix('/')?)).map(|text| text.trim().to_owned())
    };
    let text = pointers.iter().filter_map(text).collect::<Vec<_>>().join(" ").trim().to_owned();
    (!text.is_empty()).then_some(text)
}
