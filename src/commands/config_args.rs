//! The flags that say where the configuration comes from, and those that are settings themselves: several subcommands take
//! them.

use std::path::PathBuf;

use clap::Args;

use crate::config::FlagSetting;

/// Where the configuration comes from. Flags win over `RERANK_PROXY_…` variables, and these over the file.
#[derive(Debug, Args, Default)]
pub struct ConfigArgs {
    /// The configuration file (see config.example.toml)
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The cluster's URL
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Rerank every index with this model: a name or a folder in Hugging Face layout
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
const FLAG_MODEL: &str = "default";

impl ConfigArgs {
    /// The flags as settings.
    pub fn settings(&self) -> Vec<FlagSetting> {
        let mut settings: Vec<FlagSetting> = Vec::new();
        let mut set = |path: &[&'static str], text: &Option<String>, flag: &'static str| {
            if let Some(text) = text {
                settings.push((path.to_vec(), text.clone(), flag));
            }
        };
        set(&["upstream", "url"], &self.upstream, "--upstream");
        set(&["server", "listen"], &self.listen, "--listen");
        set(&["log", "level"], &self.log_level, "--log-level");
        let by_path = self.model.as_ref().is_some_and(|model| std::path::Path::new(model).is_dir());
        set(&["models", FLAG_MODEL, if by_path { "path" } else { "name" }], &self.model, "--model");
        let every_index = self.model.as_ref().map(|_| "*".to_owned());
        let model_name = self.model.as_ref().map(|_| FLAG_MODEL.to_owned());
        set(&["rules", "0", "index"], &every_index, "--model");
        set(&["rules", "0", "model"], &model_name, "--model");
        set(&["rules", "0", "fields"], &self.fields, "--fields");
        set(&["rules", "0", "window"], &self.window, "--window");
        set(&["rules", "0", "budget"], &self.budget, "--budget");
        settings
    }
}
