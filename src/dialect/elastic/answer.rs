//! A search's answer → where its hits lie and what text they carry. Owns the shape
//! `{"hits": {"max_score": …, "hits": [{"_score": …, "_source": {…}, "fields": {…}}]}}`; reads it in place. Pure.

use std::ops::Range;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::visible::Strip;
use crate::{
    dialect::{Candidates, Reading, Unreadable},
    json::{self, Edits},
    passage::Document,
    plan::SkipReason,
    rewrite::{HitSpan, Layout, NoteSpan},
    wishes::Explain,
};

/// What Elasticsearch's `pinned` and `rule` queries give the hits that they promote at least: no other query scores as
/// high. (`PinnedQueryBuilder.MAX_ORGANIC_SCORE`, the float below 2^127.)
const LOWEST_PINNED: f32 = 1.701_411_7e38;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    hits: Option<Hits<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    status: Option<u16>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    max_score: Option<&'a RawValue>,
    #[serde(borrow)]
    hits: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(borrow, rename = "_score")]
    score: Option<&'a RawValue>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
    #[serde(borrow)]
    highlight: Option<&'a RawValue>,
}

/// The hits of `answer`, with the passages of those within the plan's window.
///
/// An answer that is no JSON, says a key twice, or has no hits in the usual place is `malformed`.
pub(super) fn candidates(answer: &[u8], reading: &Reading<'_>) -> Result<Candidates, Unreadable> {
    let parsed: Answer = serde_json::from_slice(answer).map_err(|_| Unreadable::Malformed)?;
    if parsed.error.is_some() {
        let status = parsed.status.and_then(|status| StatusCode::from_u16(status).ok());
        return Err(Unreadable::Error(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)));
    }
    let hits = parsed.hits.ok_or(Unreadable::Malformed)?;
    let mut candidates = Candidates::default();
    for (rank, raw) in hits.hits.into_iter().enumerate() {
        let hit: Hit = serde_json::from_str(raw.get()).map_err(|_| Unreadable::Malformed)?;
        let number = hit.score.and_then(number);
        let mut span = HitSpan {
            span: range_within(answer, raw.get()),
            score: hit.score.filter(|_| number.is_some()).map(|score| range_within(answer, score.get())),
            ..HitSpan::default()
        };
        let fields_left = strip(answer, &hit, reading, &mut span);
        span.notes = notes(answer, &hit, &span.span, fields_left, reading.explain);
        candidates.layout.hits.push(span);
        candidates.scores.push(number);
        if rank < reading.plan.window {
            candidates.passages.push(passage(&hit, reading));
        }
    }
    candidates.pinned =
        candidates.scores.iter().take_while(|score| score.is_some_and(|score| score >= LOWEST_PINNED)).count();
    let max_score = hits.max_score.filter(|raw| number(raw).is_some());
    candidates.layout = Layout { max_score: max_score.map(|raw| range_within(answer, raw.get())), ..candidates.layout };
    Ok(candidates)
}

fn number(raw: &RawValue) -> Option<f32> {
    raw.get().parse().ok()
}

/// Takes what was asked for on our behalf out of the hit; whether it still has `fields`.
fn strip(answer: &[u8], hit: &Hit<'_>, reading: &Reading<'_>, span: &mut HitSpan) -> bool {
    let Some(fields) = hit.fields else { return false };
    let extra = &reading.plan.extra;
    if extra.asked.is_empty() {
        return true;
    }
    let left = Strip { text: answer, extra }.fields(range_within(answer, fields.get()), &mut span.edits);
    if !left {
        // The engines print no empty `fields`, and these only beside one.
        let members = json::members(answer, span.span.start);
        let spans: Vec<Range<usize>> = members.iter().map(json::Member::span).collect();
        let gone = |place: usize| matches!(&*members[place].name(answer), "fields" | "ignored_field_values");
        let mut edits = Edits::default();
        edits.retain(answer, span.span.clone(), &spans, |place| !gone(place));
        span.edits = edits;
    }
    left
}

