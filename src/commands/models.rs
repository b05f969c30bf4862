//! `models`: lists, pulls, verifies and removes models. The work is that of [`scoring::models`].

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use bytesize::ByteSize;
use clap::{Args, Subcommand};
use scoring::models::{
    hub::Hub,
    lock::{self, Lock},
    pull::{Wanted, pull},
    short_names::KNOWN,
};

use crate::config::reading::tree::{Node, Value};

/// List, pull, verify and remove models
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// The subcommand.
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

/// The subcommands of `models`.
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

/// Does what the words say, and tells on stdout.
pub fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    let models_dir = match (&args.models_dir, &args.config) {
        (Some(folder), _) => Some(folder.clone()),
        (None, Some(config)) => configured_folder(config)?,
        (None, None) => None,
    };
    let models_dir = models_dir.unwrap_or_else(|| PathBuf::from("models"));
    let lock_file = lock::path(args.lock.as_deref(), args.config.as_deref(), &models_dir);
    match &args.command {
        ModelsCommand::List => {
            for known in KNOWN {
                println!("{:<30} {:<14} {}", known.name, known.kind, known.repository);
            }
            let models = Lock::read(&lock_file)?.models;
            for folder in models_dir.read_dir().into_iter().flatten().filter_map(Result::ok) {
                let is_locked = folder.file_name().to_str().is_some_and(|name| models.contains_key(name));
                if !is_locked && folder.path().join("config.json").is_file() {
                    println!("{}: a folder of your own, not locked", folder.path().display());
                }
            }
            for (name, locked) in models {
                let size = locked.files.values().map(|file| file.size).sum();
                let place = models_dir.join(&name);
                let there = if place.is_dir() { "stored in" } else { "locked, but not stored in" };
                println!("{name}: {there} {}, {} at {}", place.display(), ByteSize(size), locked.revision);
            }
            Ok(())
        }
        ModelsCommand::Pull { model, variant, offline } => {
            let mut hub = Hub::from_environment();
            hub.offline |= offline;
            let wanted = Wanted::parse(model)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let locked = runtime.block_on(pull(&hub, &wanted, variant.as_deref(), &models_dir, &lock_file))?;
            println!("{} is in {} at {}", wanted.name, models_dir.join(&wanted.name).display(), locked.revision);
            Ok(())
        }
        ModelsCommand::Verify { name } => {
            let models = Lock::read(&lock_file)?.models;
            let chosen = models.iter().filter(|(known, _)| name.as_ref().is_none_or(|name| name == *known));
            let mut count = 0;
            for (name, locked) in chosen {
                locked.check(&models_dir.join(name))?;
                println!("{name}: {} files are as locked", locked.files.len());
                count += 1;
            }
            let what = name.as_deref().unwrap_or("any model");
            ensure!(count > 0, "{} does not lock {what}: pull it first", lock_file.display());
            Ok(())
        }
        ModelsCommand::Rm { name } => {
            let mut lock = Lock::read(&lock_file)?;
            let locked = lock.models.remove(name);
            ensure!(
                locked.is_some(),
                "{} does not lock {name}; a folder of your own is yours to delete",
                lock_file.display()
            );
            let folder = models_dir.join(name);
            if folder.is_dir() {
                std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
            lock.write(&lock_file).with_context(|| format!("cannot write {}", lock_file.display()))?;
            println!("removed {}", folder.display());
            Ok(())
        }
    }
}

/// `scoring.models_dir` of a configuration that need not be right yet: its models may be what is still missing.
fn configured_folder(config: &Path) -> anyhow::Result<Option<PathBuf>> {
    let text = std::fs::read_to_string(config).with_context(|| format!("cannot read {}", config.display()))?;
    let root = Node::from_toml(config, &text).map_err(|error| anyhow!("{error}"))?;
    Ok(match root.get("scoring").and_then(|scoring| scoring.get("models_dir")) {
        Some(Node { value: Value::Text(path), .. }) => Some(path.into()),
        _ => None,
    })
}
