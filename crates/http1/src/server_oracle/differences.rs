//! Where our server is another one than hyper's on purpose, and why. Owns how what the two did is made alike before it is compared.

use http::{HeaderMap, HeaderValue, header::CONNECTION};

use super::script::{Answer, Outcome, Reads, Script};
use crate::{framing::one_content_length, lists::is_plain_option};

/// Makes alike what a client gets of both.
pub(super) fn make_alike(script: &Script, outcome: &mut Outcome) {
    outcome.got = with_no_length_last(&outcome.got);
    // Where a handler leaves a body unread that has not come to its end, hyper closes the connection and does not say so.
    let reads_all = |answer: &Answer| matches!(answer.reads, Reads::All);
    if !script.answers.iter().all(reads_all) {
        outcome.got = without_connection(&outcome.got);
    }
}

/// What hyper's handler is asked for, and ours never: whoever passes a bare host on asks for `/`.
pub(super) const BARE_HOST: &str = "a bare host";

pub(super) fn is_bare_host(head: &http::request::Parts) -> bool {
    head.uri.scheme().is_none() && head.uri.authority().is_some() && head.method != http::Method::CONNECT
}

/// The headers of a request as ours has them: hyper leaves zeros before a length, and tells its handler that the connection is
/// kept or closed.
pub(super) fn plain(mut headers: HeaderMap) -> HeaderMap {
    let _ = one_content_length(&mut headers);
    let options: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    // The place of the first one may be that of one which ours has not.
    let others = headers.iter().filter(|(name, _)| **name != CONNECTION);
    let mut plain: HeaderMap = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    for option in options.into_iter().filter(|option| !is_plain_option(option)) {
        plain.append(CONNECTION, option);
    }
    plain
}

/// What a client gets, with a length of nothing at the end of each head. hyper moves it there; ours stays where the handler has it.
fn with_no_length_last(got: &str) -> String {
    let moved = got.split("\r\n\r\n").map(|part| match part.split_once("\r\ncontent-length: 0") {
        Some((before, behind)) if behind.is_empty() || behind.starts_with("\r\n") => {
            format!("{before}{behind}\r\ncontent-length: 0")
        }
        _ => part.to_owned(),
    });
    moved.collect::<Vec<_>>().join("\r\n\r\n")
}

/// What a client gets, without what it is told of the connection.
fn without_connection(got: &str) -> String {
    let mut parts = got.split("\r\nconnection: ");
    let before = parts.next().unwrap_or_default().to_owned();
    parts.fold(before, |kept, part| kept + part.find("\r\n").map_or("", |end| &part[end..]))
}

/// Holds that what came before a request for a bare host is answered as hyper does, and that it is refused.
pub(super) fn assert_refused(script: &Script, ours: &Outcome, theirs: &Outcome, place: usize) {
    let (before, refusal) = ours.got.split_at(ours.got.rfind("HTTP/1.").unwrap_or(0));
    let is_refused = refusal.get(8..).is_some_and(|status| status.starts_with(" 400 ")) && ours.ended == Some(false);
    // Whoever goes on in HTTP/2 behind it is told nothing, as behind any other request that is refused.
    let goes_on_in_http2 = script.pieces.concat().windows(14).any(|said| said == b"PRI * HTTP/2.0");
    let is_as_before = ours.seen == theirs.seen[..place] && theirs.got.starts_with(before);
    assert!((is_refused || goes_on_in_http2) && is_as_before, "{ours:?} {theirs:?} {script:?}");
}
