//! A search → a [`Plan`] or the reason why there is none. Owns what may be reranked: the conditions that a search's URL,
//! headers and body can fail, in which order they are looked at, and what is changed in the body. Pure.

use bytes::Bytes;
use http::header;
use serde::Deserialize;
use serde_json::Value;

use super::{
    explicit::{self, Explicit},
    query_text, url,
    visible::{self, NotAsked, Shown},
};
use crate::{
    caps,
    dialect::{Search, SearchRequest, is_json},
    json::{self, Edits},
    passage::{Content, PassageSpec},
    plan::{ExtraFields, NoPlan, Page, Plan, SkipReason, Terms},
    query_text::{QueryText, joined},
};

/// Elasticsearch's and OpenSearch's own default.
const DEFAULT_SIZE: usize = 10;

/// The parts of a search body that a plan depends on. A key said twice is an error here, as it is in the engines.
#[derive(Deserialize, Default)]
struct Body {
    query: Option<Value>,
    retriever: Option<Value>,
    knn: Option<Value>,
    rank: Option<Value>,
    from: Option<Value>,
    size: Option<Value>,
    sort: Option<Value>,
    search_after: Option<Value>,
    slice: Option<Value>,
    ext: Option<Value>,
    search_pipeline: Option<Value>,
    #[serde(rename = "_source")]
    source: Option<Value>,
    fields: Option<Value>,
    docvalue_fields: Option<Value>,
    stored_fields: Option<Value>,
    script_fields: Option<Value>,
}

pub(super) fn plan(request: SearchRequest<'_>, search: &Search, terms: &Terms<'_>) -> Result<Plan, NoPlan> {
    let multi = request.route.door.is_multi();
    // The URL of a multi search is about all of them: it has no word in what one of them asks for.
    let parameters = url::Parameters::of(request.path_and_query.query().filter(|_| !multi));
    let parameter = |name: &str| parameters.get(name);
    // A body in the URL is a relic of clients that could not send one with GET; its media type comes in the URL too.
    if parameter("source").is_some() || !search.speaks_json {
        return Err(SkipReason::ContentType.into());
    }
    let body = read_body(&search.body)?;

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
    let explicit = explicit(&body, pipeline, &search.body, page, terms, &mut edits)?;
    let (window, hits) = match explicit.as_ref().and_then(|explicit| explicit.window) {
        // It says itself how deep it goes, and there is nothing behind.
        Some(window) => (window, window),
        None => depth(&body, page, terms.window)?,
    };

    let inferred = inferred(&body, parameter("q"), parameter("df"))?;
    let said = terms.query.map(str::to_owned).or_else(|| explicit.as_ref().map(|explicit| explicit.text.clone()));
    let query = match said {
        Some(query) => Some(query),
        None => at_query_path(&search.body, terms.query_path)?,
    };
    let (text, searched) = inferred.map_or((None, Vec::new()), |found| (Some(found.text), found.fields));
    let query = query.or(text).ok_or(SkipReason::NoQueryText)?;
    caps::searched(&searched)?;

    let passage = match explicit.as_ref().and_then(|explicit| explicit.field.clone()) {
        Some(field) => PassageSpec { content: Content::Fields(vec![field]), ..terms.passage.clone() },
        None => terms.passage.clone(),
    };
    let mut extra = extra_fields(&body, &parameter, &passage.wanted(&searched))?;
    let text = body_text(&search.body);
    let is_list = |fields: &json::Member| text[fields.value.start] == b'[';
    if json::member(text, 0, "fields").is_some_and(|fields| !is_list(&fields)) {
        // The cluster's to refuse, not ours to mend.
        extra.asked.clear();
    }
    ask_for_fields(&extra, text, &mut edits);
    if multi && (page.from != 0 || page.size != hits) {
        set_member(text, "from", "0", &mut edits);
        set_member(text, "size", &hits.to_string(), &mut edits);
    }
    Ok(Plan {
        query,
        searched,
        passage,
        window,
        page,
        hits,
        min_score: explicit.and_then(|explicit| explicit.min_score),
        widened: page.from != 0 || page.size != hits || !edits.is_empty(),
        body: (!edits.is_empty()).then(|| edits.applied(text).into()),
        extra,
        echo: Vec::new(),
    })
}

fn read_body(body: &[u8]) -> Result<Body, SkipReason> {
    if body.trim_ascii().is_empty() {
        return Ok(Body::default());
    }
    serde_json::from_slice(body).map_err(|_| SkipReason::Malformed)
}

/// The body to edit: where the client sent none, one that says nothing.
fn body_text(body: &Bytes) -> &[u8] {
    if body.trim_ascii().is_empty() { b"{}" } else { body }
}

/// Whether the body is JSON (or lines of it) and the client wants JSON back.
pub(super) fn speaks_json(request: SearchRequest<'_>) -> bool {
    let said =
        |name, fits: fn(&str) -> bool| request.headers.get(name).is_none_or(|value| value.to_str().is_ok_and(fits));
    let wanted = match url::parameter(request.path_and_query.query(), "format") {
        Some(format) => format == "json",
        None => said(header::ACCEPT, |accept| accept.split(',').any(is_json_or_any)),
    };
    wanted && said(header::CONTENT_TYPE, is_json_or_lines)
}

fn is_json_or_lines(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    is_json(&essence) || essence == "application/x-ndjson" || essence.ends_with("+x-ndjson")
}

