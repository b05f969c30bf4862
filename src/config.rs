//! The configuration, ready to use. Owns its types and the way there: what was typed ([`source`]) is read by type
//! (`read`) and resolved (`resolve`), and all mistakes are reported at once, before the port is bound.

mod api;
mod cache;
mod models;
mod read;
mod resolve;
mod rule_model;
pub mod source;

use std::{collections::HashMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use http::uri::{Authority, Scheme};
use indexmap::IndexMap;
use scoring::{
    LongPassages, Runtime,
    cache::CacheOptions,
    models::{ModelFolder, lock},
    remote::RemoteModel,
};
use source::{Node, Origin, Value};

use crate::{
    rules::Rule,
    wishes::{Detail, Wish},
};

pub(crate) use resolve::{MAX_BUDGET, MAX_WINDOWS};

/// Everything that the operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// The listener.
    pub server: ServerConfig,
    /// The cluster.
    pub upstream: UpstreamConfig,
    /// How much of a search is held in memory.
    pub limits: LimitsConfig,
    /// What clients may ask for.
    pub clients: ClientsConfig,
    /// The rerank API.
    pub api: ApiConfig,
    /// The scorers.
    pub scoring: ScoringConfig,
    /// The score cache.
    pub cache: CacheOptions,
    /// The log.
    pub log: LogConfig,
    /// The models by name.
    pub models: IndexMap<String, ModelConfig>,
    /// The cascades that rules ask for, by the label that stands for one in [`Rule::model`].
    pub cascades: IndexMap<String, CascadeConfig>,
    /// Where the `provider` of a model was written, if it was.
    pub provider_origins: IndexMap<String, Origin>,
    /// The rules; the first that matches counts.
    pub rules: Vec<Rule>,
}

/// The listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address and port; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How long open requests may go on after SIGTERM.
    pub drain: Duration,
    /// How long a request's head may take to come.
    pub header_timeout: Duration,
    /// How many client connections are served at a time; 0 for as many as there are file descriptors for.
    pub max_connections: usize,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// Whose API it speaks.
    pub engine: Engine,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// Whether the client's `Host` reaches the cluster, or the cluster's own name.
    pub preserve_host: bool,
    /// Whether answers that are to be reranked may come compressed.
    pub compressed: bool,
}

/// Whose API the cluster speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Told by each request's path: Solr's begin with `/solr/` or `/api/`, all others are Elasticsearch's and OpenSearch's.
    Auto,
    /// Elasticsearch.
    Elasticsearch,
    /// OpenSearch.
    OpenSearch,
    /// Apache Solr.
    Solr,
}

/// How much is held in memory, in bytes, and for how long.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Of a search's body.
    pub request_body: usize,
    /// Of an answer that is to be reranked.
    pub answer: usize,
    /// Of all requests and answers together.
    pub memory: usize,
    /// How long a body that is to be held may take to come; of the cluster's, how long it may pause.
    pub body_timeout: Duration,
    /// How long a client may take to read an answer that is held.
    pub send_timeout: Duration,
}

/// What clients may ask of the proxy itself.
#[derive(Debug, Clone)]
pub struct ClientsConfig {
    /// Which `X-Rerank…` headers count.
    pub headers: Vec<Wish>,
    /// How much `X-Rerank-Explain` tells.
    pub explain: Detail,
}

/// The rerank API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Address and port of a listener of its own; port 0 takes any free one.
    pub listen: Option<SocketAddr>,
    /// Who may use it.
    pub keys: Keys,
    /// The model of calls that name none.
    pub model: Option<String>,
    /// What else clients may call the models.
    pub aliases: IndexMap<String, String>,
    /// How long a call may take.
    pub budget: Duration,
    /// How many documents a call may have.
    pub max_documents: usize,
    /// How large its body may be, in bytes.
    pub request_body: usize,
    /// How many calls may be under way at once.
    pub concurrency: usize,
    /// What becomes of documents that are longer than the model reads, where a call does not say it.
    pub long_passages: LongPassages,
}

/// Who may use the rerank API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Who has one of the keys of which these are the digests.
    Held(Vec<Vec<u8>>),
    /// Anyone: the operator says so.
    NotNeeded,
    /// The operator says nothing: whoever reaches it, where only this machine does.
    Unsaid,
}

impl ApiConfig {
    /// Whether nobody may use it on a listener at this address: other machines reach that, and there is no key. Else anyone
    /// could spend what a model on a server costs.
    pub fn is_closed_at(&self, address: SocketAddr) -> bool {
        self.keys == Keys::Unsaid && is_reached_from_elsewhere(address)
    }

    /// The name that we have for what a client calls a model; where it names none, that of the usual one, if there is one.
    pub fn model_named<'a>(&'a self, asked: Option<&'a str>) -> Option<&'a str> {
        match asked {
            Some(asked) => Some(self.aliases.get(asked).map_or(asked, String::as_str)),
            None => self.model.as_deref(),
        }
    }
}

