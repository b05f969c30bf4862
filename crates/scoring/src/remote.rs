//! The scorer that asks a rerank server: cache, then calls in batches, then whatever is there at the deadline. Owns which
//! texts are sent and when; [`api`] owns the wire shapes, `server` one exchange over HTTP, `call` what becomes of a call that
//! was begun, and what that says of the server. No text and no key is ever logged.

pub mod api;
mod call;
mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use http::{HeaderValue, Uri};
use tokio::{sync::Semaphore, time::timeout_at};

use crate::{
    LongPassages, Request, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer,
    cache::{Key, Keys, ScoreCache, normalise},
    inference::Output,
    local::Missing,
};
pub use api::Api;
use call::{Attempt, Peer};

/// A model on a rerank server, as the operator describes it.
#[derive(Debug, Clone)]
pub struct RemoteModel {
    /// Where calls go.
    pub url: Uri,
    /// What the server speaks.
    pub api: Api,
    /// The model's name there.
    pub model: Option<String>,
    /// The header `Authorization`; marked as sensitive, so that it is not shown.
    pub authorization: Option<HeaderValue>,
    /// How many texts a call has at most.
    pub batch: usize,
    /// How many calls may be under way at once, those of all searches together.
    pub concurrency: usize,
    /// How long a call may take.
    pub timeout: Duration,
}

/// A model on a rerank server.
pub struct RemoteScorer {
    peer: Arc<Peer>,
    cache: Arc<ScoreCache>,
    revision: String,
    /// One permit for each call under way, which the call itself holds.
    turns: Arc<Semaphore>,
}

/// Why a batch has no scores.
enum Missed {
    /// There was no time.
    Deadline,
    /// For the operator.
    Failed(String),
}

/// What became of the texts that the cache did not know.
struct Asked {
    outputs: Vec<Option<Output>>,
    cut_off: bool,
    failure: Option<String>,
}

impl RemoteScorer {
    /// Makes no call yet. `name` is what the log calls it. Fails where the system's root certificates cannot be read.
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
        let passage_keys: Vec<Key> = passages.iter().map(|passage| keys.key(passage)).collect();
        let known = self.cache.look_up_all(&passage_keys, deadline).await;
        let mut missing = Missing::default();
        let mut scores = Vec::with_capacity(passages.len());
        for (place, (passage, known)) in passages.into_iter().zip(known).enumerate() {
            if known.is_none() {
                missing.add(place, passage_keys[place], passage);
            }
            scores.push(known.and_then(|made| score(&made.output, true)));
        }
        let asked = self.ask(&query, &missing, deadline).await;
        for (place, which) in missing.places {
            scores[place] = asked.outputs[which].as_ref().and_then(|output| score(output, false));
        }
        match asked.failure {
            Some(failure) if !asked.cut_off && scores.iter().all(Option::is_none) => {
                Err(ScoreError::Unavailable(failure))
            }
            _ => Ok(Scored { scores, budget_hit: asked.cut_off, shed: 0 }),
        }
    }

    /// Sends the batches, first ones first. A batch that fails is its own loss only.
    async fn ask(&self, query: &str, missing: &Missing, deadline: Instant) -> Asked {
        let (texts, keys) = (&missing.texts, &missing.keys);
        let model = &self.peer.model;
        let mut asked = Asked { outputs: vec![None; texts.len()], cut_off: false, failure: None };
        let call = async |(number, texts): (usize, &[String])| {
            let begin = number * model.batch;
            (begin, self.call(query, texts, &keys[begin..begin + texts.len()], deadline).await)
        };
        let mut batches = texts.chunks(model.batch).enumerate();
        // A server that was in trouble is tried with one call before it gets the others.
        if !self.peer.is_trusted()
            && let Some(first) = batches.next()
        {
            asked.take(call(first).await);
        }
        let mut calls = std::pin::pin!(stream::iter(batches.map(call)).buffer_unordered(model.concurrency.max(1)));
        while let Some(answer) = calls.next().await {
            asked.take(answer);
        }
        asked
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
    ) -> Result<Vec<Option<Output>>, Missed> {
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

    fn ready(&self) -> Result<(), String> {
        if self.peer.is_trusted() { Ok(()) } else { Err(self.peer.why_not()) }
    }
}

impl Asked {
    fn take(&mut self, (begin, answer): (usize, Result<Vec<Option<Output>>, Missed>)) {
        match answer {
            Ok(outputs) => {
                for (place, output) in self.outputs[begin..].iter_mut().zip(outputs) {
                    *place = output;
                }
            }
            Err(Missed::Deadline) => self.cut_off = true,
            Err(Missed::Failed(failure)) => self.failure = Some(failure),
        }
    }
}

/// A relevance is the server's own scale, and both what to order by and what to show.
fn score(output: &Output, cached: bool) -> Option<Score> {
    let (raw, scale) = match *output {
        Output::Logit(logit) => (logit, Scale::Logit),
        Output::Relevance(relevance) => (relevance, Scale::AsIs),
        Output::Embedding(_) | Output::Embeddings(_) => return None,
    };
    Some(Score { cached, ..Score::fresh(raw, scale) })
}
