//! A search's answer → where its hits lie and what text they carry. Owns the shape
//! `{"hits": {"max_score": …, "hits": [{"_score": …, "_source": {…}, "fields": {…}}]}}`; reads it in place, in one pass that
//! says whether it is JSON and one that says where things lie. Pure.

use std::ops::Range;

use http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{planned::Planned, strip::Strip};
use crate::{
    candidates::{Candidates, Unreadable},
    caps::MAX_HITS,
    hit_passages::Passages,
    hit_values::Values,
    json::{self, Edits, Items, Object},
    plan::{Explain, SkipReason},
    rewrite::{HitSpan, Layout, NoteSpan, Total},
};

/// The lowest score of the hits that Elasticsearch's `pinned` and `rule` queries promote: no other query scores as
/// high. (`PinnedQueryBuilder.MAX_ORGANIC_SCORE`, the float below 2^127.)
const LOWEST_PINNED: f32 = 1.701_411_7e38;

/// The places of the parts of an answer.
struct Answer {
    error: Option<Range<usize>>,
    status: Option<Range<usize>>,
    timed_out: Option<Range<usize>>,
    /// The number of shards that failed.
    failed: Option<Range<usize>>,
    hits: Option<Hits>,
}

/// The places of the parts of its `hits`.
struct Hits {
    max_score: Option<Range<usize>>,
    total: Total,
    list: Vec<Hit>,
}

/// The places of the parts of one hit.
struct Hit {
    span: Range<usize>,
    score: Option<Range<usize>>,
    source: Option<Object>,
    fields: Option<Object>,
    highlight: Option<Object>,
}

/// The hits of `answer`, with the passages and values of those within the plan's window.
///
/// An answer that is no JSON, says a key twice, or has no hits in the usual place is `malformed`. One that is not whole is
/// `partial` where the client's own page might be.
pub(crate) fn candidates(answer: &[u8], planned: &Planned, explain: Explain) -> Result<Candidates, Unreadable> {
    // Remembered to be Unicode, `serde_json` need not look at each text again; in most scripts that is half of the time.
    let text = simdutf8::basic::from_utf8(answer).map_err(|_| Unreadable::Malformed)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| Unreadable::Malformed)?;
    let found = Answer::read(answer).ok_or(Unreadable::Malformed)?;
    if found.error.is_some() {
        let status = found.status.and_then(|status| text[status].parse().ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        return Err(Unreadable::Error(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)));
    }
    let timed_out = found.timed_out.is_some_and(|at| &text[at] == "true");
    if planned.plan.widened && (timed_out || found.failed.is_some_and(|at| &text[at] != "0")) {
        return Err(Unreadable::Partial);
    }
    let Hits { max_score, total, list: hits } = found.hits.ok_or(Unreadable::Malformed)?;
    let number = |at: &Range<usize>| text[at.clone()].parse::<f32>().ok();
    let mut candidates = Candidates::default();
    let passages = Passages::of(&planned.passage, &planned.searched);
    let values = Values { names: &planned.values };
    let strip = Strip::of(answer, &planned.extra);
    for (rank, hit) in hits.into_iter().enumerate() {
        if rank < planned.plan.window {
            let texts = hit.fields.as_ref().map(|fields| planned.extra.texts(answer, fields));
            candidates.passages.push(passages.passage(text, hit.source.as_ref(), texts.as_deref()));
            candidates.values.push(values.of(answer, hit.source.as_ref(), hit.fields.as_ref()));
        }
        candidates.scores.push(hit.score.as_ref().and_then(number));
        candidates.layout.hits.push(hit.placed(answer, strip.as_ref(), explain));
    }
    candidates.pinned =
        candidates.scores.iter().take_while(|score| score.is_some_and(|score| score >= LOWEST_PINNED)).count();
    let max_score = max_score.filter(|at| number(at).is_some());
    candidates.layout = Layout { max_score, total, ..candidates.layout };
    Ok(candidates)
}

