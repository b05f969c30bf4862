//! A search → its plan or the reason why there is none. Owns what may be reranked: the conditions that a search's URL,
//! headers and body can fail, in which order they are looked at, and what is changed in the body. Pure.

use serde_json::Value;

use super::{
    document::{Document, Members},
    explicit::{self, Explicit},
    hidden_fields,
    planned::Planned,
    query_text,
    url::Parameters,
};
use crate::{
    caps,
    json::{self, Edits},
    passage::{Content, PassageSpec},
    plan::{NoPlan, Page, Plan, QUERY_HEADER, QUERY_PATH, SkipReason, Terms},
    query_text::{QueryText, joined},
};

/// Elasticsearch's and OpenSearch's own default.
const DEFAULT_SIZE: usize = 10;

/// The part of a request that is about all of its searches.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// True if they are several.
    pub(super) multi: bool,
    /// The parameters of the URL.
    pub(super) parameters: Parameters,
    /// True if the request is in JSON and wants JSON back.
    pub(super) speaks_json: bool,
}

/// The plan of a search; `document` reads its body, where that is worth it.
pub(super) fn plan(
    said: &Said,
    document: impl FnOnce() -> Result<Document, SkipReason>,
    terms: &Terms<'_>,
) -> Result<Planned, NoPlan> {
    // The URL of several searches is about all of them: it has no word in what one of them asks for.
    let (none, own) = (Parameters::default(), &said.parameters);
    let parameters = if said.multi { &none } else { own };
    let parameter = |name: &str| parameters.get(name);
    // A body in the URL is a relic of clients that could not send one with GET; its media type comes in the URL too.
    if parameter("source").is_some() || !said.speaks_json {
        return Err(SkipReason::ContentType.into());
    }
    let document = document()?;
    let body = &document.members;

    if parameter("scroll").is_some() || body.search_after.is_some() || body.slice.is_some() {
        return Err(SkipReason::Cursor.into());
    }
    let standard = body.retriever.as_ref().and_then(|retriever| retriever.get("standard"));
    if standard.is_some_and(|standard| standard.get("search_after").is_some()) {
        return Err(SkipReason::Cursor.into());
    }
    let sort = body.sort.as_ref().or_else(|| standard?.get("sort"));
    // Both engines put the keys of the URL behind those of the body.
    let in_url = parameter("sort");
    let by_score = in_url.is_none_or(|sort| sort.split(',').all(|key| matches!(key, "_score" | "_score:desc")))
        && sort.is_none_or(is_by_score);
    if !by_score {
        return Err(SkipReason::Sort.into());
    }
    let page = Page {
        from: count(parameter("from"), body.from.as_ref(), 0)?,
        size: count(parameter("size"), body.size.as_ref(), DEFAULT_SIZE)?,
    };
    if page.size == 0 {
        return Err(SkipReason::SizeZero.into());
    }

    let pipeline = parameter("search_pipeline");
    let mut edits = Edits::default();
    let explicit = explicit(&document, pipeline, page, terms, &mut edits)?;
    let (window, hits) = match explicit.as_ref().and_then(|explicit| explicit.window) {
        // It says itself how deep it goes, and there is nothing behind.
        Some(window) => (window, window),
        None => depth(body, page, terms.window)?,
    };

    let inferred = inferred(body, parameter("q"), parameter("df"))?;
    let in_header = terms.query.map(|query| (query.to_owned(), QUERY_HEADER));
    let spelt_out = in_header.or_else(|| explicit.as_ref().map(|explicit| (explicit.text.clone(), explicit.name)));
    let query = spelt_out.or_else(|| Some((at_query_path(&document, terms.query_path)?, QUERY_PATH)));
    let (found, searched) =
        inferred.map_or((None, Vec::new()), |found| (Some((found.text, found.source)), found.fields));
    let (query, source) = query.or(found).ok_or(SkipReason::NoQueryText)?;
    caps::searched(&searched)?;

    let passage = match explicit.as_ref().and_then(|explicit| explicit.field.clone()) {
        Some(field) => PassageSpec { content: Content::Fields(vec![field]), ..terms.passage.clone() },
        None => terms.passage.clone(),
    };
    let text = &document.text[..];
    let extra = hidden_fields::extra(&document, parameters, &passage.wanted(&searched), terms.values)?;
    hidden_fields::ask_for(&extra, text, &mut edits);
    let plan = Plan { query, source, window, page, hits, widened: false };
    if said.multi && plan.changes_page() {
        set_member(text, "from", "0", &mut edits);
        set_member(text, "size", &hits.to_string(), &mut edits);
    }
    Ok(Planned {
        searched,
        passage,
        min_score: explicit.and_then(|explicit| explicit.min_score),
        body: (!edits.is_empty()).then(|| edits.applied(text).into()),
        extra,
        values: hidden_fields::readable(&document, terms.values),
        plan: Plan { widened: plan.changes_page() || !edits.is_empty(), ..plan },
    })
}

/// `"_score"`, `{"_score": "desc"}`, `{"_score": {"order": "desc"}}`, or an array of nothing else. An empty array sorts
/// by score too.
fn is_by_score(sort: &Value) -> bool {
    match sort {
        Value::Null => true,
        Value::String(key) => key == "_score",
        Value::Array(keys) => keys.iter().all(is_by_score),
        Value::Object(keys) => keys.iter().all(|(key, order)| {
            let order = order.get("order").unwrap_or(order);
            key == "_score"
                && (order.as_str().is_some_and(|order| order.eq_ignore_ascii_case("desc"))
                    || order.as_object().is_some_and(serde_json::Map::is_empty))
        }),
        _ => false,
    }
}

