//! Searches that spell reranking out in their engine's own syntax: OpenSearch's `ext.rerank`
//! (<https://docs.opensearch.org/latest/search-plugins/search-relevance/reranking-search-results/>) and Elasticsearch's
//! `text_similarity_reranker`
//! (<https://www.elastic.co/docs/reference/elasticsearch/rest-apis/retrievers/text-similarity-reranker-retriever>). Owns
//! their parameters, their errors, and the search that is left for the cluster once the proxy does the reranking. Pure.

use std::ops::Range;

use serde_json::{Map, Value};

use super::document::Document;
use crate::{
    failure::{Failure, FailureKind},
    json::{self, Edits},
    plan::{NoPlan, Page, SkipReason},
};

/// The longest `query_text_path` that OpenSearch takes, in characters.
const MAX_PATH: usize = 1000;

/// Elasticsearch's default of `rank_window_size`.
const DEFAULT_WINDOW: usize = 10;

/// A reranking that a search spells out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Explicit {
    /// The name of the syntax.
    pub(super) name: &'static str,
    /// The query text.
    pub(super) text: String,
    /// The only field that passages are read from.
    pub(super) field: Option<String>,
    /// The number of hits to put in order.
    pub(super) window: Option<usize>,
    /// The lowest final score of a hit.
    pub(super) min_score: Option<f32>,
}

fn refuse(reason: impl Into<String>) -> NoPlan {
    NoPlan::Refuse(Failure::new(FailureKind::IllegalArgument, reason))
}

/// `{"ext": {"rerank": {"query_context": {"query_text" | "query_text_path": …}}}}`.
///
/// The engines themselves know `ext.rerank` only with the right plugin, so it is taken out of the body by `edits`.
pub(super) fn opensearch(document: &Document, edits: &mut Edits) -> Result<Option<Explicit>, NoPlan> {
    let text = &document.text[..];
    let rerank = document.members.ext.as_ref().and_then(|ext| ext.get("rerank"));
    let Some(rerank) = rerank else { return Ok(None) };
    let context = rerank.get("query_context").and_then(Value::as_object);
    let context = context.ok_or_else(|| refuse("[ext.rerank] must hold an object [query_context]"))?;
    let found = match (context.get("query_text"), context.get("query_text_path")) {
        (Some(_), Some(_)) => {
            Err(refuse("[query_text] and [query_text_path] exclude each other in [ext.rerank.query_context]"))
        }
        (Some(Value::String(text)), None) => Ok(text.clone()),
        (None, Some(Value::String(path))) => text_at(document, path),
        _ => Err(refuse("[ext.rerank.query_context] must hold a text as [query_text] or [query_text_path]")),
    }?;
    if found.trim().is_empty() {
        return Err(refuse("[ext.rerank.query_context] must hold a text that is not empty"));
    }
    if let Some(ext) = json::member(text, 0, "ext") {
        let members = json::members(text, ext.value.start);
        let spans: Vec<Range<usize>> = members.iter().map(json::Member::span).collect();
        match members.len() {
            1 => remove_members(text, edits, |name| name == "ext"),
            _ => edits.retain(text, ext.value, &spans, |place| members[place].name(text) != "rerank"),
        }
    }
    Ok(Some(Explicit { name: "ext.rerank", text: found, field: None, window: None, min_score: None }))
}

/// The text at a dotted path into the search, `query.match.title.query` for instance. OpenSearch looks for it in the long
/// form of the query, so a short form (`{"match": {"title": "…"}}`) is followed too.
fn text_at(document: &Document, path: &str) -> Result<String, NoPlan> {
    if path.chars().count() > MAX_PATH {
        return Err(refuse(format!("[query_text_path] is longer than {MAX_PATH} characters")));
    }
    let nowhere =
        |segment: &str| refuse(format!("[query_text_path] leads nowhere: there is no [{segment}] in [{path}]"));
    let mut segments = path.split('.').peekable();
    let first = segments.next().unwrap_or_default();
    let member = document.member(first).ok_or_else(|| nowhere(first))?;
    let mut value = &*member;
    while let Some(segment) = segments.next() {
        value = match value {
            Value::Array(entries) => segment.parse().ok().and_then(|index: usize| entries.get(index)),
            Value::String(_) if segment == "query" && segments.peek().is_none() => Some(value),
            value => value.get(segment),
        }
        .ok_or_else(|| nowhere(segment))?;
    }
    let text = value.as_str().ok_or_else(|| refuse(format!("[query_text_path] must lead to a text: [{path}]")))?;
    Ok(text.to_owned())
}

