//! `models build`: a compiled graph of a model's weights, verified before it is trusted. Owns the choice of weights and of
//! precision; writing the graph down is the business of the crate `graphs`, running it that of [`crate::backend`].

mod measures;
mod probes;
mod room;
mod trial;
mod verification;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use graphs::{Precision, Recipe, checkpoint::Checkpoint, onnx::file};

use crate::{
    backend::Runtime,
    models::{
        ModelError,
        compiled::{self, FOLDER, Report, place, saturates},
        folder::{SAFETENSORS, onnx_files},
        hash::sha256,
        reading::Reading,
        variant,
    },
};
use room::{Room, UNVERIFIED, Unverified};
pub use verification::LONGEST_PROBE;
use verification::{Findings, Subject};

/// The graph that is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Without it the one that suits the processor.
    pub precision: Option<Precision>,
    /// The file of weights; without it the best of the folder.
    pub weights: Option<PathBuf>,
    /// The most tokens that the graph is to take; without it as many as the model.
    pub max_length: Option<usize>,
    /// The revision of the repository that the weights are from.
    pub revision: Option<String>,
}

/// A graph that was built and verified.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its precision.
    pub precision: Precision,
    /// The file, where it passed.
    pub onnx: PathBuf,
    /// The length of the file, and of the one beside it, in bytes.
    pub size: u64,
    /// What the verification found.
    pub report: Report,
}

impl Built {
    /// Probe pairs a second of one thread: the graph's own, and those of each stock file that it was compared with.
    pub fn speeds(&self) -> (f64, Vec<(&str, f64)>) {
        let own = compiled_name(&self.onnx);
        let others = self.report.pairs_per_second.iter().filter(|(name, _)| **name != own);
        let own = self.report.pairs_per_second.get(&own).copied().unwrap_or(0.0);
        (own, others.map(|(name, speed)| (name.as_str(), *speed)).collect())
    }
}

/// Builds and verifies a graph of the model at `path`. Where it depends on the processor which precision is best, those in
/// question are all built, and the fastest that passes is kept: it comes first. The others, and what did not pass, are
/// removed. `progress` is told what is being done, and the share that is done of it.
///
/// # Errors
/// There is no graph for such a model ([`graphs::BuildError`]), no weights, or a file that cannot be read, written or run.
pub fn build(
    path: &Path,
    wish: &Wish,
    runtime: &Runtime,
    progress: &mut dyn FnMut(&str, f64),
) -> anyhow::Result<Vec<Built>> {
    let precisions = match wish.precision {
        Some(precision) => vec![precision],
        // What was quantised to 7 bits is taken as it is.
        None if saturates() => vec![Precision::Int7, Precision::Fp32],
        None => vec![Precision::Int8],
    };
    if let Some(weights) = &wish.weights {
        refuse_namesakes(path, weights)?;
    }
    let unverified = Unverified::create(path)?;
    let built = precisions.iter().map(|precision| one(path, *precision, wish, runtime, &unverified, progress));
    let mut built = built.collect::<anyhow::Result<Vec<Built>>>()?;
    built
        .sort_by(|a, b| (b.report.passed, b.speeds().0).partial_cmp(&(a.report.passed, a.speeds().0)).expect("no NaN"));
    if let Some(best) = built.first_mut().filter(|best| best.report.passed) {
        best.onnx = unverified.trust(&best.onnx, &best.report)?;
        for other in precisions.iter().filter(|other| **other != best.precision) {
            compiled::remove(&place(path, *other)).context("cannot remove the slower graph")?;
        }
    }
    Ok(built)
}

/// Verifies a compiled graph that is there once more, and writes its report anew; where that cannot be written, the verdict
/// comes with the reason.
///
/// # Errors
/// A file cannot be read or run.
pub fn verify_again(
    path: &Path,
    onnx: &Path,
    runtime: &Runtime,
    progress: &mut dyn FnMut(&str, f64),
) -> anyhow::Result<(Report, io::Result<()>)> {
    let provenance = graphs::Provenance::read(&file::outline(onnx)?);
    let provenance = provenance.with_context(|| format!("{} is no compiled graph", onnx.display()))?;
    let weights = weights_named(path, &provenance);
    let subject = Subject {
        path,
        onnx,
        precision: provenance.precision,
        max_length: provenance.max_length,
        weights: weights.as_deref(),
    };
    let mut room = None;
    let mut folder = || Ok(room.insert(Room::of(path)?).folder().to_owned());
    let report = verified(&subject, &provenance, runtime, &mut folder, progress)?;
    let earlier = Report::read(onnx).ok();
    if !report.compared && earlier.is_some_and(|earlier| earlier.compared) {
        bail!(
            "{}: there is nothing left to compare it with, neither its weights nor a stock file; its report stands as it is",
            onnx.display()
        );
    }
    let kept = report.write(onnx);
    Ok((report, kept))
}

fn one(
    path: &Path,
    precision: Precision,
    wish: &Wish,
    runtime: &Runtime,
    unverified: &Unverified,
    progress: &mut dyn FnMut(&str, f64),
) -> anyhow::Result<Built> {
    let weights = match &wish.weights {
        Some(file) => file.clone(),
        None => weights_of(path)?,
    };
    let longest = Reading::of(path)?.max_length;
    let max_length = wish.max_length.unwrap_or(longest).min(longest);
    let onnx = unverified.folder().join(format!("{}.onnx", precision.name()));
    let recipe = recipe(path, precision, max_length, wish.revision.clone())?;
    let what = format!("building {}", precision.name());
    let provenance =
        graphs::build(&path.join("config.json"), &weights, &recipe, &onnx, &mut |share| progress(&what, share))?;
    // It may be fewer: the positions of the model end somewhere.
    let max_length = provenance.max_length;
    let subject = Subject { path, onnx: &onnx, precision, max_length, weights: Some(&weights) };
    let mut folder = || Ok(unverified.folder().to_owned());
    let report = verified(&subject, &provenance, runtime, &mut folder, progress)?;
    let size = size(&onnx)? + size(&file::beside(&onnx)).unwrap_or(0);
    Ok(Built { precision, onnx, size, report })
}

