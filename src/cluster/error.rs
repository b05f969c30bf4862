//! Why the cluster gave no answer, and whose fault that is.

use engines::failure::FailureKind;
use http::uri::Authority;

/// Why the cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection could be made.
    #[error("cannot connect to the cluster at {authority}: {source}")]
    Connect {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: hyper_util::client::legacy::Error,
    },
    /// No connection could be made in time.
    #[error("connecting to the cluster at {authority} took too long")]
    ConnectTimeout {
        /// Host and port.
        authority: Authority,
    },
    /// The client's own body broke off while it was sent on.
    #[error("the request's body ended early: {source}")]
    RequestBody {
        /// The cause.
        source: hyper_util::client::legacy::Error,
    },
    /// What came is no answer that may be passed on.
    #[error("the cluster at {authority} answered with {what}, which was not asked for")]
    Protocol {
        /// Host and port.
        authority: Authority,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The connection broke before an answer came.
    #[error("the cluster at {authority} closed the connection without an answer: {source}")]
    Broken {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: hyper_util::client::legacy::Error,
    },
}

impl UpstreamError {
    /// What went wrong, as a client is told.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            Self::Connect { .. } => FailureKind::Unreachable,
            Self::ConnectTimeout { .. } => FailureKind::ConnectTimeout,
            Self::RequestBody { .. } => FailureKind::BodyEnded,
            Self::Protocol { .. } => FailureKind::Protocol,
            Self::Broken { .. } => FailureKind::ConnectionClosed,
        }
    }

    /// The reason for what the client reports, when it asked the node at `authority`.
    pub(super) fn of(source: hyper_util::client::legacy::Error, authority: Authority) -> Self {
        match () {
            // A connection that is there may time out as well: the system gives up a peer that has vanished.
            () if source.is_connect() && is_timeout(&source) => Self::ConnectTimeout { authority },
            () if source.is_connect() => Self::Connect { authority, source },
            () if is_of_request_body(&source) => Self::RequestBody { source },
            () => Self::Broken { authority, source },
        }
    }

    /// Whether there was a connection, and no answer to use came of it: over another one there may be.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Protocol { .. })
    }

    /// Whether the connection broke before any of the request was written to it.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Broken { source, .. } if sending_error(source).is_some_and(hyper::Error::is_canceled))
    }
}

/// What went wrong on the connection, once there was one.
fn sending_error(error: &hyper_util::client::legacy::Error) -> Option<&hyper::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Whether the body that was sent failed, and not the connection: hyper calls that an error of its user, caused by the
/// error of the body, which comes from the client's connection.
fn is_of_request_body(error: &hyper_util::client::legacy::Error) -> bool {
    sending_error(error).is_some_and(|error| {
        error.is_user() && std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<hyper::Error>)
    })
}

/// Whether some cause of `error` is a connection attempt that ran out of time.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
