//! The heads of requests, out of bytes (RFC 9112, sections 3 and 5), and where their bodies end (section 6). Whatever two servers
//! could read in two ways is refused: a request that one of them takes for two is how requests are smuggled past the other.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
};
use httparse::{ParserConfig, Status};

use crate::{
    MAX_HEADERS,
    framing::MAX_LENGTH,
    head::{drop_empty_lines, may_end_head},
    lists::{digits, ends_with, has, has_needless_zeros, is_plain_option},
};

/// As many headers as are made room for at first, on the stack. Few requests have more.
const USUAL_HEADERS: usize = 100;

/// The longest request target, in bytes.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// The longest name of a header, in bytes.
const MAX_NAME: usize = u16::MAX as usize;

/// The most places that are kept for the next head: an idle connection keeps them.
const KEPT_PLACES: usize = 128;

/// A head that was read.
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) length: Length,
    /// The client wants to be told before it sends the body.
    pub(super) expects_continue: bool,
    /// The client means to go on with this connection, and can.
    pub(super) keeps_alive: bool,
}

/// Where a request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// After so many bytes.
    Known(u64),
    /// With the last of its chunks.
    Chunked,
}

/// Reads heads, one after the other.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// How many bytes of the next one were looked at, and are no whole head.
    seen: usize,
    /// Where the headers of the last one lay.
    places: Vec<Place>,
}

/// Where a header lies in the head.
#[derive(Debug, Clone, Copy)]
struct Place {
    name: (usize, usize),
    value: (usize, usize),
}

/// The request line.
struct Line {
    method: Method,
    target: (usize, usize),
    version: Version,
    /// Of the head, in bytes.
    length: usize,
}

impl Heads {
    /// Takes the head at the beginning of `input`; `None` where it is not all there. The headers become those of the request,
    /// and share the memory of `input`; `spare` is an empty map whose room they may use.
    ///
    /// # Errors
    /// The status that the client is to be answered with.
    pub(super) fn read(&mut self, input: &mut BytesMut, spare: &mut HeaderMap) -> Result<Option<Head>, StatusCode> {
        // A head that comes in many pieces is parsed with the first and with the last, not once for each of them.
        if input.is_empty() || (self.seen > 0 && !may_end_head(&input[self.seen.saturating_sub(3)..])) {
            self.seen = input.len();
            return Ok(None);
        }
        let mut usual = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
        let parsed = match self.parse(input, &mut usual) {
            Err(httparse::Error::TooManyHeaders) => self.parse(input, &mut vec![MaybeUninit::uninit(); MAX_HEADERS]),
            parsed => parsed,
        };
        let line = match parsed {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => {
                drop_empty_lines(input);
                self.seen = input.len();
                return Ok(None);
            }
            Ok(Err(status)) => return Err(status),
            Err(httparse::Error::TooManyHeaders) => return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        self.seen = 0;
        let head = input.split_to(line.length).freeze();
        let understood = self.understand(&head, line, std::mem::take(spare)).map(Some);
        if self.places.capacity() > KEPT_PLACES {
            self.places = Vec::new();
        }
        understood
    }

    /// Finds out where everything lies in `input`.
    fn parse<'a>(
        &mut self,
        input: &'a [u8],
        slots: &mut [MaybeUninit<httparse::Header<'a>>],
    ) -> Result<Result<Option<Line>, StatusCode>, httparse::Error> {
        let mut head = httparse::Request::new(&mut []);
        let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut head, input, slots)?;
        let (Status::Complete(length), Some(method), Some(target)) = (parsed, head.method, head.path) else {
            return Ok(Ok(None));
        };
        if target.len() > MAX_TARGET {
            return Ok(Err(StatusCode::URI_TOO_LONG));
        }
        let Ok(method) = Method::from_bytes(method.as_bytes()) else { return Ok(Err(StatusCode::BAD_REQUEST)) };
        let place = |part: &[u8]| {
            let begin = part.as_ptr().addr() - input.as_ptr().addr();
            (begin, begin + part.len())
        };
        if head.headers.iter().any(|header| header.name.len() > MAX_NAME) {
            return Ok(Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        self.places.clear();
        let places =
            head.headers.iter().map(|header| Place { name: place(header.name.as_bytes()), value: place(header.value) });
        self.places.extend(places);
        let version = if head.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        Ok(Ok(Some(Line { method, target: place(target.as_bytes()), version, length })))
    }

    /// Makes a request of what lies in `head`.
    fn understand(&self, head: &Bytes, line: Line, mut headers: HeaderMap) -> Result<Head, StatusCode> {
        let wrong = StatusCode::BAD_REQUEST;
        let uri = Uri::from_maybe_shared(head.slice(line.target.0..line.target.1)).map_err(|_| wrong)?;
        let mut framing = Framing::new(line.version);
        headers.reserve(self.places.len());
        for Place { name, value } in &self.places {
            let name = HeaderName::from_bytes(&head[name.0..name.1]).map_err(|_| wrong)?;
            let mut value = HeaderValue::from_maybe_shared(head.slice(value.0..value.1)).map_err(|_| wrong)?;
            if framing.read(&name, &mut value, &mut headers)? {
                headers.append(name, value);
            }
        }
        let (length, keeps_alive) = framing.finish()?;
        if is_no_target_of(&line.method, &uri) {
            return Err(wrong);
        }
        let mut request = Request::new(());
        *request.method_mut() = line.method;
        *request.uri_mut() = uri;
        *request.version_mut() = line.version;
        *request.headers_mut() = headers;
        let expects_continue = framing.expects_continue && line.version == Version::HTTP_11;
        Ok(Head { request, length, expects_continue, keeps_alive })
    }
}

/// Whether a target is a bare host, with which nobody but CONNECT can ask for anything (RFC 9112, section 3.2.3). `GET _search` is
/// read as one; whoever passes it on would ask for `/`.
fn is_no_target_of(method: &Method, target: &Uri) -> bool {
    target.scheme().is_none() && target.authority().is_some() && *method != Method::CONNECT
}

/// What the headers say of the body and of the connection, as far as they were read.
struct Framing {
    version: Version,
    content_length: Option<u64>,
    has_content_length: bool,
    /// Whether the last `Transfer-Encoding` ends in `chunked`; `None` without any.
    is_chunked: Option<bool>,
    expects_continue: bool,
    connection: Option<Connection>,
}

/// What the client says of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    KeepAlive,
    Close,
}

impl Framing {
    fn new(version: Version) -> Self {
        Self {
            version,
            content_length: None,
            has_content_length: false,
            is_chunked: None,
            expects_continue: false,
            connection: None,
        }
    }

