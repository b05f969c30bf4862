//! The flags of the configuration: those that say where it comes from, and those that are settings themselves. Owns how
//! several subcommands load it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    config::{FlagSetting, Sources},
    open_models::Config,
};

/// The flags of the configuration. They win over `RERANK_PROXY_…` variables, and these over the file.
#[derive(Debug, Args, Default)]
pub struct ConfigArgs {
    /// The configuration file (see config.example.toml)
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The cluster's URL
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Rerank every index with this model: a name or a folder in Hugging Face layout [default: the two bundled ones, fused]
    #[arg(long, value_name = "NAME|FOLDER")]
    pub model: Option<String>,
    /// Address and port to listen on; port 0 takes any free one [default: 127.0.0.1:9700]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Fields that make up a passage, with --model [default: those that the query searches]
    #[arg(long, value_name = "FIELD,…", requires = "model")]
    pub fields: Option<String>,
    /// Hits to rerank, with --model [default: 100]
    #[arg(long, value_name = "HITS", requires = "model")]
    pub window: Option<String>,
    /// Time that reranking may add to a search, with --model [default: 300ms]
    #[arg(long, value_name = "DURATION", requires = "model")]
    pub budget: Option<String>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The name that a model given by flag goes by.
pub(super) const FLAG_MODEL: &str = "default";

impl ConfigArgs {
    /// The configuration that the flags, the environment and the file make together.
    ///
    /// # Errors
    /// All mistakes in it, and how many there are.
    pub fn load(&self) -> anyhow::Result<Config> {
        Config::load_from(&self.sources()).map_err(|errors| {
            let count = errors.0.len();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            anyhow::anyhow!("{count} {noun} in the configuration:\n{errors}")
        })
    }

    /// The flags, the environment and the file.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            environment: std::env::vars().collect(),
            flags: self.settings(),
            overlays: Vec::new(),
        }
    }

    /// The flags as settings.
    fn settings(&self) -> Vec<FlagSetting> {
        let mut settings: Vec<FlagSetting> = Vec::new();
        let mut set = |path: &[&'static str], text: Option<&str>, flag: &'static str| {
            settings.extend(text.map(|text| (path.to_vec(), text.to_owned(), flag)));
        };
        set(&["upstream", "url"], self.upstream.as_deref(), "--upstream");
        set(&["server", "listen"], self.listen.as_deref(), "--listen");
        set(&["log", "level"], self.log_level.as_deref(), "--log-level");
        if let Some(model) = self.model.as_deref() {
            set(&["models", FLAG_MODEL, model_key(model)], Some(model), "--model");
            set(&["rules", "0", "index"], Some("*"), "--model");
            set(&["rules", "0", "model"], Some(FLAG_MODEL), "--model");
        }
        set(&["rules", "0", "fields"], self.fields.as_deref(), "--fields");
        set(&["rules", "0", "window"], self.window.as_deref(), "--window");
        set(&["rules", "0", "budget"], self.budget.as_deref(), "--budget");
        settings
    }
}

/// The key that says where the model is which a flag names: a folder that exists is meant as such.
pub(super) fn model_key(model: &str) -> &'static str {
    if Path::new(model).is_dir() { "path" } else { "name" }
}
