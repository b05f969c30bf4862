//! What a running proxy consists of. Owns the putting together; every request shares one [`App`].

use std::{collections::HashMap, sync::Arc};

use engines::dialects::Dialects;
use scoring::{
    Scorer,
    cache::ScoreCache,
    cascade::Cascade,
    local::{LocalScorer, ScoringOptions},
    remote::RemoteScorer,
    runtime::Runtime,
};
use tokio::sync::Semaphore;

use crate::{
    config::{CascadeConfig, Config, Engine, ModelConfig},
    memory::Memory,
    telemetry::Metrics,
    upstream::Upstream,
};

/// How many searches may be scored off the path at once (mode `shadow`); further ones are not.
const SHADOWS: usize = 4;

/// Everything that a request needs. Each serving thread has one, with a connection pool of its own; all else is shared.
pub struct App {
    /// What the operator decided.
    pub config: Arc<Config>,
    /// The search engines' APIs.
    pub dialects: Dialects,
    /// The way to the cluster.
    pub upstream: Upstream,
    /// The models by name, and the cascades.
    pub scorers: Arc<HashMap<String, Arc<dyn Scorer>>>,
    /// What may be held of requests and answers.
    pub memory: Arc<Memory>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Permits for searches scored off the path.
    pub shadows: Arc<Semaphore>,
    /// Permits for calls of the rerank API.
    pub calls: Arc<Semaphore>,
}

impl App {
    /// Loads the ONNX Runtime, where a model needs it, and starts loading the models in the background; until one is
    /// there, its searches go unreranked. Rerank servers are not asked before a search comes.
    ///
    /// Fails where the runtime's library is missing or lacks what a model is to be run on, or the system's root
    /// certificates cannot be read.
    pub fn start(config: Config) -> anyhow::Result<Arc<Self>> {
        let cache = Arc::new(ScoreCache::start(config.cache.clone())?);
        let mut loaded: Option<Runtime> = None;
        let mut scorers: HashMap<String, Arc<dyn Scorer>> = HashMap::new();
        for (name, model) in &config.models {
            let scorer: Arc<dyn Scorer> = match model {
                ModelConfig::Remote(remote) => Arc::new(RemoteScorer::new(name, remote.clone(), cache.clone())?),
                ModelConfig::Local(folder) => {
                    let runtime = match loaded.take() {
                        Some(runtime) => runtime,
                        None => {
                            let runtime = Runtime::load(config.scoring.onnxruntime.as_deref())?;
                            config.check_providers(&runtime)?;
                            runtime
                        }
                    };
                    let options = ScoringOptions {
                        workers: config.scoring.workers,
                        threads: config.scoring.threads,
                        queue_tokens: config.scoring.queue_tokens,
                        cache: cache.clone(),
                    };
                    Arc::new(LocalScorer::start(folder.clone(), loaded.insert(runtime), options))
                }
            };
            scorers.insert(name.clone(), scorer);
        }
        Ok(Self::put_together(config, scorers, Some(cache))?)
    }

    /// An app with models of the caller's making. The cascades of the configuration are made of them.
    pub fn with_scorers(config: Config, models: HashMap<String, Arc<dyn Scorer>>) -> std::io::Result<Arc<Self>> {
        Self::put_together(config, models, None)
    }

    fn put_together(
        config: Config,
        models: HashMap<String, Arc<dyn Scorer>>,
        cache: Option<Arc<ScoreCache>>,
    ) -> std::io::Result<Arc<Self>> {
        let mut scorers = models;
        for (label, CascadeConfig { first, then, keep }) in &config.cascades {
            if let (Some(first), Some(then)) = (scorers.get(first), scorers.get(then)) {
                let cascade = Cascade::new(first.clone(), then.clone(), *keep);
                scorers.insert(label.clone(), Arc::new(cascade));
            }
        }
        let scorers = Arc::new(scorers);
        let engine = match config.upstream.engine {
            Engine::Auto => None,
            Engine::Elasticsearch => Some("elasticsearch"),
            Engine::OpenSearch => Some("opensearch"),
            Engine::Solr => Some("solr"),
        };
        let memory = Memory::new(config.limits.memory);
        let app = Self {
            upstream: Upstream::new(&config.upstream)?,
            dialects: engine.and_then(Dialects::of_engine).unwrap_or_else(Dialects::all),
            metrics: Arc::new(Metrics::of(scorers.clone(), memory.clone(), cache)),
            memory,
            scorers,
            shadows: Arc::new(Semaphore::new(SHADOWS)),
            calls: Arc::new(Semaphore::new(config.api.concurrency)),
            config: Arc::new(config),
        };
        Ok(Arc::new(app))
    }

    /// The same app for another thread, which keeps at most `idle` connections to the cluster for later.
    pub(crate) fn for_thread(&self, idle: usize) -> Arc<Self> {
        Arc::new(Self {
            config: self.config.clone(),
            dialects: self.dialects.clone(),
            upstream: self.upstream.with_own_pool(idle),
            scorers: self.scorers.clone(),
            memory: self.memory.clone(),
            metrics: self.metrics.clone(),
            shadows: self.shadows.clone(),
            calls: self.calls.clone(),
        })
    }
}
