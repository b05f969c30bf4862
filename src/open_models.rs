//! The models that the settings name, opened: the second step of loading a configuration. Owns that the operator is told
//! what is wrong with models together with what is wrong with the settings, before anything is bound or run.
//!
//! ```text
//! sources ─ Draft (settings, their mistakes) ─ open models (their mistakes) ─ Config, or every mistake
//! ```

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use scoring::{
    Runtime,
    models::{Choice, Kind, ModelError, ModelFolder, locate, lock, search_folders},
    remote::RemoteModel,
};

use crate::config::{
    ConfigError, ConfigErrors, Draft, Effective, FlagSetting, LocalModel, ModelConfig, ModelPlace, Origin, Settings,
    Sources,
    rules::{DiversityConfig, Rule},
};

/// A configuration that is ready to run: the settings, and the models that they name.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything that the operator decides.
    pub settings: Settings,
    /// Every key with its value and where that was written.
    pub effective: Effective,
    /// The models by name.
    pub models: OpenModels,
}

/// The opened models by name, in the order of the settings.
pub type OpenModels = IndexMap<String, OpenModel>;

/// A model that can be loaded.
#[derive(Debug, Clone)]
pub enum OpenModel {
    /// In a folder on this machine, found to be a reranker and to be as it was locked.
    Local(ModelFolder),
    /// On a rerank server, which is not asked until a search comes.
    Remote(RemoteModel),
}

impl OpenModel {
    /// The folder of a model on this machine.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Local(folder) => Some(folder.path().to_path_buf()),
            Self::Remote(_) => None,
        }
    }
}

impl Config {
    /// Loads the configuration of a file (if any), the environment and flags, later ones winning.
    ///
    /// # Errors
    /// Those of [`Config::load_from`].
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[FlagSetting],
    ) -> Result<Self, ConfigErrors> {
        Self::load_from(&Sources {
            file: file.map(Path::to_path_buf),
            environment: environment.into_iter().collect(),
            flags: flags.to_vec(),
            overlays: Vec::new(),
        })
    }

    /// Reads the sources and opens the models.
    ///
    /// # Errors
    /// All mistakes of the settings, and of the models that they name.
    pub fn load_from(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut draft = Draft::read(sources)?;
        let effective = std::mem::take(&mut draft.effective);
        let (models, mut mistakes) = open(&draft.settings, LockFile::of(sources));
        mistakes.extend(lacking_vectors(&draft.settings, &models));
        Ok(Self { settings: draft.finish(mistakes)?, effective, models })
    }

    /// Checks that the library can run each model: that it has one of the model's execution providers, and is recent enough for
    /// compiled graphs. A device that is missing or cannot be opened shows when the model is loaded.
    ///
    /// # Errors
    /// Every model that it cannot run.
    pub fn check_library(&self, runtime: &Runtime) -> Result<(), ConfigErrors> {
        let too_old = runtime.too_old_for_compiled_graphs();
        let folders = self.models.iter().filter_map(|(name, model)| match model {
            OpenModel::Local(folder) => Some((name, folder)),
            OpenModel::Remote(_) => None,
        });
        let lacking = folders.filter_map(|(name, folder)| {
            let (key, message) = match (runtime.offered(folder.providers()), &too_old) {
                (Err(error), _) => ("provider", error.to_string()),
                (Ok(_), Some(too_old)) if folder.report().is_some() => ("graph", too_old.clone()),
                (Ok(_), _) => return None,
            };
            let origin = match self.settings.models.get(name) {
                Some(ModelConfig::Local(local)) if key == "provider" => local.provider_origin.clone(),
                Some(ModelConfig::Local(local)) => local.origin.clone(),
                _ => Origin::Nowhere,
            };
            Some(ConfigError { origin, key: format!("models.{name}.{key}"), message })
        });
        let lacking: Vec<ConfigError> = lacking.collect();
        if lacking.is_empty() { Ok(()) } else { Err(ConfigErrors(lacking)) }
    }
}

/// The places of the lock file.
#[derive(Debug, Clone, Copy)]
struct LockFile<'a> {
    /// The file itself, where the environment names it.
    given: Option<&'a Path>,
    /// The configuration file, which it may lie beside.
    config: Option<&'a Path>,
}

impl<'a> LockFile<'a> {
    fn of(sources: &'a Sources) -> Self {
        Self { given: sources.environment.get(lock::ENV).map(Path::new), config: sources.file.as_deref() }
    }
}

