//! What the cluster is told of who asks: `X-Forwarded-…`, `Forwarded` (RFC 7239) and `Via` (RFC 9110, section 7.6.3). Owns what the
//! proxy says there, where the operator has it say anything (`server.forwarded`).

use std::fmt::Write as _;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{FORWARDED, HOST, VIA},
    request::Parts,
};

use crate::{client::Client, cluster::headers::strip_hop_by_hop, config::Forwarded, state::Context};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Tells the cluster who sends this request, if it is to be told.
pub(crate) fn tell(context: &Context, head: &mut Parts) {
    let policy = context.snapshot.settings.server.forwarded;
    if policy != Forwarded::Keep {
        told(policy, &context.client, head);
    }
}

fn told(policy: Forwarded, client: &Client, head: &mut Parts) {
    // First: a client might declare what is said here a matter of its connection, and so have it taken away.
    strip_hop_by_hop(&mut head.headers);
    let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers = &mut head.headers;
    if policy == Forwarded::Replace {
        for name in [FOR, PROTO, X_HOST, FORWARDED] {
            headers.remove(name);
        }
    }
    let address = client.address.ip().to_canonical();
    let proto = if client.is_secure { "https" } else { "http" };
    let host = headers.get(HOST).cloned().or(authority);
    if headers.contains_key(FORWARDED) {
        add(headers, FORWARDED, &element(client, proto, host.as_ref()));
    }
    add(headers, FOR, &address.to_string());
    // Who is in front of us knows better what the client said.
    headers.entry(PROTO).or_insert(HeaderValue::from_static(proto));
    if let Some(host) = host {
        headers.entry(X_HOST).or_insert(host);
    }
    let version = match head.version {
        Version::HTTP_2 => "2.0",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    add(headers, VIA, &format!("{version} rerank-proxy"));
}

/// What `Forwarded` says of one hop.
fn element(client: &Client, proto: &str, host: Option<&HeaderValue>) -> String {
    let address = client.address.ip().to_canonical();
    let mut element = if address.is_ipv6() { format!("for=\"[{address}]\"") } else { format!("for={address}") };
    let _ = write!(element, ";proto={proto}");
    // Anything else would have to be escaped, and is no host.
    let is_plain = |host: &&str| !host.contains(['"', '\\']);
    if let Some(host) = host.and_then(|host| host.to_str().ok()).filter(is_plain) {
        let _ = write!(element, ";host=\"{host}\"");
    }
    element
}

/// Adds to the end of a list, which is one line afterwards: few who read such a header read more of it.
fn add(headers: &mut HeaderMap, name: HeaderName, entry: &str) {
    let before = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
    let line: Vec<&[u8]> = before.filter(|value| !value.is_empty()).chain([entry.as_bytes()]).collect();
    if let Ok(line) = HeaderValue::from_bytes(&line.join(&b", "[..])) {
        headers.insert(name, line);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// What becomes of these headers: those of interest, in the order of the alphabet.
    fn sent(policy: Forwarded, client: &str, is_secure: bool, headers: &[(&str, &str)]) -> Vec<String> {
        let mut request = Request::get("/products/_search");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        told(policy, &Client { address: client.parse().unwrap(), is_secure }, &mut head);
        let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<String> = head.headers.iter().map(line).filter(|line| !line.starts_with("host")).collect();
        lines.sort();
        lines
    }

    const BEFORE: [(&str, &str); 8] = [
        ("host", "shop:9700"),
        ("connection", "x-forwarded-for, x-forwarded-proto, via"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("forwarded", "for=1.1.1.1"),
        ("via", "1.1 front"),
    ];

    #[test]
    fn the_client_is_added_to_what_those_before_it_said() {
        assert_eq!(
            sent(Forwarded::Append, "[::ffff:203.0.113.9]:1", false, &BEFORE[2..]),
            [
                "forwarded: for=1.1.1.1, for=203.0.113.9;proto=http",
                "via: 1.1 front, 1.1 rerank-proxy",
                "x-forwarded-for: 1.1.1.1, 2.2.2.2, 203.0.113.9",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: https",
            ]
        );
        assert_eq!(
            sent(Forwarded::Append, "[2001:db8::7]:1", true, &[BEFORE[0], BEFORE[6]]),
            [
                "forwarded: for=1.1.1.1, for=\"[2001:db8::7]\";proto=https;host=\"shop:9700\"",
                "via: 1.1 rerank-proxy",
                "x-forwarded-for: 2001:db8::7",
                "x-forwarded-host: shop:9700",
                "x-forwarded-proto: https",
            ]
        );
    }

    #[test]
    fn the_client_alone_is_told_whatever_it_said() {
        for before in [&BEFORE[..], &BEFORE[..1], &BEFORE[..2]] {
            let lines = sent(Forwarded::Replace, "203.0.113.9:1", false, before);
            let told: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with('x')).collect();
            let expected = ["x-forwarded-for: 203.0.113.9", "x-forwarded-host: shop:9700", "x-forwarded-proto: http"];
            assert_eq!(told, expected);
            assert!(!lines.iter().any(|line| line.starts_with("forwarded")));
        }
    }
}
