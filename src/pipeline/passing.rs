//! Requests that stream through: untouched both ways, and with an ear for the points in time that they open.

use bytes::Bytes;
use http::Response;

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
    isolation::guarded,
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

/// Remembers the point in time. A fault here is nobody's loss: what is not known is found out by its first search.
async fn remember(context: &Context, coding: Coding, answer: Bytes, indices: &str) {
    if let Ok((plain, _)) = decoded(context, coding, answer, POINT_IN_TIME_ANSWER, 1).await {
        let _ = guarded(|| context.dialect().point_in_time_opened(&plain, indices));
    }
}
