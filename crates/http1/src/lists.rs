//! The values of headers that say how a message is framed: lists and numbers.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The values of all headers of this name. Few headers are compared in less time than one is looked up.
pub(crate) fn values(headers: &HeaderMap, wanted: HeaderName) -> impl Iterator<Item = &HeaderValue> {
    headers.iter().filter(move |(name, _)| **name == wanted).map(|(_, value)| value)
}

/// Whether `element` is in a list. One that is not ASCII has none.
pub(crate) fn has(list: &HeaderValue, element: &str) -> bool {
    elements(list).any(|one| one.eq_ignore_ascii_case(element))
}

/// Whether a list ends with `element`.
pub(crate) fn ends_with(list: &HeaderValue, element: &str) -> bool {
    elements(list).next_back().is_some_and(|last| last.eq_ignore_ascii_case(element))
}

/// The elements of a list.
pub(crate) fn elements(list: &HeaderValue) -> impl DoubleEndedIterator<Item = &str> {
    list.to_str().unwrap_or_default().split(',').map(str::trim)
}

/// A number in decimal digits, and nothing else.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    // `parse` would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether a `Connection` header says that the connection is kept, or that it is not, and nothing else.
pub(crate) fn is_plain_option(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"keep-alive") || value.as_bytes().eq_ignore_ascii_case(b"close")
}

/// Whether a number has zeros before it, which not everybody reads alike.
pub(crate) fn has_needless_zeros(digits: &[u8]) -> bool {
    matches!(digits, [b'0', _, ..])
}
