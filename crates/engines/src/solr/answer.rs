//! A search's answer → where its documents lie and what text they carry, and what has to be put back so that it reads as the
//! answer to the client's own request. Owns the shape `{"responseHeader": {"params": …}, "response": {"start": …, "maxScore":
//! …, "docs": […]}, "highlighting": {ID: …}, "debug": {"explain": {ID: …}}}`. Pure.

use std::ops::Range;

use http::StatusCode;
use serde::de::IgnoredAny;

use super::{
    echo,
    fields::{ELEVATED, Fields, Ours, SCORE},
    planned::Planned,
};
use crate::{
    candidates::{Candidates, Unreadable},
    caps::MAX_HITS,
    hit_passages::Passages,
    hit_values::Values,
    json::{self, Edits, Member, Object},
    plan::Explain,
    rewrite::{HitSpan, Layout, NoteSpan, Total},
};

/// The usual name of the key of documents; its text says nothing.
const KEY: &str = "id";

/// The documents of `answer`, with the passages and values of those within the plan's window.
///
/// An answer that is no JSON, or has no documents in the usual place, is `malformed`. One that is not whole is `partial`
/// where the client's own page might be.
pub(crate) fn candidates(answer: &[u8], planned: &Planned, explain: Explain) -> Result<Candidates, Unreadable> {
    let text = simdutf8::basic::from_utf8(answer).map_err(|_| Unreadable::Malformed)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| Unreadable::Malformed)?;
    let plan = &planned.plan;
    let top = Part::of(answer, &json::value(answer, 0)).ok_or(Unreadable::Malformed)?;
    if let Some(error) = top.value("error") {
        let code = Part::of(answer, error).and_then(|error| text[error.value("code")?.clone()].parse().ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok());
        return Err(Unreadable::Error(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)));
    }
    let header = top.part("responseHeader");
    let is_partial = header
        .as_ref()
        .and_then(|header| header.value("partialResults"))
        .is_some_and(|at| &text[at.clone()] != "false");
    if plan.widened && is_partial {
        return Err(Unreadable::Partial);
    }
    let response = top.part("response").ok_or(Unreadable::Malformed)?;
    let docs = response.value("docs").filter(|docs| answer[docs.start] == b'[').ok_or(Unreadable::Malformed)?;
    let docs = json::first_elements(answer, docs.start, MAX_HITS + 1);
    if docs.len() > MAX_HITS {
        return Err(Unreadable::Malformed);
    }
    let docs: Option<Vec<Object>> = docs.into_iter().map(|doc| json::object(answer, doc.start)).collect();
    let docs = docs.ok_or(Unreadable::Malformed)?;

    if plan.widened && !is_as_asked(text, planned, &response, &docs) {
        return Err(Unreadable::Partial);
    }

    let client = &planned.client;
    let mut candidates = Candidates::default();
    let passages = Passages::of(&planned.passage, &planned.searched);
    let values = Values { names: &planned.values };
    let ours = Ours::of(&planned.extra, client);
    let key_is_text = planned.passage.wanted(&planned.searched).contains(&KEY);
    let mut leads = true;
    for (rank, doc) in docs.iter().enumerate() {
        let doc = Doc { text: answer, object: doc, ours: &ours, client, key_is_text };
        if rank < plan.window {
            let texts = planned.extra.texts(answer, doc.object);
            candidates.passages.push(passages.passage(text, Some(&doc.texts(&texts)), None));
            candidates.values.push(values.of(answer, Some(doc.object), None));
        }
        let score = doc.value(SCORE).or_else(|| doc.own_score());
        candidates.scores.push(score.and_then(|at| text[at].parse().ok()));
        leads &= doc.value(ELEVATED).is_some_and(|at| &text[at] == "true");
        candidates.pinned += usize::from(leads);
        candidates.layout.hits.push(doc.placed(explain));
    }
    let layout = &mut candidates.layout;
    around(answer, planned, header.as_ref(), &response, layout, client.tells_score());
    if let Some(json) = top.part("debug").and_then(|debug| debug.part("json")) {
        echo::restore_json(answer, &json.object, &planned.echo, &mut layout.around);
    }
    layout.alongside = alongside(&top, docs.len());
    Ok(candidates)
}

/// True if the answer has the page that was asked for, and the scores where they were: a handler may insist on values of its own
/// (`invariants`).
fn is_as_asked(text: &str, planned: &Planned, response: &Part, docs: &[Object]) -> bool {
    let number = |name| response.value(name).and_then(|at| text[at.clone()].parse::<usize>().ok());
    let is_page = number("start") == Some(0)
        && number("numFound").is_some_and(|found| docs.len() == found.min(planned.plan.hits));
    let has_score = |doc: &Object| doc.members.iter().any(|member| member.name(text.as_bytes()) == SCORE);
    is_page && (docs.iter().all(has_score) || !planned.extra.asked.iter().any(|name| name == SCORE))
}

