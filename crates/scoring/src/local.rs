//! The scorer that runs a model in this process: cache, then pool, then whatever is there at the deadline. Owns the
//! step from model outputs to scores (sigmoid, cosine); runs nothing itself.

use std::{sync::Arc, time::Instant};

use ranking::value::Scale;

use crate::{
    backend::{self, Loader, Runtime, Sessions},
    cache::{Key, Keys, ScoreCache, normalise},
    lookup::{Computed, Found, Missing},
    model_output::{ModelOutput, Output},
    models::{Company, Kind, ModelFolder},
    pool::{Grouping, Pool, PoolOptions, Work},
    readiness::Readiness,
    request::{LongPassages, Priority, Request},
    score::{Score, ScoreError, Scored, Span},
    scorer::{ScoreFuture, Scorer, ScorerStats},
};

/// The settings of a [`LocalScorer`].
#[derive(Debug, Clone)]
pub struct ScoringOptions {
    /// Scoring workers, each with a copy of the model; 0 means what suits the machine, by measurement.
    pub workers: usize,
    /// Threads that each of them uses; 0 means what suits the machine.
    pub threads: usize,
    /// The number of tokens that may wait before further searches are turned away with [`ScoreError::Overloaded`]. A
    /// search that finds the queue empty is always admitted.
    pub queue_tokens: usize,
    /// The cache of scores; may be shared between models.
    pub cache: Arc<ScoreCache>,
}

/// Tokens that an accelerator is given at a time, padding included. On an H100, models in the shapes of DeBERTa-v3 xsmall and
/// base, fp16, pairs of 128 tokens: 9630 and 5080 pairs a second, 13 and 25 ms a run. With half as many tokens 8500 and 4670,
/// with twice as many 10500 and 5380 at twice the time, by which a search can miss its deadline.
const ACCELERATOR_TOKENS: usize = 16 * 1024;

/// The inputs that are run together: a score may not depend on what else is scored at the time.
fn grouping(company: Company, accelerated: bool) -> Grouping {
    match (company, accelerated) {
        (Company::Rounds, true) => Grouping::Padded { tokens: ACCELERATOR_TOKENS },
        (Company::Rounds, false) => Grouping::SHORT,
        (Company::Ignored, false) => Grouping::IF_MEASURED,
        // One by one, an accelerator is never busy; and there it was not verified.
        (Company::Ignored, true) | (Company::Sways, _) => Grouping::Alone,
    }
}

