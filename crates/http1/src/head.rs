//! Heads: a request's, as bytes; a response's, out of bytes.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, request};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use crate::{Error, MAX_HEADERS};

/// As many headers as are made room for at first, on the stack. Few answers have more.
const USUAL_HEADERS: usize = 100;

/// Writes the request line and the headers, all but the empty line that ends them.
pub(crate) fn write(head: &request::Parts, mut keep: impl FnMut(&HeaderName) -> bool, out: &mut BytesMut) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(head.method.as_str().as_bytes());
    // A URI such as `http://host?query` has no path.
    out.extend_from_slice(if target.starts_with(['/', '*']) { b" " } else { b" /" });
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in head.headers.iter().filter(|(name, _)| keep(name)) {
        write_header(name, value.as_bytes(), out);
    }
}

/// Writes one header.
pub(crate) fn write_header(name: &HeaderName, value: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A head that was read.
pub(crate) enum Read {
    /// All of it, and what came behind it.
    Whole(Response<()>, Bytes),
    /// The beginning of one.
    Part(BytesMut),
}

/// Reads the head at the beginning of `input`. Its values share the memory of `input`.
pub(crate) fn read(input: BytesMut) -> Result<Read, Error> {
    let input = input.freeze();
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    let parsed = match parse(&input, &mut usual) {
        Err(Error::Head(httparse::Error::TooManyHeaders)) => {
            parse(&input, &mut vec![MaybeUninit::uninit(); MAX_HEADERS])
        }
        parsed => parsed,
    };
    Ok(match parsed? {
        Some((response, length)) => Read::Whole(response, input.slice(length..)),
        None => Read::Part(input.try_into_mut().unwrap_or_else(|input| BytesMut::from(&*input))),
    })
}

fn parse<'a>(
    input: &'a Bytes,
    slots: &mut [MaybeUninit<httparse::Header<'a>>],
) -> Result<Option<(Response<()>, usize)>, Error> {
    let mut head = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, input, slots)?;
    let Status::Complete(length) = parsed else { return Ok(None) };
    let status = StatusCode::from_u16(head.code.unwrap_or_default()).map_err(|_| httparse::Error::Status)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if head.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    *response.headers_mut() = headers(input, head.headers)?;
    let reason = head.reason.unwrap_or_default();
    if Some(reason) != status.canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(input.slice_ref(reason.as_bytes()))
    {
        response.extensions_mut().insert(reason);
    }
    Ok(Some((response, length)))
}

/// The headers that lie in `input`.
pub(crate) fn headers(input: &Bytes, parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(header.value));
        headers.append(name, value.map_err(|_| httparse::Error::HeaderValue)?);
    }
    Ok(headers)
}

/// Whether an empty line is among these bytes: a head that comes in many pieces is not parsed again with each of them.
pub(crate) fn may_end_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

/// These bytes without the empty lines that they begin with, which are no part of a head (RFC 9112, section 2.2).
pub(crate) fn behind_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Drops empty lines before a head, but for the bytes that [`may_end_head`] looks back at. They are no part of the head (hyper
/// passes over them, too), and would be parsed again with each one more.
pub(crate) fn drop_empty_lines(input: &mut BytesMut) {
    if behind_empty_lines(input).is_empty() {
        input.advance(input.len().saturating_sub(3));
    }
}
