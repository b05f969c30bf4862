//! The scorer that runs a model in this process: cache, then pool, then whatever is there at the deadline. Owns the
//! step from model outputs to scores (sigmoid, cosine); runs nothing itself.

use std::{collections::HashMap, sync::Arc, time::Instant};

use crate::models::{Kind, ModelFolder};
use crate::{
    LongPassages, Request, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer, Span,
    cache::{Key, Keys, ScoreCache, normalise},
    inference::{Loader, Made, Output},
    onnx::OnnxLoader,
    pool::{Grouping, Pool, PoolOptions, Work},
    runtime::Runtime,
};

/// How a [`LocalScorer`] is set up.
#[derive(Debug, Clone)]
pub struct ScoringOptions {
    /// Scoring workers, each with a copy of the model; 0 means what suits the machine, by measurement.
    pub workers: usize,
    /// Threads that each of them uses; 0 means what suits the machine.
    pub threads: usize,
    /// How many tokens may wait before further searches are turned away with [`ScoreError::Overloaded`]. A search that
    /// finds the queue empty is always let in.
    pub queue_tokens: usize,
    /// Where scores are kept; may be shared between models.
    pub cache: Arc<ScoreCache>,
}

/// Read-outs for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ScorerStats {
    /// Pairs that wait or are being run.
    pub queued_pairs: usize,
    /// Their tokens, estimated.
    pub queued_tokens: usize,
    /// Inputs that the model was run on, since the start.
    pub runs: u64,
    /// Pairs a second that all workers do together, by the latest runs; `None` before the first.
    pub pairs_per_second: Option<f64>,
    /// Scoring workers that are running something.
    pub busy_workers: usize,
    /// Scoring workers that have their model.
    pub loaded_workers: usize,
    /// Scoring workers in all; 0 until that is known.
    pub workers: usize,
}

/// Tokens that an accelerator is given at a time, padding included. On an H100, models in the shapes of DeBERTa-v3 xsmall and
/// base, fp16, pairs of 128 tokens: 9630 and 5080 pairs a second, 13 and 25 ms a run. With half as many tokens 8500 and 4670,
/// with twice as many 10500 and 5380 at twice the time, by which a search can miss its deadline.
const ACCELERATOR_TOKENS: usize = 16 * 1024;

/// A model in this process. Dropping it stops its threads.
pub struct LocalScorer {
    pool: Pool,
    loader: Arc<dyn Loader>,
    cache: Arc<ScoreCache>,
    kind: Kind,
    revision: String,
    /// The longest input of the model, in tokens.
    max_tokens: usize,
}

impl LocalScorer {
    /// Starts the threads and returns at once; the model is loaded in the background, and until it is, scoring gives
    /// [`ScoreError::Unavailable`]. A load that fails is logged and tried again, 1 to 30 seconds later.
    pub fn start(folder: ModelFolder, runtime: &Runtime, options: ScoringOptions) -> LocalScorer {
        // With a provider that the library lacks, loading will say so; there is nothing to prepare for.
        let providers = folder.providers().in_library(runtime).unwrap_or_default();
        if let Some(why) = folder.providers().second_choice(runtime) {
            tracing::warn!(model = folder.name(), "{why}");
        }
        let accelerated = providers.prefer_accelerator();
        let workers = if accelerated { 1 } else { options.workers };
        let pool_options = PoolOptions {
            workers,
            threads: options.threads,
            queue_tokens: options.queue_tokens,
            max_tokens: folder.max_length(),
            grouping: match (folder.quantises_activations(), accelerated) {
                // A score may not depend on what else is scored at the time.
                (true, _) => Grouping::Equal { tokens: 0 },
                (false, true) => Grouping::Padded { tokens: ACCELERATOR_TOKENS },
                (false, false) => PoolOptions::default().grouping,
            },
            ..PoolOptions::default()
        };
        let kind = folder.kind();
        // Accelerators calculate a little differently, and may share a cache with processors.
        let calculated_by = if accelerated { format!(" {:?}", providers.list) } else { String::new() };
        let revision = format!("{}{calculated_by}", folder.revision());
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
        LocalScorer {
            max_tokens: options.max_tokens,
            pool: Pool::start(Arc::clone(&loader), Arc::clone(&cache), options),
            loader,
            cache,
            kind,
            revision,
        }
    }

    async fn score_pairs(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let Request { query, passages, deadline, patient, .. } = request;
        let how = How { long: self.as_read(request.long), deadline, patient };
        let query = normalise(query);
        let keys = Keys::of_pairs(&self.revision, how.long, &query);
        let texts = passages.into_iter().map(|passage| (keys.key(&passage), passage));
        let found = self.find(Some(query), texts, how).await?;
        let score = |(made, &cached): (&Option<Made>, &bool)| match *made {
            Some(Made { output: Output::Logit(logit), truncated, span, tokens }) => {
                Some(Score { raw: logit, scale: Scale::Logit, cached, truncated, span, tokens, stage: None })
            }
            _ => None,
        };
        let scores = found.outputs.iter().zip(&found.cached).map(score).collect();
        found.scored(scores)
    }

    async fn score_texts(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let Request { query, passages, deadline, patient, .. } = request;
        let how = How { long: self.as_read(request.long), deadline, patient };
        // A query is a text as others are, and is read as they are; but what is said of passages only is not said of it.
        if let LongPassages::Beginning { .. } = how.long {
            let query = std::iter::once(normalise(query));
            let mut found = self.find_texts(query, How { long: LongPassages::Truncate, ..how }).await?;
            let of_passages = self.find_texts(passages.into_iter(), how).await?;
            found.append(of_passages);
            return Self::cosines(found);
        }
        // The query goes first: without its vector no passage has a score.
        let texts = std::iter::once(normalise(query)).chain(passages);
        Self::cosines(self.find_texts(texts, how).await?)
    }

