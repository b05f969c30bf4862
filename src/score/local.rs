//! The scorer that runs a model in this process: cache, then pool, then whatever is there at the deadline. Owns the
//! step from model outputs to scores (sigmoid, cosine); runs nothing itself.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    LongPassages, Request, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer, Span,
    cache::{Key, Keys, ScoreCache, normalise},
    inference::{Loader, Made, Output},
    onnx::OnnxLoader,
    pool::{Keeper, Pool, PoolOptions, Work},
    runtime::Runtime,
};
use crate::models::{Kind, ModelFolder};

/// How a [`LocalScorer`] is set up.
#[derive(Debug, Clone)]
pub struct ScoringOptions {
    /// Scoring threads, each with a copy of the model; 0 means one per core.
    pub workers: usize,
    /// How many pairs may wait before further searches are turned away with [`ScoreError::Overloaded`]. A search that
    /// finds the queue empty is always let in.
    pub queue_pairs: usize,
    /// Where scores are kept; may be shared between models.
    pub cache: Arc<ScoreCache>,
}

/// Read-outs for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScorerStats {
    /// Pairs that wait or are being run.
    pub queued_pairs: usize,
    /// Scoring threads that are running something.
    pub busy_workers: usize,
    /// Scoring threads in all.
    pub workers: usize,
}

/// A model in this process. Dropping it stops its threads.
pub struct LocalScorer {
    pool: Pool,
    loader: Arc<dyn Loader>,
    cache: Arc<ScoreCache>,
    kind: Kind,
    revision: String,
}

impl LocalScorer {
    /// Starts the threads and returns at once; the model is loaded in the background, and until it is, scoring gives
    /// [`ScoreError::Unavailable`]. A load that fails is logged and tried again, 1 to 30 seconds later.
    pub fn start(folder: ModelFolder, runtime: &Runtime, options: ScoringOptions) -> LocalScorer {
        // With a provider that the library lacks, loading will say so; there is nothing to prepare for.
        let providers = folder.providers().in_library(runtime).unwrap_or_default();
        let workers = if providers.prefer_accelerator() { 1 } else { options.workers };
        let pool_options = PoolOptions {
            workers,
            queue_pairs: options.queue_pairs,
            // A score may not depend on what else is scored at the time.
            group_tokens: if folder.quantises_activations() { 0 } else { PoolOptions::default().group_tokens },
            ..PoolOptions::default()
        };
        let (kind, revision) = (folder.kind(), folder.revision().to_owned());
        let loader = OnnxLoader::new(folder, runtime.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let is_single = workers == 1 || (workers == 0 && cores == 1);
        let loader = Arc::new(if is_single { loader.for_one_session() } else { loader });
        LocalScorer::with_loader(loader, kind, revision, pool_options, options.cache)
    }

    fn with_loader(
        loader: Arc<dyn Loader>,
        kind: Kind,
        revision: String,
        options: PoolOptions,
        cache: Arc<ScoreCache>,
    ) -> LocalScorer {
        LocalScorer { pool: Pool::start(Arc::clone(&loader), options), loader, cache, kind, revision }
    }

    /// Read-outs for metrics; those of the cache are on the cache.
    pub fn stats(&self) -> ScorerStats {
        ScorerStats {
            queued_pairs: self.pool.queued_pairs(),
            busy_workers: self.pool.busy_workers(),
            workers: self.pool.workers(),
        }
    }

    async fn score_pairs(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let Request { query, passages, long, deadline } = request;
        let query = normalise(query);
        let keys = Keys::of_pairs(&self.revision, long, &query);
        let texts = passages.into_iter().map(|passage| (keys.key(&passage), passage));
        let found = self.find(Some(query), texts, long, deadline).await?;
        let score = |(made, &cached): (&Option<Made>, &bool)| match *made {
            Some(Made { output: Output::Logit(logit), truncated, span }) => {
                Some(Score { raw: logit, scale: Scale::Logit, cached, truncated, span })
            }
            _ => None,
        };
        let scores = found.outputs.iter().zip(&found.cached).map(score).collect();
        found.scored(scores)
    }

    async fn score_texts(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let Request { query, passages, long, deadline } = request;
        let keys = Keys::of_texts(&self.revision, long);
        // The query goes first: without its vector no passage has a score.
        let texts = std::iter::once(normalise(query)).chain(passages);
        let found = self.find(None, texts.map(|text| (keys.key(&text), text)), long, deadline).await?;
        let (query, passages) = found.outputs.split_first().unwrap_or((&None, &[]));
        let query = query.as_ref().and_then(|made| match &made.output {
            Output::Embedding(vector) => Some(vector),
            // A query that is longer than the model reads: its beginning speaks for it.
            Output::Embeddings(windows) => windows.first().map(|(_, vector)| vector),
            _ => None,
        });
        let score = |(made, &cached): (&Option<Made>, &bool)| {
            let (query, made) = (query?, made.as_ref()?);
            let (raw, span) = closest(query, &made.output)?;
            Some(Score { raw, scale: Scale::AsIs, cached, truncated: made.truncated, span })
        };
        let scores = passages.iter().zip(found.cached.iter().skip(1)).map(score).collect();
        found.scored(scores)
    }

    /// The outputs of `texts`, from the cache or from the pool. Equal texts are run once.
    async fn find(
        &self,
        query: Option<String>,
        texts: impl Iterator<Item = (Key, String)>,
        long: LongPassages,
        deadline: Instant,
    ) -> Result<Found, ScoreError> {
        let mut missing = Missing::default();
        let (mut outputs, mut cached) = (Vec::new(), Vec::new());
        for (place, (key, text)) in texts.enumerate() {
            let output = self.cache.look_up(key);
            cached.push(output.is_some());
            if output.is_none() {
                missing.add(place, key, text);
            }
            outputs.push(output);
        }
        if missing.places.is_empty() {
            return Ok(Found { outputs, cached, cut_off: false, failure: None });
        }
        if Instant::now() >= deadline {
            return Ok(Found { outputs, cached, cut_off: true, failure: None });
        }
        let keeper = CacheKeeper { cache: Arc::clone(&self.cache), keys: missing.keys };
        let ticket = self.pool.submit(Work { query, texts: missing.texts, long, deadline }, Box::new(keeper))?;
        let outcome = ticket.outcome().await;
        for (place, which) in missing.places {
            outputs[place].clone_from(&outcome.outputs[which]);
        }
        Ok(Found { outputs, cached, cut_off: outcome.open > 0, failure: outcome.failure })
    }
}

impl Scorer for LocalScorer {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        match self.kind {
            Kind::CrossEncoder => Box::pin(self.score_pairs(request)),
            Kind::BiEncoder { .. } => Box::pin(self.score_texts(request)),
        }
    }

