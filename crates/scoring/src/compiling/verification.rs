//! The verification of a compiled graph: which others it is compared with, and how far it may be from them. What is compared
//! with what, and why so far, is told in docs/models.md.

use std::path::{Path, PathBuf};

use anyhow::Context;
use graphs::{
    Precision,
    onnx::{data_type, file},
};

use super::{
    measures::{Said, rank_correlation, rms, spread, worst},
    probes::{self, Probe},
    trial::Trial,
};
use crate::{
    backend::Runtime,
    models::{ModelFolder, compiled::Check, variant},
};

/// fp32 against a stock file in fp32: floats are added up in another order. Relative to the larger of 1 and the logit.
const LOGIT: f64 = 1e-4;

/// The same against a stock file in fp16, whose activations are rounded to 11 bits in every operator.
const LOGIT_OF_HALF: f64 = 5e-2;

/// The same of bi-encoders: 1 - cosine.
const ANGLE: f64 = 1e-5;

/// The same against fp16.
const ANGLE_OF_HALF: f64 = 1e-3;

/// The rms distance from fp32 that int8 may have, in those of stock int8.
const OF_STOCK: f64 = 1.1;

/// The same with weights of 7 bits: their steps are twice as large.
const OF_STOCK_AT_SEVEN_BITS: f64 = 2.0;

/// And in the spread of the logits, so that a stock file without any error does not demand the same of ours.
const ALLOWANCE: f64 = 0.01;

/// The rms distance in the spread of the logits, where there is nothing that is as coarse to compare with; and that from
/// stock int8, whose own error comes on top.
const OF_SPREAD: f64 = 0.2;

/// The rank correlation of the passages of a query with fp32, the mean of all queries.
const RANKS: f64 = 0.99;

/// The same between two that are both coarse, each in its own way.
const RANKS_OF_COARSE: f64 = 0.98;

/// Where stock int8 itself has less than [`RANKS`], ours may have less than that by so much.
const RANKS_ALLOWANCE: f64 = 0.01;

/// But never less than this: where even stock keeps no order, nothing can be told by comparing with it.
const RANKS_FLOOR: f64 = 0.95;

/// The most tokens of a probe. Attention takes heads × tokens × tokens floats, several times over: beyond this it would be
/// gigabytes.
pub const LONGEST_PROBE: usize = 2048;

/// A graph that is to be verified.
pub(super) struct Subject<'a> {
    /// The folder of its model.
    pub(super) path: &'a Path,
    /// The graph.
    pub(super) onnx: &'a Path,
    pub(super) precision: Precision,
    /// The most tokens that it takes.
    pub(super) max_length: usize,
    /// The weights that it was built from, where they are still there.
    pub(super) weights: Option<&'a Path>,
}

/// What was found.
pub(super) struct Findings {
    pub(super) checks: Vec<Check>,
    /// False where there was nothing to compare it with.
    pub(super) compared: bool,
    pub(super) pairs: usize,
    /// Runs a second of one thread's time, by file.
    pub(super) speeds: Vec<(PathBuf, f64)>,
}

/// The stock files of a model that a graph can be compared with.
struct Stock {
    float: Option<PathBuf>,
    int8: Option<PathBuf>,
}

/// Runs the graph, and what it is compared with, one after the other: no two are in memory at once. `float_graph` builds an
/// fp32 graph of ours from the same weights, where there is no stock one, and says where it is.
pub(super) fn verify(
    subject: &Subject,
    runtime: &Runtime,
    float_graph: &mut dyn FnMut() -> anyhow::Result<PathBuf>,
    progress: &mut dyn FnMut(&str, f64),
) -> anyhow::Result<Findings> {
    let longest = subject.max_length.min(LONGEST_PROBE);
    let probes = probes::all(longest);
    let mut comparison = Comparison { subject, runtime, longest, probes: &probes, progress, speeds: Vec::new() };
    let stock = Stock::of(subject);
    // The largest comes first: what ONNX Runtime gave back of its memory is not the system's again, and serves the next.
    let own = match (&stock.float, subject.precision, subject.weights) {
        (None, Precision::Int8 | Precision::Int7, Some(_)) => Some(comparison.said_by_own_float(&float_graph()?)?),
        _ => None,
    };
    let ours = comparison.said_by_subject()?;
    let mut checks = comparison.alone(&ours)?;
    let alone = checks.len();
    let is_exact = subject.precision == Precision::Fp32 && !subject.weights.is_some_and(is_quantised);
    match &stock.float {
        Some(float) if is_exact => checks.extend(comparison.with_float(&ours, float)?),
        _ => checks.extend(comparison.with_all(&ours, &stock, own)?),
    }
    let pairs = probes.iter().map(|probe| probe.passages.len()).sum();
    Ok(Findings { compared: checks.len() > alone, checks, pairs, speeds: comparison.speeds })
}

