//! The configuration: what the operator decides. Owns the list of its tables, and how they are put together; each table is a
//! file of its own, with its type, its keys, their defaults and bounds, and its tests.
//!
//! ```text
//! sources (file, environment, flags) ─ tree ─ section, setting ─ one file per table ─ Settings, or every mistake
//! ```
//!
//! Reading opens no file but the configuration itself: the models that it names are opened by `open_models.rs`.

pub mod reading;

mod admin;
mod api;
mod bundled;
mod cache;
mod clients;
mod effective;
mod files;
mod limits;
mod log;
mod long_passages;
mod models;
mod reload;
pub mod rules;
mod scoring;
mod server;
mod tls;
mod traces;
mod upstream;

use std::path::Path;

use ::scoring::cache::CacheOptions;
use indexmap::IndexMap;
use net::tls::ServerTls;
use ranking::field_values::FieldSignal;

use reading::section::{Reading, Section, Variable};
use reading::tree::Node;
use rules::{FusedScorings, Rule};

pub use admin::AdminConfig;
pub(crate) use api::digest_of;
pub use api::{ApiConfig, Keys};
pub use bundled::BUNDLED;
pub use clients::{ClientsConfig, Detail, RequestOption};
pub use effective::Effective;
pub use limits::LimitsConfig;
pub use log::{Access, LogConfig, LogFormat};
pub(crate) use long_passages::MAX_WINDOWS;
pub use models::{LocalModel, ModelConfig, ModelPlace};
pub use reading::mistake::{ConfigError, ConfigErrors, Origin};
pub use reading::sources::{ENV_PREFIX, FlagSetting, Overlay, Sources};
pub use reload::ReloadConfig;
pub(crate) use rules::MAX_BUDGET;
pub use rules::{SignalConfig, SourceConfig};
pub use scoring::ScoringConfig;
pub use server::{Forwarded, ServerConfig};
pub use traces::TracesConfig;
pub use upstream::{HealthConfig, SniffConfig, UpstreamConfig};

/// Everything that the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The listener.
    pub server: ServerConfig,
    /// The cluster.
    pub upstream: UpstreamConfig,
    /// The memory and the time that requests and answers may take.
    pub limits: LimitsConfig,
    /// The influence that clients have.
    pub clients: ClientsConfig,
    /// The rerank API.
    pub api: ApiConfig,
    /// The listener for whoever operates the proxy.
    pub admin: AdminConfig,
    /// The reading again of the configuration.
    pub reload: ReloadConfig,
    /// The scorers.
    pub scoring: ScoringConfig,
    /// The score cache.
    pub cache: CacheOptions,
    /// The log.
    pub log: LogConfig,
    /// The traces, where some are sent.
    pub traces: Option<TracesConfig>,
    /// The models by name.
    pub models: IndexMap<String, ModelConfig>,
    /// The signals that rules fuse, by the label that stands for them in [`Rule::model`].
    pub fused: IndexMap<String, Vec<SignalConfig>>,
    /// The rules; the first that matches counts.
    pub rules: Vec<Rule>,
}

/// Settings as far as they could be read, and the mistakes in them. Whoever opens what they name adds its mistakes, so that
/// the operator is told all at once.
#[derive(Debug)]
pub struct Draft {
    /// The settings; a value that is wrong is replaced by its default, or left out.
    pub settings: Settings,
    /// Every key with its value and where that was written.
    pub effective: Effective,
    mistakes: Vec<ConfigError>,
}

impl Draft {
    /// Reads the sources.
    ///
    /// # Errors
    /// There is nothing to read: the file cannot be read or is not TOML, or flags contradict it.
    pub fn read(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut root = sources.tree().map_err(|mistake| ConfigErrors(vec![mistake]))?;
        bundled::lay_under(&mut root);
        sources.lay_over(&mut root);
        Ok(Self::of(&root, &|name| sources.environment.get(name).cloned()))
    }

    fn of(root: &Node, variable: Variable) -> Self {
        let reading = Reading::new(variable);
        let settings = settings(&Section::root(root, &reading));
        let (mistakes, values) = reading.into_parts();
        Self { settings, effective: Effective::of(root, values), mistakes }
    }

