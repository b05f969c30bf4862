//! A call that was begun: it goes on to its end, whoever still waits for it. Owns what its end says of the server (the
//! circuit breaker is told of each, once), and that its scores are kept in the cache.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::time::timeout_at;
use tracing::{debug, info, warn};

use super::{
    api::Answer,
    model::RemoteModel,
    server::{Failure, Server},
};
use crate::{
    breaker::Breaker,
    cache::{Key, ScoreCache},
    model_output::{ModelOutput, Output},
};

/// The server of a model, and the state of its circuit breaker.
pub(super) struct Peer {
    pub(super) model: RemoteModel,
    /// The model's name in the log.
    name: String,
    server: Server,
    circuit: Mutex<Circuit>,
    /// True once an odd answer, or a call that the server would not take, has been warned of.
    warned: AtomicBool,
}

#[derive(Default)]
struct Circuit {
    breaker: Breaker,
    last_failure: String,
}

impl Peer {
    /// A server that was not called yet. Fails where the system's root certificates cannot be read.
    pub(super) fn new(name: &str, model: RemoteModel) -> io::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            server: Server::new(model.url.clone(), model.authorization.clone(), model.timeout)?,
            model,
            circuit: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// True where it has not failed again and again of late.
    pub(super) fn is_trusted(&self) -> bool {
        self.circuit().breaker.is_closed()
    }

    /// True where a call begun now would be let through.
    pub(super) fn may_be_called(&self, now: Instant) -> bool {
        self.circuit().breaker.would_admit(now)
    }

    /// The reason why it is not called.
    pub(super) fn why_not(&self) -> String {
        format!("not called for a while after failures in a row, the last: {}", self.circuit().last_failure)
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) {
        if self.circuit().breaker.succeeded() {
            info!(model = %self.name, url = %self.model.url, "the rerank server answers again");
        }
    }

    fn failed(&self, failure: String) {
        let (model, url) = (&self.name, &self.model.url);
        debug!(%model, %url, %failure, "a call to the rerank server failed");
        let mut circuit = self.circuit();
        if let Some(pause) = circuit.breaker.failed(Instant::now()) {
            warn!(%model, %url, %failure, ?pause, "the rerank server fails again and again; it is left alone for a while");
        }
        circuit.last_failure = failure;
    }

    /// Warns once: a mistake that a server makes, it makes all the time.
    fn warn_once(&self, what: &str) {
        let (model, url) = (&self.name, &self.model.url);
        if self.warned.swap(true, Ordering::Relaxed) {
            debug!(%model, %url, "rerank server: {what}");
        } else {
            warn!(%model, %url, "rerank server: {what}; texts without a score stay behind those with one (told once)");
        }
    }
}

/// A call that the breaker admitted. However it ends, the breaker is told.
pub(super) struct Attempt {
    peer: Arc<Peer>,
    began: Instant,
    is_told: bool,
}

impl Attempt {
    /// Begins a call; `None` where the server is to be left alone.
    pub(super) fn begin(peer: &Arc<Peer>, now: Instant) -> Option<Self> {
        let is_admitted = peer.circuit().breaker.admit(now);
        // Not made where it is not admitted: its end would be told of.
        is_admitted.then(|| Self { peer: Arc::clone(peer), began: now, is_told: false })
    }

    /// Makes the call for the texts that `keys` stand for, and keeps their scores. It has the model's timeout, and is
    /// repeated, where that is safe, only before `wanted_until`: what nobody waits for is not asked for twice.
    pub(super) async fn make(
        mut self,
        body: Vec<u8>,
        keys: &[Key],
        wanted_until: Instant,
        cache: &ScoreCache,
    ) -> Result<Vec<Option<ModelOutput>>, Failure> {
        let RemoteModel { api, timeout, .. } = self.peer.model;
        let until = self.began + timeout;
        let answer = timeout_at(until.into(), self.peer.server.ask(body, until.min(wanted_until))).await;
        let answer = answer.unwrap_or(Err(Failure::Slow(timeout)));
        let answer = answer.and_then(|answer| api.read(&answer, keys.len()).ok_or(Failure::Unreadable(api.name())));
        self.tell(answer.as_ref());
        let output = if api.gives_logits() { Output::Logit } else { Output::Relevance };
        let of_server = |score| ModelOutput::of_server(output(score));
        let outputs: Vec<_> = answer?.scores.into_iter().map(|score| score.map(of_server)).collect();
        for (key, output) in keys.iter().zip(&outputs) {
            if let Some(output) = output {
                cache.insert(*key, output.clone());
            }
        }
        Ok(outputs)
    }

    fn tell(&mut self, answer: Result<&Answer, &Failure>) {
        self.is_told = true;
        let oddity = match answer {
            Ok(answer) => answer.oddity.map(str::to_owned),
            Err(failure) if failure.is_the_server_s() => return self.peer.failed(failure.to_string()),
            // A server that will not take these texts is alive.
            Err(failure) => Some(failure.to_string()),
        };
        if let Some(oddity) = oddity {
            self.peer.warn_once(&oddity);
        }
        self.peer.succeeded();
    }
}

impl Drop for Attempt {
    /// A call that did not come to its end, because the process ends or there was a panic, says nothing of the server.
    fn drop(&mut self) {
        if !self.is_told {
            self.peer.circuit().breaker.given_up(Instant::now());
        }
    }
}
