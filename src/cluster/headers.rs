//! Which headers end at this hop, and which requests cannot pass it. Owns the table of RFC 9110 §7.6.1; every other header
//! goes through as it came.

use std::collections::HashSet;

use engines::failure::FailureKind;
use http::{
    HeaderMap, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the headers that are meant for this connection alone: those that `Connection` names, and those that RFC
/// 9110 §7.6.1 and §11.7 list. `TE: trailers` stays, so that trailers keep working end to end. A `Content-Length` beside a
/// `Transfer-Encoding` goes with it: it does not count, and may be wrong (RFC 9112 §6.3). What stays keeps its order,
/// repetitions included.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(ends_here) {
        return;
    }
    let is_coded = headers.contains_key(TRANSFER_ENCODING);
    let named: HashSet<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // What frames the message or names its target is never a matter of the connection alone. Mostly what is named is known
        // to end here, and the set is empty, which costs nothing.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH && !ends_here(name))
        .collect();
    // Removing from a `HeaderMap` moves its last header into the gap; only building a new one keeps the order.
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut current = None;
    for (name, value) in headers.drain() {
        // A repeated header comes without its name after the first time.
        current = name.or(current);
        let Some(name) = &current else { continue };
        if is_coded && name == CONTENT_LENGTH {
            continue;
        }
        if name == TE {
            if says_trailers(&value) {
                kept.insert(TE, HeaderValue::from_static("trailers"));
            }
        } else if !ends_here(name) && !named.contains(name) {
            kept.append(name, value);
        }
    }
    *headers = kept;
}

/// Why a request cannot be passed on, whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unforwardable {
    /// The two sides of this hop might each believe another one (RFC 9112 §3.2).
    #[error("there is more than one Host header")]
    TwoHosts,
    /// The coding ends at this hop, and we cannot take it off (RFC 9112 §6.1).
    #[error("the only transfer coding that is understood here is `chunked`, once")]
    TransferCoding,
}

impl Unforwardable {
    /// What is wrong, as the client is told.
    pub fn failure_kind(self) -> FailureKind {
        match self {
            Self::TwoHosts => FailureKind::IllegalArgument,
            Self::TransferCoding => FailureKind::UnsupportedTransferCoding,
        }
    }
}

/// Whether a request with these headers can be passed on.
pub fn check_request(headers: &HeaderMap) -> Result<(), Unforwardable> {
    // Mostly no header is repeated, and that is known.
    if headers.len() > headers.keys_len() && headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(Unforwardable::TwoHosts);
    }
    if has_foreign_coding(headers) {
        return Err(Unforwardable::TransferCoding);
    }
    Ok(())
}

/// Whether a body has a transfer coding besides being sent in chunks, once. (`identity` is none.)
pub fn has_foreign_coding(headers: &HeaderMap) -> bool {
    // Few headers are compared in less time than one is looked up.
    if !headers.keys().any(|name| *name == TRANSFER_ENCODING) {
        return false;
    }
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    codings.next().is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) || codings.next().is_some()
}

/// Joins the crumbs that HTTP/2 lets a client make of its cookie: HTTP/1.1 knows but one `Cookie` header (RFC 9113 §8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

fn ends_here(name: &HeaderName) -> bool {
    match *name {
        CONNECTION | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRANSFER_ENCODING | UPGRADE => true,
        _ => *name == KEEP_ALIVE || *name == PROXY_CONNECTION,
    }
}

fn says_trailers(te: &HeaderValue) -> bool {
    te.to_str().is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_of_this_hop_are_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Mine"),
            ("connection", "host"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip, trailers"),
            ("host", "search:9200"),
            ("trailer", "x-sum"),
            ("authorization", "Basic abc"),
            ("x-opaque-id", "a"),
            ("x-opaque-id", "b"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        assert_eq!(
            left,
            [
                "te: trailers",
                "host: search:9200",
                "trailer: x-sum",
                "authorization: Basic abc",
                "x-opaque-id: a",
                "x-opaque-id: b"
            ]
        );
    }
}
