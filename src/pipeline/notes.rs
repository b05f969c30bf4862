//! Notes on hits: what an explained answer says of each of them. Owns their members.

use engines::{candidates::Candidates, plan::Explain};
use ranking::{arrange::Group, diversity::Moved, ranked::Ranked};
use scoring::{Scored, SignalScore, Span};
use serde_json::{Value, json};

use super::planned::Planned;
use crate::config::Detail;

/// The notes on the hit at the new `rank`, from 0.
pub(super) fn notes(
    planned: &Planned,
    rank: usize,
    hit: &Ranked,
    candidates: &Candidates,
    scored: &Scored,
    moved: &[Option<Moved>],
) -> Vec<String> {
    let Planned { explain, detail, .. } = *planned;
    if explain == Explain::No {
        return Vec::new();
    }
    let passage = candidates.passages.get(hit.hit).and_then(Option::as_deref);
    let score = scored.scores.get(hit.hit).copied().flatten();
    let mut note = json!({
        "rank": {"before": hit.hit + 1, "after": rank + 1},
        "score": {
            "before": candidates.scores[hit.hit].map(shortest),
            "model": score.map(|score| shortest(score.raw)),
            "after": shortest(hit.score),
        },
        "cached": score.map(|score| score.cached),
        "truncated": score.map(|score| score.truncated),
    });
    if let Some(probability) = score.and_then(|score| score.probability) {
        note["score"]["probability"] = json!(shortest(probability));
    }
    if detail == Detail::Full {
        note["passage"] = json!(passage);
    }
    if let Some(stage) = score.and_then(|score| score.stage) {
        note["score"]["first"] = json!(stage.first().map(shortest));
        note["stage"] = json!(stage.name());
    }
    let signals = scored.signals.get(hit.hit).filter(|_| score.is_some_and(|score| score.stage.is_none()));
    if let Some(signals) = signals.filter(|signals| !signals.is_empty()) {
        note["signals"] = signals.iter().map(signal).collect();
    }
    let moved = moved.get(hit.hit).copied().flatten().map(Moved::name);
    if let Some(moved) = moved.or_else(|| placed(planned, hit.hit, candidates)) {
        note["moved"] = json!(moved);
    }
    let span = score.and_then(|score| score.span);
    if let Some(span) = span {
        note["window"] = json!({"start": span.start, "end": span.end});
    }
    let told = |passage| span.map_or(passage, |span| part(passage, span));
    let highlight = (explain == Explain::Highlight).then(|| json!(passage.map_or("", told)).to_string());
    std::iter::once(note.to_string()).chain(highlight).collect()
}

/// What put the hit first or last, whatever its score.
fn placed(planned: &Planned, hit: usize, candidates: &Candidates) -> Option<&'static str> {
    let values = candidates.values.get(hit).filter(|_| hit >= candidates.pinned)?;
    match planned.fields.group(Some(values)) {
        Group::Pinned => Some("pinned"),
        Group::Buried => Some("buried"),
        _ => None,
    }
}

/// What one signal says of the hit: its number as it came, and what it adds to the score.
fn signal(signal: &SignalScore) -> Value {
    json!({"name": *signal.signal, "value": signal.raw.map(shortest), "share": signal.share.map(shortest)})
}

/// The part of a text that `span` covers.
fn part(text: &str, span: Span) -> &str {
    let byte = |character: u32| text.char_indices().nth(character as usize).map_or(text.len(), |(byte, _)| byte);
    text.get(byte(span.start)..byte(span.end)).unwrap_or_default()
}

/// The number that the shortest decimal of an `f32` stands for: 0.3 is not to be told as 0.30000001192092896.
fn shortest(score: f32) -> Option<f64> {
    format!("{score:?}").parse().ok().filter(|score: &f64| score.is_finite())
}