/// The edits around the documents.
fn around(
    text: &[u8],
    planned: &Planned,
    header: Option<&Part>,
    response: &Part,
    layout: &mut Layout,
    tells_score: bool,
) {
    if let Some(params) = header.and_then(|header| header.part("params")) {
        echo::restore(text, &params.object, &planned.echo, &mut layout.around);
    }
    layout.total = Total {
        count: response.value("numFound").cloned(),
        exact: response.value("numFoundExact").map(|at| (at.clone(), "true")),
    };
    let page = planned.plan.page;
    if let Some(start) = response.value("start").filter(|_| page.from != 0) {
        layout.around.replace(start.clone(), page.from.to_string());
    }
    match response.value("maxScore") {
        Some(score) if tells_score => layout.max_score = Some(score.clone()).filter(|score| is_number(text, score)),
        // Without being asked for, too, Solr tells it of several shards.
        Some(_) if planned.extra.asked.iter().any(|name| name == SCORE) => {
            let members = &response.object.members;
            let spans: Vec<_> = members.iter().map(Member::span).collect();
            let keep = |member: usize| members[member].name(text) != "maxScore";
            // Only what lies before the documents: they are moved by themselves.
            retain_before_docs(text, response, &spans, keep, &mut layout.around);
        }
        _ => {}
    }
}

/// Takes members of `response` out, without touching the bytes of its documents.
fn retain_before_docs(
    text: &[u8],
    response: &Part,
    spans: &[Range<usize>],
    keep: impl Fn(usize) -> bool,
    edits: &mut Edits,
) {
    for (place, span) in spans.iter().enumerate().filter(|(place, _)| !keep(*place)) {
        match (spans.get(place + 1), place.checked_sub(1)) {
            (Some(next), _) => edits.remove(span.start..next.start),
            (None, Some(before)) => edits.remove(spans[before].end..span.end),
            (None, None) => edits.retain(text, response.object.span.clone(), spans, |_| false),
        }
    }
}

/// The lists that have one entry for each document, in the same order. One that has more or fewer is left as it is.
fn alongside(top: &Part, docs: usize) -> Vec<Vec<Range<usize>>> {
    let debug = top.part("debug");
    let lists = [top.part("highlighting"), debug.as_ref().and_then(|debug| debug.part("explain"))];
    let entries = |list: Part| -> Vec<Range<usize>> { list.object.members.iter().map(Member::span).collect() };
    lists.into_iter().flatten().map(entries).filter(|entries| entries.len() == docs).collect()
}

/// An object of the answer.
struct Part<'a> {
    text: &'a [u8],
    object: Object,
}

impl<'a> Part<'a> {
    fn of(text: &'a [u8], at: &Range<usize>) -> Option<Self> {
        Some(Self { text, object: json::object(text, at.start)? })
    }

    fn value(&self, name: &str) -> Option<&Range<usize>> {
        self.object.members.iter().find(|member| member.name(self.text) == name).map(|member| &member.value)
    }

    fn part(&self, name: &str) -> Option<Self> {
        Self::of(self.text, self.value(name)?)
    }
}

/// One document of the answer.
struct Doc<'a> {
    text: &'a [u8],
    object: &'a Object,
    ours: &'a Ours<'a>,
    client: &'a Fields,
    /// True if someone named the documents' key to be read.
    key_is_text: bool,
}

impl Doc<'_> {
    fn value(&self, name: &str) -> Option<Range<usize>> {
        self.object.members.iter().find(|member| member.name(self.text) == name).map(|member| member.value.clone())
    }

    /// The score under another name of the client's.
    fn own_score(&self) -> Option<Range<usize>> {
        if !self.client.renames_score() {
            return None;
        }
        let named =
            |member: &'_ Member| Some((self.client.shows_score_as(&member.name(self.text))?, member.value.clone()));
        let named = self.object.members.iter().filter_map(named);
        named.min_by_key(|(place, _)| *place).map(|(_, value)| value)
    }

    /// Those members of `shown` that may hold text: neither Solr's own fields nor what it makes up for the answer, nor, unless someone
    /// names it, the document's key.
    fn texts(&self, shown: &Object) -> Object {
        let may = |member: &&Member| {
            let name = member.name(self.text);
            !name.starts_with(['_', '[']) && name != SCORE && (name != KEY || self.key_is_text)
        };
        let members = shown.members.iter().filter(may).cloned().collect();
        Object { span: self.object.span.clone(), members }
    }

    fn placed(&self, explain: Explain) -> HitSpan {
        let members = &self.object.members;
        let mut edits = Edits::default();
        let keep: Vec<bool> = members.iter().map(|member| !self.ours.holds(&member.name(self.text))).collect();
        let spans: Vec<Range<usize>> = members.iter().map(Member::span).collect();
        edits.retain(self.text, self.object.span.clone(), &spans, |place| keep[place]);
        let score = if self.client.shows(SCORE) { self.value(SCORE) } else { self.own_score() };
        let object = self.object.span.clone();
        let note = || NoteSpan { object, name: "_rerank", around: ("", "") };
        HitSpan {
            span: self.object.span.clone(),
            score: score.filter(|score| is_number(self.text, score)),
            edits,
            notes: (explain != Explain::No).then(note).into_iter().collect(),
        }
    }
}

fn is_number(text: &[u8], at: &Range<usize>) -> bool {
    matches!(text[at.start], b'0'..=b'9' | b'-')
}
