//! The scorer that asks a rerank server: cache, then calls in batches, then whatever is there at the deadline. Owns which
//! texts are sent and when; [`api`] owns the wire shapes, `server` one exchange over HTTP, `call` the end of a call that was
//! begun, and what that says of the server. No text and no key is ever logged.

pub mod api;
mod call;
mod model;
mod server;

use std::{sync::Arc, time::Instant};

use futures_util::{StreamExt, stream};
use tokio::{sync::Semaphore, time::timeout_at};

use crate::{
    cache::{Key, Keys, ScoreCache, normalise},
    lookup::{Computed, Found, Missing},
    model_output::ModelOutput,
    readiness::Readiness,
    request::{LongPassages, Request},
    score::{ScoreError, Scored},
    scorer::{ScoreFuture, Scorer},
};
pub use api::Api;
use call::{Attempt, Peer};
pub use model::RemoteModel;

/// A model on a rerank server.
pub struct RemoteScorer {
    peer: Arc<Peer>,
    cache: Arc<ScoreCache>,
    revision: String,
    /// One permit for each call in flight, which the call itself holds.
    turns: Arc<Semaphore>,
}

/// The reason why a batch has no scores.
enum Missed {
    /// There was no time.
    Deadline,
    /// The call failed; the text is for the operator.
    Failed(String),
}

impl RemoteScorer {
    /// A scorer that has made no call yet. `name` is for the log. Fails where the system's root certificates cannot be read.
    pub fn new(name: &str, model: RemoteModel, cache: Arc<ScoreCache>) -> std::io::Result<Self> {
        let named = model.model.as_deref().unwrap_or_default();
        Ok(Self {
            revision: format!("{}\n{}\n{named}", model.api.name(), model.url),
            turns: Arc::new(Semaphore::new(model.concurrency.max(1))),
            peer: Arc::new(Peer::new(name, model)?),
            cache,
        })
    }

    async fn score_window(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let Request { query, passages, deadline, .. } = request;
        let query = normalise(query);
        let keys = Keys::of_pairs(&self.revision, LongPassages::Truncate, &query);
        let texts = passages.into_iter().map(|passage| (keys.key(&passage), passage));
        let ask = async |missing| Ok(self.ask(&query, missing, deadline).await);
        let found = Found::look_up(&self.cache, texts, deadline, ask).await?;
        let scores = found.scores();
        found.scored(scores)
    }

    /// Sends the batches, first ones first. A batch that fails is its own loss only.
    async fn ask(&self, query: &str, missing: Missing, deadline: Instant) -> Computed {
        let (texts, keys) = (&missing.texts, &missing.keys);
        let model = &self.peer.model;
        let mut computed = Computed { outputs: vec![None; texts.len()], ..Computed::default() };
        let call = async |(number, texts): (usize, &[String])| {
            let begin = number * model.batch;
            (begin, self.call(query, texts, &keys[begin..begin + texts.len()], deadline).await)
        };
        let mut batches = texts.chunks(model.batch).enumerate();
        // A server that was in trouble is tried with one call before it gets the others.
        if !self.peer.is_trusted()
            && let Some(first) = batches.next()
        {
            take(&mut computed, call(first).await);
        }
        let mut calls = std::pin::pin!(stream::iter(batches.map(call)).buffer_unordered(model.concurrency.max(1)));
        while let Some(answer) = calls.next().await {
            take(&mut computed, answer);
        }
        computed
    }

    /// One batch: its outputs by the deadline. A call that was begun goes on without the search, for as long as the model's
    /// own timeout lets it: so it is learned whether the server is slow or gone, however little time searches have, and
    /// the next search of its kind finds the scores in the cache. There are never more of them than `concurrency`.
    async fn call(
        &self,
        query: &str,
        texts: &[String],
        keys: &[Key],
        deadline: Instant,
    ) -> Result<Vec<Option<ModelOutput>>, Missed> {
        // Before the turn, which a call without an answer may hold for long.
        if !self.peer.may_be_called(Instant::now()) {
            return Err(Missed::Failed(self.peer.why_not()));
        }
        let turn = timeout_at(deadline.into(), Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| Missed::Deadline)?.map_err(|_| Missed::Failed("shut down".to_owned()))?;
        let began = Instant::now();
        if began >= deadline {
            return Err(Missed::Deadline);
        }
        let attempt = Attempt::begin(&self.peer, began).ok_or_else(|| Missed::Failed(self.peer.why_not()))?;
        let RemoteModel { api, model, .. } = &self.peer.model;
        let body = api.request(model.as_deref(), query, texts);
        let (cache, keys) = (Arc::clone(&self.cache), keys.to_vec());
        let call = tokio::spawn(async move {
            let _turn = turn;
            attempt.make(body, &keys, deadline, &cache).await
        });
        match timeout_at(deadline.into(), call).await {
            Ok(Ok(outputs)) => outputs.map_err(|failure| Missed::Failed(failure.to_string())),
            Ok(Err(_)) => Err(Missed::Failed("the call was broken off".to_owned())),
            Err(_) => Err(Missed::Deadline),
        }
    }
}

impl Scorer for RemoteScorer {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        Box::pin(self.score_window(request))
    }

    fn readiness(&self) -> Readiness {
        if self.peer.is_trusted() { Readiness::Ready } else { Readiness::Paused(self.peer.why_not()) }
    }
}

/// Puts the outputs of the batch that begins at `begin` in their places.
fn take(computed: &mut Computed, (begin, answer): (usize, Result<Vec<Option<ModelOutput>>, Missed>)) {
    match answer {
        Ok(outputs) => {
            for (place, output) in computed.outputs[begin..].iter_mut().zip(outputs) {
                *place = output;
            }
        }
        Err(Missed::Deadline) => computed.budget_hit = true,
        Err(Missed::Failed(failure)) => computed.failure = Some(failure),
    }
}