/// A model in this process. Dropping it stops its threads, and waits for them.
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
        if let Some(why) = runtime.second_choice(folder.providers()) {
            tracing::warn!(model = folder.name(), "{why}");
        }
        for note in folder.notes() {
            tracing::warn!(model = folder.name(), "{note}");
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let is_single = options.workers == 1 || (options.workers == 0 && cores == 1);
        let (kind, max_tokens, company) = (folder.kind(), folder.max_length(), folder.company());
        let loader = backend::open(folder, runtime, if is_single { Sessions::One } else { Sessions::Several });
        let accelerated = loader.is_accelerated();
        let pool_options = PoolOptions {
            workers: if accelerated { 1 } else { options.workers },
            threads: options.threads,
            queue_tokens: options.queue_tokens,
            max_tokens,
            grouping: grouping(company, accelerated),
            ..PoolOptions::default()
        };
        LocalScorer::with_loader(loader, kind, pool_options, options.cache)
    }

    fn with_loader(loader: Arc<dyn Loader>, kind: Kind, options: PoolOptions, cache: Arc<ScoreCache>) -> LocalScorer {
        LocalScorer {
            max_tokens: options.max_tokens,
            pool: Pool::start(Arc::clone(&loader), Arc::clone(&cache), options),
            revision: loader.revision(),
            loader,
            cache,
            kind,
        }
    }

    async fn score_pairs(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let options = self.options_of(&request);
        let query = normalise(request.query);
        let keys = Keys::of_pairs(&self.revision, options.long, &query);
        let texts = request.passages.into_iter().map(|passage| (keys.key(&passage), passage));
        let found = self.find(Some(query), texts, options).await?;
        let scores = found.scores();
        found.scored(scores)
    }

    async fn score_texts(&self, request: Request<'_>) -> Result<Scored, ScoreError> {
        let options = self.options_of(&request);
        let Request { query, passages, vectors, .. } = request;
        // A query is a text as others are, and is read as they are; but a beginning is only read of passages.
        if let LongPassages::Beginning { .. } = options.long {
            let query = std::iter::once(normalise(query));
            let mut found = self.find_texts(query, RunOptions { long: LongPassages::Truncate, ..options }).await?;
            let of_passages = self.find_texts(passages.into_iter(), options).await?;
            found.append(of_passages);
            return Self::cosines(found, vectors);
        }
        // The query goes first: without its vector no passage has a score.
        let texts = std::iter::once(normalise(query)).chain(passages);
        Self::cosines(self.find_texts(texts, options).await?, vectors)
    }

    /// The scores of the passages, which follow the query among the texts, and the vectors that they were made of where those
    /// are wanted.
    fn cosines(found: Found, wants_vectors: bool) -> Result<Scored, ScoreError> {
        let (query, passages) = found.outputs.split_first().unwrap_or((&None, &[]));
        let query = query.as_ref().and_then(|query| match &query.output {
            Output::Embedding(vector) => Some(vector),
            // A query that is longer than the model reads, and was cut as the passages of its job are. Its beginning
            // speaks for it: the first window, which holds the tokens that truncation leaves.
            Output::Embeddings(windows) => windows.first().map(|(_, vector)| vector),
            _ => None,
        });
        let score = |(passage, &cached): (&Option<ModelOutput>, &bool)| {
            let (query, passage) = (query?, passage.as_ref()?);
            let Closest { cosine: raw, span, vector } = closest(query, &passage.output)?;
            let span = span.or(passage.span);
            let ModelOutput { truncated, tokens, .. } = *passage;
            let score =
                Score { raw, scale: Scale::AsIs, cached, truncated, span, tokens, stage: None, probability: None };
            Some((score, wants_vectors.then(|| Arc::clone(vector))))
        };
        let scored = passages.iter().zip(found.cached.iter().skip(1)).map(score);
        let (scores, mut vectors): (Vec<_>, Vec<_>) = scored.map(Option::unzip).unzip();
        if !wants_vectors {
            vectors.clear();
        }
        let vectors = vectors.into_iter().map(Option::flatten).collect();
        Ok(Scored { vectors, ..found.scored(scores)? })
    }

    /// The options of a request. A beginning that is at least as long as the model reads is what the model reads anyway.
    fn options_of(&self, request: &Request<'_>) -> RunOptions {
        let long = match request.long {
            LongPassages::Beginning { tokens } if tokens >= self.max_tokens => LongPassages::Truncate,
            other => other,
        };
        RunOptions { long, deadline: request.deadline, priority: request.priority }
    }

    async fn find_texts(&self, texts: impl Iterator<Item = String>, options: RunOptions) -> Result<Found, ScoreError> {
        let keys = Keys::of_texts(&self.revision, options.long);
        self.find(None, texts.map(|text| (keys.key(&text), text)), options).await
    }

    /// Finds the outputs of `texts` in the cache, or has the pool run them. Equal texts are run once.
    async fn find(
        &self,
        query: Option<String>,
        texts: impl Iterator<Item = (Key, String)>,
        options: RunOptions,
    ) -> Result<Found, ScoreError> {
        let run = async |missing| self.run(query, missing, options).await;
        Found::look_up(&self.cache, texts, options.deadline, run).await
    }

    /// Has the pool run texts until the deadline.
    async fn run(&self, query: Option<String>, missing: Missing, options: RunOptions) -> Result<Computed, ScoreError> {
        let (Missing { texts, keys }, RunOptions { long, deadline, priority }) = (missing, options);
        if Instant::now() >= deadline {
            return Ok(Computed::too_late(texts.len()));
        }
        let ticket = self.pool.submit(Work { query, texts, keys, long, deadline, priority })?;
        let outcome = ticket.outcome().await;
        Ok(Computed {
            budget_hit: outcome.open + outcome.shed > 0,
            outputs: outcome.outputs,
            shed: outcome.shed,
            failure: outcome.failure,
        })
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
            loads: self.pool.loads(),
            failed_loads: self.pool.failed_loads(),
            pairs_per_second: self.pool.pairs_per_second(),
            busy_workers: self.pool.busy_workers(),
            loaded_workers: self.pool.loaded_workers(),
            workers: self.pool.workers(),
        })
    }

    fn readiness(&self) -> Readiness {
        self.pool.readiness()
    }

    fn device(&self) -> Option<String> {
        self.loader.device()
    }
}

/// The options that all texts of a request are run with.
#[derive(Clone, Copy)]
struct RunOptions {
    long: LongPassages,
    deadline: Instant,
    priority: Priority,
}

/// The vector of a passage that is closest to the query's.
struct Closest<'a> {
    cosine: f32,
    /// The window that it is of, where there are several.
    span: Option<Span>,
    vector: &'a Arc<[f32]>,
}

fn closest<'a>(query: &[f32], passage: &'a Output) -> Option<Closest<'a>> {
    let of = |vector: &'a Arc<[f32]>, span| Closest { cosine: cosine(query, vector), span, vector };
    match passage {
        Output::Embedding(vector) => Some(of(vector, None)),
        Output::Embeddings(windows) => {
            let all = windows.iter().map(|(span, vector)| of(vector, Some(*span)));
            // The first of equals: `max_by` would take the last.
            all.rev().max_by(|a, b| a.cosine.total_cmp(&b.cosine))
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
