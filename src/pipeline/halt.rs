//! The reasons for which a request leaves the pipeline, and the request that answers it all the same.

use engines::{failure::Failure, plan::SkipReason};
use http::Response;

use super::{
    call::SearchCall,
    ending::{Ending, Searched},
};
use crate::cluster::{Tried, body::Body};

/// The reason for which a request leaves the pipeline.
pub(super) enum Halt {
    /// There is a reason to send the client's own request.
    FallBack(SkipReason),
    /// The connection broke: the client's own request is to be sent, once, over a new one, and not to where it was tried.
    Broken(Tried),
    /// There is an answer to the client's own request, though nothing to rerank.
    Answered(Box<Response<Body>>, SkipReason),
    /// The client asked for what cannot be done.
    Failed(Failure),
}

impl From<SkipReason> for Halt {
    fn from(reason: SkipReason) -> Self {
        Self::FallBack(reason)
    }
}

impl Halt {
    /// The reason, as it is counted.
    pub(super) fn reason(&self) -> SkipReason {
        match self {
            Self::FallBack(reason) | Self::Answered(_, reason) => *reason,
            Self::Broken(_) => SkipReason::UpstreamError,
            Self::Failed(_) => SkipReason::Unsupported,
        }
    }

    /// The end of the request; `searched` says what a reason means for each of its searches.
    pub(super) fn ending(self, call: &SearchCall, searched: impl FnOnce(SkipReason) -> Vec<Searched>) -> Ending {
        let reason = self.reason();
        match self {
            Self::FallBack(_) => Ending::FallBack(Box::new(call.original()), searched(reason)),
            Self::Broken(tried) => Ending::FallBack(Box::new(call.afresh(tried)), searched(reason)),
            Self::Answered(response, _) => Ending::Answered(response, searched(reason)),
            Self::Failed(failure) => Ending::Failed(failure),
        }
    }
}