    /// The settings, where neither they nor what was opened of them has a mistake.
    ///
    /// # Errors
    /// All mistakes: those in the file first, from its top to its end.
    pub fn finish(mut self, opened: Vec<ConfigError>) -> Result<Settings, ConfigErrors> {
        self.mistakes.extend(opened);
        self.mistakes.sort_by_key(|mistake| match mistake.origin {
            Origin::File { line, .. } => line,
            _ => usize::MAX,
        });
        if self.mistakes.is_empty() { Ok(self.settings) } else { Err(ConfigErrors(self.mistakes)) }
    }
}

impl Settings {
    /// Lines for the operator about who may do what from other machines.
    pub(crate) fn notes(&self) -> Vec<String> {
        [self.api.note(self.server.listen), self.admin.note()].into_iter().flatten().collect()
    }

    /// The tables whose files hold something else in `new`, under whatever path.
    pub(crate) fn renewed(&self, new: &Self) -> Option<&'static str> {
        (self.upstream.tls_content != new.upstream.tls_content).then_some("upstream.tls (its files)")
    }

    /// The files besides the configuration that are read with it, but for those of models: whoever watches for changes watches
    /// them, too.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.upstream.tls.files().chain(self.server.tls.iter().flat_map(ServerTls::files))
    }

    /// True where the operator named neither a model nor a rule, so that all searches have the bundled models.
    pub fn is_bundled(&self) -> bool {
        let is_bundled =
            |model: &ModelConfig| matches!(model, ModelConfig::Local(local) if local.origin == Origin::Bundled);
        self.models.values().any(is_bundled)
    }

    /// The names of the models that this label of a rule stands for.
    pub(crate) fn models_of<'a>(&'a self, label: &'a str) -> Vec<&'a str> {
        let Some(signals) = self.fused.get(label) else { return vec![label] };
        let model = |signal: &'a SignalConfig| match &signal.source {
            SourceConfig::Model { name, .. } => Some(name.as_str()),
            SourceConfig::Cluster | SourceConfig::Field(_) => None,
        };
        signals.iter().filter_map(model).collect()
    }

    /// True if there is a probability for what `model` says under `rule`.
    pub fn is_calibrated(&self, rule: &Rule, model: &str) -> bool {
        match self.fused.get(model) {
            Some(signals) => signals.iter().all(SignalConfig::is_calibrated),
            None => rule.probability.is_some() && rule.model == model,
        }
    }

    /// True if the cluster's own score is among the signals that this label stands for.
    pub fn fuses_the_cluster(&self, label: &str) -> bool {
        let signals = self.fused.get(label).map(Vec::as_slice).unwrap_or_default();
        signals.iter().any(|signal| signal.source == SourceConfig::Cluster)
    }

    /// The fields among the signals that this label stands for, in their order.
    pub fn field_signals(&self, label: &str) -> impl Iterator<Item = &FieldSignal> {
        let signals = self.fused.get(label).map(Vec::as_slice).unwrap_or_default();
        signals.iter().filter_map(|signal| match &signal.source {
            SourceConfig::Field(signal) => Some(signal),
            _ => None,
        })
    }
}

/// Reads every table. The order is that in which mistakes are told.
fn settings(top: &Section) -> Settings {
    let server = ServerConfig::read(&top.table("server"));
    let upstream = UpstreamConfig::read(&top.table("upstream"), server.listen);
    let limits = LimitsConfig::read(&top.table("limits"));
    let clients = ClientsConfig::read(&top.table("clients"));
    let scoring = ScoringConfig::read(&top.table("scoring"));
    let cache = cache::read(&top.table("cache"));
    let log = LogConfig::read(&top.table("log"));
    let traces = TracesConfig::read(&top.table("traces"));
    let models = models::Models::read(top);
    let api = ApiConfig::read(&top.table("api"), &models, server.listen, &limits);
    let admin = AdminConfig::read(&top.table("admin"), [Some(server.listen), api.listen]);
    let reload = ReloadConfig::read(&top.table("reload"));
    let mut fused = FusedScorings::new();
    let rules = rules::read(top, &models, &mut fused);
    top.finish();
    let models = models.into_settings();
    Settings {
        server,
        upstream,
        limits,
        clients,
        api,
        admin,
        reload,
        scoring,
        cache,
        log,
        traces,
        models,
        fused,
        rules,
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
