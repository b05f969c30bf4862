//! The request that a client would send: path, body and headers. Owns what may be sent at all (one search, by a path that no server
//! on the way reads as another one), and which of the caller's headers go on to the cluster.

use bytes::Bytes;
use engines::{
    json,
    request::{Route, SearchRoute, is_json},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, ORIGIN, REFERER,
        TRANSFER_ENCODING,
    },
    request::Parts,
    uri::PathAndQuery,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;

use super::{super::prefix::owns, asked::Asked};
use crate::{cluster::headers::check_request, forwarded, state::Context};

/// What a person may write into a path though no URI holds it.
const UNWRITTEN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|');

/// Parameters by which Solr's searches can be made to do something else, or to read something else than the index: another handler, here
/// or on the shards; contents from elsewhere; parameters within JSON, or in another encoding, which nobody here would see.
const DIVERTING: [&str; 4] = ["qt", "shards", "json", "ie"];
/// What the names of others of them begin with.
const DIVERTING_FAMILIES: [&str; 3] = ["shards.", "stream.", "json.params"];

/// The headers of the caller's request that speak of it alone.
const OWN: [HeaderName; 9] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    ORIGIN,
    REFERER,
    TRANSFER_ENCODING,
];

/// What the paths of Solr begin with.
const SOLR: &str = "/solr/";
const FORM: &str = "application/x-www-form-urlencoded";

/// A search as a client would send it.
pub(super) struct ClientRequest {
    /// What is known where it would arrive.
    pub(super) context: Context,
    pub(super) route: SearchRoute,
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// The rank of the first hit of its page, from 0.
    pub(super) from: usize,
}

impl ClientRequest {
    /// The search that is asked for, with the headers of `head`; the error is for whoever sent it.
    pub(super) fn of(context: &Context, head: &Parts, asked: &Asked<'_>) -> Result<Self, String> {
        check_request(&head.headers).map_err(|cause| cause.to_string())?;
        let method = match asked.method.as_str() {
            "POST" => Method::POST,
            "GET" => Method::GET,
            _ => return Err("method must be POST or GET: only searches are explained".to_owned()),
        };
        let target = target(&asked.path)?;
        let context = context.for_path(target.path());
        let route = match context.dialect().classify(&method, target.path()) {
            Route::Search(route) if !route.form.is_multi() => route,
            Route::Search(_) => return Err("path is that of several searches: explain them one by one".to_owned()),
            _ => return Err(format!("path must be that of a search; `{}` is none", target.path())),
        };
        let (body, media_type) = body(asked)?;
        let is_form = media_type.as_deref().is_some_and(is_form);
        let form: &[u8] = if is_form { &body } else { b"" };
        let mut names: Vec<String> =
            [target.query().unwrap_or_default().as_bytes(), form].into_iter().flat_map(names).collect();
        if !is_form && target.path().starts_with(SOLR) {
            names.extend(names_in_json(&body));
        }
        if let Some(name) = names.iter().find(|name| is_diverting(name)) {
            return Err(format!("the parameter `{name}` can make a search more than that: it is not sent"));
        }
        let from = from(&target, &body);
        let mut parts = head.clone();
        parts.method = method;
        parts.uri = uri(&head.uri, target);
        parts.headers = headers(&head.headers, media_type.as_deref())?;
        forwarded::tell(&context, &mut parts);
        Ok(Self { context, route, parts, body, from })
    }
}

/// The path, as it is sent.
fn target(path: &str) -> Result<PathAndQuery, String> {
    if !path.starts_with('/') || path.starts_with("//") {
        return Err("path must be one at the cluster: it begins with one `/`, and names no host".to_owned());
    }
    if path.contains('#') {
        return Err("path must have no `#`, which ends it: write %23".to_owned());
    }
    let written = utf8_percent_encode(path, UNWRITTEN).to_string();
    let target: PathAndQuery = written.parse().map_err(|error| format!("path cannot be sent: {error}"))?;
    let decoded = percent_decode_str(target.path()).decode_utf8_lossy().into_owned();
    // Some servers go up where it says so: what reads as a search here might not be one there.
    let goes_up = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if decoded.split(['/', '\\']).any(goes_up) || decoded.contains(char::is_control) {
        return Err("path must be a plain one: no `.`, `..` or control characters in it".to_owned());
    }
    if owns(target.path()) {
        return Err("path must be one at the cluster: `/_rerank` is ours".to_owned());
    }
    Ok(target)
}

/// The URI of the caller's request with another target.
fn uri(own: &Uri, target: PathAndQuery) -> Uri {
    let mut parts = own.clone().into_parts();
    parts.path_and_query = Some(target.clone());
    Uri::from_parts(parts).unwrap_or_else(|_| target.into())
}

/// The body as it is sent, and its media type.
fn body(asked: &Asked<'_>) -> Result<(Bytes, Option<String>), String> {
    const WRONG: &str = "body must be an object, a text or null";
    let Some(body) = asked.body.map(|body| body.get().trim()) else {
        return Ok((Bytes::new(), None));
    };
    match body.as_bytes().first() {
        Some(b'{') if asked.content_type.is_some() => Err("content_type is for a body that is a text".to_owned()),
        Some(b'{') => Ok((Bytes::copy_from_slice(body.as_bytes()), Some("application/json".to_owned()))),
        Some(b'"') => {
            let text: String = serde_json::from_str(body).map_err(|error| format!("body cannot be read: {error}"))?;
            let media_type = asked.content_type.clone().unwrap_or_else(|| "application/json".to_owned());
            if !(is_json(&media_type) || is_form(&media_type)) || !is_utf8(&media_type) {
                return Err(format!("content_type must be JSON or {FORM}, in UTF-8"));
            }
            Ok((text.into(), Some(media_type)))
        }
        _ => Err(WRONG.to_owned()),
    }
}