/// Where notes go: into the hit's `fields`, where typed clients expect an array of anything, and its `highlight`.
fn notes(answer: &[u8], hit: &Hit<'_>, whole: &Range<usize>, fields_left: bool, explain: Explain) -> Vec<NoteSpan> {
    let place = |part: Option<&RawValue>, wrapped: NoteSpan| match part {
        Some(part) => NoteSpan { object: range_within(answer, part.get()), name: "_rerank", around: ("[", "]") },
        None => wrapped,
    };
    let around = ("{\"_rerank\":[", "]}");
    let fields = place(hit.fields.filter(|_| fields_left), NoteSpan { object: whole.clone(), name: "fields", around });
    let highlight = place(hit.highlight, NoteSpan { object: whole.clone(), name: "highlight", around });
    match explain {
        Explain::No => Vec::new(),
        Explain::Fields => vec![fields],
        Explain::Highlight => vec![fields, highlight],
    }
}

fn passage(hit: &Hit<'_>, reading: &Reading<'_>) -> Option<String> {
    let parsed = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let (source, fields) = (parsed(hit.source), parsed(hit.fields));
    let document = Document { source: source.as_ref(), fields: fields.as_ref() };
    reading.plan.passage.passage(document, &reading.plan.searched)
}

/// Where `part`, a slice of `whole`, lies in it.
fn range_within(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Where the answers of a multi search lie in `{"responses": […]}`.
pub(super) fn responses(answer: &[u8], count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
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
pub(super) fn point_in_time(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Opened {
        #[serde(alias = "pit_id")]
        id: String,
    }
    serde_json::from_slice(answer).ok().map(|opened: Opened| opened.id)
}

/// The indices of the hits, each once, as an expression.
pub(super) fn indices_of_hits(answer: &[u8]) -> Option<String> {
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
mod tests {
    use super::*;
    use crate::{
        passage::PassageSpec,
        plan::{ExtraFields, Page, Plan},
        rewrite::{Placed, rewrite},
    };

    const PRETTY: &str = r#"{
  "took" : 3,
  "hits" : {
    "total" : { "value" : 2, "relation" : "eq" },
    "max_score" : 1.50,
    "hits" : [
      { "_id" : "a", "_score" : 1.50, "_source" : { "title" : "x", "n" : 1.0e10 } },
      { "_id" : "b", "_score" : 1.2, "_source" : { "title" : "y" } }
    ]
  }
}"#;

    fn plan(window: usize, extra: ExtraFields) -> Plan {
        Plan {
            query: "x".to_owned(),
            searched: Vec::new(),
            passage: PassageSpec::default(),
            window,
            page: Page { from: 0, size: 10 },
            hits: window,
            min_score: None,
            body: None,
            extra,
            widened: true,
        }
    }

    fn of(answer: &str) -> Result<Candidates, Unreadable> {
        let plan = plan(10, ExtraFields::default());
        candidates(answer.as_bytes(), &Reading { plan: &plan, explain: Explain::No })
    }

    #[test]
    fn hits_scores_and_passages_are_found() {
        let found = of(PRETTY).expect("an answer");
        assert_eq!(found.scores, [Some(1.5), Some(1.2)]);
        assert_eq!(found.passages, [Some("x".to_owned()), Some("y".to_owned())]);
        let scored = |hit, score| Placed { score: Some(score), ..Placed::unchanged(hit) };
        let page = [scored(1, 0.5), scored(0, 0.25)];
        let new = rewrite(PRETTY.as_bytes(), &found.layout, &page, Some(0.5));
        assert_eq!(
            String::from_utf8(new).expect("text"),
            r#"{
  "took" : 3,
  "hits" : {
    "total" : { "value" : 2, "relation" : "eq" },
    "max_score" : 0.5,
    "hits" : [
      { "_id" : "b", "_score" : 0.5, "_source" : { "title" : "y" } },
      { "_id" : "a", "_score" : 0.25, "_source" : { "title" : "x", "n" : 1.0e10 } }
    ]
  }
}"#
        );
    }

    #[test]
    fn passages_are_read_within_the_window_only() {
        let plan = plan(1, ExtraFields::default());
        let reading = Reading { plan: &plan, explain: Explain::No };
        let found = candidates(PRETTY.as_bytes(), &reading).expect("an answer");
        assert_eq!((found.passages.len(), found.scores.len()), (1, 2));
    }

    #[test]
    fn null_scores_and_missing_sources_stay_as_they_are() {
        let found = of(r#"{"hits":{"max_score":null,"hits":[{"_score":null},{"_id":"b"}]}}"#).expect("an answer");
        assert_eq!(found.layout.max_score, None);
        assert_eq!(found.scores, [None, None]);
        assert_eq!(found.passages, [None, None]);
    }

    #[test]
    fn what_is_no_answer_to_a_search_is_malformed() {
        for text in ["", "{}", "[]", r#"{"hits":[]}"#, r#"{"hits":{"hits":[1]}}"#, r#"{"hits":{"hits":[]},"hits":{}}"#]
        {
            assert_eq!(of(text), Err(Unreadable::Malformed), "{text}");
        }
    }

    #[test]
    fn what_was_asked_for_on_our_behalf_is_read_and_taken_out() {
        let answer = r#"{"hits":{"hits":[{"_id":"a","fields":{"title":["x"],"n":[1]}},{"_id":"b","ignored_field_values":{"n":["?"]},"fields":{"title":["y"]}}]}}"#;
        let extra = ExtraFields { asked: vec!["title".to_owned()], wanted: vec!["n".to_owned()] };
        let plan = plan(10, extra);
        let found = candidates(answer.as_bytes(), &Reading { plan: &plan, explain: Explain::No }).expect("an answer");
        assert_eq!(found.passages, [Some("x".to_owned()), Some("y".to_owned())]);
        let page = [Placed::unchanged(1), Placed::unchanged(0)];
        let new = String::from_utf8(rewrite(answer.as_bytes(), &found.layout, &page, None)).expect("text");
        assert_eq!(new, r#"{"hits":{"hits":[{"_id":"b"},{"_id":"a","fields":{"n":[1]}}]}}"#);
    }

    #[test]
    fn notes_find_their_place_with_and_without_fields() {
        let answer = r#"{"hits":{"hits":[{"_id":"a","fields":{"title":["x"],"n":[1]}},{"_id":"b","fields":{"title":["y"]},"highlight":{"t":["z"]}}]}}"#;
        let extra = ExtraFields { asked: vec!["title".to_owned()], wanted: vec!["n".to_owned()] };
        let plan = plan(10, extra);
        let reading = Reading { plan: &plan, explain: Explain::Highlight };
        let found = candidates(answer.as_bytes(), &reading).expect("an answer");
        let noted = |hit| Placed { notes: vec!["1".to_owned(), "2".to_owned()], ..Placed::unchanged(hit) };
        let new = rewrite(answer.as_bytes(), &found.layout, &[noted(0), noted(1)], None);
        assert_eq!(
            String::from_utf8(new).expect("text"),
            r#"{"hits":{"hits":[{"_id":"a","fields":{"n":[1],"_rerank":[1]},"highlight":{"_rerank":[2]}},{"_id":"b","highlight":{"t":["z"],"_rerank":[2]},"fields":{"_rerank":[1]}}]}}"#
        );
    }

    #[test]
    fn an_error_in_place_of_an_answer_keeps_its_status() {
        assert_eq!(of(r#"{"error":{"type":"x"},"status":404}"#), Err(Unreadable::Error(StatusCode::NOT_FOUND)));
        let both = r#"{"responses":[{"hits":{"hits":[]}},{"error":{},"status":400}],"took":1}"#;
        assert_eq!(responses(both.as_bytes(), 2).expect("two").len(), 2);
        assert_eq!(responses(both.as_bytes(), 3), Err(SkipReason::Malformed));
    }

    #[test]
    fn hits_that_were_promoted_by_name_are_pinned() {
        let found = of(r#"{"hits":{"hits":[{"_score":1.7014122E38},{"_score":1.7014118E38},{"_score":9.5}]}}"#);
        assert_eq!(found.expect("an answer").pinned, 2);
        assert_eq!(of(r#"{"hits":{"hits":[{"_score":9.5},{"_score":1.7014118E38}]}}"#).expect("an answer").pinned, 0);
    }

    #[test]
    fn hits_tell_their_indices() {
        let answer = br#"{"hits":{"hits":[{"_index":"b"},{"_index":"a"},{"_index":"b"}]}}"#;
        assert_eq!(indices_of_hits(answer).as_deref(), Some("b,a"));
        assert_eq!(indices_of_hits(br#"{"hits":{"hits":[]}}"#), None);
    }
}
