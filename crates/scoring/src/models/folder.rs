//! One model folder in Hugging Face layout: which ONNX file is run, and what there is to know of it. How the model reads text is
//! the business of `reading`; the large files are hashed by `content`. Loads no weights.

use std::path::{Path, PathBuf};

use graphs::Precision;

use super::{
    ModelError,
    compiled::{self, GraphChoice, Report},
    content::{Content, Source},
    pointer::Pointer,
    reading::{Kind, Reading, missing},
};
use crate::execution_provider::Providers;

/// The graph that is wanted of a folder, and what it is to be run on.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The ONNX file (`"model_fp16"`, or `"onnx/model_fp16.onnx"`), of a compiled graph the precision (`"int8"`). Without it the
    /// best for the first of `providers` ([`super::variant`]) or a lone `*.onnx` is taken.
    pub variant: Option<String>,
    /// Without it the compiled graph is taken where there is one, the model is run on the CPU and no `variant` is named.
    pub graph: Option<GraphChoice>,
    /// The providers.
    pub providers: Providers,
}

/// The effect that what shares a run with an input has on its output, at equal lengths and on a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// None: the graph works out the inputs of a run one by one.
    Ignored,
    /// Hardly any: floats may be added up in another order.
    Rounds,
    /// Another output: activations are quantised while the graph runs, with one scale for a whole tensor.
    Sways,
}

/// A model folder that has been looked through and found fit to load.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    path: PathBuf,
    onnx: PathBuf,
    /// The precision of a graph of ours.
    precision: Option<Precision>,
    report: Option<Box<Report>>,
    notes: Vec<String>,
    kind: Kind,
    max_length: usize,
    pad_id: i64,
    revision: String,
    content: Content,
    providers: Providers,
}

impl ModelFolder {
    /// Reads the folder at `path`, to be run on the CPU; otherwise as [`ModelFolder::open_as`].
    ///
    /// # Errors
    /// See there.
    pub fn open(path: &Path, variant: Option<&str>) -> Result<ModelFolder, ModelError> {
        ModelFolder::open_for(path, variant, Providers::default())
    }

    /// Reads the folder at `path`, to be run on `providers`; otherwise as [`ModelFolder::open_as`].
    ///
    /// # Errors
    /// See there.
    pub fn open_for(path: &Path, variant: Option<&str>, providers: Providers) -> Result<ModelFolder, ModelError> {
        ModelFolder::open_as(path, Choice { variant: variant.map(str::to_owned), graph: None, providers })
    }

    /// Reads the folder at `path` as `choice` says.
    ///
    /// # Errors
    /// A missing or unreadable file, external data outside of the folder, a classifier with more than one label, a pooling
    /// that we do not know, or a compiled graph that is asked for and may not be run.
    pub fn open_as(path: &Path, choice: Choice) -> Result<ModelFolder, ModelError> {
        let tokenizer = path.join("tokenizer.json");
        if !tokenizer.is_file() {
            return Err(missing(&tokenizer));
        }
        let on_accelerator = choice.providers.prefer_accelerator();
        let variant = choice.variant.as_deref();
        let (found, notes) = match choice.graph {
            Some(GraphChoice::Compiled) => {
                let (found, notes) = compiled::find(path, variant.map(|variant| precision(path, variant)).transpose()?);
                (Some(found.ok_or_else(|| not_compiled(path, variant, &notes))?), notes)
            }
            None if variant.is_none() && !on_accelerator => {
                let (found, mut notes) = compiled::find(path, None);
                match (found, pick_onnx(path, None, false)) {
                    (Some(found), Ok(stock)) if found.report.is_slower_than(&stock) => {
                        let (graph, stock) = (found.onnx.display(), stock.display());
                        notes.push(format!("{graph}: not used: {stock} was measured to be faster"));
                        (None, notes)
                    }
                    (found, _) => (found, notes),
                }
            }
            None | Some(GraphChoice::Stock) => (None, Vec::new()),
        };
        let onnx = match &found {
            Some(compiled) => compiled.onnx.clone(),
            None => pick_onnx(path, variant, on_accelerator)?,
        };
        let precision = found.as_ref().map(|found| found.precision);
        let at_most = found.as_ref().map(|found| found.report.max_length);
        let mut folder = ModelFolder::read(path, onnx, precision, at_most, choice.providers)?;
        (folder.report, folder.notes) = (found.map(|found| Box::new(found.report)), notes);
        Ok(folder)
    }

