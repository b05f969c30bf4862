//! The cluster's answer as a whole: taken apart into the answers to the searches of a request, and put together again as the
//! client gets it.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use engines::{dialect::AnswerReader, json::Edits, plan::SkipReason};
use http::{HeaderValue, Response, header, response};

use super::{
    call::SearchCall,
    fetch::{Fetched, fetch_own},
};
use crate::{
    cluster::{
        body::Body,
        encoding::{self, Coding},
    },
    isolation::{computed, guarded, planned_apart},
    memory::Held,
    state::Context,
};

/// The ranges in which the answers to the `count` searches lie. Names that later requests will use are learned by the
/// way.
pub(super) async fn taken_apart(
    reader: &Arc<dyn AnswerReader>,
    answer: &Bytes,
    count: usize,
) -> Result<Vec<Range<usize>>, SkipReason> {
    let (reader, answer) = (reader.clone(), answer.clone());
    computed(answer.len(), move || {
        let _ = guarded(|| reader.learn(&answer));
        reader.answers(&answer, count)
    })
    .await?
}

/// The cluster's answers to those searches of a request whose widened form it refused, asked for as the client did; `None`
/// where the whole request must be.
pub(super) async fn asked_again(
    context: &Context,
    call: &SearchCall,
    reader: &Arc<dyn AnswerReader>,
    doubtful: Vec<(usize, Range<usize>)>,
) -> Option<Vec<(Range<usize>, Bytes)>> {
    let places: Vec<usize> = doubtful.iter().map(|(place, _)| *place).collect();
    let (count, own) = (places.len(), reader.clone());
    let forward = planned_apart(move || own.only(&places)).await.ok()?.ok()?;
    let Fetched { answer, .. } = fetch_own(context, call.forwarded(&forward, false)).await.ok()?;
    let (reader, whole) = (reader.clone(), answer.clone());
    let own = computed(answer.len(), move || reader.answers(&whole, count)).await.ok()?.ok()?;
    Some(doubtful.into_iter().zip(own).map(|((_, span), own)| (span, answer.slice(own))).collect())
}

/// The cluster's answer with `parts` in place of the ranges that they stand for, as the client wants to see it.
pub(super) async fn put_together(
    reader: &Arc<dyn AnswerReader>,
    answer: Bytes,
    mut parts: Vec<(Range<usize>, Bytes)>,
) -> Result<Bytes, SkipReason> {
    let size = answer.len();
    let spliced = match parts.pop() {
        Some((span, part)) if parts.is_empty() && span == (0..size) => part,
        last => {
            let splice = move || {
                let mut edits = Edits::default();
                parts.into_iter().chain(last).for_each(|(span, part)| edits.replace(span, part));
                Bytes::from(edits.applied(&answer))
            };
            computed(size, splice).await?
        }
    };
    if !reader.reshapes() {
        return Ok(spliced);
    }
    let reader = reader.clone();
    computed(spliced.len(), move || reader.finish(spliced)).await
}

/// A response of `head` with this body, in the coding that the client would like best. What is held until the client has
/// read it is taken out of `room`.
pub(super) async fn response(
    call: &SearchCall,
    mut head: response::Parts,
    body: Bytes,
    room: &mut Held,
) -> Response<Body> {
    let (mut coding, mut body) = (call.wanted_coding(), body);
    if coding != Coding::Identity {
        let plain = body.clone();
        match computed(body.len() * encoding::EFFORT, move || encoding::encode(coding, &plain)).await {
            Ok(coded) => body = coded,
            Err(_) => coding = Coding::Identity,
        }
    }
    head.headers.remove(header::CONTENT_LENGTH);
    match coding.token() {
        Some(token) => head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(token)),
        None => head.headers.remove(header::CONTENT_ENCODING),
    };
    Response::from_parts(head, Body::whole(room.split(body.len()).keep(body)))
}