fn is_json_or_any(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    is_json_or_lines(essence) || matches!(essence, "*/*" | "application/*" | "")
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

/// The reranking that the search spells out; `edits` take it out of `text`, the body.
fn explicit(
    body: &Body,
    pipeline: Option<&str>,
    text: &[u8],
    page: Page,
    terms: &Terms<'_>,
    edits: &mut Edits,
) -> Result<Option<Explicit>, NoPlan> {
    if body.ext.as_ref().is_some_and(|ext| ext.get("rerank").is_some()) {
        // A pipeline that the search names beside it is the one that reranks.
        let pipeline = pipeline.or(body.search_pipeline.as_ref().map(|pipeline| pipeline.as_str().unwrap_or("inline")));
        if terms.leave_explicit || pipeline.is_some_and(|pipeline| pipeline != "_none") {
            return Err(SkipReason::OwnReranker.into());
        }
        let whole: Value = serde_json::from_slice(text).map_err(|_| SkipReason::Malformed)?;
        return explicit::opensearch(&whole, text, edits);
    }
    match &body.retriever {
        None => Ok(None),
        Some(retriever) if terms.leave_explicit && explicit::names_reranker(retriever) => {
            Err(SkipReason::OwnReranker.into())
        }
        Some(retriever) => explicit::elasticsearch(retriever, text, page, edits),
    }
}

/// The window, and how many hits to ask for.
///
/// Retrievers that merge (`rrf`, `linear`, …) and `rank` look at no more than `rank_window_size` hits, and where that is not
/// said, at as many as the client wants to see; so do vector searches without a `k`. Asking for more would change what
/// they find.
fn depth(body: &Body, page: Page, window: usize) -> Result<(usize, usize), SkipReason> {
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

/// Whether a vector search in Elasticsearch's form, here or further in, leaves `k` to the size of the page. (OpenSearch's
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

/// What the query itself says. In the engines `q` takes the place of the body's query.
fn inferred(body: &Body, q: Option<&str>, df: Option<&str>) -> Result<Option<QueryText>, SkipReason> {
    if let Some(q) = q {
        return query_text::of_q(q, df);
    }
    let query = body.query.as_ref().map_or(Ok(None), query_text::of_query)?;
    let retriever = body.retriever.as_ref().map_or(Ok(None), query_text::of_retriever)?;
    let knn = body.knn.as_ref().map_or(Ok(None), query_text::of_knn)?;
    Ok(joined([query, retriever, knn].into_iter().flatten()))
}

/// The texts at the rule's pointers, joined.
fn at_query_path(body: &[u8], pointers: &[String]) -> Result<Option<String>, SkipReason> {
    if pointers.is_empty() || body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| SkipReason::Malformed)?;
    let texts: Vec<&str> =
        pointers.iter().filter_map(|pointer| body.pointer(pointer)?.as_str()).map(str::trim).collect();
    let text = texts.join(" ").trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

/// What must be asked for besides, so that the passages can be read.
fn extra_fields<'a>(
    body: &Body,
    parameter: &impl Fn(&str) -> Option<&'a str>,
    wanted: &[&str],
) -> Result<ExtraFields, SkipReason> {
    let named = |value: &Option<Value>| value.as_ref().map(visible::names).unwrap_or_default();
    let in_url = |name: &str| -> Vec<String> {
        parameter(name).iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect()
    };
    let scripted =
        body.script_fields.as_ref().and_then(Value::as_object).into_iter().flat_map(|scripts| scripts.keys());
    let shown = Shown {
        source: body.source.as_ref(),
        source_in_url: parameter("_source").map(str::to_owned),
        includes_in_url: parameter("_source_includes").map(str::to_owned),
        excludes_in_url: parameter("_source_excludes").map(str::to_owned),
        stored_fields: [named(&body.stored_fields), in_url("stored_fields")].concat(),
        names_other_fields: body.stored_fields.is_some()
            || parameter("stored_fields").is_some()
            || body.script_fields.is_some(),
        fields: named(&body.fields),
        others: [named(&body.docvalue_fields), in_url("docvalue_fields"), scripted.cloned().collect()].concat(),
    };
    shown.extra(wanted).map_err(|cause| match cause {
        NotAsked::Hidden => SkipReason::NoPassages,
        NotAsked::TooComplex => SkipReason::TooComplex,
    })
}

/// Adds what is asked for to the body's `fields`, in front: what the client says of a field comes later, and wins.
fn ask_for_fields(extra: &ExtraFields, text: &[u8], edits: &mut Edits) {
    if extra.asked.is_empty() {
        return;
    }
    let quoted = |name: &String| Value::from(name.as_str()).to_string();
    let asked: Vec<String> = extra.asked.iter().map(quoted).collect();
    let asked = asked.join(",");
    let Some(fields) = json::member(text, 0, "fields") else {
        return edits.add_member(text, json::value(text, 0), "fields", &format!("[{asked}]"));
    };
    let start = fields.value.start + 1;
    let separator = if json::elements(text, fields.value.start).is_empty() { "" } else { "," };
    edits.replace(start..start, asked + separator);
}

fn set_member(text: &[u8], name: &str, value: &str, edits: &mut Edits) {
    match json::member(text, 0, name) {
        Some(member) => edits.replace(member.value, value),
        None => edits.add_member(text, json::value(text, 0), name, value),
    }
}

#[cfg(test)]
mod tests;