/// `from` or `size`: the URL wins over the body. What is no count is the cluster's to refuse.
fn count(in_url: Option<&str>, in_body: Option<&Value>, default: usize) -> Result<usize, SkipReason> {
    let text = match (in_url, in_body) {
        (Some(text), _) => text.to_owned(),
        (None, Some(Value::String(text))) => text.clone(),
        (None, Some(Value::Number(number))) => number.to_string(),
        (None, None) => return Ok(default),
        (None, Some(_)) => return Err(SkipReason::Malformed),
    };
    text.parse().map_err(|_| SkipReason::Malformed)
}

/// The reranking that the search spells out; `edits` take it out of the body.
fn explicit(
    document: &Document,
    pipeline: Option<&str>,
    page: Page,
    terms: &Terms<'_>,
    edits: &mut Edits,
) -> Result<Option<Explicit>, NoPlan> {
    let body = &document.members;
    if body.ext.as_ref().is_some_and(|ext| ext.get("rerank").is_some()) {
        // A pipeline that the search names beside it is the one that reranks.
        let pipeline = pipeline.or(body.search_pipeline.as_ref().map(|pipeline| pipeline.as_str().unwrap_or("inline")));
        if terms.leave_explicit || pipeline.is_some_and(|pipeline| pipeline != "_none") {
            return Err(SkipReason::OwnReranker.into());
        }
        return explicit::opensearch(document, edits);
    }
    match &body.retriever {
        None => Ok(None),
        Some(retriever) if terms.leave_explicit && explicit::names_reranker(retriever) => {
            Err(SkipReason::OwnReranker.into())
        }
        Some(retriever) => explicit::elasticsearch(retriever, &document.text, page, edits),
    }
}

/// The window, and how many hits to ask for.
///
/// Retrievers that merge (`rrf`, `linear`, …) and `rank` look at no more than `rank_window_size` hits, and where that is not
/// said, at as many as the client wants to see; so do vector searches without a `k`. Asking for more would change what
/// they find.
fn depth(body: &Members, page: Page, window: usize) -> Result<(usize, usize), SkipReason> {
    let merging = match (&body.rank, &body.retriever) {
        (Some(rank), _) => first_object(rank),
        (None, Some(retriever)) if !["standard", "knn"].iter().any(|kind| retriever.get(kind).is_some()) => {
            first_object(retriever)
        }
        _ => None,
    };
    let said = |merging: &serde_json::Map<String, Value>| {
        let size = ["rank_window_size", "window_size"].iter().find_map(|key| merging.get(*key))?.as_u64()?;
        usize::try_from(size).ok()
    };
    // How deep the search goes by itself; `None` for as deep as the client's page.
    let deepest = match merging {
        Some(merging) => said(merging),
        None if [&body.query, &body.knn, &body.retriever].into_iter().flatten().any(has_knn_without_k) => None,
        None => Some(usize::MAX),
    };
    let window = window.min(deepest.unwrap_or(page.size));
    if page.from >= window || (deepest.is_none() && page.from > 0) {
        return Err(SkipReason::BeyondWindow);
    }
    Ok((window, window.max(page.end())))
}

/// True if a vector search in Elasticsearch's form, here or further in, leaves `k` to the size of the page. (OpenSearch's
/// form always says how far it goes.)
fn has_knn_without_k(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            let is_knn = object.contains_key("query_vector") || object.contains_key("query_vector_builder");
            (is_knn && !object.contains_key("k")) || object.values().any(has_knn_without_k)
        }
        Value::Array(entries) => entries.iter().any(has_knn_without_k),
        _ => false,
    }
}

fn first_object(value: &Value) -> Option<&serde_json::Map<String, Value>> {
    value.as_object()?.values().next()?.as_object()
}

/// The text and the fields of the query itself. In the engines `q` takes the place of the body's query.
fn inferred(body: &Members, q: Option<&str>, df: Option<&str>) -> Result<Option<QueryText>, SkipReason> {
    if let Some(q) = q {
        return query_text::of_q(q, df);
    }
    let query = body.query.as_ref().map_or(Ok(None), query_text::of_query)?;
    let retriever = body.retriever.as_ref().map_or(Ok(None), query_text::of_retriever)?;
    let knn = body.knn.as_ref().map_or(Ok(None), query_text::of_knn)?;
    Ok(joined([query, retriever, knn].into_iter().flatten()))
}

/// The texts at the rule's pointers, joined.
fn at_query_path(document: &Document, pointers: &[String]) -> Option<String> {
    let text = |pointer: &String| document.pointer(pointer)?.as_str().map(|text| text.trim().to_owned());
    let text = pointers.iter().filter_map(text).collect::<Vec<_>>().join(" ").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn set_member(text: &[u8], name: &str, value: &str, edits: &mut Edits) {
    match json::member(text, 0, name) {
        Some(member) => edits.replace(member.value, value),
        None => edits.add_member(text, json::value(text, 0), name, value),
    }
}

#[cfg(test)]
mod tests;
