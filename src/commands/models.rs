//! `models`: lists, pulls, builds, verifies and removes models. The work is that of [`scoring::models`]; compiled graphs have a
//! file of their own.

pub mod build;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use bytesize::ByteSize;
use clap::{Args, Subcommand};
use scoring::{
    Runtime,
    models::{
        compiled,
        hold::Hold,
        hub::Hub,
        locate,
        lock::{self, Lock},
        pull::pull,
        search_folders,
        short_names::KNOWN,
        wanted::Wanted,
    },
};

use crate::config::reading::tree::{Node, Value};
use build::BuildArgs;

/// List, pull, build, verify and remove models
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
    /// Get a model from the Hugging Face Hub, an archive, a registry of containers or a folder
    Pull {
        /// A short name or ORG/REPOSITORY, with @REVISION for another than the newest; ./FOLDER or ./ARCHIVE.tar.gz;
        /// https://HOST/ARCHIVE.tar.gz; oci://HOST/NAME:TAG
        #[arg(value_name = "MODEL|PATH|URL")]
        model: String,
        /// What the folder of the model is called here [default: as it is called there]
        #[arg(long)]
        name: Option<String>,
        /// What an archive from a server has to hash to; needed the first time
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// The ONNX file, such as model_fp16 [default: quantised, as suits this machine]
        #[arg(long)]
        variant: Option<String>,
        /// Fetch nothing: only say whether it is there
        #[arg(long)]
        offline: bool,
        /// Compile no graph afterwards, as is done for models with a short name
        #[arg(long)]
        no_build: bool,
    },
    /// Compile a model's weights into a graph that gives the same scores in less time on a CPU, and verify it
    Build(BuildArgs),
    /// Hold what is stored against the lock file, and verify compiled graphs once more
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
        (None, Some(config)) => configured(config, "models_dir")?,
        (None, None) => None,
    };
    let library = args.config.as_deref().map(|config| configured(config, "onnxruntime")).transpose()?.flatten();
    let search = search_folders(models_dir.as_deref());
    let models_dir = models_dir.unwrap_or_else(|| PathBuf::from("models"));
    let lock_file = lock::path(args.lock.as_deref(), args.config.as_deref(), &models_dir);
    match &args.command {
        ModelsCommand::List => {
            list_known();
            let models = Lock::read(&lock_file)?.models;
            for folder in models_dir.read_dir().into_iter().flatten().filter_map(Result::ok) {
                let is_locked = folder.file_name().to_str().is_some_and(|name| models.contains_key(name));
                if !is_locked && folder.path().join("tokenizer.json").is_file() {
                    println!("{}: a folder of your own, not locked", folder.path().display());
                }
            }
            for (name, locked) in models {
                let size = locked.files.values().map(|file| file.size).sum();
                let place = models_dir.join(&name);
                let there = if place.is_dir() { "stored in" } else { "locked, but not stored in" };
                let (place, size, revision) = (place.display(), ByteSize(size), &locked.revision);
                println!("{name}: {there} {place}, {size} of {} at {revision}", locked.repository);
            }
            Ok(())
        }
        ModelsCommand::Pull { model, name, sha256, variant, offline, no_build } => {
            let mut hub = Hub::from_environment();
            hub.web.offline |= offline;
            let wanted = Wanted::parse(model, name.as_deref(), sha256.as_deref())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let pulled = runtime.block_on(pull(&hub, &wanted, variant.as_deref(), &models_dir, &lock_file));
            let is_path_as_well = !wanted.source.is_here() && Path::new(model).exists();
            let locked = pulled.with_context(|| match is_path_as_well {
                true => format!("{model} was taken for a repository; the folder here is ./{model}"),
                false => format!("{} was not pulled", wanted.name),
            })?;
            let folder = models_dir.join(&wanted.name);
            println!("{} is in {} at {}", wanted.name, folder.display(), locked.revision);
            let is_known = KNOWN.iter().any(|known| known.name == wanted.name);
            let has_weights_only =
                !locked.files.keys().any(|file| Path::new(file).extension().is_some_and(|ending| ending == "onnx"));
            if !no_build && !offline && variant.is_none() && (is_known || has_weights_only) {
                build::after_pull(&folder, &locked.revision, library.as_deref());
                let _hold = Hold::of(&models_dir)?;
                lock_graphs(&lock_file, &wanted.name, &folder)?;
            }
            Ok(())
        }
        ModelsCommand::Build(args) => {
            let folder = locate(&args.model, &search)?;
            let (name, locks) = locks_of(&folder, &lock_file, &models_dir)?;
            // Before minutes of work: a lock file that cannot be read would take none of it.
            let locked = locks.iter().map(|lock| Lock::read(lock)).collect::<Result<Vec<_>, _>>()?;
            let revision = locked.iter().find_map(|lock| Some(lock.models.get(&name)?.revision.clone()));
            // Weights from elsewhere are of no known revision.
            let revision = revision.filter(|_| args.weights.is_none());
            build::run(args, &folder, revision, &Runtime::load(library.as_deref())?)?;
            for lock_file in locks {
                let _hold = Hold::of(lock_file.parent().unwrap_or(Path::new("")))?;
                lock_graphs(&lock_file, &name, &folder)?;
            }
            Ok(())
        }
        ModelsCommand::Verify { name } => {
            let models = Lock::read(&lock_file)?.models;
            let is_chosen = |known: &str| name.as_ref().is_none_or(|name| name == known);
            let mut count = 0;
            for (name, locked) in models.iter().filter(|(name, _)| is_chosen(name)) {
                locked.check(&models_dir.join(name))?;
                println!("{name}: {} files are as locked", locked.files.len());
                count += 1;
            }
            for folder in models_dir.read_dir().into_iter().flatten().filter_map(Result::ok) {
                let has_graphs = !compiled::all(&folder.path()).is_empty();
                if has_graphs && folder.file_name().to_str().is_some_and(is_chosen) {
                    build::verify(&folder.path(), library.as_deref())?;
                    count += 1;
                }
            }
            let what = name.as_deref().unwrap_or("any model");
            ensure!(
                count > 0,
                "{} does not lock {what}, and no graph of it was built: pull it first (bundled models, which a package has beside the program, are not looked at here)",
                lock_file.display()
            );
            Ok(())
        }
        ModelsCommand::Rm { name } => {
            let _hold = models_dir.is_dir().then(|| Hold::of(&models_dir)).transpose()?;
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

/// The table of short names. What is said of a model is what its card says, and the last column is what was measured here.
fn list_known() {
    let row = |cells: [&str; 7]| {
        let [name, kind, millions, licence, languages, measured, repository] = cells;
        println!("{name:<29} {kind:<14} {millions:>10} {licence:<11} {languages:<13} {measured:<19} {repository}");
    };
    row(["name", "kind", "parameters", "licence", "languages", "measured", "repository"]);
    for known in KNOWN {
        let millions = format!("{} M", known.millions);
        let (kind, measured) = (known.kind.words(), known.measured.words());
        row([known.name, kind, &millions, known.licence, known.languages, measured, known.repository]);
    }
}

/// The name that the model in `folder` has in a lock file, and the lock files that speak of it: the one beside it, and `lock_file`
/// where it is one of `models_dir`. Of another folder of the same name none does.
fn locks_of(folder: &Path, lock_file: &Path, models_dir: &Path) -> anyhow::Result<(String, Vec<PathBuf>)> {
    let whole = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    // `.` has no name of its own, and a link has one that what it leads to has not.
    let named = if folder.file_name().is_some() { folder } else { &whole };
    let name = named.file_name().unwrap_or_default();
    let is_of_models_dir = models_dir.join(name).canonicalize().is_ok_and(|there| there == whole);
    let mut locks = vec![named.with_file_name(lock::FILE_NAME)];
    if is_of_models_dir && lock_file != locks[0] {
        locks.push(lock_file.to_path_buf());
    }
    locks.retain(|lock| lock.is_file());
    Ok((name.to_string_lossy().into_owned(), locks))
}

/// Locks the compiled graphs of a model, where the model itself is locked: of a locked model no other is run.
fn lock_graphs(lock_file: &Path, name: &str, folder: &Path) -> anyhow::Result<()> {
    let mut lock = Lock::read(lock_file)?;
    let Some(locked) = lock.models.get_mut(name) else { return Ok(()) };
    locked.lock_graphs(folder).with_context(|| format!("cannot read the graphs of {}", folder.display()))?;
    lock.write(lock_file).with_context(|| format!("cannot write {}", lock_file.display()))
}

/// A path under `scoring` of a configuration that need not be right yet: its models may be what is still missing.
fn configured(config: &Path, key: &str) -> anyhow::Result<Option<PathBuf>> {
    let text = std::fs::read_to_string(config).with_context(|| format!("cannot read {}", config.display()))?;
    let root = Node::from_toml(config, &text).map_err(|error| anyhow!("{error}"))?;
    Ok(match root.get("scoring").and_then(|scoring| scoring.get(key)) {
        Some(Node { value: Value::Text(path), .. }) => Some(path.into()),
        _ => None,
    })
}
