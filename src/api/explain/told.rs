//! What became of a search, as it is told. Owns the members of the answer.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use engines::{dialect::Dialect, plan::SkipReason, shown::ShownHit};
use ranking::order::Blend;
use scoring::LongPassages;
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::because::{because, no_passages};
use crate::{
    config::{Settings, rules::Rule},
    pipeline::{Explained, ExplainedOutcome, Places, Shown, Terms},
    telemetry::{Counts, Stage},
};

/// The most characters of the cluster's error that are told.
const MAX_ERROR: usize = 2_000;

/// What is needed to tell of a search.
pub(super) struct Told<'a> {
    pub(super) settings: &'a Settings,
    pub(super) dialect: &'a dyn Dialect,
    /// The index expression of the path.
    pub(super) indices: &'a str,
    /// The rank of the first hit of its page, from 0.
    pub(super) from: usize,
    /// True if the caller said the query text.
    pub(super) says_query: bool,
}

/// The answer, in the order of its members.
#[derive(Serialize)]
struct Answer<'a> {
    outcome: &'static str,
    reason: Option<&'static str>,
    because: Option<&'a str>,
    cluster: Value,
    rule: Option<Value>,
    query: Option<Value>,
    plan: Option<Value>,
    figures: Option<Value>,
    stages: Vec<Value>,
    before: Vec<Hit<'a>>,
    after: Vec<Hit<'a>>,
}

/// A hit of a page.
#[derive(Serialize)]
struct Hit<'a> {
    id: Option<String>,
    index: Option<String>,
    #[serde(flatten)]
    notes: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a RawValue>,
}

impl Told<'_> {
    /// The body of the answer.
    pub(super) fn body(&self, explained: &Explained) -> Vec<u8> {
        let Explained { outcome, status, error, indices, terms, stages, shown, .. } = explained;
        let (outcome, reason, because, counts) = match outcome {
            ExplainedOutcome::Applied(counts) => ("applied", None, None, Some(counts)),
            ExplainedOutcome::Skipped(reason) => {
                ("skipped", Some(*reason), Some(Cow::Borrowed(because(*reason))), None)
            }
            ExplainedOutcome::Failed(cause) => ("failed", None, Some(Cow::Borrowed(cause.as_str())), None),
        };
        let rule = indices.as_deref().or(Some(self.indices).filter(|indices| !indices.is_empty()));
        let rule = rule.and_then(|indices| self.rule(indices));
        let stage = |(stage, took): &(Stage, Duration)| json!({"name": stage.as_str(), "ms": millis(*took)});
        let (before, after) = self.pages(shown);
        let because = match (reason, rule) {
            (Some(SkipReason::NoPassages), Some((_, rule))) => Some(Cow::Owned(no_passages(rule, &names(&before)))),
            _ => because,
        };
        let answer = Answer {
            outcome,
            reason: reason.map(SkipReason::as_str),
            because: because.as_deref(),
            cluster: json!({"status": status.as_u16(), "error": error.as_deref().map(cut)}),
            rule: rule.map(|(number, rule)| told_rule(number, rule)),
            query: terms.as_ref().map(|terms| self.query(terms)),
            plan: terms.as_ref().map(|terms| self.plan(terms, rule.map(|(_, rule)| rule))),
            figures: counts.copied().map(figures),
            stages: stages.iter().map(stage).collect(),
            before,
            after,
        };
        let mut body = serde_json::to_vec(&answer).unwrap_or_default();
        body.push(b'\n');
        body
    }

    /// The rule for these indices, and its number from 1.
    fn rule(&self, indices: &str) -> Option<(usize, &Rule)> {
        let mut numbered = (1..).zip(&self.settings.rules);
        numbered.find(|(_, rule)| rule.index.matches(indices))
    }

    fn query(&self, terms: &Terms) -> Value {
        // Of what a caller says, the engines know as of what a client says in a header.
        let source = if self.says_query { "rerank.query" } else { terms.source };
        json!({"text": terms.query, "source": source})
    }

    fn plan(&self, terms: &Terms, rule: Option<&Rule>) -> Value {
        json!({
            "model": terms.model,
            "models": self.settings.models_of(&terms.model),
            "window": terms.window,
            "budget_ms": millis(terms.budget),
            "blend": blend(terms.blend),
            "fields": rule.and_then(Rule::passage_fields),
            "from": terms.page.from,
            "size": terms.page.size,
            "long_passages": match terms.long {
                LongPassages::Windows { .. } => "windows",
                LongPassages::Truncate | LongPassages::Beginning { .. } => "truncate",
            },
        })
    }

    /// The pages before and after.
    fn pages<'a>(&self, shown: &'a Shown) -> (Vec<Hit<'a>>, Vec<Hit<'a>>) {
        let page = |answer: &'a [u8], notes: &dyn Fn(usize) -> Option<Map<String, Value>>| -> Vec<Hit<'a>> {
            let hits = self.dialect.hits(answer).into_iter().enumerate();
            hits.map(|(place, hit)| self.hit(hit, notes(place), self.from.saturating_add(place))).collect()
        };
        match shown {
            Shown::Same(answer) => (page(answer, &|_| None), page(answer, &|_| None)),
            Shown::Reordered { before, after, places } => (
                page(before, &|place| notes(places, &places.before, place)),
                page(after, &|place| notes(places, &places.after, place)),
            ),
        }
    }

    /// A hit; where nothing is noted of it, it stays at its `rank`.
    fn hit<'a>(&self, hit: ShownHit<'a>, notes: Option<Map<String, Value>>, rank: usize) -> Hit<'a> {
        let ShownHit { id, index, score, source } = hit;
        let stays = || {
            let rank = json!({"before": rank.saturating_add(1), "after": rank.saturating_add(1)});
            Map::from_iter([("rank".to_owned(), rank), ("score".to_owned(), json!({"before": score, "after": score}))])
        };
        let index = index.or_else(|| Some(self.indices.to_owned()));
        Hit { id, index, notes: notes.unwrap_or_else(stays), source }
    }
}