impl Answer {
    fn read(text: &[u8]) -> Option<Self> {
        let (mut error, mut status, mut timed_out, mut failed, mut hits) = (None, None, None, None, None);
        members(text, text.len() - text.trim_ascii_start().len(), |name, at| match name {
            "error" => once(&mut error, value(text, at)),
            "status" => once(&mut status, value(text, at)),
            "timed_out" => once(&mut timed_out, value(text, at)),
            "_shards" => once(&mut failed, (json::member(text, at, "failed"), json::value(text, at).end)),
            "hits" => once(&mut hits, Hits::read(text, at)?),
            _ => Some(json::value(text, at).end),
        })?;
        let failed = failed.flatten().map(|member| member.value);
        Some(Self { error: error.flatten(), status: status.flatten(), timed_out: timed_out.flatten(), failed, hits })
    }
}

impl Hits {
    fn read(text: &[u8], start: usize) -> Option<(Self, usize)> {
        let (mut max_score, mut hits, mut total) = (None, None, None);
        let end = members(text, start, |name, at| match name {
            "max_score" => once(&mut max_score, value(text, at)),
            "hits" => once(&mut hits, Hit::read_list(text, at)?),
            "total" => once(&mut total, (total_at(text, at), json::value(text, at).end)),
            _ => Some(json::value(text, at).end),
        })?;
        Some((Self { max_score: max_score.flatten(), total: total.unwrap_or_default(), list: hits? }, end))
    }
}

/// What `total` says: an object, or with `rest_total_hits_as_int` a number.
fn total_at(text: &[u8], at: usize) -> Total {
    let value = |name| json::member(text, at, name).map(|member| member.value);
    match text[at] {
        b'{' => Total { count: value("value"), exact: value("relation").map(|relation| (relation, "\"eq\"")) },
        b'0'..=b'9' => Total { count: Some(json::value(text, at)), exact: None },
        _ => Total::default(),
    }
}

impl Hit {
    fn read_list(text: &[u8], start: usize) -> Option<(Vec<Self>, usize)> {
        let mut items = Some(Items::of(text, start, b'[')).filter(|_| text[start] == b'[')?;
        let mut hits = Vec::new();
        while let Some(at) = items.next_element() {
            if hits.len() == MAX_HITS {
                return None;
            }
            let hit = Self::read(text, at)?;
            items.pass(hit.span.end);
            hits.push(hit);
        }
        Some((hits, items.end()))
    }

    fn read(text: &[u8], start: usize) -> Option<Self> {
        let (mut score, mut source, mut fields, mut highlight) = (None, None, None, None);
        let end = members(text, start, |name, at| match name {
            "_score" => once(&mut score, value(text, at)),
            "_source" => once(&mut source, object(text, at)?),
            "fields" => once(&mut fields, object(text, at)?),
            "highlight" => once(&mut highlight, object(text, at)?),
            _ => Some(json::value(text, at).end),
        })?;
        Some(Self {
            span: start..end,
            score: score.flatten(),
            source: source.flatten(),
            fields: fields.flatten(),
            highlight: highlight.flatten(),
        })
    }

    fn placed(self, answer: &[u8], strip: Option<&Strip<'_>>, explain: Explain) -> HitSpan {
        let is_number = |at: &Range<usize>| matches!(answer[at.start], b'0'..=b'9' | b'-');
        let mut span =
            HitSpan { span: self.span.clone(), score: self.score.clone().filter(is_number), ..HitSpan::default() };
        let fields_left = self.strip(answer, strip, &mut span.edits);
        span.notes = self.notes(fields_left, explain);
        span
    }

    /// Takes what was asked for on our behalf out of the hit; whether it still has `fields`.
    fn strip(&self, answer: &[u8], strip: Option<&Strip<'_>>, edits: &mut Edits) -> bool {
        let (Some(strip), Some(fields)) = (strip, &self.fields) else { return self.fields.is_some() };
        let left = strip.fields(fields.span.clone(), edits);
        let members = json::members(answer, self.span.start);
        let stays = |member: &json::Member, edits: &mut Edits| match &*member.name(answer) {
            "fields" => left,
            // The engines print these only beside `fields`, and print no empty ones of either.
            "ignored_field_values" => left && strip.fields(member.value.clone(), edits),
            _ => true,
        };
        let keep: Vec<bool> = members.iter().map(|member| stays(member, edits)).collect();
        let spans: Vec<Range<usize>> = members.iter().map(json::Member::span).collect();
        edits.retain(answer, self.span.clone(), &spans, |place| keep[place]);
        left
    }

