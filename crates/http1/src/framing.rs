//! Where the body of an answer ends, and whether its connection can be used again (RFC 9112, sections 6.3 and 9.3).

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::{
    Error,
    lists::{digits, elements, ends_with, has, has_needless_zeros, values},
};

/// The greatest length of a body, in bytes: hyper's, which has another use for the two numbers beyond.
pub(crate) const MAX_LENGTH: u64 = u64::MAX - 2;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last of its chunks.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Framing {
    /// The framing of the answer to a request with this method. Of its headers, the length is put right where it is said oddly.
    pub(crate) fn of(
        method: &Method,
        status: StatusCode,
        version: Version,
        headers: &mut HeaderMap,
    ) -> Result<Self, Error> {
        let never = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || status.is_informational();
        if never || *method == Method::HEAD {
            // Whatever it says, nothing of it is to come.
            let _ = one_content_length(headers);
            return Ok(Self::Length(0));
        }
        if values(headers, TRANSFER_ENCODING).next().is_some() {
            return match is_chunked(headers) {
                // A proxy on the way that knows only HTTP/1.0 has not taken the chunks apart.
                _ if version == Version::HTTP_10 => Err(Error::Framing("a Transfer-Encoding in HTTP/1.0")),
                true => Ok(Self::Chunked),
                false => Ok(Self::UntilClose),
            };
        }
        Ok(one_content_length(headers)?.map_or(Self::UntilClose, Self::Length))
    }
}

/// Whether the server means to keep the connection open.
pub(crate) fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    !has_option(headers, "close") && (version == Version::HTTP_11 || has_option(headers, "keep-alive"))
}

fn has_option(headers: &HeaderMap, option: &str) -> bool {
    values(headers, CONNECTION).any(|value| has(value, option))
}

/// Whether the last coding is `chunked`.
fn is_chunked(headers: &HeaderMap) -> bool {
    values(headers, TRANSFER_ENCODING).last().is_some_and(|last| ends_with(last, "chunked"))
}

/// A length that a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) length: u64,
    /// It says so once, and in no more digits than it takes.
    pub(crate) is_plain: bool,
}

/// The length that all `Content-Length` headers agree on; `None` where there is none.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<Said>, Error> {
    let mut lines = values(headers, CONTENT_LENGTH);
    // As good as always.
    if let (Some(only), None) = (lines.next(), lines.next())
        && let Some(length) = number(only.as_bytes())
    {
        return Ok(Some(Said { length, is_plain: !has_needless_zeros(only.as_bytes()) }));
    }
    let said = values(headers, CONTENT_LENGTH).flat_map(elements);
    let mut said = said.map(|element| number(element.as_bytes()));
    let Some(first) = said.next() else { return Ok(None) };
    match first.filter(|_| said.all(|other| other == first)) {
        Some(length) => Ok(Some(Said { length, is_plain: false })),
        None => Err(Error::Framing("Content-Length is no number, or several")),
    }
}

/// The same, which the head says plainly from then on, where it said it first: what is passed on is one value (RFC 9110, section 8.6).
pub(crate) fn one_content_length(headers: &mut HeaderMap) -> Result<Option<u64>, Error> {
    let Some(Said { length, is_plain }) = content_length(headers)? else { return Ok(None) };
    if !is_plain {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Some(length))
}

fn number(text: &[u8]) -> Option<u64> {
    digits(text).filter(|number| *number <= MAX_LENGTH)
}
