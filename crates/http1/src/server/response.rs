//! The heads of answers, into bytes, and how their bodies are framed (RFC 9112, sections 4, 6 and 9). What the handler says of
//! `Content-Length` and `Connection` counts; the transfer coding is ours.

use std::io::Write as _;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING},
    response::Parts,
};
use hyper::ext::ReasonPhrase;

use super::error::Error;
use crate::lists::{digits, elements, has, values};

/// What of a request decides how it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    version: Version,
    is_head: bool,
    is_connect: bool,
    takes_trailers: bool,
}

impl Asked {
    /// What is answered before anything was asked.
    pub(super) fn nothing() -> Self {
        Self { version: Version::HTTP_11, is_head: false, is_connect: false, takes_trailers: false }
    }

    /// What is answered to what is no request, in the version of the last one.
    pub(super) fn of_no_request(self) -> Self {
        Self { version: self.version, ..Self::nothing() }
    }

    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self {
            version: request.version(),
            is_head: *request.method() == Method::HEAD,
            is_connect: *request.method() == Method::CONNECT,
            takes_trailers: values(request.headers(), TE).any(|value| has(value, "trailers")),
        }
    }

    /// Whether the answer with this status has no body, whatever its headers say.
    fn has_no_body(self, status: StatusCode) -> bool {
        self.is_head || self.has_no_length(status)
    }

    fn has_no_length(self, status: StatusCode) -> bool {
        matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || status.is_informational()
            || (self.is_connect && status.is_success())
    }
}

/// How long a body says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// There is none.
    Nothing,
    Known(u64),
    Unknown,
}

/// How the client is told where the body ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// With the last of its chunks, behind which these trailers may come.
    Chunked(Vec<HeaderName>),
    /// With the connection.
    UntilClose,
}

/// Writes the head of an answer, whose body has this size. `keeps_alive` says whether the connection may be kept, and then
/// whether it is.
///
/// # Errors
/// The answer cannot be sent. Nothing of it was written then.
pub(super) fn write(
    asked: Asked,
    head: &mut Parts,
    size: Size,
    keeps_alive: &mut bool,
    out: &mut Vec<u8>,
) -> Result<Framing, Error> {
    let leaves_http = head.status == StatusCode::SWITCHING_PROTOCOLS || (asked.is_connect && head.status.is_success());
    if head.status.is_informational() && !leaves_http {
        return Err(Error::Answer("its status is one of a word before the answer"));
    }
    say_whether_kept(asked, head, keeps_alive);
    let framing = framing(asked, head, size)?;
    let says_close = values(&head.headers, CONNECTION).any(|value| has(value, "close"));
    *keeps_alive &= framing != Framing::UntilClose && !says_close && !leaves_http;
    write_status(head, out);
    let keeps_length = keeps_length(asked, head, size);
    write_headers(asked, head, keeps_length, out);
    match (&framing, size) {
        _ if keeps_length => {}
        (Framing::Chunked(_), _) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        (_, Size::Unknown) => {}
        _ if asked.has_no_length(head.status) => {}
        (_, Size::Nothing | Size::Known(0)) if asked.is_head => {}
        (_, Size::Nothing | Size::Known(0)) => out.extend_from_slice(b"content-length: 0\r\n"),
        (_, Size::Known(length)) => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

/// Adds what a client has to know of the connection: one of HTTP/1.0 that it is kept, one of HTTP/1.1 that it is not.
fn say_whether_kept(asked: Asked, head: &mut Parts, keeps_alive: &mut bool) {
    let says = |option| values(&head.headers, CONNECTION).any(|value| has(value, option));
    match asked.version {
        Version::HTTP_10 => {
            if !says("keep-alive") {
                match head.version {
                    Version::HTTP_10 => *keeps_alive = false,
                    _ if *keeps_alive => drop(head.headers.append(CONNECTION, HeaderValue::from_static("keep-alive"))),
                    _ => {}
                }
            }
            head.version = Version::HTTP_10;
        }
        _ if !*keeps_alive && !says("close") => {
            head.headers.append(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
}

/// Whether the headers have a length that is written where it stands. Where there is no body, none counts that says otherwise.
fn keeps_length(asked: Asked, head: &Parts, size: Size) -> bool {
    let said = values(&head.headers, CONTENT_LENGTH).next();
    match size {
        Size::Nothing if !asked.is_head => !asked.has_no_length(head.status) && said.is_some_and(|said| said == "0"),
        _ => said.is_some(),
    }
}

fn framing(asked: Asked, head: &Parts, size: Size) -> Result<Framing, Error> {
    if asked.is_connect && head.status.is_success() && values(&head.headers, CONTENT_LENGTH).next().is_some() {
        return Err(Error::Answer("it takes CONNECT and has a Content-Length"));
    }
    let framing = match size {
        Size::Nothing => Framing::Length(0),
        Size::Known(length) => Framing::Length(length),
        Size::Unknown if values(&head.headers, CONTENT_LENGTH).next().is_some() => {
            let mut lengths = values(&head.headers, CONTENT_LENGTH).map(|value| digits(value.as_bytes()));
            let first = lengths.next().flatten();
            match first.filter(|_| lengths.all(|other| other == first)) {
                Some(length) => Framing::Length(length),
                None => return Err(Error::Answer("its Content-Length is no number, or several")),
            }
        }
        Size::Unknown if head.version == Version::HTTP_10 => Framing::UntilClose,
        Size::Unknown => Framing::Chunked(trailers(asked, &head.headers)),
    };
    Ok(if asked.has_no_body(head.status) { Framing::Length(0) } else { framing })
}

/// The trailers that are announced, where the client takes any.
fn trailers(asked: Asked, headers: &HeaderMap) -> Vec<HeaderName> {
    if !asked.takes_trailers {
        return Vec::new();
    }
    headers.get_all(TRAILER).iter().flat_map(elements).filter_map(|name| name.parse().ok()).collect()
}

fn write_status(head: &Parts, out: &mut Vec<u8>) {
    let reason = head.extensions.get::<ReasonPhrase>();
    if head.status == StatusCode::OK && head.version == Version::HTTP_11 && reason.is_none() {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(if head.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(match reason {
        Some(reason) => reason.as_bytes(),
        None => head.status.canonical_reason().unwrap_or("<none>").as_bytes(),
    });
    out.extend_from_slice(b"\r\n");
}

fn write_headers(asked: Asked, head: &Parts, keeps_length: bool, out: &mut Vec<u8>) {
    let announces_trailers = head.version != Version::HTTP_10 && !asked.has_no_body(head.status);
    let mut before = None;
    for (name, value) in &head.headers {
        match *name {
            TRANSFER_ENCODING => {}
            CONTENT_LENGTH if !keeps_length => {}
            TRAILER if !announces_trailers => {}
            CONTENT_LENGTH | CONNECTION | TRAILER if before == Some(name) => {}
            CONNECTION | TRAILER => {
                write_name(name, out);
                for (place, value) in head.headers.get_all(name).iter().enumerate() {
                    out.extend_from_slice(if place > 0 { b", " } else { b"" });
                    out.extend_from_slice(value.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
            }
            _ => write_header(name, value, out),
        }
        before = Some(name);
    }
}

/// Writes the line before a chunk of so many bytes.
pub(super) fn write_chunk_size(length: usize, out: &mut Vec<u8>) {
    let _ = write!(out, "{length:X}\r\n");
}

/// Writes one header.
pub(super) fn write_header(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    write_name(name, out);
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_name(name: &HeaderName, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
}
