//! Why the cluster gave no answer, and whose fault that is.

use engines::failure::FailureKind;
use http::uri::Authority;
use net::connect::ConnectError;

/// Why the cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection could be made.
    #[error("cannot connect to the cluster at {authority}: {source}")]
    Connect {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: ConnectError,
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
        source: http1::Error,
    },
    /// An answer came that may not be passed on. It would come again.
    #[error("the cluster at {authority} answered with {what}, which was not asked for")]
    Protocol {
        /// Host and port.
        authority: Authority,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An answer came that cannot be read: it is no HTTP/1, or more of it than is read. It would come again.
    #[error("the cluster at {authority} gave an answer that cannot be read: {source}")]
    Unreadable {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: http1::Error,
    },
    /// The node fell silent before an answer came, and another may be asked: the budget has paid for it.
    #[error("the cluster's node {authority} took the request and answers nobody any more")]
    Silent {
        /// Host and port.
        authority: Authority,
    },
    /// The connection broke before an answer came.
    #[error("the cluster at {authority} closed the connection without an answer: {source}")]
    Broken {
        /// Host and port.
        authority: Authority,
        /// The cause.
        source: http1::Error,
    },
}

impl UpstreamError {
    /// What went wrong, as a client is told.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            Self::Connect { .. } => FailureKind::Unreachable,
            Self::ConnectTimeout { .. } => FailureKind::ConnectTimeout,
            Self::RequestBody { .. } => FailureKind::BodyEnded,
            Self::Protocol { .. } | Self::Unreadable { .. } => FailureKind::Protocol,
            Self::Broken { .. } | Self::Silent { .. } => FailureKind::ConnectionClosed,
        }
    }

    /// The reason where no connection to the node at `authority` was made.
    pub(super) fn unconnected(source: ConnectError, authority: &Authority) -> Self {
        let authority = authority.clone();
        match is_timeout(&*source) {
            true => Self::ConnectTimeout { authority },
            false => Self::Connect { authority, source },
        }
    }

    /// The reason where the connection to the node at `authority` brought no answer.
    pub(super) fn of(source: http1::Error, authority: &Authority) -> Self {
        match source {
            source @ http1::Error::RequestBody(_) => Self::RequestBody { source },
            source if source.is_unreadable() => Self::Unreadable { authority: authority.clone(), source },
            source => Self::Broken { authority: authority.clone(), source },
        }
    }

    /// Whether there was no connection, so that nothing was sent.
    pub fn is_unconnected(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::ConnectTimeout { .. })
    }

    /// Whether there was a connection, and no answer came of it: over another one there may be.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Silent { .. })
    }

    /// Whether an answer came that is of no use. The cluster has done the work, and would answer the same request alike.
    pub fn is_unusable(&self) -> bool {
        matches!(self, Self::Protocol { .. } | Self::Unreadable { .. })
    }

    /// Whether the budget of what is sent once more has paid for another attempt already.
    pub fn is_paid_for(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }

    /// Whether the connection broke before any of the request was written to it.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Broken { source: http1::Error::Unsent(_), .. })
    }
}

/// Whether some cause of `error` is a connection attempt that ran out of time.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