/// The scorers.
#[derive(Debug, Clone)]
pub struct ScoringConfig {
    /// The ONNX Runtime library, where it is not found by itself.
    pub onnxruntime: Option<PathBuf>,
    /// Where models are looked for by name.
    pub models_dir: Option<PathBuf>,
    /// Workers for each model; 0 for what suits the machine.
    pub workers: usize,
    /// Threads of each worker; 0 for what suits the machine.
    pub threads: usize,
    /// How many tokens of pairs may wait for each model.
    pub queue_tokens: usize,
}

/// Where a model is.
#[derive(Debug, Clone)]
pub enum ModelConfig {
    /// In a folder on this machine, checked to be there and to be a reranker.
    Local(ModelFolder),
    /// On a rerank server, which is not asked until a search comes.
    Remote(RemoteModel),
}

/// Two models in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CascadeConfig {
    /// The name of the model that scores the whole window.
    pub first: String,
    /// The name of the one that re-scores the best of it.
    pub then: String,
    /// How many go on.
    pub keep: usize,
}

/// The log, on stderr.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `error` to `trace`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One mistake: where it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was written.
    pub origin: Origin,
    /// The key, with its section.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.origin, self.message),
            key => write!(f, "{}: {key}: {}", self.origin, self.message),
        }
    }
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// A setting by flag: the path of its key, its text and the flag's name.
pub type FlagSetting = (Vec<&'static str>, String, &'static str);

impl Config {
    /// Reads the configuration from a file (if any), the environment and the flags, later ones winning.
    pub fn load(
        file: Option<&std::path::Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[FlagSetting],
    ) -> Result<Self, ConfigErrors> {
        let mut root = match file {
            Some(path) => read_file(path).map_err(|error| ConfigErrors(vec![error]))?,
            None => Node::empty(),
        };
        let has_rules = matches!(&root.value, Value::Table(top) if top.contains_key("rules"));
        if let Some((_, _, flag)) = flags.iter().find(|(path, _, _)| has_rules && path.first() == Some(&"rules")) {
            let message = "makes a rule for every index, but the file has rules already: leave out one or the other";
            let (origin, key) = (Origin::Flag(flag), "rules".to_owned());
            return Err(ConfigErrors(vec![ConfigError { origin, key, message: message.to_owned() }]));
        }
        let environment: HashMap<String, String> = environment.into_iter().collect();
        root.set_from_env(environment.clone());
        for (path, text, flag) in flags {
            root.set(path, text, &Origin::Flag(flag));
        }
        let config = resolve::resolve(&root, &|name| environment.get(name).cloned()).map_err(ConfigErrors)?;
        // All bytes of a model are read anyway; that they are the locked ones is made sure before the port is bound.
        let lock = environment.get(lock::ENV).map(PathBuf::from);
        let changed = config.models.iter().filter_map(|(name, model)| {
            let ModelConfig::Local(folder) = model else { return None };
            let error = lock::check_load(lock.as_deref(), file, folder).err()?;
            Some(ConfigError { origin: Origin::Nowhere, key: format!("models.{name}"), message: error.to_string() })
        });
        let changed: Vec<ConfigError> = changed.collect();
        if changed.is_empty() { Ok(config) } else { Err(ConfigErrors(changed)) }
    }

    /// A line for the operator where the rerank API can be reached from other machines without a key, or could be.
    pub fn note_on_api(&self) -> Option<String> {
        let listeners = std::iter::once(self.server.listen).chain(self.api.listen);
        let reached: Vec<String> = listeners
            .filter(|address| is_reached_from_elsewhere(*address))
            .map(|address| address.to_string())
            .collect();
        if reached.is_empty() || !self.api.enabled {
            return None;
        }
        let reached = reached.join(" and ");
        match self.api.keys {
            Keys::Held(_) => None,
            Keys::NotNeeded => Some(format!(
                "anyone who reaches {reached} may use the rerank API, without a key (api.keys = \"none\")"
            )),
            Keys::Unsaid => Some(format!(
                "the rerank API is closed on {reached}, which other machines reach: name the variable that holds its keys \
                 in api.keys_env, or set api.keys = \"none\" to let anyone use it"
            )),
        }
    }

    /// Holds what each model is to be run on against what the library can compute on. That there is a device, and that
    /// it can be opened, shows when the model is loaded.
    ///
    /// # Errors
    /// Every model for which the library has nothing that its `provider` names.
    pub fn check_providers(&self, runtime: &Runtime) -> Result<(), ConfigErrors> {
        let lacking = self.models.iter().filter_map(|(name, model)| {
            let ModelConfig::Local(folder) = model else { return None };
            let message = runtime.offered(folder.providers()).err()?.to_string();
            let origin = self.provider_origins.get(name).cloned().unwrap_or(Origin::Nowhere);
            Some(ConfigError { origin, key: format!("models.{name}.provider"), message })
        });
        let lacking: Vec<ConfigError> = lacking.collect();
        if lacking.is_empty() { Ok(()) } else { Err(ConfigErrors(lacking)) }
    }
}

/// Whether other machines may reach a listener at this address.
fn is_reached_from_elsewhere(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn read_file(path: &std::path::Path) -> Result<Node, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        origin: Origin::File { path: path.display().to_string(), line: 1 },
        key: String::new(),
        message: format!("cannot be read: {error}"),
    })?;
    Node::from_toml(path, &text)
}

#[cfg(test)]
mod tests;
