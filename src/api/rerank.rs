//! A rerank call from its body to its answer: hold → read → find the model → rank → write. Owns this sequence, and what is
//! counted and told of it; the documents go the same way as the hits of a search, through the same queue and cache.

use std::{mem, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use scoring::{Score, Scorer};
use tracing::{debug, warn};

use super::{
    answer as words,
    call::{self, ApiVersion, Call, Limits, Shape},
    fault::Fault,
    hold::hold,
    in_flight::{Caller, NoPlace},
    response, shown_key, waiting,
};
use crate::{
    client_body::ClientBody,
    cluster::body::Body,
    config::{Keys, MAX_WINDOWS, RequestOption},
    document_ranking::{Documents, Ranking, rank},
    isolation::{call_apart, computed, guarded_future},
    request_options::RequestOptions,
    rerank_header::{self, Report},
    state::Context,
    telemetry::Counts,
};

/// A fault, and the words it is to be told in.
type Refused = (Shape, Fault);

/// Answers a call.
pub(super) async fn answer(
    context: &Context,
    version: ApiVersion,
    headers: &HeaderMap,
    body: &mut ClientBody,
) -> Response<Body> {
    let began = Instant::now();
    let (shape, mut response) = match answered(context, version, headers, body, began).await {
        Ok(answered) => answered,
        Err((shape, fault)) => {
            // What is wrong with a model its own lines in the log say, once and not for every call.
            match fault {
                Fault::Internal => warn!(%fault, "a rerank call failed"),
                _ => debug!(%fault, "a rerank call was not answered"),
            }
            (shape, words::fault(shape, &fault))
        }
    };
    rerank_header::took(response.headers_mut(), began.elapsed());
    context.process.metrics.called(shape.name(), response.status(), began.elapsed());
    response
}

async fn answered(
    context: &Context,
    version: ApiVersion,
    headers: &HeaderMap,
    body: &mut ClientBody,
    began: Instant,
) -> Result<(Shape, Response<Body>), Refused> {
    let config = &context.snapshot.settings.api;
    let usual = |fault| (version.usual_shape(), fault);
    let permit = context.snapshot.calls.begin(|| caller(context, headers), config.per_client);
    let permit = permit.map_err(|why| {
        usual(match why {
            NoPlace::ForAnyone => Fault::Crowded(config.concurrency),
            NoPlace::ForThisClient => Fault::Greedy(config.per_client),
        })
    })?;
    // What is begun on another thread goes on where the client leaves, and is in flight until it ends.
    let permit = Arc::new(permit);
    // Of the options that a search has, a call has the budget only.
    let is_budget = |option: &&RequestOption| matches!(option, RequestOption::Budget | RequestOption::LongerBudget);
    let allowed: Vec<RequestOption> =
        context.snapshot.settings.clients.headers.iter().filter(is_budget).copied().collect();
    let options = RequestOptions::read(headers, &allowed);
    let options = options.map_err(|invalid| usual(Fault::Unreadable(invalid.to_string())))?;
    let budget = options.budget(config.budget);
    let deadline = began + budget;
    let (sent, mut room) = hold(context, headers, body, began, budget, &permit).await.map_err(usual)?;

    let limits = Limits { documents: config.max_documents, windows: MAX_WINDOWS };
    let (held, in_flight) = (sent.clone(), permit.clone());
    let (_waiting, waited) = waiting::until(deadline);
    let read = call_apart(move || {
        let _under_way = in_flight;
        call::read(version, &held, limits, &waited)
    })
    .await;
    let mut call = read.map_err(|_| usual(Fault::Internal))??;
    let shape = call.shape;
    let refused = |fault| (shape, fault);
    // What goes back is what was sent: the texts are needed only here.
    let texts = call.documents.iter_mut().map(|document| mem::take(&mut document.text)).collect();
    let (model, scorer) = model(context, call.model.as_deref()).map_err(refused)?;
    let documents = Documents { query: &call.query, texts, long: call.long.unwrap_or(config.long_passages), deadline };
    let ranking = guarded_future(Box::pin(rank(scorer, documents))).await.map_err(|_| refused(Fault::Internal))?;
    let ranking = ranking.map_err(|reason| refused(reason.into()))?;
    if !call.may_truncate {
        whole(&ranking).map_err(refused)?;
    }
    let counts = Counts::of(&ranking.scored);
    context.process.metrics.ranked(counts);

    let model = model.to_owned();
    // Whether a pair was scored before confirms a guess at a text that somebody else sees: no business of just anyone.
    let tells_cached = matches!(config.keys, Keys::Held(_));
    let report = Report::Ranked { model: model.clone(), counts, tokens: ranking.scored.tokens(), tells_cached };
    let body = written(call, sent, ranking, model, tells_cached).await.ok_or(refused(Fault::Internal))?;
    let mut response = response::json(StatusCode::OK, room.split(body.len()).keep(body));
    rerank_header::outcomes(response.headers_mut(), [report].iter());
    Ok((shape, response))
}

/// Who calls: whose key it is, or else from where.
fn caller(context: &Context, headers: &HeaderMap) -> Caller {
    let address = || Caller::at(context.client.address.ip());
    match context.snapshot.settings.api.keys {
        Keys::Held(_) => shown_key::bearer(headers).map_or_else(address, Caller::Key),
        Keys::NotNeeded | Keys::Unsaid => address(),
    }
}

/// The model that a client means, by the name that we have for it.
fn model<'a>(context: &'a Context, asked: Option<&'a str>) -> Result<(&'a str, &'a Arc<dyn Scorer>), Fault> {
    let config = &context.snapshot.settings.api;
    let name = config.model_named(asked).ok_or_else(|| {
        Fault::Invalid(format!(
            "`model` is missing, and there is no usual one (api.model): there is {}",
            super::status::names(context).join(", ")
        ))
    })?;
    let is_model = context.snapshot.settings.models.contains_key(name);
    let scorer = context.snapshot.scorers.get(name).filter(|_| is_model).ok_or_else(|| {
        Fault::NoModel(format!(
            "there is no model `{name}` here; there is {}",
            super::status::names(context).join(", ")
        ))
    })?;
    Ok((name, scorer))
}

/// A fault where a document was longer than what was read of it.
fn whole(ranking: &Ranking) -> Result<(), Fault> {
    let is_cut = |score: &Option<Score>| score.is_some_and(|score| score.truncated);
    match ranking.scored.scores.iter().position(is_cut) {
        Some(document) => Err(Fault::Invalid(format!(
            "document {document}, counted from 0, is longer than the model reads; let it be truncated, or send it in parts"
        ))),
        None => Ok(()),
    }
}

/// The answer; `None` where it could not be written.
async fn written(call: Call, sent: Bytes, ranking: Ranking, model: String, tells_cached: bool) -> Option<Vec<u8>> {
    let size = if call.with_documents { sent.len() } else { 0 };
    computed(size, move || words::body(&call, &sent, &ranking, &model, tells_cached)).await.ok()
}
