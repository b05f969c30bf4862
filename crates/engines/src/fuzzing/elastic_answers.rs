//! Answers: what reading and rewriting may make of them, and what they may not touch. Held against `serde_json`, which
//! knows nothing of where things lie.

use ranking::{
    order::{self, Blend},
    value::Value as Output,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{
    candidates::{Candidates, Unreadable},
    elastic::{answer, filter_path::FilterPath, planned::Planned},
    extra_fields::ExtraFields,
    json, names,
    passage::{Content, PassageSpec},
    plan::{Explain, Page, Plan},
    rewrite::{self, Layout, Placed},
};

/// The most hits of an answer that is filtered hit by hit, which takes a time that grows as their square.
const MOST_FILTERED: usize = 12;

/// Reads `input` as a cluster's answer, to one search or to several, under several plans, and rewrites it.
///
/// An answer has candidates or a reason why not. Every hit in its own place gives the answer back; hits in other places
/// keep their bytes, and so does all that is around them; scores, notes and what is taken out change nothing else; and a
/// filter lets the client see of each hit what it would have seen of it in any place.
pub fn rewrite(input: &[u8]) {
    one(input);
    let _ = (answer::point_in_time(input), answer::indices_of_hits(input));
    let responses = json::member(input, 0, "responses").map(|member| json::elements(input, member.value.start).len());
    if let Some(Ok(spans)) = responses.map(|count| answer::responses(input, count)) {
        spans.into_iter().for_each(|span| one(&input[span]));
    }
}

fn one(answer: &[u8]) {
    let named = Content::Fields(vec!["title".to_owned(), "text".to_owned()]);
    let ours = |asked: &[&str], wanted: &[&str]| {
        let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        ExtraFields { asked: strings(asked), no_text: Vec::new(), wanted: strings(wanted) }
    };
    moved(answer, &plan(10, Content::default(), ExtraFields::default()));
    moved(answer, &plan(2, named.clone(), ExtraFields::default()));
    stripped(answer, &plan(3, named, ours(&["title", "text", "notes.note"], &["price", "notes.by"])));
    stripped(answer, &plan(3, Content::default(), ours(&["*"], &["tags", "brand"])));
}

fn plan(window: usize, content: Content, extra: ExtraFields) -> Planned {
    let page = Page { from: 1, size: 3 };
    Planned {
        plan: Plan { query: "water".to_owned(), source: "match", window, page, hits: window.max(4), widened: true },
        searched: vec!["text".to_owned(), "notes.*".to_owned()],
        passage: PassageSpec { content, strip_html: false },
        min_score: None,
        body: None,
        extra,
        values: vec![Some("price".to_owned()), None, Some("notes.by".to_owned())],
    }
}

fn read(answer: &[u8], planned: &Planned, explain: Explain) -> Option<Candidates> {
    let found = match answer::candidates(answer, planned, explain) {
        Ok(found) => found,
        Err(Unreadable::Error(status)) => {
            assert!(status.as_u16() >= 100);
            return None;
        }
        Err(Unreadable::Malformed | Unreadable::Partial) => return None,
    };
    let hits = &found.layout.hits;
    assert_eq!((found.scores.len(), found.passages.len()), (hits.len(), hits.len().min(planned.plan.window)));
    assert_eq!(found.values.len(), found.passages.len());
    assert!(found.values.iter().all(|values| values.len() == planned.values.len()), "a list of values for each name");
    assert!(found.passages.iter().flatten().all(|passage| !passage.is_empty() && passage.trim() == passage));
    serde_json::from_slice::<IgnoredAny>(answer).expect("what can be read is JSON");
    Some(found)
}

/// Hits in other places, with and without new scores, and nothing else changed.
fn moved(answer: &[u8], planned: &Planned) {
    let Some(found) = read(answer, planned, Explain::No) else { return };
    let (layout, count) = (&found.layout, found.layout.hits.len());
    let in_place: Vec<usize> = (0..count).collect();
    assert_eq!(shown(answer, layout, &in_place), answer, "every hit in its own place gives the answer back");

    // Numbers that no double holds are JSON all the same; `Value` cannot hold them either.
    let before: Option<Value> = serde_json::from_slice(answer).ok();
    for order in [in_place.iter().rev().copied().collect(), shuffled(in_place.clone())] {
        let new = shown(answer, layout, &order);
        assert_eq!(new, in_order(answer, layout, &order), "hits keep their bytes");
        if let Some(before) = &before {
            same(&new, &with_hits(before, &order, |_| None, None));
        }
    }

    let ranked = order::order(&found.scores, &model(found.passages.len()), found.pinned, Blend::Replace);
    let page = planned.plan.page.of(count);
    let placed: Vec<Placed> = ranked[page.clone()]
        .iter()
        .map(|hit| Placed { score: Some(hit.score), ..Placed::unchanged(hit.hit) })
        .collect();
    let best = ranked.first().map(|hit| hit.score);
    let new = rewrite::rewrite(answer, layout, &placed, best);
    serde_json::from_slice::<IgnoredAny>(&new).expect("JSON stays JSON");
    if let Some(before) = before.as_ref().filter(|_| count > 0) {
        let order: Vec<usize> = placed.iter().map(|placed| placed.hit).collect();
        let score = |place: usize| placed[place].score;
        same(&new, &with_hits(before, &order, score, best));
        noted(answer, planned, before, &order);
        filtered(answer, layout, &order);
    }
}

/// Fields that we asked for are taken out; those that the client asked for, and those that nobody did, are not.
fn stripped(answer: &[u8], planned: &Planned) {
    let Some(found) = read(answer, planned, Explain::No) else { return };
    let count = found.layout.hits.len();
    let order = shuffled((0..count).collect());
    let new = shown(answer, &found.layout, &order);
    serde_json::from_slice::<IgnoredAny>(&new).expect("JSON stays JSON");
    let (Ok(before), Ok(after)) = (serde_json::from_slice::<Value>(answer), serde_json::from_slice::<Value>(&new))
    else {
        return;
    };
    let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| names::matches(pattern, name));
    for (place, &hit) in order.iter().enumerate() {
        let (before, after) = (&before["hits"]["hits"][hit], &after["hits"]["hits"][place]);
        for (name, value) in before.as_object().into_iter().flatten() {
            if !matches!(name.as_str(), "fields" | "ignored_field_values") {
                assert_eq!(Some(value), after.get(name), "{name}");
            }
        }
        for (name, value) in before["fields"].as_object().into_iter().flatten() {
            let nested = value.pointer("/0").is_some_and(Value::is_object);
            let left = after.pointer("/fields").and_then(|fields| fields.get(name));
            if any(&planned.extra.wanted, name) {
                assert_eq!(left, Some(value), "the client asked for {name}");
            } else if any(&planned.extra.asked, name) && !nested {
                assert_eq!(left, None, "the client did not ask for {name}");
            } else if !nested {
                assert_eq!(left, Some(value), "nobody asked for {name}");
            }
        }
    }
}