/// A graph that is being compared with others.
struct Comparison<'a> {
    subject: &'a Subject<'a>,
    runtime: &'a Runtime,
    /// The most tokens of a probe.
    longest: usize,
    probes: &'a [Probe],
    progress: &'a mut dyn FnMut(&str, f64),
    /// See [`Findings::speeds`].
    speeds: Vec<(PathBuf, f64)>,
}

impl Comparison<'_> {
    /// What the graph itself says.
    fn said_by_subject(&mut self) -> anyhow::Result<Said> {
        let Subject { onnx, precision, .. } = *self.subject;
        let said = self.said_by(onnx, Some(precision), "trying the compiled graph");
        said.with_context(|| format!("{} cannot be tried", onnx.display()))
    }

    /// What a stock file says.
    fn said_by_stock(&mut self, onnx: &Path, what: &str) -> anyhow::Result<Said> {
        // Whether to do without a comparison is for the operator to say: a file may be half downloaded.
        self.said_by(onnx, None, what).with_context(|| {
            format!(
                "the graph cannot be compared with {}: download that file again, or remove it to build without the comparison",
                onnx.display()
            )
        })
    }

    /// What a file says, and how fast it is.
    fn said_by(&mut self, onnx: &Path, precision: Option<Precision>, what: &str) -> anyhow::Result<Said> {
        let folder = self.folder(onnx, precision, self.longest)?;
        let said = Trial::open(&folder, self.runtime)?.run(self.probes, &mut |share| (self.progress)(what, share))?;
        self.speeds.push((onnx.to_path_buf(), said.runs as f64 / said.seconds));
        Ok(said)
    }

    /// What an fp32 graph of ours says, under its name. In little memory, so that its speed means nothing.
    fn said_by_own_float(&mut self, onnx: &Path) -> anyhow::Result<(String, Said)> {
        let name = String::from("our own fp32 graph");
        let (folder, what) = (self.folder(onnx, Some(Precision::Fp32), self.longest)?, format!("trying {name}"));
        let mut trial = Trial::open_sparingly(&folder, self.runtime)?;
        let said = trial.run(self.probes, &mut |share| (self.progress)(&what, share))?;
        Ok((name, said))
    }

    fn folder(&self, onnx: &Path, precision: Option<Precision>, longest: usize) -> anyhow::Result<ModelFolder> {
        Ok(ModelFolder::with_graph(self.subject.path, onnx.to_path_buf(), precision, longest)?)
    }

    /// The folder with the graph, and all the tokens that this takes.
    fn own_folder(&self) -> anyhow::Result<ModelFolder> {
        let Subject { onnx, precision, max_length, .. } = *self.subject;
        self.folder(onnx, Some(precision), max_length)
    }

    /// What has to be so whatever others say.
    fn alone(&self, ours: &Said) -> anyhow::Result<Vec<Check>> {
        Ok(vec![not_finite(ours), self.refuses_longer()?, self.in_company()?])
    }

    fn refuses_longer(&self) -> anyhow::Result<Check> {
        let folder = self.own_folder()?;
        let accepted = if Trial::open_quietly(&folder, self.runtime)?.refuses_longer()? { 0.0 } else { 1.0 };
        let longer = self.subject.max_length + 1;
        Ok(at_most(format!("inputs of {longer} tokens that are not refused"), accepted, 0.0))
    }

    /// Inputs of unequal length in one run, padded, against each alone. int8 goes through them one by one, so that they are
    /// equal.
    fn in_company(&self) -> anyhow::Result<Check> {
        let folder = self.own_folder()?;
        let distance = Trial::open(&folder, self.runtime)?.in_company(self.probes)?;
        let limit = if self.subject.precision == Precision::Fp32 { LOGIT } else { 0.0 };
        Ok(at_most(
            String::from("largest distance of a score in company, padded, from the same alone"),
            distance,
            limit,
        ))
    }

    /// An exact graph against stock floats.
    fn with_float(&mut self, ours: &Said, float: &Path) -> anyhow::Result<Vec<Check>> {
        let theirs = self.said_by_stock(float, "trying stock")?;
        Ok(exact(ours, &theirs, name(float), is_half(float), is_bi_encoder(ours)))
    }

    /// A coarse graph, or one whose floats stand for int8, against all that there is: `own` is an fp32 graph of ours.
    fn with_all(&mut self, ours: &Said, stock: &Stock, own: Option<(String, Said)>) -> anyhow::Result<Vec<Check>> {
        let int8 = match &stock.int8 {
            Some(int8) => Some((name(int8), self.said_by_stock(int8, "trying stock int8")?)),
            None => None,
        };
        let reference = match &stock.float {
            Some(float) => Some((name(float), self.said_by_stock(float, "trying stock fp32")?)),
            None => own,
        };
        let mut checks = Vec::new();
        if let Some((name, reference)) = &reference {
            checks.extend(coarse(ours, name, reference, int8.as_ref(), self.subject.precision));
        }
        // An error that both of our graphs make would be seen by neither: stock int8 has to say about the same as well.
        if let (Some((name, theirs)), None) = (&int8, &stock.float) {
            checks.push(near(ours, name, theirs));
            checks.push(ranked(ours, name, theirs, RANKS_OF_COARSE));
        }
        Ok(checks)
    }
}