fn recipe(path: &Path, precision: Precision, max_length: usize, revision: Option<String>) -> anyhow::Result<Recipe> {
    let output = Reading::of(path)?.output();
    Ok(Recipe { precision, output, max_length, revision, narrow: false })
}

/// The report on a graph. `folder` is where the graph is written that it may have to be compared with.
fn verified(
    subject: &Subject,
    provenance: &graphs::Provenance,
    runtime: &Runtime,
    folder: &mut dyn FnMut() -> anyhow::Result<PathBuf>,
    progress: &mut dyn FnMut(&str, f64),
) -> anyhow::Result<Report> {
    let mut float_graph = || {
        let weights = subject.weights.context("the weights are gone")?;
        let onnx = folder()?.join("reference.onnx");
        let recipe = Recipe { narrow: true, ..recipe(subject.path, Precision::Fp32, subject.max_length, None)? };
        graphs::build(&subject.path.join("config.json"), weights, &recipe, &onnx, &mut |_| ())?;
        Ok(onnx)
    };
    let hashes = || anyhow::Ok((sha256(subject.onnx)?, compiled::data_sha256(subject.onnx)?));
    let tried = hashes()?;
    let Findings { checks, compared, pairs, speeds } =
        verification::verify(subject, runtime, &mut float_graph, progress)?;
    // What is trusted from now on is what was run.
    ensure!(tried == hashes()?, "{} was changed while it was verified: try again", subject.onnx.display());
    let (sha256, data_sha256) = tried;
    Ok(Report {
        passed: checks.iter().all(compiled::Check::passed),
        precision: subject.precision.name().to_owned(),
        graph_version: provenance.graph_version,
        sha256,
        data_sha256,
        compared,
        sources: provenance.sources.iter().cloned().collect::<BTreeMap<_, _>>(),
        max_length: subject.max_length,
        onnxruntime: runtime.library().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        saturates: saturates(),
        pairs,
        checks,
        pairs_per_second: speeds.into_iter().map(|(file, speed)| (shown(&file), rounded(speed))).collect(),
    })
}

/// A file as reports name it: compiled graphs with their folder, so that they are told from others.
fn shown(file: &Path) -> String {
    let is_ours = file
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|folder| folder == FOLDER || folder.to_string_lossy().starts_with(UNVERIFIED));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if is_ours { compiled_name(file) } else { name.into_owned() }
}

fn compiled_name(file: &Path) -> String {
    format!("{FOLDER}/{}", file.file_name().unwrap_or_default().to_string_lossy())
}

fn rounded(speed: f64) -> f64 {
    (speed * 100.0).round() / 100.0
}

fn size(file: &Path) -> std::io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// The weights of a folder that a graph is best built from: safetensors, else an ONNX file of floats, whose int8 weights have a scale for
/// each column and so err less than most stock ones; else what would be run, whose int8 weights are taken as they are.
fn weights_of(path: &Path) -> Result<PathBuf, ModelError> {
    let float =
        ["model", "model_fp32", "model_fp16"].into_iter().flat_map(|name| variant::candidates(Some(name), false));
    let onnx = float.chain(variant::candidates(None, false));
    let named = SAFETENSORS.map(str::to_owned).into_iter().chain(onnx).map(|name| path.join(name));
    let found = named.chain(onnx_files(path)).find(|file| file.is_file());
    found.ok_or_else(|| ModelError::Missing {
        file: path.join(SAFETENSORS[0]),
        remedy: String::from(
            "a graph is built from model.safetensors, or from an ONNX file of the model: download one of them, or name a file \
             with --weights",
        ),
    })
}

/// Refuses weights from elsewhere that the folder has other files of the names of: a graph is run only beside what it was built from,
/// which is known by its name.
fn refuse_namesakes(path: &Path, weights: &Path) -> anyhow::Result<()> {
    for file in Checkpoint::open(weights)?.files() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !compiled::is_there(path, &name, &sha256(file)?) {
            bail!(
                "{}: {} has another file of the name {name}, beside which a graph of these weights would not be run: give one of the \
                 two another name, or put these weights into the folder",
                file.display(),
                path.display()
            );
        }
    }
    Ok(())
}

/// The weights that a graph says it was built from, where the folder still has them.
fn weights_named(path: &Path, provenance: &graphs::Provenance) -> Option<PathBuf> {
    // An index is not among the sources; its shards are.
    let (first, hash) = provenance.sources.iter().find(|(name, _)| name != "config.json")?;
    let places = [path.join(first), path.join("onnx").join(first)];
    let found = places.into_iter().find(|file| sha256(file).is_ok_and(|found| found == *hash))?;
    let index = path.join(SAFETENSORS[1]);
    let is_shard = provenance.sources.len() > 2 && found.extension().is_some_and(|ending| ending == "safetensors");
    Some(if is_shard && index.is_file() { index } else { found })
}

#[cfg(test)]
mod tests;
