//! One graph and all probe pairs: what it says of each, every pair in a run of its own, and the time that it takes.

use anyhow::{Context, ensure};

use super::{
    measures::{Said, cosine},
    probes::Probe,
};
use crate::{
    backend::{self, Inference, Runtime, Sessions},
    encode::Encoded,
    model_output::Output,
    models::{Kind, ModelFolder},
    request::LongPassages,
};

/// A graph that is tried.
pub(super) struct Trial<'a> {
    folder: &'a ModelFolder,
    model: Box<dyn Inference>,
}

impl Trial<'_> {
    /// Opens the graph that `folder` names, in a session with one thread.
    pub(super) fn open<'a>(folder: &'a ModelFolder, runtime: &Runtime) -> anyhow::Result<Trial<'a>> {
        Trial::open_in(folder, runtime, Sessions::One)
    }

    /// The same for a run that is meant to fail, which ONNX Runtime need not tell on stderr.
    pub(super) fn open_quietly<'a>(folder: &'a ModelFolder, runtime: &Runtime) -> anyhow::Result<Trial<'a>> {
        Trial::open_in(folder, runtime, Sessions::OneQuiet)
    }

    /// The same in little memory, for what is compared with and whose time does not count.
    pub(super) fn open_sparingly<'a>(folder: &'a ModelFolder, runtime: &Runtime) -> anyhow::Result<Trial<'a>> {
        Trial::open_in(folder, runtime, Sessions::OneSparing)
    }

    fn open_in<'a>(folder: &'a ModelFolder, runtime: &Runtime, sessions: Sessions) -> anyhow::Result<Trial<'a>> {
        let model = backend::open(folder.clone(), runtime, sessions).load(1);
        let model = model.with_context(|| format!("{} cannot be run", folder.onnx().display()))?;
        Ok(Trial { folder, model })
    }

    /// What it says of all probe pairs.
    pub(super) fn run(&mut self, probes: &[Probe], progress: &mut dyn FnMut(f64)) -> anyhow::Result<Said> {
        let mut said = Said::default();
        for (place, probe) in probes.iter().enumerate() {
            progress(place as f64 / probes.len() as f64);
            let texts: Vec<&str> = probe.passages.iter().map(String::as_str).collect();
            let scores = match self.folder.kind() {
                Kind::CrossEncoder => self.logits(&probe.query, &texts, &mut said)?,
                Kind::BiEncoder { .. } => self.cosines(&probe.query, &texts, &mut said)?,
            };
            said.scores.push(scores);
        }
        Ok(said)
    }

    fn logits(&mut self, query: &str, texts: &[&str], said: &mut Said) -> anyhow::Result<Vec<f64>> {
        let outputs = self.outputs(Some(query), texts, said)?;
        let logit = |output| match output {
            Output::Logit(logit) => Ok(f64::from(logit)),
            _ => anyhow::bail!("a cross-encoder gave no logit"),
        };
        outputs.into_iter().map(logit).collect()
    }

    fn cosines(&mut self, query: &str, texts: &[&str], said: &mut Said) -> anyhow::Result<Vec<f64>> {
        let all: Vec<&str> = std::iter::once(query).chain(texts.iter().copied()).collect();
        let vector = |output| match output {
            Output::Embedding(vector) => Ok(vector),
            _ => anyhow::bail!("a bi-encoder gave no vector"),
        };
        let vectors: Vec<_> = self.outputs(None, &all, said)?.into_iter().map(vector).collect::<Result<_, _>>()?;
        let cosines = vectors[1..].iter().map(|vector| cosine(&vectors[0], vector)).collect();
        said.vectors.extend(vectors);
        Ok(cosines)
    }

    fn outputs(&mut self, query: Option<&str>, texts: &[&str], said: &mut Said) -> anyhow::Result<Vec<Output>> {
        let mut outputs = Vec::with_capacity(texts.len());
        for windows in self.model.encode(query, texts, LongPassages::Truncate) {
            let windows = windows.map_err(anyhow::Error::msg)?;
            let began = time_of_this_thread();
            outputs.extend(self.model.run(&[&windows[0]])?);
            said.seconds += time_of_this_thread() - began;
            said.runs += 1;
        }
        ensure!(outputs.len() == texts.len(), "{} gave too few outputs", self.folder.onnx().display());
        Ok(outputs)
    }

    /// The largest distance, relative to 1 or more, of what it says of inputs of unequal length in one run from what it says of
    /// each alone.
    pub(super) fn in_company(&mut self, probes: &[Probe]) -> anyhow::Result<f64> {
        const COMPANY: usize = 6;
        let Some(probe) = probes.first() else { return Ok(0.0) };
        let query = matches!(self.folder.kind(), Kind::CrossEncoder).then_some(probe.query.as_str());
        // The last ones are as long as the graph takes.
        let texts: Vec<&str> = probe.passages.iter().take(COMPANY).map(String::as_str).chain(["a", "a b c"]).collect();
        let encoded = self.model.encode(query, &texts, LongPassages::Truncate).into_iter();
        let encoded: Vec<Vec<Encoded>> = encoded.collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
        let inputs: Vec<&Encoded> = encoded.iter().map(|windows| &windows[0]).collect();
        let together = self.model.run(&inputs)?;
        let mut worst = 0.0_f64;
        for (input, together) in inputs.into_iter().zip(together) {
            let alone = self.model.run(&[input])?;
            for (a, b) in numbers(&together).iter().zip(alone.iter().flat_map(numbers)) {
                let distance = (f64::from(*a) - f64::from(b)).abs() / f64::from(b).abs().max(1.0);
                worst = if distance.is_nan() { distance } else { worst.max(distance) };
            }
        }
        Ok(worst)
    }

    /// True where the graph refuses an input with one token more than it takes.
    pub(super) fn refuses_longer(&mut self) -> anyhow::Result<bool> {
        let one = self.model.encode(Some("a"), &["a"], LongPassages::Truncate).remove(0).map_err(anyhow::Error::msg)?;
        let longer = self.folder.max_length() + 1;
        let ids = one[0].ids.iter().copied().cycle().take(longer).collect();
        let longer = Encoded { ids, type_ids: vec![0; longer], truncated: false, span: None };
        Ok(self.model.run(&[&longer]).is_err())
    }
}

fn numbers(output: &Output) -> Vec<f32> {
    match output {
        Output::Logit(number) | Output::Relevance(number) => vec![*number],
        Output::Embedding(vector) => vector.to_vec(),
        Output::Embeddings(_) => Vec::new(),
    }
}

/// Seconds of a core that the calling thread has had. A session with one thread runs in it, so that what else the machine does
/// matters little.
fn time_of_this_thread() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    {
        use std::{sync::LazyLock, time::Instant};
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_secs_f64()
    }
}
