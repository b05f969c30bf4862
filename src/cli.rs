//! The command line. Owns its words; what they do is in [`crate::commands`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{bench::BenchArgs, demo::DemoArgs, rerank::RerankArgs},
    config::FlagSetting,
};

/// A transparent reranking sidecar for Elasticsearch, OpenSearch and Solr.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand in front of a cluster and rerank its searches
    ///
    /// At SIGTERM or SIGINT it takes no more connections, closes those without an open request, lets the others finish
    /// (server.drain), and ends with status 0. A second one ends it at once, with status 1. SIGHUP changes nothing.
    Serve(ConfigArgs),
    /// Show what reranking does, on a bundled corpus, with nothing to install
    Demo(DemoArgs),
    /// Read the configuration as `serve` would, and say what is wrong with it
    Check(ConfigArgs),
    /// Measure a model on this machine: what window, budget, cache and replicas it allows
    ///
    /// Run it on the machine that will carry the proxy, while that has nothing else to do. It measures what scoring
    /// costs, recommends a window and a budget, and says how many searches a second one replica carries. With
    /// --simulate it also plays a query log, or searches drawn by Zipf's law, against what was measured, and says how
    /// many replicas and how much cache they take. docs/capacity.md explains each figure.
    Bench(BenchArgs),
    /// Rank documents from files or stdin for a query, best first
    ///
    /// Prints score, line number and text, with tabs between. Each line is a document, empty ones are skipped; with
    /// --jsonl or --fields each is JSON. The scores are those that a search or the rerank API gets.
    Rerank(RerankArgs),
    /// List, pull, verify and remove models
    Models(ModelsArgs),
    /// Ask a running proxy whether it is there (for container health checks)
    Health(HealthArgs),
}

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

/// Which models, and where they are kept.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ModelsCommand,
    /// The folder of models [default: models]
    #[arg(long, value_name = "FOLDER", env = "RERANK_PROXY_SCORING__MODELS_DIR", global = true)]
    pub models_dir: Option<PathBuf>,
    /// The configuration file that the lock file lies beside [default: it lies in the folder of models]
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// The lock file itself
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_LOCK", global = true)]
    pub lock: Option<PathBuf>,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Show the short names, and what is stored
    List,
    /// Get a model from the Hugging Face Hub
    Pull {
        /// A short name or ORG/REPOSITORY, with @REVISION for another than the newest
        model: String,
        /// The ONNX file, such as model_fp16 [default: quantised, as suits this machine]
        #[arg(long)]
        variant: Option<String>,
        /// Fetch nothing: only say whether it is there
        #[arg(long)]
        offline: bool,
    },
    /// Hold what is stored against the lock file
    Verify {
        /// The model [default: all]
        name: Option<String>,
    },
    /// Remove a model and what is locked of it
    Rm {
        /// The model
        name: String,
    },
}

/// Which proxy to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its URL
    #[arg(long, default_value = "http://127.0.0.1:9700")]
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
