//! Requests that stream through: untouched both ways, and with an ear for the points in time that they open. The one answer that
//! is changed is that to a question for the nodes, where the operator wants it.

use bytes::Bytes;
use engines::elastic::nodes;
use http::{HeaderValue, Response, header, request, uri::Authority};

use super::{
    failing::{broken_off, unanswered},
    fetch::{bounds, decoded},
    send::send,
};
use crate::{
    cluster::{
        Outgoing,
        body::{Body, Buffered, buffer},
        encoding::Coding,
    },
    isolation::{computed, guarded},
    state::Context,
};

/// The longest answer, in bytes, that opens a point in time and is read for its id.
const POINT_IN_TIME_ANSWER: usize = 64 * 1024;

/// Streams both ways, untouched. Owns all that it needs, so that what waits is no larger than that.
pub(crate) async fn pass_through(context: Context, mut outgoing: Outgoing) -> Response<Body> {
    match send(&context, &mut outgoing).await {
        Ok(answered) => {
            let (head, body) = answered.response.into_parts();
            Response::from_parts(head, Body::gathered(body).await)
        }
        Err(error) => unanswered(&context, &error),
    }
}

/// Passes through, and remembers which indices the point in time that is opened stands for.
pub(crate) async fn open_point_in_time(context: &Context, indices: &str, mut outgoing: Outgoing) -> Response<Body> {
    let response = match send(context, &mut outgoing).await {
        Ok(answered) => answered.response,
        Err(error) => return unanswered(context, &error),
    };
    let (head, body) = response.into_parts();
    match buffer(body, bounds(context, POINT_IN_TIME_ANSWER, 1)).await {
        Ok(Buffered::Whole(answer, _)) => {
            if let Some(coding) = Coding::of(&head.headers) {
                remember(context, coding, answer.clone(), indices).await;
            }
            Response::from_parts(head, Body::whole(answer))
        }
        Ok(Buffered::Unheld(body, _)) => Response::from_parts(head, body),
        Err(error) => broken_off(context, &error),
    }
}

/// Passes through what names the nodes, with the address that the client has for the proxy in the place of theirs, so that a client
/// which looks for nodes keeps coming.
pub(crate) async fn name_nodes(context: &Context, mut outgoing: Outgoing) -> Response<Body> {
    let Some(own) = own_address(&outgoing.head) else { return pass_through(context.clone(), outgoing).await };
    if outgoing.head.headers.contains_key(header::ACCEPT_ENCODING) {
        outgoing.head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let response = match send(context, &mut outgoing).await {
        Ok(answered) => answered.response,
        Err(error) => return unanswered(context, &error),
    };
    let (mut head, body) = response.into_parts();
    if !head.status.is_success() || Coding::of(&head.headers) != Some(Coding::Identity) {
        return Response::from_parts(head, Body::streamed(body));
    }
    match buffer(body, bounds(context, context.snapshot.settings.limits.answer, 2)).await {
        Ok(Buffered::Whole(answer, mut room)) => {
            let edited = computed(answer.len(), {
                let answer = answer.clone();
                move || nodes::all_at(&answer, &own)
            });
            let answer = edited.await.ok().flatten().map_or(answer, Bytes::from);
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, Body::whole(room.split(answer.len()).keep(answer)))
        }
        Ok(Buffered::Unheld(body, _)) => Response::from_parts(head, body),
        Err(error) => broken_off(context, &error),
    }
}

/// Host and port by which a client calls the proxy.
fn own_address(head: &request::Parts) -> Option<String> {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let authority = host.or_else(|| head.uri.authority().cloned())?;
    Some(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

/// Remembers the point in time. A fault here is nobody's loss: what is not known is found out by its first search.
async fn remember(context: &Context, coding: Coding, answer: Bytes, indices: &str) {
    if let Ok((plain, _)) = decoded(context, coding, answer, POINT_IN_TIME_ANSWER, 1).await {
        let _ = guarded(|| context.dialect().point_in_time_opened(&plain, indices));
    }
}
