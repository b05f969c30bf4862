//! Content codings of answers. None is asked for, since a packed file cannot be gone on with; some servers and proxies pack all the same.

use std::io::Read;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, header};

/// Whether a body is packed with gzip.
///
/// # Errors
/// It is packed with something else.
pub(super) fn is_gzip(headers: &HeaderMap) -> anyhow::Result<bool> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(other) => bail!("the answer is packed with {}, which was not asked for", String::from_utf8_lossy(other)),
    }
}

/// A body in the clear.
///
/// # Errors
/// It is packed with something unknown, wrongly, or comes to more than `limit` bytes.
pub(super) fn plain(headers: &HeaderMap, body: Bytes, limit: usize) -> anyhow::Result<Bytes> {
    if !is_gzip(headers)? {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(&body[..]).take(limit as u64 + 1).read_to_end(&mut unpacked).context("wrongly packed with gzip")?;
    ensure!(unpacked.len() <= limit, "unpacked, the answer has more than {limit} bytes");
    Ok(unpacked.into())
}
