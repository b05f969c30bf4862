//! A request as the fuzz targets write it: `METHOD /path?query`, a line for each header, an empty line and the body. Owns that
//! form only.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::PathAndQuery};
use memchr::memmem;

use crate::request::RequestParts;

/// A request, as a client sends it.
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) path_and_query: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Sent {
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let end = memmem::find(input, b"\n\n")?;
        let mut lines = std::str::from_utf8(&input[..end]).ok()?.lines();
        let (method, path_and_query) = lines.next()?.split_once(' ')?;
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        Some(Self {
            method: method.parse().ok()?,
            path_and_query: path_and_query.parse().ok()?,
            headers: headers.collect(),
            body: Bytes::copy_from_slice(&input[end + 2..]),
        })
    }

    pub(super) fn parts(&self) -> RequestParts<'_> {
        RequestParts { path_and_query: &self.path_and_query, headers: &self.headers, body: &self.body }
    }
}
