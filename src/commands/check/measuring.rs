//! What the models of a configuration say and take on this machine: a probe pair of each, and a first window for what each rule
//! catches. Owns that nothing comes out of a cache, and for how long is measured.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use scoring::{Known, LongPassages, Priority, Request, Scored, Scorer, cache::CacheOptions};

use super::{
    passages::{Passages, median},
    survey::{Content, Survey},
};
use crate::{
    commands::wait_until_ready,
    config::{Settings, SourceConfig, rules::Rule},
    open_models::{Config, OpenModel},
    state::Process,
};

const QUERY: &str = "how long does the battery last";
const PASSAGE: &str = "It plays music for ten hours before it needs to be charged.";
/// The time that a window may take to be measured.
const LONGEST: Duration = Duration::from_secs(10);
/// The time that all windows may take; of those that come later, the cost is not told.
const ALL: Duration = Duration::from_mins(1);
/// The most pairs of it.
const MOST: usize = 200;

/// What was measured.
pub(super) struct Costs {
    /// What each model said of the probe, by its name, and how long that took.
    pub(super) probes: Vec<(String, f32, Duration)>,
    /// A first window of an index, by the number of its rule and its name.
    windows: HashMap<(usize, String), Window>,
}

/// A first window.
pub(super) struct Window {
    /// The median number of tokens of a pair; 0 where a server does not tell.
    pub(super) tokens: usize,
    /// The passages of the sample that the model would not read to their end.
    pub(super) truncated: usize,
    /// Pairs a second.
    pub(super) rate: f64,
}

impl Costs {
    pub(super) fn window(&self, rule: usize, name: &str) -> Option<&Window> {
        self.windows.get(&(rule, name.to_owned()))
    }
}

/// Loads the models and measures.
///
/// # Errors
/// A model cannot be loaded, or has no score for the probe.
pub(super) async fn measure(mut config: Config, survey: &Survey) -> anyhow::Result<Costs> {
    config.settings.cache = CacheOptions { size: 0, ttl: None, shared: None };
    let process = Process::start(config)?;
    wait_until_ready(&process).await?;
    let snapshot = process.snapshot();
    let mut costs = Costs { probes: Vec::new(), windows: HashMap::new() };
    for name in snapshot.settings.models.keys() {
        let scorer = snapshot.scorers.get(name).with_context(|| format!("models.{name}: it was not started"))?;
        let (score, took) = probe(scorer).await.with_context(|| format!("models.{name}"))?;
        costs.probes.push((name.clone(), score, took));
    }
    let began = Instant::now();
    for (place, (rule, caught)) in snapshot.settings.rules.iter().zip(&survey.caught).enumerate() {
        let models = snapshot.settings.models_of(&rule.model);
        // What a server is asked may cost money.
        let is_local = models.iter().all(|name| matches!(snapshot.models.get(*name), Some(OpenModel::Local(_))));
        let Some(scorer) = snapshot.scorers.get(&rule.model).filter(|_| is_local) else { continue };
        for caught in caught {
            let Some(Ok(Content { passages, .. })) = &caught.content else { continue };
            if began.elapsed() > ALL {
                return Ok(costs);
            }
            if let Some(window) = window(scorer, &snapshot.settings, rule, passages).await {
                costs.windows.insert((place, caught.name.clone()), window);
            }
        }
    }
    Ok(costs)
}

async fn probe(scorer: &Arc<dyn Scorer>) -> anyhow::Result<(f32, Duration)> {
    let began = Instant::now();
    let scored = score(scorer, vec![PASSAGE.to_owned()], LongPassages::Truncate, None).await;
    let scored = scored.map_err(|cause| anyhow::anyhow!("no score for a probe: {cause}"))?;
    match scored.scores.first().copied().flatten() {
        Some(score) if score.raw.is_finite() => Ok((score.raw, began.elapsed())),
        _ => bail!("no score for a probe within {LONGEST:?}"),
    }
}

/// A first window of these passages; each is used as often as it takes, a little different each time, so that all are scored.
async fn window(scorer: &Arc<dyn Scorer>, settings: &Settings, rule: &Rule, sample: &Passages) -> Option<Window> {
    if sample.texts.is_empty() {
        return None;
    }
    let pairs = rule.window.min(MOST);
    let text = |number: usize| match number / sample.texts.len() {
        0 => sample.texts[number].clone(),
        round => format!("{round} {}", sample.texts[number % sample.texts.len()]),
    };
    let fields = settings.fused.get(&rule.model).into_iter().flatten();
    let fields = fields.filter(|signal| matches!(signal.source, SourceConfig::Field(_))).count();
    let known = Known {
        cluster: (0..pairs).map(|place| Some((pairs - place) as f32)).collect(),
        fields: vec![vec![None; pairs]; fields],
    };
    let began = Instant::now();
    let scored = score(scorer, (0..pairs).map(text).collect(), rule.long_passages, Some(&known)).await.ok()?;
    let took = began.elapsed();
    let scores: Vec<_> = scored.scores.iter().flatten().collect();
    let of_sample = scored.scores.iter().take(sample.texts.len()).flatten();
    (!scores.is_empty()).then(|| Window {
        tokens: median(scores.iter().map(|score| score.tokens as usize).collect()),
        truncated: of_sample.filter(|score| score.truncated).count(),
        rate: scores.len() as f64 / took.as_secs_f64(),
    })
}

async fn score(
    scorer: &Arc<dyn Scorer>,
    passages: Vec<String>,
    long: LongPassages,
    known: Option<&Known>,
) -> Result<Scored, scoring::ScoreError> {
    let deadline = Instant::now() + LONGEST;
    let priority = Priority::Search;
    scorer.score(Request { query: QUERY, passages, long, deadline, priority, known, vectors: false }).await
}
