//! The request that a client would send: path, body and headers. Owns what may be sent at all (one search, by a path that no server
//! on the way reads as another one), and which of the caller's headers go on to the cluster.

use bytes::Bytes;
use engines::request::{Route, SearchRoute, is_json};
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

use super::{super::prefix::owns, asked::Asked};
use crate::{cluster::headers::check_request, state::Context};

/// What a person may write into a path though no URI holds it.
const UNWRITTEN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|');

/// Parameters by which Solr's searches can be made to do something else, or to read something else than the index.
const DIVERTING: [&str; 4] = ["qt", "stream.body", "stream.file", "stream.url"];

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

const FORM: &str = "application/x-www-form-urlencoded";

/// A search as a client would send it.
pub(super) struct ClientRequest {
    /// What is known where it would arrive.
    pub(super) context: Context,
    pub(super) route: SearchRoute,
    pub(super) parts: Parts,
    pub(super) body: Bytes,
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
        let form = media_type.as_deref().filter(|media_type| is_form(media_type)).map(|_| &body[..]);
        for part in [target.query().unwrap_or_default().as_bytes(), form.unwrap_or_default()] {
            if let Some(name) = diverting(part) {
                return Err(format!("the parameter `{name}` can make a search more than that: it is not sent"));
            }
        }
        let mut parts = head.clone();
        parts.method = method;
        parts.uri = uri(&head.uri, target);
        parts.headers = headers(&head.headers, media_type.as_deref())?;
        Ok(Self { context, route, parts, body })
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
            if !is_json(&media_type) && !is_form(&media_type) {
                return Err(format!("content_type must be JSON or {FORM}"));
            }
            Ok((text.into(), Some(media_type)))
        }
        _ => Err(WRONG.to_owned()),
    }
}

fn is_form(media_type: &str) -> bool {
    media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

/// The first parameter that is not sent, of a query string or a form.
fn diverting(parameters: &[u8]) -> Option<&'static str> {
    let parameters = parameters.split(|&byte| byte == b'&');
    let named = parameters.filter_map(|parameter| parameter.split(|&byte| byte == b'=').next());
    named.into_iter().find_map(|name| {
        let name = percent_encoding::percent_decode(name).decode_utf8_lossy();
        DIVERTING.into_iter().find(|known| *known == name)
    })
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