    /// Reads the folder at `path`, of which `onnx` is to be run on the CPU, with inputs of up to `at_most` tokens; `compiled` is
    /// its precision where it is a graph of ours.
    pub(crate) fn with_graph(
        path: &Path,
        onnx: PathBuf,
        compiled: Option<Precision>,
        at_most: usize,
    ) -> Result<ModelFolder, ModelError> {
        ModelFolder::read(path, onnx, compiled, Some(at_most), Providers::default())
    }

    fn read(
        path: &Path,
        onnx: PathBuf,
        precision: Option<Precision>,
        at_most: Option<usize>,
        providers: Providers,
    ) -> Result<ModelFolder, ModelError> {
        let mut others = ["tokenizer.json", "config.json"].map(|name| path.join(name)).to_vec();
        // A folder without a configuration has what the graph says, which is in its reading.
        others.retain(|file| file.is_file());
        [&onnx].into_iter().chain(&others).try_for_each(|file| no_pointer(file))?;
        let Reading { kind, max_length, pad_id } = Reading::of_run(path, &onnx)?;
        let max_length = max_length.min(at_most.unwrap_or(usize::MAX));

        let reading = format!("{kind:?} {max_length}");
        let content = Content::read(Source { onnx: onnx.clone(), others, reading })?;
        content.external().iter().try_for_each(|file| no_pointer(file))?;
        Ok(ModelFolder {
            path: path.to_path_buf(),
            onnx,
            precision,
            report: None,
            notes: Vec::new(),
            kind,
            max_length,
            pad_id,
            revision: content.revision(),
            content,
            providers,
        })
    }

