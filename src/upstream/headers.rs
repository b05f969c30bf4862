//! Which headers end at this hop. Owns the table of RFC 9110 §7.6.1; every other header goes through as it came.

use std::collections::HashSet;

use http::{
    HeaderMap, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
        UPGRADE,
    },
};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// How many headers a message may have: far more than clusters send, which give a `Warning` for each thing that is
/// deprecated. (hyper's own limit is 100.)
pub(crate) const MAX_HEADERS: usize = 1000;

/// Removes the headers that are meant for this connection alone: those that `Connection` names, and those that RFC
/// 9110 §7.6.1 and §11.7 list. `TE: trailers` stays, so that trailers keep working end to end. What stays keeps its
/// order, repetitions included.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(ends_here) {
        return;
    }
    let named: HashSet<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // What frames the message or names its target is never a matter of the connection alone.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    // Removing from a `HeaderMap` moves its last header into the gap; only building a new one keeps the order.
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut current = None;
    for (name, value) in headers.drain() {
        // A repeated header comes without its name after the first time.
        current = name.or(current);
        let Some(name) = &current else { continue };
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

fn ends_here(name: &HeaderName) -> bool {
    [
        &CONNECTION,
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &PROXY_AUTHENTICATE,
        &PROXY_AUTHORIZATION,
        &TE,
        &TRANSFER_ENCODING,
        &UPGRADE,
    ]
    .contains(&name)
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