    fn ready(&self) -> Result<(), String> {
        self.pool.ready()
    }

    fn device(&self) -> Option<String> {
        self.loader.device()
    }
}

/// What the cache and the pool know of some texts, in their order.
struct Found {
    outputs: Vec<Option<Made>>,
    cached: Vec<bool>,
    /// Whether there was no time for some of them.
    cut_off: bool,
    /// Why some of them could not be run.
    failure: Option<String>,
}

impl Found {
    /// The answer to the search. A failure is only told where it left nothing to order by.
    fn scored(self, scores: Vec<Option<Score>>) -> Result<Scored, ScoreError> {
        match self.failure {
            Some(failure) if !self.cut_off && scores.iter().all(Option::is_none) => {
                Err(ScoreError::Unavailable(failure))
            }
            _ => Ok(Scored { scores, budget_hit: self.cut_off }),
        }
    }
}

/// Texts that the cache does not know, each once, and who wants them.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) texts: Vec<String>,
    pub(super) keys: Vec<Key>,
    /// (place among all texts, index into `texts`)
    pub(super) places: Vec<(usize, usize)>,
    seen: HashMap<Key, usize>,
}

impl Missing {
    pub(super) fn add(&mut self, place: usize, key: Key, text: String) {
        let which = *self.seen.entry(key).or_insert(self.texts.len());
        if which == self.texts.len() {
            self.texts.push(text);
            self.keys.push(key);
        }
        self.places.push((place, which));
    }
}

/// Puts outputs into the cache as they are made, and finds those that other searches have made.
struct CacheKeeper {
    cache: Arc<ScoreCache>,
    keys: Vec<Key>,
}

impl Keeper for CacheKeeper {
    fn recall(&self, index: usize) -> Option<Made> {
        self.cache.peek(self.keys[index])
    }

    fn keep(&self, index: usize, made: &Made) {
        self.cache.insert(self.keys[index], made.clone());
    }
}

/// The cosine of the vector that is closest to the query's, and which window that is where there are several.
fn closest(query: &[f32], passage: &Output) -> Option<(f32, Option<Span>)> {
    match passage {
        Output::Embedding(vector) => Some((cosine(query, vector), None)),
        Output::Embeddings(windows) => {
            let cosines = windows.iter().map(|(span, vector)| (cosine(query, vector), Some(*span)));
            // The first of equals: `max_by` would take the last.
            cosines.rev().max_by(|(a, _), (b, _)| a.total_cmp(b))
        }
        Output::Logit(_) | Output::Relevance(_) => None,
    }
}

/// The cosine of the angle between two vectors; 0 where one of them has no direction.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests;