    /// Whether `other` is the same model from the same files, run in the same way.
    pub fn would_run_alike(&self, other: &Self) -> bool {
        let of = |folder: &Self| (folder.revision.clone(), folder.max_length, folder.precision);
        self.path == other.path && self.onnx == other.onnx && self.providers == other.providers && of(self) == of(other)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's name, as shown to people.
    pub fn name(&self) -> String {
        let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned()
    }

    /// The ONNX file that is run.
    pub fn onnx(&self) -> &Path {
        &self.onnx
    }

    /// The report on the compiled graph, where one is run.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// The notes for the operator: compiled graphs that are there and are not run, and what to do about them.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// True where the products of its int8 weights do not overflow on any processor: they have 7 bits.
    pub(crate) fn never_saturates(&self) -> bool {
        self.precision.is_some_and(|precision| precision != Precision::Int8)
    }

    /// The tokenizer's file.
    pub fn tokenizer(&self) -> PathBuf {
        self.path.join("tokenizer.json")
    }

    /// Cross-encoder or bi-encoder.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The longest input in tokens, special tokens included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The token that inputs are filled up with where several of unequal length are run together.
    pub fn pad_id(&self) -> i64 {
        self.pad_id
    }

    /// The providers that the model is to be run on.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// The files in which the ONNX file keeps values beside its own, each once.
    pub fn external(&self) -> &[PathBuf] {
        self.content.external()
    }

    /// Makes sure that the files still hold what the revision stands for. Reads them only where the system says that they
    /// have changed.
    ///
    /// # Errors
    /// They hold something else, or are gone.
    pub fn check_unchanged(&self) -> Result<(), ModelError> {
        self.content.check()
    }

    /// xxh3-128 in hex over the ONNX file, its external files, the tokenizer and the configuration: equal revisions give
    /// equal scores.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The effect that what shares a run with an input has on its output.
    pub fn company(&self) -> Company {
        match self.precision {
            _ if !self.content.quantises_activations() => Company::Rounds,
            // Of a graph of ours, which was verified: the files hold what was built.
            Some(precision) if precision.goes_one_by_one() => Company::Ignored,
            _ => Company::Sways,
        }
    }
}

/// The mistake of a clone without the large files.
fn no_pointer(file: &Path) -> Result<(), ModelError> {
    let Some(pointer) = Pointer::read(file) else { return Ok(()) };
    let problem = format!(
        "is {pointer}, not the file itself: fetch the large files with `git lfs pull`, or the model with `rerank-proxy models pull`"
    );
    Err(ModelError::Unsupported { file: file.to_path_buf(), problem })
}

fn pick_onnx(folder: &Path, variant: Option<&str>, accelerated: bool) -> Result<PathBuf, ModelError> {
    if let Some(variant) = variant {
        let candidates = super::variant::candidates(Some(variant), accelerated);
        let file = folder.join(&candidates[0]);
        return candidates.iter().map(|name| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| {
            ModelError::Missing { file, remedy: format!("the folder has {}", describe(&onnx_files(folder))) }
        });
    }
    let candidates = super::variant::candidates(None, accelerated);
    if let Some(file) = candidates.iter().map(|name| folder.join(name)).find(|file| file.is_file()) {
        return Ok(file);
    }
    let mut files = onnx_files(folder);
    match files.len() {
        1 => Ok(files.remove(0)),
        0 => {
            let remedy = match has_safetensors(folder) {
                true => format!("make one of the model's weights with: {}", build_command(folder)),
                false => String::from(
                    "the model has no ONNX file; take a repository that publishes one, or export it with: \
                     optimum-cli export onnx --model ORG/NAME FOLDER",
                ),
            };
            Err(ModelError::Missing { file: folder.join("onnx/model.onnx"), remedy })
        }
        _ => Err(ModelError::Unsupported {
            file: folder.to_path_buf(),
            problem: format!("choose one of {} as the model's `variant`", describe(&files)),
        }),
    }
}

/// The safetensors files by their usual names, best first.
pub(crate) const SAFETENSORS: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];

fn has_safetensors(folder: &Path) -> bool {
    SAFETENSORS.iter().any(|name| folder.join(name).is_file())
}

fn build_command(folder: &Path) -> String {
    format!("rerank-proxy models build {}", folder.display())
}

/// The precision that the `variant` of a compiled graph names.
fn precision(folder: &Path, variant: &str) -> Result<Precision, ModelError> {
    Precision::named(variant).ok_or_else(|| ModelError::Unsupported {
        file: folder.join(compiled::FOLDER),
        problem: format!("there is no variant `{variant}` of a compiled graph; there is: int8, int7, fp32"),
    })
}

/// The mistake that a compiled graph is asked for where there is none.
fn not_compiled(folder: &Path, variant: Option<&str>, notes: &[String]) -> ModelError {
    let file = folder.join(compiled::FOLDER);
    match notes.first() {
        Some(note) => ModelError::Unsupported { file, problem: format!("has no graph that may be run: {note}") },
        None => {
            let precision = variant.map(|variant| format!(" --precision {variant}")).unwrap_or_default();
            let remedy = format!("no graph was compiled; build it with: {}{precision}", build_command(folder));
            ModelError::Missing { file, remedy }
        }
    }
}

/// The ONNX files of a folder: those in `onnx/` and in the folder itself.
pub(crate) fn onnx_files(folder: &Path) -> Vec<PathBuf> {
    let entries = [folder.join("onnx"), folder.to_path_buf()].into_iter().filter_map(|place| place.read_dir().ok());
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .filter(|file| file.extension().is_some_and(|extension| extension == "onnx"))
        .collect();
    files.sort();
    files
}

fn describe(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy()).collect();
    if names.is_empty() { String::from("no ONNX file") } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