/// `{"retriever": {"text_similarity_reranker": {…}}}`; `text` is the body. A reranker further down in the tree cannot be
/// done from outside, and is left to the cluster.
pub(super) fn elasticsearch(
    retriever: &Value,
    text: &[u8],
    page: Page,
    edits: &mut Edits,
) -> Result<Option<Explicit>, NoPlan> {
    let Some(reranker) = retriever.get(RERANKER) else {
        return if names_reranker(retriever) { Err(SkipReason::OwnReranker.into()) } else { Ok(None) };
    };
    let reranker = reranker.as_object().ok_or_else(|| refuse(format!("[{RERANKER}] must be an object")))?;
    let parameters = Parameters::read(reranker)?;
    if names_reranker(parameters.retriever) {
        return Err(SkipReason::OwnReranker.into());
    }
    let window = parameters.window;
    if page.size > window {
        let reason = format!(
            "Validation Failed: 1: [{RERANKER}] requires [rank_window_size: {window}] be greater than or equal to \
             [size: {}];",
            page.size
        );
        return Err(NoPlan::Refuse(Failure::new(FailureKind::FailedValidation, reason)));
    }
    replace_retriever(text, edits)?;
    Ok(Some(Explicit {
        name: "text_similarity_reranker",
        text: parameters.text.to_owned(),
        field: Some(parameters.field.to_owned()),
        window: Some(window),
        min_score: parameters.min_score,
    }))
}

const RERANKER: &str = "text_similarity_reranker";

/// The parameters of `text_similarity_reranker`. `inference_id` and `allow_rerank_failures` are accepted, but the rule's model
/// scores, and a failure always leaves the cluster's order.
struct Parameters<'a> {
    retriever: &'a Value,
    field: &'a str,
    text: &'a str,
    window: usize,
    min_score: Option<f32>,
}

impl<'a> Parameters<'a> {
    fn read(reranker: &'a Map<String, Value>) -> Result<Self, NoPlan> {
        const KNOWN: [&str; 9] = [
            "retriever",
            "field",
            "inference_id",
            "inference_text",
            "rank_window_size",
            "min_score",
            "filter",
            "allow_rerank_failures",
            "_name",
        ];
        if reranker.contains_key("chunk_rescorer") {
            return Err(refuse(format!("[{RERANKER}] with [chunk_rescorer] is not supported by this reranking proxy")));
        }
        if let Some(unknown) = reranker.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(refuse(format!("[{RERANKER}] unknown field [{unknown}]; known are {}", KNOWN.join(", "))));
        }
        let text = |name: &str| match reranker.get(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.as_str()),
            Some(_) => Err(refuse(format!("[{RERANKER}] needs a text, not empty, as [{name}]"))),
            None => Err(refuse(format!("[{RERANKER}] lacks the required [{name}]"))),
        };
        let retriever =
            reranker.get("retriever").filter(|inner| inner.as_object().is_some_and(|inner| inner.len() == 1));
        let retriever = retriever.ok_or_else(|| refuse(format!("[{RERANKER}] needs one [retriever]")))?;
        let window = match reranker.get("rank_window_size") {
            None => DEFAULT_WINDOW,
            Some(size) => size
                .as_u64()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=crate::plan::MAX_WINDOW).contains(size))
                .ok_or_else(|| {
                    let most = crate::plan::MAX_WINDOW;
                    refuse(format!("[{RERANKER}] needs a number of hits from 1 to {most} as [rank_window_size]"))
                })?,
        };
        let min_score = match reranker.get("min_score") {
            None | Some(Value::Null) => None,
            Some(Value::Number(score)) => score.as_f64().map(|score| score as f32),
            Some(_) => return Err(refuse(format!("[{RERANKER}] needs a number as [min_score]"))),
        };
        Ok(Self { retriever, field: text("field")?, text: text("inference_text")?, window, min_score })
    }
}

/// True if there is a reranker in the tree of retrievers.
pub(super) fn names_reranker(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key(RERANKER) || object.values().any(names_reranker),
        Value::Array(entries) => entries.iter().any(names_reranker),
        _ => false,
    }
}

