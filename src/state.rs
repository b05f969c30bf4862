//! The state of a running proxy, by how long it lives: the [`Process`]; the [`Snapshot`] of it that a reload replaces; the
//! [`ServingThread`]; and the [`Context`] of one request, which holds on to all three until the request is answered.

use std::{
    cell::RefCell,
    io,
    ops::Deref,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use arc_swap::{ArcSwap, Cache};
use engines::{
    dialect::Dialect,
    plan::SkipReason,
    registry::{Dialects, Number},
};
use net::tls::{Acceptor, ServerTls, TlsError};
use scoring::{cache::ScoreCache, fused::FusedScorer};
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::{
    api::Calls,
    client::Client,
    cluster::{Cluster, Connections},
    config::{Access, Effective, Settings},
    cores,
    drain::Drain,
    memory::Memory,
    open_models::{Config, OpenModels},
    scorers::{self, Running, Started, fused},
    telemetry::{Metrics, ModelFigures},
    textless::Textless,
};

/// How many searches may be scored in the background at once (mode `shadow`); further ones are not.
const SHADOWS: usize = 4;

/// How many searches may be explained at once: people look at them.
pub(crate) const EXPLAINED: usize = 8;

pub use crate::scorers::Scorers;

/// What lives as long as the process.
pub struct Process {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// What may be held of requests and answers.
    pub memory: Arc<Memory>,
    /// Permits for shadow searches.
    pub shadows: Arc<Semaphore>,
    /// Permits for searches that are explained. A slow cluster may keep them for long, so that they are none of the above.
    pub explained: Arc<Semaphore>,
    /// Whether it is about to end.
    pub drain: Drain,
    cache: Arc<ScoreCache>,
    replaced: watch::Sender<()>,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

/// What a reload replaces, as one: each request sees the settings, models and cluster of a single moment.
pub struct Snapshot {
    /// What the operator decided.
    pub settings: Settings,
    /// Each key of them, with where its value was written.
    pub effective: Effective,
    /// The models that it names, opened.
    pub models: OpenModels,
    /// The search engines' APIs that are spoken here.
    dialects: Dialects,
    /// The way to the cluster.
    pub cluster: Arc<Cluster>,
    /// The models by name, and the fused ones by their label.
    pub scorers: Scorers,
    /// What takes clients' connections where they come with TLS. A connection that is open keeps what it was taken with.
    pub(crate) acceptor: Option<Acceptor>,
    /// The places for calls of the rerank API.
    pub calls: Arc<Calls>,
    /// The rules whose hits have no text.
    textless: Textless,
    was_replaced: AtomicBool,
}

/// One serving thread. Its connections to the cluster are its own, so that no request has to wake another thread.
pub struct ServingThread {
    /// The process that it serves for.
    pub process: Arc<Process>,
    /// How many connections to the cluster it keeps for later.
    idle: usize,
    latest: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    /// What the next request sees, as long as nothing is replaced.
    seen: RefCell<Rc<Seen>>,
}

/// What one request is answered with. Whatever is replaced meanwhile, its request sees one state to the end.
#[derive(Clone)]
pub struct Context {
    seen: Rc<Seen>,
    /// Who sent the request.
    pub client: Rc<Client>,
    dialect: Number,
}

/// What the requests see that a thread serves between two reloads. They share it by a count that is the thread's own: one that
/// all threads change with every request costs more than most of what is done for it.
pub struct Seen {
    /// What outlives it.
    pub process: Arc<Process>,
    /// What a reload may have replaced since.
    pub snapshot: Arc<Snapshot>,
    /// The connections of the serving thread to the cluster.
    pub connections: Connections,
}

impl Process {
    /// Loads the ONNX Runtime, where a model needs it, and starts loading the models in the background; until one is
    /// there, its searches go unreranked. Rerank servers are not asked before a search comes.
    ///
    /// Fails where the runtime's library is missing or lacks what a model is to be run on, or the system's root
    /// certificates cannot be read.
    pub fn start(config: Config) -> anyhow::Result<Arc<Self>> {
        let cache = Arc::new(ScoreCache::start(config.settings.cache.clone())?);
        let started = scorers::start(&config, &cache, None)?;
        Ok(Self::with(Snapshot::new(config, started.scorers)?, cache.clone(), Some(cache)))
    }

    /// A process with models of the caller's making. Those that the configuration fuses are made of them.
    pub fn with_scorers(config: Config, models: Scorers) -> io::Result<Arc<Self>> {
        Ok(Self::with(Snapshot::new(config, models)?, Arc::new(ScoreCache::new(0)), None))
    }

    /// `measured`: the cache, where its figures are of interest.
    fn with(snapshot: Snapshot, cache: Arc<ScoreCache>, measured: Option<Arc<ScoreCache>>) -> Arc<Self> {
        let memory = Memory::new(snapshot.settings.limits.memory);
        Arc::new_cyclic(|process: &std::sync::Weak<Self>| {
            let process = process.clone();
            let now = move || process.upgrade().map(|process| process.snapshot());
            let nodes = now.clone();
            let nodes = move || nodes().map(|snapshot| snapshot.cluster.figures()).unwrap_or_default();
            let models = move || now().map(|snapshot| snapshot.figures()).unwrap_or_default();
            Self {
                metrics: Arc::new(Metrics::of(models, nodes, memory.clone(), measured)),
                memory,
                shadows: Arc::new(Semaphore::new(SHADOWS)),
                explained: Arc::new(Semaphore::new(EXPLAINED)),
                drain: Drain::default(),
                cache,
                replaced: watch::Sender::default(),
                snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            }
        })
    }

    /// Starts the models of a configuration that is to follow; those that run already are taken as they are.
    pub(crate) fn start_models(&self, config: &Config) -> anyhow::Result<Started> {
        let now = self.snapshot();
        let running = Running { scorers: &now.scorers, models: &now.models, scoring: &now.settings.scoring };
        scorers::start(config, &self.cache, Some(running))
    }

    /// The state that requests see which come now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Has requests that come from now on see `new`; those that are open keep what they began with.
    pub fn replace(&self, new: Snapshot) {
        self.memory.set_limit(new.settings.limits.memory);
        self.snapshot.swap(Arc::new(new)).was_replaced.store(true, Ordering::Relaxed);
        self.replaced.send_replace(());
    }

    /// Changes with each replacement.
    pub(crate) fn replacements(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// One of the threads that serve; it keeps at most `idle` connections to the cluster.
    pub fn serving_thread(self: &Arc<Self>, idle: usize) -> ServingThread {
        let snapshot = self.snapshot();
        let connections = Connections::new(snapshot.cluster.clone(), idle);
        ServingThread {
            idle,
            latest: RefCell::new(Cache::new(self.snapshot.clone())),
            seen: RefCell::new(Rc::new(Seen { process: self.clone(), snapshot, connections })),
            process: self.clone(),
        }
    }
}

impl Snapshot {
    /// A state with these models; those that the configuration fuses are made of them. Makes no connection, and reads the files
    /// of the listeners' TLS.
    pub fn new(config: Config, models: Scorers) -> io::Result<Self> {
        let engine = config.settings.upstream.engine;
        let dialects = engine.and_then(Dialects::of_engine).unwrap_or_else(Dialects::all);
        let cluster = Arc::new(Cluster::new(&config.settings.upstream).map_err(io::Error::other)?);
        let calls = Calls::new(config.settings.api.concurrency);
        let Config { settings, effective, models: opened } = config;
        let acceptor = settings.server.tls.as_ref().map(acceptor).transpose()?;
        let mut scorers = models;
        for (label, signals) in &settings.fused {
            if let Some(signals) = fused(signals, &scorers) {
                scorers.insert(label.clone(), Arc::new(FusedScorer::new(signals)));
            }
        }
        let was_replaced = AtomicBool::new(false);
        let textless = Textless::of(&settings.rules);
        Ok(Self {
            dialects,
            cluster,
            scorers,
            acceptor,
            models: opened,
            settings,
            effective,
            calls,
            textless,
            was_replaced,
        })
    }

    /// Notes what became of a search under a rule, for those whose hits never have text.
    pub(crate) fn note_text(&self, rule: Option<&Arc<str>>, skipped: Option<SkipReason>) {
        self.textless.noted(&self.settings.rules, rule, skipped);
    }

    /// The same in the place of `self`: where the way to the cluster is the same, so are the connections to it, and where the
    /// cluster is, what is remembered of it.
    pub fn followed_by(&self, config: Config, models: Scorers) -> io::Result<Self> {
        let (own, settings) = (&self.settings, &config.settings);
        let is_same_way = settings.upstream == own.upstream;
        let is_same_cluster = settings.upstream.is_same_cluster(&own.upstream);
        let is_as_many_calls = settings.api.concurrency == own.api.concurrency;
        let mut new = Self::new(config, models)?;
        if is_same_way {
            new.cluster = self.cluster.clone();
        }
        if is_same_cluster {
            new.dialects = self.dialects.clone();
        }
        if is_as_many_calls {
            new.calls = self.calls.clone();
        }
        Ok(new)
    }

    /// What the models do at the moment.
    fn figures(&self) -> Vec<ModelFigures> {
        let figures = |name: &String| {
            let scorer = self.scorers.get(name)?;
            Some(ModelFigures { name: name.clone(), readiness: scorer.readiness(), stats: scorer.stats() })
        };
        self.settings.models.keys().filter_map(figures).collect()
    }
}

impl Drop for Snapshot {
    /// Models wait for their threads when they are dropped. The last request that held on to a replaced snapshot may be
    /// answered on a serving thread, which is not to wait. At the end of the process they do go here: it waits for them.
    fn drop(&mut self) {
        if *self.was_replaced.get_mut() {
            let scorers = std::mem::take(&mut self.scorers);
            // Where the system gives no thread, the models that could not be handed over are dropped by the failed attempt.
            let retire = move || {
                cores::leave();
                drop(scorers);
            };
            let _ = thread::Builder::new().name("retire-models".to_owned()).spawn(retire);
        }
    }
}

impl ServingThread {
    /// Lets go of a state that was replaced; a thread without requests would hold on to its models.
    pub(crate) fn follow(&self) {
        let (mut seen, mut latest) = (self.seen.borrow_mut(), self.latest.borrow_mut());
        let snapshot = latest.load();
        if !Arc::ptr_eq(&seen.snapshot, snapshot) {
            // Those to the same cluster go on; new ones where it was replaced.
            let connections = match Arc::ptr_eq(seen.connections.cluster(), &snapshot.cluster) {
                true => seen.connections.clone(),
                false => Connections::new(snapshot.cluster.clone(), self.idle),
            };
            *seen = Rc::new(Seen { process: self.process.clone(), snapshot: snapshot.clone(), connections });
        }
    }

    /// The state for a request of this client to `path` that comes now.
    pub fn context(&self, client: &Rc<Client>, path: &str) -> Context {
        self.follow();
        let seen = self.seen.borrow();
        let dialect = seen.snapshot.dialects.number_for(path);
        Context { seen: seen.clone(), client: client.clone(), dialect }
    }
}

impl Context {
    /// The API that the request speaks.
    pub fn dialect(&self) -> &Arc<dyn Dialect> {
        self.snapshot.dialects.get(self.dialect)
    }

    /// Whether there is an access log.
    pub(crate) fn logs_access(&self) -> bool {
        self.snapshot.settings.log.access != Access::Off
    }

    /// The same for a request to `path`.
    #[must_use]
    pub fn for_path(&self, path: &str) -> Self {
        Self { dialect: self.snapshot.dialects.number_for(path), ..self.clone() }
    }
}

impl Deref for Context {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

/// What takes clients' connections with TLS. The files were read when the configuration was; this is what is served of them.
fn acceptor(tls: &ServerTls) -> io::Result<Acceptor> {
    if let Some(warning) = tls.warning() {
        warn!("{warning}");
    }
    let text = |errors: Vec<TlsError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    tls.acceptor().map_err(|errors| io::Error::other(text(errors)))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::mpsc, time::Duration};

    use scoring::{Readiness, Request, ScoreFuture, Scored, Scorer};

    use super::*;

    /// A model that takes its time to end, and tells on which thread it does.
    struct Slow(mpsc::Sender<Option<String>>);

    impl Scorer for Slow {
        fn score<'a>(&'a self, _: Request<'a>) -> ScoreFuture<'a> {
            Box::pin(async { Ok(Scored::default()) })
        }

        fn readiness(&self) -> Readiness {
            Readiness::Ready
        }
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().name().map(str::to_owned));
        }
    }

    fn config(upstream: &str) -> Config {
        let model = "fixtures/models/tiny-deberta-v2";
        let settings: [(&[&str], &str); 3] =
            [(&["upstream", "url"], upstream), (&["models", "m", "path"], model), (&["rules", "0", "index"], "*")];
        let flags = settings.map(|(path, text)| (path.to_vec(), text.to_owned(), "test"));
        Config::load(None, [], &flags).unwrap()
    }

    fn models(ended: &mpsc::Sender<Option<String>>) -> Scorers {
        let model: Arc<dyn Scorer> = Arc::new(Slow(ended.clone()));
        HashMap::from([("m".to_owned(), model)])
    }

    fn client() -> Rc<Client> {
        Rc::new(Client { address: ([127, 0, 0, 1], 1).into(), is_secure: false })
    }

    #[test]
    fn an_open_request_keeps_its_state_and_the_models_of_it_end_on_a_thread_of_their_own() {
        let (ended, when_ended) = mpsc::channel();
        let process = Process::with_scorers(config("http://one:9200"), models(&ended)).unwrap();
        let serving = process.serving_thread(8);
        let open = serving.context(&client(), "/products/_search");
        process.replace(process.snapshot().followed_by(config("http://two:9200"), models(&ended)).unwrap());
        let next = serving.context(&client(), "/products/_search");
        assert_eq!(open.snapshot.settings.upstream.urls(), "http://one:9200");
        assert_eq!(next.snapshot.settings.upstream.urls(), "http://two:9200");
        assert!(!Arc::ptr_eq(open.connections.cluster(), next.connections.cluster()));
        assert!(when_ended.try_recv().is_err(), "the open request may still ask its models");
        drop(open);
        let thread = when_ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(thread.as_deref(), Some("retire-models"));
    }

    #[test]
    fn connections_stay_where_the_cluster_does() {
        let (ended, _when_ended) = mpsc::channel();
        let process = Process::with_scorers(config("http://one:9200"), models(&ended)).unwrap();
        let serving = process.serving_thread(8);
        let first = serving.context(&client(), "/");
        process.replace(process.snapshot().followed_by(config("http://one:9200"), models(&ended)).unwrap());
        let next = serving.context(&client(), "/");
        assert!(first.connections.are(&next.connections) && !Arc::ptr_eq(&first.snapshot, &next.snapshot));
    }
}