/// Notes are found where they belong, and the rest of a hit is as it was.
fn noted(answer: &[u8], planned: &Planned, before: &Value, order: &[usize]) {
    let found = read(answer, planned, Explain::Highlight).expect("it was read before");
    let notes = vec![json!({"rank": 1}).to_string(), json!("a \"passage\"").to_string()];
    let placed: Vec<Placed> =
        order.iter().map(|&hit| Placed { notes: notes.clone(), ..Placed::unchanged(hit) }).collect();
    let new = rewrite::rewrite(answer, &found.layout, &placed, None);
    let mut after: Value = serde_json::from_slice(&new).expect("JSON stays JSON");
    for (place, &hit) in order.iter().enumerate() {
        let before = &before["hits"]["hits"][hit];
        let after = after["hits"]["hits"][place].as_object_mut().expect("a hit");
        for (part, note) in [("fields", json!([{"rank": 1}])), ("highlight", json!(["a \"passage\""]))] {
            let inside = after.get_mut(part).and_then(Value::as_object_mut).expect("a part for the note");
            assert_eq!(inside.shift_remove("_rerank"), Some(note));
            if inside.is_empty() && before.get(part).is_none_or(Value::is_null) {
                after.shift_remove(part);
            }
        }
        let unset = |name: &str| matches!(name, "fields" | "highlight") && before[name].is_null();
        let own = before.as_object().into_iter().flatten().filter(|(name, _)| !unset(name));
        let own: serde_json::Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        let noted_before = ["fields", "highlight"].iter().any(|part| before[part].get("_rerank").is_some());
        assert!(noted_before || own == *after);
    }
}

