//! The cluster's answer to the searches as the plans want them, buffered whole and without its content coding. Owns which
//! answers can be used, and what is done about those that cannot: passed on where they answer the client's own request,
//! asked for again where they may be of our making.

use bytes::Bytes;
use engines::{
    plan::SkipReason,
    request::{Forward, is_json},
};
use http::{HeaderMap, Response, StatusCode, header, response};
use tracing::warn;

use super::{
    call::SearchCall,
    failing::{broken_off, stalled, unanswered},
    halt::Halt,
    send::{Answered, is_within_budget, send},
};
use crate::{
    cluster::{
        Outgoing, Tried,
        advice::chain,
        answer::Answer,
        body::{Body, Bounds, Buffered, Patience, Unheld, buffer},
        encoding::{self, Coding},
    },
    isolation::computed,
    memory::{ANSWER_COPIES, Held},
    state::Context,
};

/// An answer that is buffered.
pub(super) struct Fetched {
    pub(super) head: response::Parts,
    pub(super) answer: Bytes,
    /// The bytes on the account for the passages and for the answer in its new order.
    pub(super) room: Held,
}

/// The terms on which an answer that cannot be used is judged.
#[derive(Clone, Copy)]
struct Judgement {
    /// True if the request that was sent is not the client's.
    differs: bool,
    /// Even an error may look other than the one that the client would have got.
    reshapes: bool,
}

/// Sends the searches as `forward` has them.
pub(super) async fn fetch(context: &Context, call: &SearchCall, forward: &Forward) -> Result<Fetched, Halt> {
    let judgement = Judgement { differs: call.differs(forward), reshapes: call.form().is_template() };
    fetched(context, call.forwarded(forward, context.snapshot.settings.upstream.compressed), judgement).await
}

/// Sends the client's own request.
pub(super) async fn fetch_original(context: &Context, call: &SearchCall) -> Result<Fetched, Halt> {
    fetched(context, call.original(), Judgement { differs: false, reshapes: false }).await
}

/// Sends a request of our own; its answer is of no use to the client as such.
pub(super) async fn fetch_own(context: &Context, outgoing: Outgoing) -> Result<Fetched, SkipReason> {
    let judgement = Judgement { differs: true, reshapes: true };
    fetched(context, outgoing, judgement).await.map_err(|halt| halt.reason())
}

async fn fetched(context: &Context, mut outgoing: Outgoing, judgement: Judgement) -> Result<Fetched, Halt> {
    let Answered { response, was_last } = match send(context, &mut outgoing).await {
        Ok(answered) => answered,
        // What the proxy made of the request may be why the answer is of no use; the client's own may get a better one.
        Err(error)
            if judgement.differs
                && (error.is_broken() || error.is_unusable())
                && (error.is_paid_for() || is_within_budget(context)) =>
        {
            warn!(error = %chain(&error), "no answer from the cluster; asking as the client did");
            return Err(Halt::Broken(outgoing.tried));
        }
        Err(error) => return Err(Halt::Answered(Box::new(unanswered(context, &error)), SkipReason::UpstreamError)),
    };
    let (head, body) = response.into_parts();
    let unusable = |head, body, reason, again: bool| match judgement.differs && again {
        true => Halt::FallBack(reason),
        false => Halt::Answered(Box::new(Response::from_parts(head, body)), reason),
    };
    if head.status == StatusCode::TOO_MANY_REQUESTS && judgement.differs {
        return Err(too_many(context, head, body, outgoing.tried).await);
    }
    if !head.status.is_success() {
        let again = is_worth_asking_again(head.status, judgement.reshapes);
        return Err(unusable(head, Body::streamed(body), SkipReason::UpstreamError, again));
    }
    let Some(coding) = json_in(&head.headers) else {
        return Err(unusable(head, Body::streamed(body), SkipReason::ContentType, true));
    };
    let limit = context.snapshot.settings.limits.answer;
    let (sent, room) = match buffer(body, bounds(context, limit, ANSWER_COPIES)).await {
        Ok(Buffered::Whole(sent, room)) => (sent, room),
        // A cluster that is as slow as that is not asked again.
        Ok(Buffered::Unheld(_, Unheld::Slow)) if judgement.differs => {
            return Err(Halt::Answered(Box::new(stalled(context)), SkipReason::UpstreamError));
        }
        Ok(Buffered::Unheld(body, why)) => return Err(unusable(head, body, why.into(), true)),
        Err(error) if (was_last && !judgement.differs) || !is_within_budget(context) => {
            return Err(Halt::Answered(Box::new(broken_off(context, &error)), SkipReason::UpstreamError));
        }
        Err(error) => {
            warn!(%error, "the cluster's answer broke off; asking again as the client did");
            return Err(Halt::Broken(outgoing.tried));
        }
    };
    if coding == Coding::Identity {
        return Ok(Fetched { head, answer: sent, room });
    }
    drop(room);
    match decoded(context, coding, sent.clone(), limit, ANSWER_COPIES).await {
        Ok((answer, room)) => Ok(Fetched { head, answer, room }),
        Err(reason) => Err(unusable(head, Body::whole(sent), reason, true)),
    }
}

