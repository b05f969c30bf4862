//! The scorers of a snapshot: the models that a configuration opened, running, and those that it fuses of them. Owns which of them
//! go on when the configuration is read again, and that new ones are there before anybody asks them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use scoring::{
    Readiness, Scorer,
    backend::Runtime,
    cache::ScoreCache,
    fused::{Depth, Signal, Source},
    loaded,
    local::{LocalScorer, ScoringOptions},
    remote::RemoteScorer,
};

use crate::{
    config::{ScoringConfig, SignalConfig, SourceConfig},
    open_models::{Config, OpenModel, OpenModels},
};

/// The time that models may take to load.
const LOADING: Duration = Duration::from_mins(5);

/// The models by name, and the fused ones by their label.
pub type Scorers = HashMap<String, Arc<dyn Scorer>>;

/// Models that run, with what they were made of.
#[derive(Clone, Copy)]
pub(crate) struct Running<'a> {
    pub(crate) scorers: &'a Scorers,
    pub(crate) models: &'a OpenModels,
    pub(crate) scoring: &'a ScoringConfig,
}

impl Running<'_> {
    /// The scorer called `name`, where it is what a new one would be.
    fn same(&self, name: &str, model: &OpenModel, scoring: &ScoringConfig) -> Option<Arc<dyn Scorer>> {
        let is_same = match (self.models.get(name)?, model) {
            (OpenModel::Remote(own), OpenModel::Remote(model)) => own == model,
            (OpenModel::Local(own), OpenModel::Local(model)) => {
                own.would_run_alike(model) && self.scoring.runs_alike(scoring)
            }
            _ => false,
        };
        self.scorers.get(name).filter(|_| is_same).cloned()
    }
}

/// The models of a configuration, started.
pub(crate) struct Started {
    /// All of them, by name.
    pub(crate) scorers: Scorers,
    /// The names of those that did not run before.
    pub(crate) new: Vec<String>,
}

impl Started {
    /// Waits until each new model can be asked.
    ///
    /// # Errors
    /// A line for each that cannot be loaded.
    pub(crate) async fn ready(&self) -> Result<(), Vec<String>> {
        let mut failures = Vec::new();
        for name in &self.new {
            let state = loaded(LOADING, || self.scorers[name].readiness()).await;
            match state {
                Readiness::Ready | Readiness::Paused(_) => {}
                Readiness::Loading => failures.push(format!("models.{name}: is not loaded after {LOADING:?}")),
                why => failures.push(format!("models.{name}: cannot be loaded: {why}")),
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }
}

/// Starts loading each model and names the rerank servers, but for those that are among the `running` ones.
pub(crate) fn start(config: &Config, cache: &Arc<ScoreCache>, running: Option<Running>) -> anyhow::Result<Started> {
    let mut loaded: Option<Runtime> = None;
    let (mut scorers, mut new) = (Scorers::new(), Vec::new());
    let settings = &config.settings.scoring;
    for (name, model) in &config.models {
        if let Some(same) = running.and_then(|running| running.same(name, model, settings)) {
            scorers.insert(name.clone(), same);
            continue;
        }
        let scorer: Arc<dyn Scorer> = match model {
            OpenModel::Remote(remote) => Arc::new(RemoteScorer::new(name, remote.clone(), cache.clone())?),
            OpenModel::Local(folder) => {
                let runtime = match loaded.take() {
                    Some(runtime) => runtime,
                    None => {
                        let runtime = Runtime::load(settings.onnxruntime.as_deref())?;
                        config.check_library(&runtime)?;
                        runtime
                    }
                };
                let options = ScoringOptions {
                    workers: settings.workers,
                    threads: settings.threads,
                    queue_tokens: settings.queue_tokens,
                    cache: cache.clone(),
                };
                Arc::new(LocalScorer::start(folder.clone(), loaded.insert(runtime), options))
            }
        };
        scorers.insert(name.clone(), scorer);
        new.push(name.clone());
    }
    Ok(Started { scorers, new })
}

/// Signals with their models, where those are there. Fields are numbered in their order.
pub(crate) fn fused(signals: &[SignalConfig], models: &Scorers) -> Option<Vec<Signal>> {
    let mut fields = 0..;
    let signal = |SignalConfig { source, weighting, probability }: &SignalConfig| {
        let name = source.name().into();
        let source = match source {
            SourceConfig::Cluster => Source::Cluster,
            SourceConfig::Model { name, keep, gap } => {
                let depth = Depth { keep: *keep, gap: *gap };
                Source::Model { scorer: models.get(name)?.clone(), depth }
            }
            SourceConfig::Field(_) => Source::Field(fields.next()?),
        };
        Some(Signal { name, source, weighting: *weighting, probability: probability.clone() })
    };
    signals.iter().map(signal).collect()
}
