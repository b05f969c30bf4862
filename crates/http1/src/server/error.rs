//! What can go wrong on a client's connection: for whoever serves it, and for whoever reads a request's body.

use std::{error::Error as StdError, io};

use http::StatusCode;

/// Why a connection ended though the client had not ended it between two requests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The client closed the connection, or its side of it, before its request was answered.
    #[error("the client closed the connection before its request was answered")]
    Gone,
    /// What came is no request that can be answered. The client was told so with this status, and was heard no further.
    #[error("what came is no request in HTTP/1: answered with {0}")]
    Refused(StatusCode),
    /// The client went on in HTTP/2, which it can only begin with.
    #[error("the client went on in HTTP/2 behind a request in HTTP/1")]
    Http2,
    /// The answer's body failed. What came before that was sent, and the connection closed, so that the client notices.
    #[error("the answer's body failed: {0}")]
    Body(#[source] Box<dyn StdError + Send + Sync>),
    /// The answer's body ended before its `Content-Length`.
    #[error("the answer's body ended {0} bytes before its Content-Length")]
    Short(u64),
    /// The answer cannot be sent.
    #[error("the answer cannot be sent: {0}")]
    Answer(&'static str),
}

/// Why a request's body has no end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client closed the connection before the end of the body, or the connection was closed on it.
    #[error("the connection was closed before the body was complete")]
    EndedEarly,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// It cannot be told where the body ends.
    #[error(transparent)]
    Framing(#[from] crate::Error),
}
