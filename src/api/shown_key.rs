//! The key that a client of the rerank API shows, as its digest: nothing else is ever compared or kept.

use http::{HeaderMap, HeaderName, header};

use crate::config::digest_of;

/// The header with the key, where `Authorization` is for the cluster. It goes no further.
const KEY: HeaderName = HeaderName::from_static("x-rerank-key");

/// That of `Authorization: Bearer KEY`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| digest_of(key.trim()))
}

/// That of the header of our own.
pub(super) fn own(headers: &HeaderMap) -> Option<Vec<u8>> {
    Some(digest_of(headers.get(KEY)?.to_str().ok()?.trim()))
}
