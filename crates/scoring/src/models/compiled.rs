//! Compiled graphs in a model's folder: where they lie, the report that each has beside it, and whether one may be run. Building
//! and verifying them is the business of [`crate::compiling`].

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use graphs::{Precision, Provenance, onnx::file, provenance::GRAPH_VERSION};
use serde::{Deserialize, Serialize};

use super::{hash::sha256, reading::Reading};

/// The folder of compiled graphs in that of a model.
pub const FOLDER: &str = "compiled";

/// The graph that is run of a folder that has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphChoice {
    /// The one that `models build` made and verified.
    Compiled,
    /// The export that the repository carries.
    Stock,
}

impl GraphChoice {
    /// Every choice under its name in the configuration.
    pub const NAMES: [(&'static str, GraphChoice); 2] =
        [("compiled", GraphChoice::Compiled), ("stock", GraphChoice::Stock)];
}

/// What the verification of a compiled graph found. Lies beside the graph, which is not run without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// True where all checks are passed.
    pub passed: bool,
    /// The precision of the weights.
    pub precision: String,
    /// The version of our graphs that it is of.
    pub graph_version: u32,
    /// The sha256 of the ONNX file.
    pub sha256: String,
    /// The sha256 of the file beside it, where its weights are too large for one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<String>,
    /// False where there was nothing to compare it with.
    #[serde(default = "is_compared")]
    pub compared: bool,
    /// The sha256 of the files that it was made of, by name.
    pub sources: BTreeMap<String, String>,
    /// The most tokens that it takes.
    pub max_length: usize,
    /// The library that it was verified with.
    pub onnxruntime: String,
    /// True where int8 products overflowed on the processor that it was verified on.
    pub saturates: bool,
    /// The number of probe pairs.
    pub pairs: usize,
    /// The checks.
    pub checks: Vec<Check>,
    /// Probe pairs a second of one thread's time, the graph's own and those of the stock files that it was compared with, by file.
    pub pairs_per_second: BTreeMap<String, f64>,
}

/// A figure that has to be within a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The figure, in words.
    pub figure: String,
    /// Its value; NaN is written as `null`.
    pub value: Option<f64>,
    /// The largest that it may be, or the smallest.
    pub limit: f64,
    /// True where it has to be at least the limit.
    pub at_least: bool,
}

impl Check {
    /// True where the value is within its limit.
    pub fn passed(&self) -> bool {
        self.value.is_some_and(|value| if self.at_least { value >= self.limit } else { value <= self.limit })
    }
}

/// A compiled graph that may be run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The ONNX file.
    pub onnx: PathBuf,
    /// Its precision.
    pub precision: Precision,
    /// Its report.
    pub report: Report,
}

/// The place of the graph of a precision.
pub fn place(folder: &Path, precision: Precision) -> PathBuf {
    folder.join(FOLDER).join(format!("{}.onnx", precision.name()))
}

/// The compiled graphs that are in a folder, whether they may be run or not.
pub fn all(folder: &Path) -> Vec<PathBuf> {
    let places = Precision::NAMES.iter().map(|(_, precision)| place(folder, *precision));
    places.filter(|onnx| onnx.is_file()).collect()
}

/// The place of the report on the graph at `onnx`.
pub fn report_place(onnx: &Path) -> PathBuf {
    onnx.with_extension("json")
}

fn is_compared() -> bool {
    true
}

/// The sha256 of the file in which the graph at `onnx` keeps its weights, where it has one.
///
/// # Errors
/// It cannot be read.
pub fn data_sha256(onnx: &Path) -> io::Result<Option<String>> {
    let data = file::beside(onnx);
    data.is_file().then(|| sha256(&data)).transpose()
}

impl Report {
    /// Reads the report on the graph at `onnx`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(onnx: &Path) -> io::Result<Report> {
        Ok(serde_json::from_slice(&fs::read(report_place(onnx))?)?)
    }

    /// True where the graph was measured to be slower than the stock file of that name.
    pub(crate) fn is_slower_than(&self, stock: &Path) -> bool {
        let speed = |name: &str| self.pairs_per_second.get(name).copied();
        let own = speed(&format!("{FOLDER}/{}.onnx", self.precision));
        let stock = stock.file_name().and_then(|name| speed(&name.to_string_lossy()));
        own.zip(stock).is_some_and(|(own, stock)| own < stock)
    }

    /// Writes the report on the graph at `onnx`, whole.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, onnx: &Path) -> io::Result<()> {
        let file = report_place(onnx);
        let beside = file.with_extension("json.part");
        fs::write(&beside, serde_json::to_string_pretty(self)? + "\n")?;
        fs::rename(beside, file)
    }
}