/// An answer without its content coding, and what is on the account for what is made of it.
pub(super) async fn decoded(
    context: &Context,
    coding: Coding,
    sent: Bytes,
    limit: usize,
    copies: usize,
) -> Result<(Bytes, Held), SkipReason> {
    let memory = context.process.memory.clone();
    // What a few bytes become may be large.
    Ok(computed(usize::MAX, move || encoding::decode(coding, &sent, limit, &memory, copies)).await??)
}

/// The bounds within which an answer of the cluster is buffered.
pub(super) fn bounds(context: &Context, bytes: usize, copies: usize) -> Bounds<'_> {
    Bounds {
        bytes,
        copies,
        patience: Patience::ForEachFrame(context.snapshot.settings.limits.body_timeout),
        memory: &context.process.memory,
    }
}

/// The end of a request that was answered with 429: a queue that is full stands, but a circuit breaker may have tripped
/// on the size of what we asked for, and is asked again as the client did.
async fn too_many(context: &Context, head: response::Parts, body: Answer<Body>, tried: Tried) -> Halt {
    const BREAKER: &[u8] = b"circuit_breaking_exception";
    const LONGEST: usize = 64 * 1024;
    let body = match buffer(body, bounds(context, LONGEST, 1)).await {
        Ok(Buffered::Whole(body, _)) if memchr::memmem::find(&body, BREAKER).is_some() => {
            return Halt::FallBack(SkipReason::UpstreamError);
        }
        Ok(Buffered::Whole(body, _)) => Body::whole(body),
        Ok(Buffered::Unheld(body, _)) => body,
        Err(_) => return Halt::Broken(tried),
    };
    Halt::Answered(Box::new(Response::from_parts(head, body)), SkipReason::UpstreamError)
}

/// True if asking for more than the client did can be why the cluster refused. Answers that do not depend on it (401, 403,
/// 404) stand, unless their form does; a cluster that is too busy is not asked again, whatever the form in which it says so.
fn is_worth_asking_again(status: StatusCode, reshapes: bool) -> bool {
    !is_too_busy(status) && (reshapes || !stands(status))
}

/// True if an error with this status is passed on, though a narrower window might have been answered.
pub(super) fn stands(status: StatusCode) -> bool {
    is_too_busy(status) || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

/// True if the cluster, or a gateway before it, asks for less load (429, 503) or has given up after a full wait (408, 504),
/// which a second search would only repeat.
fn is_too_busy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The coding of a JSON body; `None` where it is no JSON, or in a coding that we cannot take off.
fn json_in(headers: &HeaderMap) -> Option<Coding> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    is_json(content_type).then(|| Coding::of(headers)).flatten()
}
