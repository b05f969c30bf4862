//! The lock file: which revision of a model was first pulled, and the sha256 of each of its files. Later pulls, `models
//! verify` and every load are compared with it. Fetches nothing.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{ModelError, compiled, hash::sha256};

/// The file's name, beside the configuration or else in the folder of models.
pub const FILE_NAME: &str = "rerank-proxy.lock";

/// Names the lock file, where it is to be elsewhere.
pub const ENV: &str = "RERANK_PROXY_LOCK";

/// The locked models, by the names of their folders.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The models.
    pub models: BTreeMap<String, Locked>,
}

/// One model.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// `organisation/repository` on the Hub, or another source: `https://…`, `oci://…`, `file:NAME`.
    pub repository: String,
    /// The commit, or the digest of an archive or an image.
    pub revision: String,
    /// Its files by path within the folder.
    pub files: BTreeMap<String, LockedFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// In bytes.
    pub size: u64,
    /// In lower-case hex.
    pub sha256: String,
}

impl Lock {
    /// Reads the file; one that does not exist locks nothing.
    ///
    /// # Errors
    /// It cannot be read, or is no lock file.
    pub fn read(file: &Path) -> Result<Self, ModelError> {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ModelError::Unreadable { file: file.to_path_buf(), source }),
        };
        serde_json::from_slice(&text).map_err(|error| ModelError::Unsupported {
            file: file.to_path_buf(),
            problem: format!("not a lock file ({error}); restore it, or delete it to trust what is pulled next"),
        })
    }

    /// Writes the file whole, or leaves it as it was.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let beside = file.with_extension("lock.part");
        std::fs::write(&beside, serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::rename(beside, file)
    }
}

impl Locked {
    /// Locks the compiled graphs that are in `folder` now, and lets go of those that are not.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn lock_graphs(&mut self, folder: &Path) -> io::Result<()> {
        self.files.retain(|name, _| !name.starts_with(&format!("{}/", compiled::FOLDER)));
        for onnx in compiled::all(folder) {
            for file in [onnx.clone(), graphs::onnx::file::beside(&onnx)].into_iter().filter(|file| file.is_file()) {
                let locked = LockedFile { size: file.metadata()?.len(), sha256: sha256(&file)? };
                self.files.insert(slashed(file.strip_prefix(folder).unwrap_or(&file)), locked);
            }
        }
        Ok(())
    }

    /// Holds all files of `folder` against the lock.
    ///
    /// # Errors
    /// The first file that differs or is gone.
    pub fn check(&self, folder: &Path) -> Result<(), ModelError> {
        self.check_but(folder, |_| false)
    }

    /// Holds the files of a model that is about to be run against the lock: all of them, but of the ONNX files only the one
    /// that is run and its external data.
    ///
    /// # Errors
    /// The first file that differs or is gone, or is run and not locked.
    pub fn check_run(&self, folder: &super::ModelFolder) -> Result<(), ModelError> {
        let name = |file: &Path| slashed(file.strip_prefix(folder.path()).unwrap_or(file));
        let onnx = name(folder.onnx());
        let external: Vec<String> = folder.external().iter().map(|file| name(file)).collect();
        if let Some(report) = folder.report() {
            // It is from no repository; what it was made of is, and who built it has locked it.
            self.check_sources(folder, &report.sources)?;
            let is_locked =
                |name: &String, hash: &str| self.files.get(name).is_some_and(|locked| locked.sha256 == hash);
            if !is_locked(&onnx, &report.sha256) {
                let problem = format!(
                    "is not in the lock file as it is: build it, which locks it, with: rerank-proxy models build {}",
                    folder.path().display()
                );
                return Err(ModelError::Unsupported { file: folder.onnx().to_path_buf(), problem });
            }
            return self.check_but(folder.path(), |name| name.contains(".onnx") || is_weights(name));
        }
        if let Some(unlocked) = external.iter().chain([&onnx]).find(|run| !self.files.contains_key(*run)) {
            let problem = "is not in the lock file: pull it with `rerank-proxy models pull`, or `models rm` the model";
            return Err(ModelError::Unsupported { file: folder.path().join(unlocked), problem: problem.to_owned() });
        }
        let is_unused = |name: &String| name.contains(".onnx") && !name.starts_with(&onnx) && !external.contains(name);
        self.check_but(folder.path(), is_unused)
    }

    /// Holds the files that a compiled graph says it was made of against the lock.
    fn check_sources(&self, folder: &super::ModelFolder, sources: &BTreeMap<String, String>) -> Result<(), ModelError> {
        let is_locked = |source: &str, hash: &str| {
            let of_that_name = |path: &String| path.rsplit('/').next() == Some(source);
            self.files.iter().any(|(path, locked)| of_that_name(path) && locked.sha256 == hash)
        };
        let Some((source, _)) = sources.iter().find(|(source, hash)| !is_locked(source, hash)) else { return Ok(()) };
        let problem = format!(
            "was made of a {source} that is not in the lock file: build it of what was pulled, with: rerank-proxy models build {}",
            folder.path().display()
        );
        Err(ModelError::Unsupported { file: folder.onnx().to_path_buf(), problem })
    }

    fn check_but(&self, folder: &Path, is_left_out: impl Fn(&String) -> bool) -> Result<(), ModelError> {
        let differs = |name: &str, problem: String| ModelError::Unsupported { file: folder.join(name), problem };
        for (name, locked) in &self.files {
            let file = folder.join(name);
            if is_left_out(name) {
                continue;
            }
            let unreadable = |source| ModelError::Unreadable { file: file.clone(), source };
            let size = file.metadata().map_err(unreadable)?.len();
            let what = if size == locked.size {
                match sha256(&file).map_err(unreadable)? {
                    hash if hash == locked.sha256 => continue,
                    hash => format!("sha256 {hash}, not {}", locked.sha256),
                }
            } else {
                format!("{size} bytes, not {}", locked.size)
            };
            let again = "pull it again, or `models rm` the model if the change is meant";
            return Err(differs(name, format!("differs from the lock file ({what}): {again}")));
        }
        Ok(())
    }
}

/// The lock file that goes with a configuration and a folder of models.
pub fn path(given: Option<&Path>, config: Option<&Path>, models_dir: &Path) -> PathBuf {
    match (given, config) {
        (Some(file), _) => file.to_path_buf(),
        (None, Some(config)) => config.with_file_name(FILE_NAME),
        (None, None) => models_dir.join(FILE_NAME),
    }
}

/// Holds a model that is about to be loaded against the lock beside the configuration, or else in its models folder.
///
/// # Errors
/// See [`Locked::check_run`].
pub fn check_load(given: Option<&Path>, config: Option<&Path>, folder: &super::ModelFolder) -> Result<(), ModelError> {
    let models_dir = folder.path().parent().unwrap_or(Path::new(""));
    let places = [path(given, config, models_dir), path(None, None, models_dir)];
    for place in places {
        if let Some(locked) = Lock::read(&place)?.models.get(&folder.name()) {
            return locked.check_run(folder);
        }
    }
    Ok(())
}

/// True for weights that no run reads once a graph was compiled of them.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
}

/// A path as the lock file has it.
fn slashed(path: &Path) -> String {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