/// Opens every model, and tells those that cannot be opened.
fn open(settings: &Settings, lock: LockFile<'_>) -> (OpenModels, Vec<ConfigError>) {
    let (mut models, mut mistakes) = (OpenModels::new(), Vec::new());
    for (name, model) in &settings.models {
        let opened = match model {
            ModelConfig::Remote(remote) => Ok(OpenModel::Remote(remote.clone())),
            ModelConfig::Local(local) => {
                open_folder(name, local, settings.scoring.models_dir.as_deref(), lock).map(OpenModel::Local)
            }
        };
        match opened {
            Ok(model) => _ = models.insert(name.clone(), model),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    (models, mistakes)
}

/// The rules that compare hits by their vectors, and have no model that makes any. A model that could not be opened is a
/// mistake of its own.
fn lacking_vectors(settings: &Settings, models: &OpenModels) -> Vec<ConfigError> {
    let may_make_vectors = |name: &str| match models.get(name) {
        Some(OpenModel::Local(folder)) => matches!(folder.kind(), Kind::BiEncoder { .. }),
        Some(OpenModel::Remote(_)) => false,
        None => true,
    };
    let lacks = |rule: &&Rule| !settings.models_of(&rule.model).into_iter().any(may_make_vectors);
    let by_vectors = settings.rules.iter().filter(lacks).filter_map(|rule| rule.diversity.as_deref());
    by_vectors.filter(|config| config.diversity.needs_vectors()).map(DiversityConfig::lacks_vectors).collect()
}

fn open_folder(
    name: &str,
    local: &LocalModel,
    models_dir: Option<&Path>,
    lock: LockFile<'_>,
) -> Result<ModelFolder, ConfigError> {
    let found = match &local.place {
        ModelPlace::Name(name) => locate(name, &search_folders(models_dir)),
        ModelPlace::Path(path) => Ok(path.clone()),
    };
    let choice = Choice { variant: local.variant.clone(), graph: local.graph, providers: local.providers.clone() };
    let opened = found.and_then(|path| ModelFolder::open_as(&path, choice));
    let mistake = |origin: Origin, key: String, error: ModelError| {
        let message = match origin {
            Origin::Bundled => {
                format!("{error}; or name a model of your own: with --model, or in a file with --config")
            }
            _ => error.to_string(),
        };
        ConfigError { origin, key, message }
    };
    let folder =
        opened.map_err(|error| mistake(local.origin.clone(), format!("models.{name}.{}", local.place.key()), error))?;
    // All bytes of a model are read anyway, so that they may as well be held against the lock file.
    lock::check_load(lock.given, lock.config, &folder)
        .map_err(|error| mistake(Origin::Nowhere, format!("models.{name}"), error))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use scoring::Provider;

    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

    /// Loads a file whose model `m` has the path `model`; its text, with further keys of the model and further lines.
    fn load(model: &str, keys: &str, rest: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = format!(
            "[upstream]\nurl = \"http://localhost:9200\"\n[models.m]\npath = \"{model}\"\n{keys}\n[[rules]]\nindex = \"*\"\n\
             {rest}\n"
        );
        std::fs::write(file.path(), text).expect("written");
        let loaded = Config::load(Some(file.path()), [], &[]);
        loaded.map_err(|errors| errors.to_string().replace(&file.path().display().to_string(), "rerank.toml"))
    }

    #[test]
    fn a_model_that_is_not_there_is_a_mistake() {
        let errors = load("no/such/folder", "", "").expect_err("wrong");
        assert!(errors.contains("rerank.toml:4: models.m.path: ") && errors.contains("no/such/folder"), "{errors}");
    }

    #[test]
    fn mistakes_of_models_are_told_together_with_all_others() {
        let errors = load("no/such/folder", "batch = 3", "windo = 7").expect_err("wrong");
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines.len(), 3, "{errors}");
        assert!(lines[0].starts_with("rerank.toml:4: models.m.path: "), "{errors}");
        assert_eq!(lines[1], "rerank.toml:5: models.m.batch: belongs to a model with a `url`");
        assert_eq!(lines[2], "rerank.toml:8: rules[0].windo: unknown key; did you mean `window`?");
    }

    #[test]
    fn likeness_without_a_model_that_makes_vectors_is_a_mistake() {
        for (table, key) in [
            ("{ lambda = 0.7 }", "lambda"),
            ("{ duplicates = 0.95 }", "duplicates"),
            ("{ duplicates = 0.95, field = \"brand\", at_most = 2 }", "duplicates"),
        ] {
            let errors = load(MODEL, "", &format!("diversity = {table}")).expect_err(table);
            let place =
                format!("rerank.toml:8: rules[0].diversity.{key}: needs vectors, and no model of the rule makes any");
            assert!(errors.starts_with(&place) && errors.lines().count() == 1, "{errors}");
        }
        for table in ["{ field = \"brand\", at_most = 2 }", "{ lambda = 1 }"] {
            load(MODEL, "", &format!("diversity = {table}")).expect(table);
        }
        // What is not there may make vectors once it is.
        let errors = load("no/such/folder", "", "diversity = { lambda = 0.7 }").expect_err("wrong");
        assert!(!errors.contains("vectors"), "{errors}");
        let minilm = MODEL.replace("tiny-deberta-v2", "all-MiniLM-L6-v2");
        load(&minilm, "", "diversity = { lambda = 0.7 }").expect("a bi-encoder");
        // One among several signals is enough, though it counts for nothing.
        let both = format!(
            "signals = [{{ model = \"m\" }}, {{ model = \"b\", weight = 0 }}]\ndiversity = {{ lambda = 0.7 }}\n\
             [models.b]\npath = \"{minilm}\"\n"
        );
        load(MODEL, "", &both).expect("a bi-encoder among the signals");
    }

    #[test]
    fn a_library_without_the_provider_is_named_with_the_line_of_the_key() {
        let runtime = Runtime::load(None).expect("make onnxruntime");
        let config = load(MODEL, "provider = \"coreml\"", "").expect("right");
        if runtime.providers().contains(&Provider::CoreMl) {
            return;
        }
        let error = config.check_library(&runtime).expect_err("not on this system").0.remove(0);
        assert!(matches!(error.origin, Origin::File { line: 5, .. }), "{error}");
        let library = runtime.library().display().to_string();
        let said = error.to_string();
        assert!(said.contains("models.m.provider: the ONNX Runtime at ") && said.contains(&library), "{said}");
        assert!(said.contains("it has cpu"), "{said}");
        let config = load(MODEL, "provider = [\"coreml\", \"cpu\"]", "").expect("right");
        assert!(config.check_library(&runtime).is_ok());
    }
}
