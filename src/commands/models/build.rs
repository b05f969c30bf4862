//! `models build`, and what `pull` and `verify` do with compiled graphs: the words and the figures. The work is that of
//! [`scoring::compiling`].

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use graphs::{BuildError, Precision};
use scoring::{
    Runtime,
    compiling::{Built, LONGEST_PROBE, Wish, build, verify_again},
    models::{
        ModelFolder,
        compiled::{self, Check, Report},
    },
};

/// The flags of `models build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// A model: a name, or a folder in Hugging Face layout
    #[arg(value_name = "NAME|FOLDER")]
    pub model: String,
    /// The precision of the weights; auto: int8, or on x86 without VNNI int7 or fp32, whichever is measured to be faster
    #[arg(long, default_value = "auto")]
    pub precision: Wanted,
    /// The file of weights: safetensors, an index of such files, or ONNX [default: the best of the folder]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The most tokens that the graph takes, if fewer than the model
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(8..))]
    pub max_length: Option<u32>,
}

/// The precision that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// What suits the processor.
    Auto,
    /// 8 bits.
    Int8,
    /// 7 bits, which overflow on no processor.
    Int7,
    /// Floats.
    Fp32,
}

impl Wanted {
    fn precision(self) -> Option<Precision> {
        match self {
            Self::Auto => None,
            Self::Int8 => Some(Precision::Int8),
            Self::Int7 => Some(Precision::Int7),
            Self::Fp32 => Some(Precision::Fp32),
        }
    }
}

/// Builds a graph of the model at `path`, and tells the figures. Fails where it does not pass.
pub(super) fn run(args: &BuildArgs, path: &Path, revision: Option<String>, runtime: &Runtime) -> anyhow::Result<()> {
    let wish = Wish {
        precision: args.precision.precision(),
        weights: args.weights.clone(),
        max_length: args.max_length.map(|tokens| tokens as usize),
        revision,
    };
    let built = build(path, &wish, runtime, &mut progress()).map_err(|error| match is_unsupported(&error) {
        true => anyhow!("{error}; {}", meanwhile(path)),
        false => error,
    })?;
    tell(path, &built)
}

/// True where there is no graph of ours for such a model.
fn is_unsupported(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(BuildError::Unsupported { .. }))
}

/// What is run of the model at `path` while no graph was built.
fn meanwhile(path: &Path) -> String {
    match ModelFolder::open(path, None) {
        Ok(folder) => format!("{} is run as it is", folder.onnx().display()),
        Err(_) => String::from("the folder has no ONNX file that is run in its place"),
    }
}

/// The same after a pull: what was pulled is there without a graph as well, so that nothing fails here.
pub(super) fn after_pull(path: &Path, revision: &str, runtime: Option<&Path>) {
    let wish = Wish { revision: Some(revision.to_owned()), ..Wish::default() };
    let built = Runtime::load(runtime)
        .map_err(anyhow::Error::from)
        .and_then(|runtime| build(path, &wish, &runtime, &mut progress()))
        .and_then(|built| tell(path, &built));
    match built {
        Ok(()) => {}
        Err(error) if is_unsupported(&error) => println!("{error}; {}", meanwhile(path)),
        Err(error) => {
            let command = format!("rerank-proxy models build {}", path.display());
            println!("no graph was compiled; {}; try again with: {command}\n  {error:#}", meanwhile(path));
        }
    }
}

/// Verifies the compiled graphs of the model at `path` once more. Fails where one does not pass.
pub(super) fn verify(path: &Path, runtime: Option<&Path>) -> anyhow::Result<()> {
    let (mut failed, mut unkept) = (Vec::new(), false);
    for onnx in compiled::all(path) {
        let (report, kept) = verify_again(path, &onnx, &Runtime::load(runtime)?, &mut progress())?;
        println!("{}: {} with {} pairs", onnx.display(), verdict(&report), report.pairs);
        print!("{}{}", figures(&report), untried(&report));
        if let Err(error) = &kept {
            println!("  this report cannot be kept ({error}); what was reported before stands as it is");
        }
        if !report.passed {
            failed.push(onnx.display().to_string());
            unkept |= kept.is_err();
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let then = if unkept { "a start still goes by what was reported before" } else { "is not run" };
    bail!(
        "{} did not pass, and {then}: build it again with: rerank-proxy models build {}",
        failed.join(", "),
        path.display()
    )
}

/// Tells what came of a build: first the graph that is kept.
fn tell(path: &Path, built: &[Built]) -> anyhow::Result<()> {
    let mut refused: Vec<String> = Vec::new();
    for (place, one) in built.iter().enumerate() {
        let (report, name) = (&one.report, one.precision.name());
        if !report.passed {
            refused.push(format!("{name}: did not pass with {} pairs\n{}", report.pairs, figures(report).trim_end()));
            continue;
        }
        if place == 0 {
            println!("{}: {}, verified with {} pairs", one.onnx.display(), ByteSize(one.size), report.pairs);
        } else {
            println!("{name}: passed as well, and is slower: not kept");
        }
        print!("{}{}{}", figures(report), untried(report), speed(one));
        if !report.compared {
            println!(
                "  there was nothing to compare it with: the folder has no stock file, and its weights are floats"
            );
        }
    }
    if built.first().is_some_and(|best| best.report.passed) {
        let run = ModelFolder::open(path, None)?;
        if run.onnx() != built[0].onnx {
            let name = built[0].precision.name();
            println!(
                "  by default {} is run; graph = \"compiled\" and variant = \"{name}\" run this one",
                run.onnx().display()
            );
        }
        refused.iter().for_each(|refused| println!("{refused}"));
        return Ok(());
    }
    bail!("no graph of {} may be run; {}:\n{}", path.display(), meanwhile(path), refused.join("\n"))
}

fn verdict(report: &Report) -> &'static str {
    if report.passed { "passed" } else { "did not pass" }
}

fn figures(report: &Report) -> String {
    let line = |check: &Check| {
        let value = check.value.map_or(String::from("no number"), number);
        let limit = if check.at_least { "at least" } else { "at most" };
        let failed = if check.passed() { "" } else { ": FAILED" };
        format!("  {}: {value}, {limit} {}{failed}\n", check.figure, number(check.limit))
    };
    report.checks.iter().map(line).collect()
}

/// The lengths that no probe has.
fn untried(report: &Report) -> String {
    match report.max_length > LONGEST_PROBE {
        true => format!(
            "  it takes inputs of {} tokens; those of more than {LONGEST_PROBE} were not tried, which takes gigabytes\n",
            report.max_length
        ),
        false => String::new(),
    }
}

/// Short, and with enough digits for small ones.
fn number(value: f64) -> String {
    if value == 0.0 || value.abs() >= 1e-3 {
        format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.1e}")
    }
}

fn speed(built: &Built) -> String {
    let (own, others) = built.speeds();
    let other = |(name, speed): (&str, f64)| format!("; {name} {speed:.1}: {:.2} times as many", own / speed);
    let others: String = others.into_iter().map(other).collect();
    format!("  {own:.1} probe pairs a second on one thread{others}\n")
}

/// A line that is written over, on a terminal only.
fn progress() -> impl FnMut(&str, f64) {
    let shown = std::io::stderr().is_terminal();
    let mut last = (String::new(), 101);
    move |what, share| {
        let percent = (share * 100.0) as u32;
        if shown && (last.0 != what || last.1 != percent) {
            last = (what.to_owned(), percent);
            // The rest of a longer line is cleared.
            let _ = write!(std::io::stderr(), "\r\x1b[K{what} {percent:3} %");
            if share >= 1.0 {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        }
    }
}