    /// Reads the next header; `headers` are those before it. Whether it is to be one of the request's. Of a connection that is to be
    /// kept or closed nobody has to know but who reads it here; others would have to take it out again.
    fn read(
        &mut self,
        name: &HeaderName,
        value: &mut HeaderValue,
        headers: &mut HeaderMap,
    ) -> Result<bool, StatusCode> {
        match *name {
            TRANSFER_ENCODING => {
                // A proxy on the way that knows only HTTP/1.0 has not taken the chunks apart.
                if self.version == Version::HTTP_10 {
                    return Err(StatusCode::BAD_REQUEST);
                }
                // It wins over a length, which nobody behind us is to see.
                if self.content_length.take().is_some() {
                    headers.remove(CONTENT_LENGTH);
                }
                self.is_chunked = Some(ends_with(value, "chunked"));
            }
            CONTENT_LENGTH => {
                self.has_content_length = true;
                if self.is_chunked.is_some() {
                    return Ok(false);
                }
                let length = digits(value.as_bytes()).ok_or(StatusCode::BAD_REQUEST)?;
                match self.content_length {
                    Some(before) if before != length => return Err(StatusCode::BAD_REQUEST),
                    Some(_) => return Ok(false),
                    None if length > MAX_LENGTH => return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
                    None => self.content_length = Some(length),
                }
                if has_needless_zeros(value.as_bytes()) {
                    *value = HeaderValue::from(length);
                }
            }
            CONNECTION => {
                // Once it is to be closed, it is not to be kept after all.
                if has(value, "close") {
                    self.connection = Some(Connection::Close);
                } else if self.connection.is_none() && has(value, "keep-alive") {
                    self.connection = Some(Connection::KeepAlive);
                }
                return Ok(!is_plain_option(value));
            }
            EXPECT => self.expects_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        Ok(true)
    }

    /// Where the body ends, and whether the connection can be kept.
    fn finish(&self) -> Result<(Length, bool), StatusCode> {
        let keeps_alive = match self.connection {
            None => self.version == Version::HTTP_11,
            Some(said) => said == Connection::KeepAlive,
        };
        match self.is_chunked {
            Some(true) => Ok((Length::Chunked, keeps_alive && !self.has_content_length)),
            // Nobody knows where such a body ends.
            Some(false) => Err(StatusCode::BAD_REQUEST),
            None => Ok((Length::Known(self.content_length.unwrap_or(0)), keeps_alive)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_keeps_no_room_for_a_great_many_headers() {
        let mut heads = Heads::default();
        for (headers, keeps) in [(100, true), (900, false)] {
            let mut input = BytesMut::from(&*format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(headers)));
            assert!(matches!(heads.read(&mut input, &mut HeaderMap::new()), Ok(Some(_))));
            assert_eq!(heads.places.capacity() > 0, keeps, "{headers}");
            assert!(heads.places.capacity() <= KEPT_PLACES);
        }
    }
}
