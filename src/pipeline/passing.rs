//! Requests that stream through: untouched both ways, and with an ear for the points in time that they open.

use bytes::Bytes;
use http::Response;

use super::{
    context::Context,
    failing::{broken_off, unanswered},
    fetch::{bounds, decoded},
    send::send,
};
use crate::{
    guard::guarded,
    upstream::{
        Outgoing,
        body::{Body, Buffered, buffer},
        encoding::Coding,
    },
};

/// The longest answer, in bytes, that opens a point in time and is read for its id.
const POINT_IN_TIME_ANSWER: usize = 64 * 1024;

/// Streams both ways, untouched.
pub(crate) async fn pass_through(cx: &Context, outgoing: Outgoing) -> Response<Body> {
    match send(cx, outgoing).await {
        Ok(answered) => {
            let (head, body) = answered.response.into_parts();
            Response::from_parts(head, Body::gathered(body).await)
        }
        Err(error) => unanswered(cx, &error),
    }
}

/// Passes through, and remembers which indices the point in time that is opened stands for.
pub(crate) async fn open_point_in_time(cx: &Context, indices: &str, outgoing: Outgoing) -> Response<Body> {
    let response = match send(cx, outgoing).await {
        Ok(answered) => answered.response,
        Err(error) => return unanswered(cx, &error),
    };
    let (head, body) = response.into_parts();
    match buffer(body, bounds(&cx.app, POINT_IN_TIME_ANSWER, 1)).await {
        Ok(Buffered::Whole(answer, _)) => {
            if let Some(coding) = Coding::of(&head.headers) {
                remember(cx, coding, answer.clone(), indices).await;
            }
            Response::from_parts(head, Body::whole(answer))
        }
        Ok(Buffered::Unheld(body, _)) => Response::from_parts(head, body),
        Err(error) => broken_off(cx, &error),
    }
}

/// Remembers the point in time. A fault here is nobody's loss: what is not known is found out by its first search.
async fn remember(cx: &Context, coding: Coding, answer: Bytes, indices: &str) {
    if let Ok((plain, _)) = decoded(&cx.app, coding, answer, POINT_IN_TIME_ANSWER, 1).await {
        let _ = guarded(|| cx.dialect.point_in_time_opened(&plain, indices));
    }
}
