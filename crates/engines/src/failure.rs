//! Failures that the proxy answers in the cluster's place. Owns their statuses and their names; each dialect puts them into
//! the shape of its engine's own errors.

use http::StatusCode;

/// A failure, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of the failure.
    pub kind: FailureKind,
    /// A sentence for whoever reads the answer.
    pub reason: String,
}

impl Failure {
    /// A failure with this sentence.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// The kinds of failures, on the client's side, on ours or on the cluster's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The client asks the proxy for something that cannot be done as it says.
    IllegalArgument,
    /// Parts of a search contradict each other.
    FailedValidation,
    /// The client's body ended early.
    BodyEnded,
    /// The client's body comes in a transfer coding that cannot be taken off.
    UnsupportedTransferCoding,
    /// The client asks for a tunnel, which a reverse proxy does not open.
    ConnectMethod,
    /// There is no place for another connection or request.
    TooManyConnections,
    /// The cluster takes no connection.
    Unreachable,
    /// The cluster did not take a connection in time.
    ConnectTimeout,
    /// The cluster sent something that is no answer.
    Protocol,
    /// The cluster closed the connection before its answer was complete.
    ConnectionClosed,
    /// The cluster's answer stopped coming.
    Stalled,
}

impl FailureKind {
    /// The status of the answer: 4xx where the client is to act, 504 where the cluster was too slow, 502 where it failed.
    pub fn status(self) -> StatusCode {
        match self {
            Self::IllegalArgument | Self::FailedValidation | Self::BodyEnded => StatusCode::BAD_REQUEST,
            Self::UnsupportedTransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::ConnectMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyConnections => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectTimeout | Self::Stalled => StatusCode::GATEWAY_TIMEOUT,
            Self::Unreachable | Self::Protocol | Self::ConnectionClosed => StatusCode::BAD_GATEWAY,
        }
    }

    /// The name of the failure, formed as the engines form the types of theirs. Clients may branch on it, so that it never
    /// changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::IllegalArgument => "illegal_argument_exception",
            Self::FailedValidation => "action_request_validation_exception",
            Self::BodyEnded => "parse_exception",
            Self::UnsupportedTransferCoding => "unsupported_transfer_coding_exception",
            Self::ConnectMethod => "method_not_allowed_exception",
            Self::TooManyConnections => "too_many_connections_exception",
            Self::Unreachable => "upstream_connect_exception",
            Self::ConnectTimeout => "upstream_connect_timeout_exception",
            Self::Protocol => "upstream_protocol_exception",
            Self::ConnectionClosed => "upstream_connection_closed_exception",
            Self::Stalled => "upstream_timeout_exception",
        }
    }
}
