//! Why a call is not answered with a ranking. Owns the statuses, and what each API calls such a fault.

use std::time::Duration;

use http::StatusCode;

use crate::{cluster::encoding::DecodeError, document_ranking::NotRanked, memory::Spent};

/// Why there is no answer on a connection of the reserve.
pub(crate) const NO_PLACE: &str = "rerank-proxy has as many client connections, or open requests, as it may have \
    (server.max_connections, limits.in_flight); beyond them, it only answers /_rerank/health and /_rerank/metrics";

/// Why a call is not answered with a ranking. The text is for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// What was sent cannot be read at all.
    #[error("{0}")]
    Unreadable(String),
    /// It is not all there in time.
    #[error("the body did not come in time ({0:?})")]
    Slow(Duration),
    /// It says nothing that could be ranked.
    #[error("the list of documents is empty")]
    Empty,
    /// It can be read, but not done: which member, and what is wrong with it.
    #[error("{0}")]
    Invalid(String),
    /// More than the operator allows.
    #[error("{0}")]
    TooLarge(String),
    /// The client has no key, or a wrong one.
    #[error("a key is needed here: send `Authorization: Bearer KEY`")]
    Locked,
    /// The same where a search is to be explained.
    #[error("a key is needed here: send `X-Rerank-Key: KEY`; `Authorization` is for the cluster")]
    LockedToExplain,
    /// There are no keys, and other machines reach the listener.
    #[error(
        "the rerank API is closed on this address, which other machines reach, as no key is configured: whoever runs this \
         server names the variable with its keys in api.keys_env, or sets api.keys = \"none\" to let anyone use it"
    )]
    Closed,
    /// There is no such model.
    #[error("{0}")]
    NoModel(String),
    /// It was not ranked.
    #[error(transparent)]
    NotRanked(#[from] NotRanked),
    /// As many calls are in flight as may be.
    #[error("as many calls are under way as this server takes at a time ({0}); try again later")]
    Crowded(usize),
    /// As many calls of this client are in flight as may be.
    #[error(
        "as many of your calls are under way as a client may have at a time here ({0}, api.per_client); try again later"
    )]
    Greedy(usize),
    /// What this process may hold of requests and answers is held.
    #[error("too much is held for other calls and searches (limits.memory); try again later")]
    NoMemory(Spent),
    /// There is no place for its client's connection.
    #[error("{}", NO_PLACE)]
    NoPlace,
    /// A bug of ours.
    #[error("internal error: this is a bug in rerank-proxy, please report it")]
    Internal,
}

impl Fault {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(_) | Self::Empty => StatusCode::BAD_REQUEST,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Locked | Self::LockedToExplain => StatusCode::UNAUTHORIZED,
            Self::Closed => StatusCode::FORBIDDEN,
            Self::NoModel(_) => StatusCode::NOT_FOUND,
            Self::Crowded(_) | Self::Greedy(_) | Self::NoMemory(_) | Self::NotRanked(NotRanked::Overloaded) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::NotRanked(_) | Self::NoPlace => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// TEI's word for it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Unreadable(_) | Self::Slow(_) | Self::Invalid(_) | Self::TooLarge(_) | Self::NoModel(_) => {
                "Validation"
            }
            Self::Locked | Self::LockedToExplain | Self::Closed => "Unauthorized",
            Self::Crowded(_)
            | Self::Greedy(_)
            | Self::NoMemory(_)
            | Self::NoPlace
            | Self::NotRanked(NotRanked::Overloaded) => "Overloaded",
            Self::NotRanked(NotRanked::Unavailable(_)) => "Unhealthy",
            Self::NotRanked(_) | Self::Internal => "Backend",
        }
    }

    /// Whether the same call may be answered in a second.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl Fault {
    /// A body that is not what its coding says, or more than `limit` bytes.
    pub(super) fn of_body(error: DecodeError, limit: usize) -> Self {
        match error {
            DecodeError::TooLarge => Self::too_large(limit),
            DecodeError::NoMemory(spent) => Self::NoMemory(spent),
            DecodeError::Broken => Self::Unreadable("the body is not what its Content-Encoding says".to_owned()),
        }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::TooLarge(format!("the body is larger than {limit} bytes (api.request_body)"))
    }
}