/// The notes on the hit at `place` of a page.
fn notes(places: &Places, page: &[usize], place: usize) -> Option<Map<String, Value>> {
    serde_json::from_str(places.notes.get(page.get(place)?)?).ok()
}

fn told_rule(number: usize, rule: &Rule) -> Value {
    json!({"number": number, "index": rule.index.globs().collect::<Vec<_>>(), "mode": rule.mode.name()})
}

/// The names of the fields that the hits of a page show, as the client sees them: the outermost ones, each once, by name.
fn names(page: &[Hit<'_>]) -> Vec<String> {
    let members = |text: &RawValue| {
        let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text.get());
        members.map(BTreeMap::into_keys).into_iter().flatten().collect::<Vec<_>>()
    };
    let names: BTreeSet<String> = page.iter().filter_map(|hit| hit.source).flat_map(members).collect();
    names.into_iter().collect()
}

pub(in crate::api) fn blend(blend: Blend) -> Value {
    match blend {
        Blend::Replace => json!({"method": "replace"}),
        Blend::Linear { weight } => json!({"method": "linear", "weight": shortest(weight)}),
        Blend::Rrf { k } => json!({"method": "rrf", "k": shortest(k)}),
    }
}

fn figures(counts: Counts) -> Value {
    let Counts { window, scored, cached, shed, budget_hit, truncated, good, shift: _ } = counts;
    json!({
        "window": window,
        "scored": scored,
        "cached": cached,
        "shed": shed,
        "truncated": truncated,
        "budget_hit": budget_hit,
        "good": good,
    })
}

/// The beginning of an error.
fn cut(error: &str) -> &str {
    error.char_indices().nth(MAX_ERROR).map_or(error, |(end, _)| &error[..end])
}

/// Milliseconds, to a hundredth.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The number that the shortest decimal of an `f32` stands for.
fn shortest(number: f32) -> Option<f64> {
    format!("{number:?}").parse().ok()
}
