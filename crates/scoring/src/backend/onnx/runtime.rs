//! The ONNX Runtime library: where it is looked for, how it is loaded, which providers it has, and what to tell an operator
//! who lacks it. The process loads it once; sessions are the business of [`super::loader`].

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::environment::Environment;

use super::execution;
use crate::{
    backend::inference::BackendError,
    execution_provider::{Provider, Providers},
};

/// The release that we test with; `make onnxruntime` installs it.
pub const TESTED_VERSION: &str = "1.32.0";

/// ONNX Runtime allows one environment per process, and `ort` refuses to build a second.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// ONNX Runtime, loaded and ready to open sessions. Clones share it.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
}

/// ONNX Runtime is not there, or cannot be used. The message names every place tried and how to get the library.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot load ONNX Runtime{}\nlooked in: {}\nget it with `make onnxruntime` in a source checkout, or with\n  \
     pip download --no-deps onnxruntime=={TESTED_VERSION} && \
     unzip -j onnxruntime-*.whl 'onnxruntime/capi/libonnxruntime.so*' -d /usr/local/lib\n\
     or say where it is with ORT_DYLIB_PATH or in the configuration",
    .failures.iter().flat_map(|failure| ["\n  ", failure]).collect::<String>(),
    .looked_in.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub struct RuntimeError {
    /// Every file and folder tried, in order.
    pub looked_in: Vec<PathBuf>,
    /// The libraries that were found and could not be loaded, and why.
    pub failures: Vec<String>,
}

impl Runtime {
    /// Loads the library. `configured` (a file, or a folder that holds it) and, failing that, `ORT_DYLIB_PATH` are
    /// final: nothing else is tried. Otherwise: beside the executable, in `../lib/rerank-proxy` (where our packages have it), in `../lib` and
    /// in the package `onnxruntime` of a Python that is installed there, `target/onnxruntime` above the
    /// executable and above the working directory, then the system's library folders. The first call decides for the
    /// whole process; later ones return what it loaded.
    ///
    /// # Errors
    /// No library, or none that loads and is recent enough (API 17, that is 1.17 or later).
    pub fn load(configured: Option<&Path>) -> Result<Runtime, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let places = places(configured);
        let mut failures = Vec::new();
        for library in places.iter().filter_map(|place| library_at(place)) {
            match open(&library) {
                Ok(environment) => {
                    tracing::debug!(library = %library.display(), "ONNX Runtime loaded");
                    let runtime = Runtime { environment, library };
                    *loaded = Some(runtime.clone());
                    return Ok(runtime);
                }
                Err(failure) => failures.push(failure),
            }
        }
        Err(RuntimeError { looked_in: places, failures })
    }

    /// The file that was loaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Why the library cannot run compiled graphs, where its file is named after a release that is too old for them. A file without
    /// a number in its name, or in that of the file that it links to, is given the benefit of the doubt.
    pub fn too_old_for_compiled_graphs(&self) -> Option<String> {
        too_old_for_compiled_graphs(&self.library)
    }

    /// The providers that the library has, of those that we know. Says nothing about the hardware.
    pub fn providers(&self) -> Vec<Provider> {
        let all = Provider::NAMES.iter().map(|(_, provider)| *provider);
        all.filter(|provider| execution::is_compiled_in(*provider)).collect()
    }

    /// The providers of `wanted` that the library has: what is left to be tried.
    ///
    /// # Errors
    /// It has none of them. The message names the library, what it has, and where to get another.
    pub fn offered(&self, wanted: &Providers) -> Result<Providers, BackendError> {
        let has = self.providers();
        let list: Vec<Provider> = wanted.list.iter().copied().filter(|provider| has.contains(provider)).collect();
        if !list.is_empty() {
            return Ok(Providers { list, device: wanted.device });
        }
        let mut sources: Vec<&str> = wanted.list.iter().map(|provider| execution::source(*provider)).collect();
        sources.dedup();
        Err(BackendError::NoProvider(format!(
            "the ONNX Runtime at {} has no {}; it has {}. {}; or add \"cpu\" to the list, to be used where there is \
             nothing else",
            self.library.display(),
            names(&wanted.list, " and no "),
            names(&has, ", "),
            sources.join("; "),
        )))
    }

    /// The warning for an operator whose first choice the library lacks, where another one of the list is used instead.
    pub fn second_choice(&self, wanted: &Providers) -> Option<String> {
        let first = *wanted.list.first()?;
        let used = *self.offered(wanted).ok()?.list.first()?;
        let (library, source) = (self.library.display(), execution::source(first));
        (used != first).then(|| {
            format!("the ONNX Runtime at {library} has no {}: {} is used. {source}", first.name(), used.name())
        })
    }

    /// The environment that sessions are built in.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}

fn too_old_for_compiled_graphs(library: &Path) -> Option<String> {
    let release = library.canonicalize().ok().and_then(|file| version(&file))?;
    let [major, minor] = graphs::ONNXRUNTIME;
    (!release.is_empty() && release.as_slice() < [major, minor].as_slice()).then(|| {
        format!(
            "the ONNX Runtime at {} is older than {major}.{minor}, the first that runs compiled graphs: install a later one, or \
             set graph = \"stock\" for the model",
            library.display()
        )
    })
}

fn names(providers: &[Provider], between: &str) -> String {
    providers.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(between)
}

