//! What a running proxy consists of. Owns the putting together; every request shares one [`App`].

use std::{collections::HashMap, sync::Arc};

use engines::{
    dialect::Dialect,
    elastic::Elastic,
    solr::{self, Solr},
};
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
    config::{CascadeConfig, Engine, Settings},
    memory::Memory,
    open_models::{Config, OpenModel, OpenModels},
    telemetry::Metrics,
    upstream::Upstream,
};

/// How many searches may be scored off the path at once (mode `shadow`); further ones are not.
const SHADOWS: usize = 4;

/// Everything that a request needs. Each serving thread has one, with a connection pool of its own; all else is shared.
pub struct App {
    /// What the operator decided.
    pub config: Arc<Settings>,
    /// The models that it names.
    pub models: Arc<OpenModels>,
    /// The search engine's API.
    pub dialect: Arc<dyn Dialect>,
    /// The same app for the paths that are Solr's, where the engine is told by the path.
    beside: Option<Arc<Self>>,
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
        let settings = &config.settings;
        let cache = Arc::new(ScoreCache::start(settings.cache.clone())?);
        let mut loaded: Option<Runtime> = None;
        let mut scorers: HashMap<String, Arc<dyn Scorer>> = HashMap::new();
        for (name, model) in &config.models {
            let scorer: Arc<dyn Scorer> = match model {
                OpenModel::Remote(remote) => Arc::new(RemoteScorer::new(name, remote.clone(), cache.clone())?),
                OpenModel::Local(folder) => {
                    let runtime = match loaded.take() {
                        Some(runtime) => runtime,
                        None => {
                            let runtime = Runtime::load(settings.scoring.onnxruntime.as_deref())?;
                            config.check_providers(&runtime)?;
                            runtime
                        }
                    };
                    let options = ScoringOptions {
                        workers: settings.scoring.workers,
                        threads: settings.scoring.threads,
                        queue_tokens: settings.scoring.queue_tokens,
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
        let Config { settings: config, models: opened } = config;
        let mut scorers = models;
        for (label, CascadeConfig { first, then, keep }) in &config.cascades {
            if let (Some(first), Some(then)) = (scorers.get(first), scorers.get(then)) {
                let cascade = Cascade::new(first.clone(), then.clone(), *keep);
                scorers.insert(label.clone(), Arc::new(cascade));
            }
        }
        let scorers = Arc::new(scorers);
        let dialect: Arc<dyn Dialect> = match config.upstream.engine {
            Engine::Auto | Engine::Elasticsearch | Engine::OpenSearch => Arc::new(Elastic::default()),
            Engine::Solr => Arc::new(Solr::default()),
        };
        let memory = Memory::new(config.limits.memory);
        let app = Self {
            upstream: Upstream::new(&config.upstream)?,
            dialect,
            beside: None,
            metrics: Arc::new(Metrics::of(scorers.clone(), memory.clone(), cache)),
            memory,
            scorers,
            shadows: Arc::new(Semaphore::new(SHADOWS)),
            calls: Arc::new(Semaphore::new(config.api.concurrency)),
            config: Arc::new(config),
            models: Arc::new(opened),
        };
        let told_by_path = app.config.upstream.engine == Engine::Auto;
        let beside = told_by_path.then(|| Arc::new(app.speaking(Arc::new(Solr::default()), None, usize::MAX)));
        Ok(Arc::new(Self { beside, ..app }))
    }

    /// The app that answers requests to this path: no path of one family of engines is a search of the other.
    pub(crate) fn for_path(self: &Arc<Self>, path: &str) -> Arc<Self> {
        match &self.beside {
            Some(beside) if solr::owns(path) => beside.clone(),
            _ => self.clone(),
        }
    }

    /// The same app for another thread, which keeps at most `idle` connections to the cluster for later.
    pub(crate) fn for_thread(&self, idle: usize) -> Arc<Self> {
        // Two dialects, two pools.
        let each = if self.beside.is_some() { idle.div_ceil(2) } else { idle };
        let beside = self.beside.as_ref().map(|beside| Arc::new(beside.speaking(beside.dialect.clone(), None, each)));
        Arc::new(self.speaking(self.dialect.clone(), beside, each))
    }

    /// The same app with this dialect and a connection pool of its own.
    fn speaking(&self, dialect: Arc<dyn Dialect>, beside: Option<Arc<Self>>, idle: usize) -> Self {
        Self {
            config: self.config.clone(),
            models: self.models.clone(),
            dialect,
            beside,
            upstream: self.upstream.with_own_pool(idle),
            scorers: self.scorers.clone(),
            memory: self.memory.clone(),
            metrics: self.metrics.clone(),
            shadows: self.shadows.clone(),
            calls: self.calls.clone(),
        }
    }
}
