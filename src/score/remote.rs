//! The scorer that asks a rerank server: cache, then calls in batches, then whatever is there at the deadline. Owns which
//! texts are sent and when, and what a failure means for a search; [`api`] owns the wire shapes, `server` the call itself. No
//! text and no key is ever logged.

pub mod api;
mod server;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use http::{HeaderValue, Uri};
use tokio::{sync::Semaphore, time::timeout_at};
use tracing::{debug, info, warn};

use super::{
    LongPassages, Request, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer,
    breaker::Breaker,
    cache::{Key, Keys, ScoreCache, normalise},
    inference::{Made, Output},
    local::Missing,
};
pub use api::Api;
use server::{Failure, Server};

/// A call that is given up unanswered tells something of the server only when it had at least this long: a client may
/// ask for a budget of a millisecond, and go away at any time.
const PATIENCE: Duration = Duration::from_millis(100);

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
    /// What it is called in the log.
    name: String,
    model: RemoteModel,
    server: Server,
    cache: Arc<ScoreCache>,
    revision: String,
    calls: Semaphore,
    circuit: Mutex<Circuit>,
    /// Whether an odd answer, or a call that the server would not take, has been warned of.
    warned: AtomicBool,
}

#[derive(Default)]
struct Circuit {
    breaker: Breaker,
    last_failure: String,
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
        let server = Server::new(model.url.clone(), model.authorization.clone(), model.timeout)?;
        let named = model.model.as_deref().unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            revision: format!("{}\n{}\n{named}", model.api.name(), model.url),
            calls: Semaphore::new(model.concurrency.max(1)),
            server,
            model,
            cache,
            circuit: Mutex::default(),
            warned: AtomicBool::new(false),
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
        let mut asked = Asked { outputs: vec![None; texts.len()], cut_off: false, failure: None };
        let call = async |(number, texts): (usize, &[String])| {
            let begin = number * self.model.batch;
            (begin, self.call(query, texts, &keys[begin..begin + texts.len()], deadline).await)
        };
        let mut batches = texts.chunks(self.model.batch).enumerate();
        // A server that was in trouble is tried with one call before it gets the others.
        if !self.circuit().breaker.is_closed()
            && let Some(first) = batches.next()
        {
            asked.take(call(first).await);
        }
        let mut calls = std::pin::pin!(stream::iter(batches.map(call)).buffer_unordered(self.model.concurrency.max(1)));
        while let Some(answer) = calls.next().await {
            asked.take(answer);
        }
        asked
    }

    /// One batch: its outputs, which are then in the cache as well.
    async fn call(
        &self,
        query: &str,
        texts: &[String],
        keys: &[Key],
        deadline: Instant,
    ) -> Result<Vec<Option<Output>>, Missed> {
        let turn = timeout_at(deadline.into(), self.calls.acquire()).await.map_err(|_| Missed::Deadline)?;
        let _turn = turn.map_err(|_| Missed::Failed("shut down".to_owned()))?;
        let began = Instant::now();
        if began >= deadline {
            return Err(Missed::Deadline);
        }
        let attempt = Attempt::begin(self, began).ok_or_else(|| Missed::Failed(self.why_not()))?;
        let timeout = began + self.model.timeout;
        let until = timeout.min(deadline);
        let body = self.model.api.request(self.model.model.as_deref(), query, texts);
        let answer = match timeout_at(until.into(), self.server.ask(body, until)).await {
            Ok(answer) => answer,
            Err(_) if deadline <= timeout => return Err(Missed::Deadline),
            Err(_) => Err(Failure::Slow(self.model.timeout)),
        };
        let api = self.model.api;
        let answer = answer.and_then(|answer| api.read(&answer, texts.len()).ok_or(Failure::Unreadable(api.name())));
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                attempt.failed(&failure);
                return Err(Missed::Failed(failure.to_string()));
            }
        };
        attempt.succeeded();
        if let Some(oddity) = answer.oddity {
            self.warn_once(oddity);
        }
        let output = if api.gives_logits() { Output::Logit } else { Output::Relevance };
        let outputs: Vec<Option<Output>> = answer.scores.into_iter().map(|score| score.map(output)).collect();
        for (key, output) in keys.iter().zip(&outputs) {
            if let Some(output) = output.clone() {
                self.cache.insert(*key, Made { output, truncated: false, span: None, tokens: 0 });
            }
        }
        Ok(outputs)
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_not(&self) -> String {
        format!("not called for a while after failures in a row, the last: {}", self.circuit().last_failure)
    }

    /// Told once: what a server does wrong, it does wrong all the time.
    fn warn_once(&self, what: &str) {
        let (model, url) = (&self.name, &self.model.url);
        if self.warned.swap(true, Ordering::Relaxed) {
            debug!(%model, %url, "rerank server: {what}");
        } else {
            warn!(%model, %url, "rerank server: {what}; texts without a score stay behind those with one (told once)");
        }
    }
}

impl Scorer for RemoteScorer {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        Box::pin(self.score_window(request))
    }

    fn ready(&self) -> Result<(), String> {
        let is_closed = self.circuit().breaker.is_closed();
        if is_closed { Ok(()) } else { Err(self.why_not()) }
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

/// A call that the breaker let through, and is told of however it ends.
struct Attempt<'a> {
    scorer: &'a RemoteScorer,
    began: Instant,
    told: bool,
}

impl<'a> Attempt<'a> {
    fn begin(scorer: &'a RemoteScorer, now: Instant) -> Option<Self> {
        let is_admitted = scorer.circuit().breaker.admit(now);
        // Not made where it is not admitted: its end would be told of.
        is_admitted.then(|| Self { scorer, began: now, told: false })
    }

    fn succeeded(mut self) {
        self.told = true;
        if self.scorer.circuit().breaker.succeeded() {
            info!(model = %self.scorer.name, url = %self.scorer.model.url, "the rerank server answers again");
        }
    }

    fn failed(mut self, failure: &Failure) {
        if failure.is_the_server_s() {
            self.told = true;
            return self.tell(failure.to_string());
        }
        let what = failure.to_string();
        self.scorer.warn_once(&what);
        self.succeeded();
    }

    fn tell(&self, failure: String) {
        let (model, url) = (&self.scorer.name, &self.scorer.model.url);
        debug!(%model, %url, %failure, "a call to the rerank server failed");
        let mut circuit = self.scorer.circuit();
        if let Some(pause) = circuit.breaker.failed(Instant::now()) {
            warn!(%model, %url, %failure, ?pause, "the rerank server fails again and again; it is left alone for a while");
        }
        circuit.last_failure = failure;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let waited = self.began.elapsed();
        match self.told {
            true => {}
            false if waited >= PATIENCE => self.tell("no answer within the search's budget".to_owned()),
            false => self.scorer.circuit().breaker.given_up(Instant::now()),
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