    /// The scores of passages, of which the first text is the query.
    fn cosines(found: Found) -> Result<Scored, ScoreError> {
        let (query, passages) = found.outputs.split_first().unwrap_or((&None, &[]));
        let query = query.as_ref().and_then(|made| match &made.output {
            Output::Embedding(vector) => Some(vector),
            // A query that is longer than the model reads, and was cut as the passages of its job are. Its beginning
            // speaks for it: the first window, which holds the tokens that truncation leaves.
            Output::Embeddings(windows) => windows.first().map(|(_, vector)| vector),
            _ => None,
        });
        let score = |(made, &cached): (&Option<Made>, &bool)| {
            let (query, made) = (query?, made.as_ref()?);
            let (raw, span) = closest(query, &made.output)?;
            let span = span.or(made.span);
            let Made { truncated, tokens, .. } = *made;
            Some(Score { raw, scale: Scale::AsIs, cached, truncated, span, tokens, stage: None })
        };
        let scores = passages.iter().zip(found.cached.iter().skip(1)).map(score).collect();
        found.scored(scores)
    }

    /// How the model reads long passages: all of its length is no shorter beginning.
    fn as_read(&self, long: LongPassages) -> LongPassages {
        match long {
            LongPassages::Beginning { tokens } if tokens >= self.max_tokens => LongPassages::Truncate,
            other => other,
        }
    }

    async fn find_texts(&self, texts: impl Iterator<Item = String>, how: How) -> Result<Found, ScoreError> {
        let keys = Keys::of_texts(&self.revision, how.long);
        self.find(None, texts.map(|text| (keys.key(&text), text)), how).await
    }

    /// The outputs of `texts`, from the cache or from the pool. Equal texts are run once.
    async fn find(
        &self,
        query: Option<String>,
        texts: impl Iterator<Item = (Key, String)>,
        How { long, deadline, patient }: How,
    ) -> Result<Found, ScoreError> {
        let (keys, texts): (Vec<Key>, Vec<String>) = texts.unzip();
        let mut outputs = self.cache.look_up_all(&keys, deadline).await;
        let cached: Vec<bool> = outputs.iter().map(Option::is_some).collect();
        let mut missing = Missing::default();
        for (place, text) in texts.into_iter().enumerate().filter(|(place, _)| !cached[*place]) {
            missing.add(place, keys[place], text);
        }
        if missing.places.is_empty() {
            return Ok(Found { outputs, cached, cut_off: false, shed: 0, failure: None });
        }
        if Instant::now() >= deadline {
            return Ok(Found { outputs, cached, cut_off: true, shed: 0, failure: None });
        }
        let count = missing.texts.len();
        let work = Work { query, texts: missing.texts, keys: missing.keys, long, deadline, patient };
        let outcome = match self.pool.submit(work) {
            Ok(ticket) => ticket.outcome().await,
            // What is known stands, as it does where there is room for a few more.
            Err(ScoreError::Overloaded) if cached.contains(&true) => {
                return Ok(Found { outputs, cached, cut_off: true, shed: count, failure: None });
            }
            Err(error) => return Err(error),
        };
        for (place, which) in missing.places {
            outputs[place].clone_from(&outcome.outputs[which]);
        }
        let cut_off = outcome.open + outcome.shed > 0;
        Ok(Found { outputs, cached, cut_off, shed: outcome.shed, failure: outcome.failure })
    }
}

impl Scorer for LocalScorer {
    fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
        match self.kind {
            Kind::CrossEncoder => Box::pin(self.score_pairs(request)),
            Kind::BiEncoder { .. } => Box::pin(self.score_texts(request)),
        }
    }

    fn stats(&self) -> Option<ScorerStats> {
        Some(ScorerStats {
            queued_pairs: self.pool.queued_pairs(),
            queued_tokens: self.pool.queued_tokens(),
            runs: self.pool.runs(),
            pairs_per_second: self.pool.pairs_per_second(),
            busy_workers: self.pool.busy_workers(),
            loaded_workers: self.pool.loaded_workers(),
            workers: self.pool.workers(),
        })
    }

    fn ready(&self) -> Result<(), String> {
        self.pool.ready()
    }

    fn device(&self) -> Option<String> {
        self.loader.device()
    }
}

/// What a request says of all of its texts.
#[derive(Clone, Copy)]
struct How {
    long: LongPassages,
    deadline: Instant,
    patient: bool,
}

/// What the cache and the pool know of some texts, in their order.
struct Found {
    outputs: Vec<Option<Made>>,
    cached: Vec<bool>,
    /// Whether there was no time for some of them.
    cut_off: bool,
    /// How many were turned away from the beginning.
    shed: usize,
    /// Why some of them could not be run.
    failure: Option<String>,
}

impl Found {
    /// What is known of more texts, after these.
    fn append(&mut self, others: Found) {
        self.outputs.extend(others.outputs);
        self.cached.extend(others.cached);
        self.cut_off |= others.cut_off;
        self.shed += others.shed;
        self.failure = self.failure.take().or(others.failure);
    }

    /// The answer to the search. A failure is only told where it left nothing to order by.
    fn scored(self, scores: Vec<Option<Score>>) -> Result<Scored, ScoreError> {
        match self.failure {
            Some(failure) if !self.cut_off && scores.iter().all(Option::is_none) => {
                Err(ScoreError::Unavailable(failure))
            }
            _ => Ok(Scored { scores, budget_hit: self.cut_off, shed: self.shed }),
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