fn open(library: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    // Telemetry exists in Microsoft's Windows builds only, but a proxy sends nothing that it was not asked to.
    let environment = builder.with_name("rerank-proxy").with_telemetry(false).build();
    let environment = environment.map_err(|error| format!("{}: {error}", library.display()))?;
    environment.set_log_level(ort::logging::LogLevel::Error);
    Ok(environment)
}

fn places(configured: Option<&Path>) -> Vec<PathBuf> {
    let from_environment = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = configured.map(Path::to_path_buf).or(from_environment) {
        return vec![path];
    }
    let executable = env::current_exe().unwrap_or_default();
    let working_directory = env::current_dir().unwrap_or_default();
    let beside = executable.parent().unwrap_or(Path::new("."));
    let mut places = vec![beside.to_path_buf(), beside.join("../lib/rerank-proxy"), beside.join("../lib")];
    places.extend(of_python(&beside.join("../lib")));
    let above = beside.ancestors().chain(working_directory.ancestors());
    places.extend(above.map(|folder| folder.join("target/onnxruntime")).filter(|folder| folder.is_dir()));
    // Named even where it does not exist: it is where `make onnxruntime` puts the library.
    places.push(working_directory.join("target/onnxruntime"));
    for variable in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        places.extend(env::var_os(variable).iter().flat_map(env::split_paths).filter(|path| path.is_absolute()));
    }
    places.extend(
        ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/opt/onnxruntime/lib", "/opt/homebrew/lib"].map(PathBuf::from),
    );
    places.push(PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH)));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// Where Python's package `onnxruntime` has the library, beside whose programs ours was installed: pip puts them into `bin`, and packages
/// into a folder of `lib` that is called after the version of Python.
fn of_python(lib: &Path) -> Vec<PathBuf> {
    let versions = lib.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let versions =
        versions.filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python")));
    let capi = |version: PathBuf| {
        ["site-packages", "dist-packages"].map(|packages| version.join(packages).join("onnxruntime/capi"))
    };
    let mut found: Vec<PathBuf> = versions.flat_map(capi).filter(|folder| folder.is_dir()).collect();
    found.sort();
    found
}

/// The library at `place`: the file itself, or the newest one of a folder.
fn library_at(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return Some(place.to_path_buf());
    }
    let files = place.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| file.is_file()).filter_map(|file| Some((version(&file)?, file))).max().map(|(_, file)| file)
}

/// The version numbers in the file name of an ONNX Runtime library (empty for a plain `libonnxruntime.so`); `None` for
/// other files.
fn version(file: &Path) -> Option<Vec<u32>> {
    let name = file.file_name()?.to_str()?;
    let rest = name.strip_prefix("libonnxruntime").or_else(|| name.strip_prefix("onnxruntime"))?;
    let numbers = match rest {
        ".so" | ".dylib" | ".dll" => "",
        _ => rest.strip_prefix(".so.").or_else(|| rest.strip_prefix('.')?.strip_suffix(".dylib"))?,
    };
    numbers.split('.').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_a_python_package_beside_the_program_is_found() {
        let prefix = tempfile::tempdir().unwrap();
        let capi = prefix.path().join("lib/python3.12/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::create_dir_all(prefix.path().join("lib/pkgconfig")).unwrap();
        std::fs::write(capi.join("libonnxruntime.so.1.32.0"), "").unwrap();
        let [found] = &of_python(&prefix.path().join("lib"))[..] else { panic!("one place") };
        assert_eq!(library_at(found), Some(capi.join("libonnxruntime.so.1.32.0")));
        assert!(of_python(&prefix.path().join("nowhere")).is_empty());
    }

    #[test]
    fn library_names_are_told_from_others() {
        let version_of = |name: &str| version(Path::new(name));
        assert_eq!(version_of("libonnxruntime.so"), Some(vec![]));
        assert_eq!(version_of("libonnxruntime.so.1.32.0"), Some(vec![1, 32, 0]));
        assert_eq!(version_of("libonnxruntime.1.32.0.dylib"), Some(vec![1, 32, 0]));
        assert_eq!(version_of("libonnxruntime_providers_shared.so"), None);
        assert_eq!(version_of("libonnxruntime.so.txt"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_release_before_the_first_that_runs_compiled_graphs_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("libonnxruntime.so");
        for (release, is_too_old) in
            [("1.20.1", true), ("1.23.2", true), ("1.24.0", false), ("1.32.0", false), ("2.0.0", false)]
        {
            let file = folder.path().join(format!("libonnxruntime.so.{release}"));
            std::fs::write(&file, "").unwrap();
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&file, &link).unwrap();
            assert_eq!(too_old_for_compiled_graphs(&link).is_some(), is_too_old, "{release}");
        }
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&link, "").unwrap();
        assert_eq!(too_old_for_compiled_graphs(&link), None);
    }

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "README"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(library_at(folder.path()), Some(folder.path().join("libonnxruntime.so.1.32.0")));
    }

    #[test]
    fn a_missing_library_is_an_error_that_says_how_to_get_it() {
        let error = RuntimeError { looked_in: vec![PathBuf::from("/nowhere")], failures: vec![] }.to_string();
        for part in ["/nowhere", "make onnxruntime", "onnxruntime==1.32.0", "ORT_DYLIB_PATH"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_reported_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libonnxruntime.so");
        std::fs::write(&file, "not a library").unwrap();
        let failure = open(&file).unwrap_err();
        assert!(failure.contains("libonnxruntime.so"), "{failure}");
    }
}