    /// The places of notes: the hit's `fields`, where typed clients expect an array of anything, and its `highlight`.
    fn notes(&self, fields_left: bool, explain: Explain) -> Vec<NoteSpan> {
        let place = |part: Option<&Object>, name| match part {
            Some(part) => NoteSpan { object: part.span.clone(), name: "_rerank", around: ("[", "]") },
            None => NoteSpan { object: self.span.clone(), name, around: ("{\"_rerank\":[", "]}") },
        };
        let fields = || place(self.fields.as_ref().filter(|_| fields_left), "fields");
        let highlight = || place(self.highlight.as_ref(), "highlight");
        match explain {
            Explain::No => Vec::new(),
            Explain::Fields => vec![fields()],
            Explain::Highlight => vec![fields(), highlight()],
        }
    }
}

/// Goes through the object at `start`: `member` is told each name and where its value begins, and says where that ends.
/// Returns the end of the object; `None` where there is none, or `member` gives up.
fn members(text: &[u8], start: usize, mut member: impl FnMut(&str, usize) -> Option<usize>) -> Option<usize> {
    let mut items = Some(Items::of(text, start, b'{')).filter(|_| text[start] == b'{')?;
    while let Some((key, at)) = items.next_member() {
        let end = member(&json::unescaped(&text[key]), at)?;
        items.pass(end);
    }
    Some(items.end())
}

/// Notes what was read, and says where it ended; `None` where something was noted before.
fn once<T>(place: &mut Option<T>, (read, end): (T, usize)) -> Option<usize> {
    place.replace(read).is_none().then_some(end)
}

/// The place of the value at `at`, `None` for `null`, and its end.
fn value(text: &[u8], at: usize) -> (Option<Range<usize>>, usize) {
    let value = json::value(text, at);
    let end = value.end;
    (Some(value).filter(|value| &text[value.clone()] != b"null"), end)
}

/// The object at `at`, `None` for `null`, and where it ends. Anything else is not of the shape: notes are written into
/// these parts of a hit, fields are taken out, and no cluster prints them otherwise.
fn object(text: &[u8], at: usize) -> Option<(Option<Object>, usize)> {
    match json::object(text, at) {
        Some(object) => {
            let end = object.span.end;
            Some((Some(object), end))
        }
        None => match value(text, at) {
            (None, end) => Some((None, end)),
            (Some(_), _) => None,
        },
    }
}

/// The place of `part`, a slice of `whole`, in it.
fn range_within(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// The places of the answers of a multi search in `{"responses": […]}`.
pub(crate) fn responses(answer: &[u8], count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
    #[derive(Deserialize)]
    struct Responses<'a> {
        #[serde(borrow)]
        responses: Vec<&'a RawValue>,
    }
    let parsed: Responses = serde_json::from_slice(answer).map_err(|_| SkipReason::Malformed)?;
    let ranges: Vec<_> = parsed.responses.iter().map(|raw| range_within(answer, raw.get())).collect();
    if ranges.len() == count { Ok(ranges) } else { Err(SkipReason::Malformed) }
}

/// The id of the point in time that the answer opens (`id`, in OpenSearch and in searches `pit_id`).
pub(crate) fn point_in_time(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Opened {
        #[serde(alias = "pit_id")]
        id: String,
    }
    serde_json::from_slice(answer).ok().map(|opened: Opened| opened.id)
}

/// The indices of the hits, each once, as an expression.
pub(crate) fn indices_of_hits(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Located {
        #[serde(rename = "_index")]
        index: String,
    }
    #[derive(Deserialize)]
    struct LocatedHits {
        hits: Vec<Located>,
    }
    #[derive(Deserialize)]
    struct LocatedAnswer {
        hits: LocatedHits,
    }
    let answer: LocatedAnswer = serde_json::from_slice(answer).ok()?;
    let indices: indexmap::IndexSet<String> = answer.hits.hits.into_iter().map(|hit| hit.index).collect();
    let indices: Vec<&str> = indices.iter().map(String::as_str).collect();
    (!indices.is_empty()).then(|| indices.join(","))
}

#[cfg(test)]
mod tests;