/// Puts what the reranker would rerank in its place. A `standard` retriever becomes the plain search that it is, which
/// clusters of every version and licence can run; any other one stays a retriever.
fn replace_retriever(text: &[u8], edits: &mut Edits) -> Result<(), NoPlan> {
    let invariant = || NoPlan::Skip(SkipReason::Malformed);
    let whole = json::member(text, 0, "retriever").ok_or_else(invariant)?;
    let reranker = json::member(text, whole.value.start, RERANKER).ok_or_else(invariant)?;
    let inner = json::member(text, reranker.value.start, "retriever").ok_or_else(invariant)?;
    let filter = json::member(text, reranker.value.start, "filter");
    let filters = filter.map(|filter| raw(text, filter.value)).unwrap_or_default();
    let kind = json::members(text, inner.value.start).into_iter().next().ok_or_else(invariant)?;
    if text[kind.value.start] != b'{' {
        return Err(refuse(format!("[{}] must be an object", kind.name(text))));
    }
    match json::member(text, inner.value.start, "standard") {
        Some(standard) => edits.replace(whole.span(), plain_search(text, standard.value.start, &filters)?),
        None => edits.replace(whole.value, filtered_retriever(text, inner.value, &filters)),
    }
    Ok(())
}

/// The members of a search body that stand for a `standard` retriever.
fn plain_search(text: &[u8], standard: usize, outer_filters: &str) -> Result<String, NoPlan> {
    let mut query = None;
    let mut filters: Vec<String> = entries(outer_filters);
    let mut members = Vec::new();
    for member in json::members(text, standard) {
        let value = raw(text, member.value.clone());
        match &*member.name(text) {
            "query" => query = Some(value),
            "filter" => filters.extend(entries(&value)),
            "_name" => {}
            "sort" => return Err(SkipReason::Sort.into()),
            "search_after" => return Err(SkipReason::Cursor.into()),
            name @ ("terminate_after" | "min_score" | "collapse") => members.push(format!("\"{name}\":{value}")),
            name => return Err(refuse(format!("[standard] unknown field [{name}]"))),
        }
    }
    let query = match (query, filters.is_empty()) {
        (Some(query), true) => query,
        (None, true) => "{\"match_all\":{}}".to_owned(),
        (query, false) => {
            let must = query.map_or_else(String::new, |query| format!("\"must\":[{query}],"));
            format!("{{\"bool\":{{{must}\"filter\":[{}]}}}}", filters.join(","))
        }
    };
    members.insert(0, format!("\"query\":{query}"));
    Ok(members.join(","))
}

/// The inner retriever with the outer one's filters added to its own, which every retriever takes.
fn filtered_retriever(text: &[u8], inner: Range<usize>, outer_filters: &str) -> Vec<u8> {
    let mut edits = Edits::default();
    let outer = entries(outer_filters);
    if let Some(kind) = json::members(text, inner.start).first().filter(|_| !outer.is_empty()) {
        match json::member(text, kind.value.start, "filter") {
            Some(own) => {
                let all = [entries(&raw(text, own.value.clone())), outer].concat();
                edits.replace(own.value, format!("[{}]", all.join(",")));
            }
            None => edits.add_member(text, kind.value.clone(), "filter", &format!("[{}]", outer.join(","))),
        }
    }
    let mut out = Vec::new();
    edits.apply(text, inner, &mut out);
    out
}

/// The entries of a list, or the one value that stands for a list of one.
fn entries(value: &str) -> Vec<String> {
    match value.as_bytes().first() {
        None => Vec::new(),
        Some(b'[') => json::elements(value.as_bytes(), 0).into_iter().map(|entry| value[entry].to_owned()).collect(),
        Some(_) => vec![value.to_owned()],
    }
}

fn raw(text: &[u8], at: Range<usize>) -> String {
    String::from_utf8_lossy(&text[at]).into_owned()
}

/// Takes the members of the body whose name `is` says so out.
fn remove_members(text: &[u8], edits: &mut Edits, is: impl Fn(&str) -> bool) {
    let members = json::members(text, 0);
    let spans: Vec<Range<usize>> = members.iter().map(json::Member::span).collect();
    edits.retain(text, json::value(text, 0), &spans, |place| !is(&members[place].name(text)));
}

#[cfg(test)]
mod tests;