/// fp32 against stock of the same weights.
fn exact(ours: &Said, theirs: &Said, name: String, is_half: bool, is_bi_encoder: bool) -> Vec<Check> {
    let limit = match (is_bi_encoder, is_half) {
        (false, false) => LOGIT,
        (false, true) => LOGIT_OF_HALF,
        (true, false) => ANGLE,
        (true, true) => ANGLE_OF_HALF,
    };
    let what = if is_bi_encoder { "largest 1 - cosine" } else { "largest distance of a logit, relative to 1 or more," };
    vec![at_most(format!("{what} from {name}"), worst(ours, theirs), limit), ranked(ours, &name, theirs, RANKS)]
}

/// Int8 against fp32: no further than stock int8 is.
fn coarse(
    ours: &Said,
    name: &str,
    reference: &Said,
    int8: Option<&(String, Said)>,
    precision: Precision,
) -> Vec<Check> {
    let factor = if precision == Precision::Int7 { OF_STOCK_AT_SEVEN_BITS } else { OF_STOCK };
    let (limit, ranks, than) = match int8 {
        Some((int8, said)) => {
            let (theirs, ranks) = (rms(said, reference), rank_correlation(said, reference));
            let limit = theirs * factor + ALLOWANCE * spread(reference);
            (limit, RANKS.min(ranks - RANKS_ALLOWANCE).max(RANKS_FLOOR), format!(" ({int8}: {theirs:.4})"))
        }
        None => (OF_SPREAD * spread(reference), RANKS, String::new()),
    };
    let far = at_most(format!("rms distance from {name}{than}"), rms(ours, reference), limit);
    vec![far, ranked(ours, name, reference, ranks)]
}

fn near(ours: &Said, name: &str, theirs: &Said) -> Check {
    at_most(format!("rms distance from {name}"), rms(ours, theirs), OF_SPREAD * spread(theirs))
}

fn ranked(ours: &Said, name: &str, theirs: &Said, limit: f64) -> Check {
    let value = rank_correlation(ours, theirs);
    Check { at_least: true, ..at_most(format!("rank correlation with {name}, mean of the queries"), value, limit) }
}

fn at_most(figure: String, value: f64, limit: f64) -> Check {
    Check { figure, value: value.is_finite().then_some(value), limit, at_least: false }
}

fn not_finite(said: &Said) -> Check {
    let count = said.scores.iter().flatten().filter(|score| !score.is_finite()).count();
    at_most(String::from("scores that are no number"), count as f64, 0.0)
}

fn is_bi_encoder(said: &Said) -> bool {
    !said.vectors.is_empty()
}

impl Stock {
    /// What the folder has. An ONNX file that the graph was built from comes first.
    fn of(subject: &Subject) -> Stock {
        let built_from = subject.weights.filter(|weights| is_onnx(weights)).map(Path::to_path_buf);
        let float =
            ["model", "model_fp32", "model_fp16"].into_iter().flat_map(|name| variant::candidates(Some(name), false));
        let named = float.chain(variant::candidates(None, false)).map(|name| subject.path.join(name));
        let files: Vec<PathBuf> = built_from.into_iter().chain(named.filter(|file| file.is_file())).collect();
        let mut stock = Stock { float: None, int8: None };
        for file in files {
            let place = if is_quantised(&file) { &mut stock.int8 } else { &mut stock.float };
            place.get_or_insert(file);
        }
        stock
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_onnx(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "onnx")
}

/// True where the file is an ONNX file with int8 weights.
fn is_quantised(file: &Path) -> bool {
    is_onnx(file) && has_constants_of(file, &[data_type::INT8, data_type::UINT8])
}

/// True where the weights of an ONNX file are in half precision.
fn is_half(file: &Path) -> bool {
    has_constants_of(file, &[data_type::FLOAT16, data_type::BFLOAT16])
}

fn has_constants_of(onnx: &Path, types: &[i32]) -> bool {
    let Ok(model) = file::outline(onnx) else { return false };
    let constants = model.graph.iter().flat_map(|graph| &graph.initializer);
    let is_matrix = |dims: &[i64]| dims.len() >= 2;
    let mut of_type = constants.filter(|constant| is_matrix(&constant.dims) && types.contains(&constant.data_type));
    of_type.next().is_some()
}