/// The rank of the first hit: of a search that is not planned nobody else reads it. What is no number is 0, as in a search without.
fn from(target: &PathAndQuery, body: &[u8]) -> usize {
    /// Elasticsearch's and OpenSearch's `from`, Solr's `offset`.
    #[derive(Deserialize)]
    struct Search {
        #[serde(alias = "offset")]
        from: Option<usize>,
    }
    let mut parameters =
        target.query().unwrap_or_default().split('&').filter_map(|parameter| parameter.split_once('='));
    let in_url = |(name, value): (&str, &str)| if matches!(name, "from" | "start") { value.parse().ok() } else { None };
    let in_url = parameters.find_map(in_url);
    in_url.or_else(|| serde_json::from_slice(body).ok().and_then(|search: Search| search.from)).unwrap_or_default()
}

fn is_form(media_type: &str) -> bool {
    media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

/// Whether the body is in UTF-8: in another charset its names would read otherwise than here.
fn is_utf8(media_type: &str) -> bool {
    let mut parameters = media_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters.all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

fn is_diverting(name: &str) -> bool {
    DIVERTING.contains(&name) || DIVERTING_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The names of the parameters of a query string or a form.
fn names(parameters: &[u8]) -> impl Iterator<Item = String> {
    let parameters = parameters.split(|&byte| byte == b'&');
    let named = parameters.filter_map(|parameter| parameter.split(|&byte| byte == b'=').next());
    named.map(|name| percent_encoding::percent_decode(name).decode_utf8_lossy().into_owned())
}

/// The names of the parameters that a body for Solr has as JSON, each time that it says `params`.
fn names_in_json(body: &[u8]) -> Vec<String> {
    let members = json::each_member(body, 0).filter(|member| member.name(body) == "params");
    let params = members.map(|member| member.value).filter(|params| body[params.start] == b'{');
    params
        .flat_map(|params| json::each_member(body, params.start))
        .map(|member| member.name(body).into_owned())
        .collect()
}

/// The caller's headers as far as they are the cluster's business. What a client may say to the proxy in a header, a caller says in
/// `rerank`.
fn headers(own: &HeaderMap, media_type: Option<&str>) -> Result<HeaderMap, String> {
    let is_ours = |name: &HeaderName| name.as_str().starts_with("x-rerank") || OWN.contains(name);
    let kept = own.iter().filter(|(name, _)| !is_ours(name)).map(|(name, value)| (name.clone(), value.clone()));
    let mut headers: HeaderMap = HeaderMap::with_capacity(own.len());
    headers.extend(kept);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(media_type) = media_type {
        let value = HeaderValue::from_str(media_type).map_err(|_| "content_type is no media type".to_owned())?;
        headers.insert(CONTENT_TYPE, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_sent_as_it_is_but_for_what_no_uri_holds() {
        for (path, sent) in [
            ("/i/_search?q=red wine", "/i/_search?q=red%20wine"),
            ("/%3Clogs-%7Bnow%2Fd%7D%3E/_search", "/%3Clogs-%7Bnow%2Fd%7D%3E/_search"),
            ("/<logs-{now%2Fd}>/_search", "/%3Clogs-%7Bnow%2Fd%7D%3E/_search"),
            ("/grüße/_search", "/gr%C3%BC%C3%9Fe/_search"),
        ] {
            assert_eq!(target(path).map(|target| target.to_string()), Ok(sent.to_owned()));
        }
    }

    #[test]
    fn the_rank_of_the_first_hit_is_that_of_the_url_else_of_the_body() {
        for (path, body, rank) in [
            ("/i/_search?from=3", r#"{"from":5}"#, 3),
            ("/i/_search", r#"{"from":5}"#, 5),
            ("/solr/c/query", r#"{"offset":4}"#, 4),
            ("/solr/c/select?start=2", "", 2),
            ("/i/_search?from=x", r#"{"from":"x"}"#, 0),
        ] {
            assert_eq!(from(&path.parse().expect("a path"), body.as_bytes()), rank, "{path} {body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_path_is_sent_no_server_goes_up_in_it(
            parts in prop::collection::vec(prop::sample::select(vec![
                "/", "i", "_search", "..", ".", "%2e", "%2E.", "%2f", "\\", ";", "%5c", "?", "#", "\r\n", "%0a", "é", " ", "solr", "select",
            ]), 0..10),
        ) {
            let path = format!("/{}", parts.concat());
            let Ok(target) = target(&path) else { return Ok(()) };
            let sent = target.to_string();
            prop_assert!(sent.starts_with('/') && !sent.starts_with("//"));
            prop_assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()), "{sent}");
            let decoded = percent_decode_str(target.path()).decode_utf8_lossy().replace('\\', "/");
            prop_assert!(!decoded.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | ".."))), "{sent}");
        }
    }
}
