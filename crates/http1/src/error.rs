//! What can go wrong with an exchange.

use std::io;

/// Why an exchange has no answer, or an answer no end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None of the request was written, so that the server does not know of it.
    #[error("the connection broke before the request was sent: {0}")]
    Unsent(#[source] io::Error),
    /// The server closed the connection where an answer was to begin.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// The server closed the connection in the middle of an answer.
    #[error("the connection was closed before the answer was complete")]
    EndedEarly,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// What came is no answer in HTTP/1.
    #[error("what came is no answer in HTTP/1: {0}")]
    Head(#[from] httparse::Error),
    /// The head is longer than [`crate::MAX_HEAD`].
    #[error("the answer's head is longer than {} bytes", crate::MAX_HEAD)]
    HeadTooLong,
    /// It cannot be told where the answer ends.
    #[error("it cannot be told where the answer ends: {0}")]
    Framing(&'static str),
    /// The request's own body failed.
    #[error("{0}")]
    RequestBody(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether a server has answered, and what it said is no answer that is read here.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Head(_) | Self::HeadTooLong | Self::Framing(_))
    }
}