/// Removes the graph at `onnx`, its report first: without it, it is not run.
///
/// # Errors
/// What the operating system says; a file that is not there is none.
pub fn remove(onnx: &Path) -> io::Result<()> {
    for file in [report_place(onnx), onnx.to_path_buf(), file::beside(onnx)] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The best compiled graph of a folder that may be run, of `wanted` precision where that is given; and for each better one
/// that may not, the reason and the command that mends it.
pub(crate) fn find(folder: &Path, wanted: Option<Precision>) -> (Option<Compiled>, Vec<String>) {
    find_for(saturates(), folder, wanted)
}

/// The same for a processor on which int8 products overflow, or do not.
pub(crate) fn find_for(saturates: bool, folder: &Path, wanted: Option<Precision>) -> (Option<Compiled>, Vec<String>) {
    let mut notes = Vec::new();
    for precision in
        preferred(saturates).into_iter().filter(|precision| wanted.is_none_or(|wanted| wanted == *precision))
    {
        let onnx = place(folder, precision);
        if !onnx.is_file() {
            continue;
        }
        let again = format!("rerank-proxy models build {} --precision {}", folder.display(), precision.name());
        match standing(folder, &onnx) {
            Ok(report) => {
                let is_exact_here = precision != Precision::Int8 || report.saturates || !saturates;
                if is_exact_here {
                    return (Some(Compiled { onnx, precision, report }), notes);
                }
                notes.push(format!(
                    "{}: not used: it was verified on a processor with VNNI, and without these instructions, as here, its sums \
                     overflow; build one for this processor with: rerank-proxy models build {}",
                    onnx.display(),
                    folder.display()
                ));
            }
            Err(reason) => notes.push(format!("{}: not used: {reason}; build it again with: {again}", onnx.display())),
        }
    }
    (None, notes)
}

/// Precisions, best first. Weights of 8 bits come last where their products overflow: ONNX Runtime's exact products are those of
/// stock graphs alone, whose weights lie beside the operators.
fn preferred(saturates: bool) -> [Precision; 3] {
    match saturates {
        true => [Precision::Int7, Precision::Fp32, Precision::Int8],
        false => [Precision::Int8, Precision::Int7, Precision::Fp32],
    }
}

/// The report on a graph that may be run.
///
/// # Errors
/// The reason why it may not.
fn standing(folder: &Path, onnx: &Path) -> Result<Report, String> {
    let report: Report = match fs::read(report_place(onnx)) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("its report cannot be read ({error})"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(String::from("it was not verified")),
        Err(error) => return Err(format!("its report cannot be read ({error})")),
    };
    if !report.passed {
        return Err(String::from("it did not pass the verification"));
    }
    let unreadable = |error: io::Error| error.to_string();
    if sha256(onnx).map_err(unreadable)? != report.sha256
        || data_sha256(onnx).map_err(unreadable)? != report.data_sha256
    {
        return Err(String::from("the file is not the one that was verified"));
    }
    let model = file::outline(onnx).map_err(|error| error.to_string())?;
    let provenance = Provenance::read(&model).ok_or("it does not say what it was made of")?;
    if provenance.sources.iter().cloned().collect::<BTreeMap<_, _>>() != report.sources {
        return Err(String::from("its report is that of another"));
    }
    if provenance.graph_version != GRAPH_VERSION {
        return Err(format!("it is of version {}, and {GRAPH_VERSION} is built now", provenance.graph_version));
    }
    let output = Reading::of(folder).map_err(|error| error.to_string())?.output().in_words();
    if provenance.output != output {
        return Err(format!("its output is {}, and by the folder's files it would be {output}", provenance.output));
    }
    match report.sources.iter().find(|(name, hash)| !is_there(folder, name, hash)) {
        Some((name, _)) => Err(format!("{name} is not what it was built from")),
        None => Ok(report),
    }
}

/// True where the folder has a file of that name and hash, or none of that name: a graph needs no weights to be run. The
/// configuration has to be there.
pub(crate) fn is_there(folder: &Path, name: &str, hash: &str) -> bool {
    // ONNX files and what they keep beside them may lie a folder deeper.
    let places = [folder.join(name), folder.join("onnx").join(name)];
    let mut there = places.iter().filter(|file| file.is_file()).peekable();
    match there.peek() {
        None => name != "config.json",
        Some(_) => there.any(|file| sha256(file).is_ok_and(|found| found == hash)),
    }
}

/// True where int8 products (u8 x s8) overflow 16 bits: on x86 without the VNNI instructions.
pub(crate) fn saturates() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !std::is_x86_feature_detected!("avx512vnni") && !std::is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