/// Filters see each hit as it is, wherever it is.
fn filtered(answer: &[u8], layout: &Layout, order: &[usize]) {
    let whole = shown(answer, layout, order);
    for filter in
        ["hits.hits._id", "-hits.hits._source,-**.title", "**.title,hits.hits._score", "hits.*.fields", "took"]
    {
        let hits = |page: &[u8]| -> Vec<Value> {
            let filtered = FilterPath::parse(filter).apply(page);
            let filtered: Value = serde_json::from_slice(&filtered).expect("JSON stays JSON");
            filtered.pointer("/hits/hits").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        if order.len() <= MOST_FILTERED {
            let each: Vec<Value> = order.iter().flat_map(|&hit| hits(&shown(answer, layout, &[hit]))).collect();
            assert_eq!(hits(&whole), each, "{filter}");
        }
    }
}

/// The answer with these hits, as they are.
fn shown(answer: &[u8], layout: &Layout, order: &[usize]) -> Vec<u8> {
    let page: Vec<Placed> = order.iter().map(|&hit| Placed::unchanged(hit)).collect();
    rewrite::rewrite(answer, layout, &page, None)
}

/// The same, put together from the spans of a page as long as the answer's own.
fn in_order(answer: &[u8], layout: &Layout, order: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    for (place, &hit) in layout.hits.iter().zip(order) {
        out.extend_from_slice(&answer[at..place.span.start]);
        out.extend_from_slice(&answer[layout.hits[hit].span.clone()]);
        at = place.span.end;
    }
    out.extend_from_slice(&answer[at..]);
    out
}

/// `before` with these of its hits, and where they had scores, these.
fn with_hits(before: &Value, order: &[usize], score: impl Fn(usize) -> Option<f32>, max_score: Option<f32>) -> Value {
    let printed = |score: f32| serde_json::from_str(&format!("{score:?}")).expect("a finite score");
    let mut after = before.clone();
    let hits = order.iter().enumerate().map(|(place, &hit)| {
        let mut hit = before["hits"]["hits"][hit].clone();
        if let (Some(own @ Value::Number(_)), Some(score)) = (hit.get_mut("_score"), score(place)) {
            *own = printed(score);
        }
        hit
    });
    after["hits"]["hits"] = hits.collect();
    if let (Some(own @ Value::Number(_)), Some(score)) = (after["hits"].get_mut("max_score"), max_score) {
        *own = printed(score);
    }
    after
}

fn same(text: &[u8], expected: &Value) {
    let read: Value = serde_json::from_slice(text).expect("JSON stays JSON");
    assert_eq!(&read, expected);
}

fn shuffled(mut order: Vec<usize>) -> Vec<usize> {
    let count = order.len();
    for place in (1..count).rev() {
        order.swap(place, place.wrapping_mul(7919).wrapping_add(count) % (place + 1));
    }
    order
}

/// Scores with ties, gaps and what is no number.
fn model(count: usize) -> Vec<Option<Output>> {
    let raws = [Some(0.5), Some(2.0), None, Some(2.0), Some(f32::NAN), Some(-3.25)];
    raws.iter().cycle().take(count).map(|raw| raw.map(Output::as_is)).collect()
}
