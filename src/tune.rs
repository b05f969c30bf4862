//! Tuning: which keys of a rule give the best order on judged queries, within what a search may cost, and whether that will hold. Owns the
//! steps; the arithmetic is the crate `evaluation`'s.
//!
//! ```text
//! judged queries ─ observe (what each model says, through a proxy of our own) ─ advise ─ calibrate ─ file (a diff) ─ report
//! ```

mod calibrate;
mod file;
mod observe;
mod report;
mod rule;

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use evaluation::{
    judgements::Query,
    measures::Measure,
    tuning::{
        advice::{Limit, Verdict, advise},
        settings::settings,
        trial::{Scoring, Setting},
    },
};
use ranking::{fusion::Weighting, order::Blend, value::Scale};
use scoring::models::Kind;

use crate::{
    config::{
        BUNDLED, Detail, MAX_BUDGET, SignalConfig, SourceConfig,
        rules::{Mode, Rule},
    },
    eval::{ask::Target, own_proxy},
    open_models::{Config, OpenModel},
};
use calibrate::{Calibration, calibrate};
use observe::{Model, observe};
use report::Change;

pub use observe::Observation;
pub use report::Tuned;

/// What is to be tuned, and how.
#[derive(Debug, Clone)]
pub struct Task {
    /// The operator's configuration.
    pub config: Config,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    /// The index that the judgements are of.
    pub index: String,
    /// The models that may be used; those of the configuration where none is named.
    pub models: Vec<String>,
    /// The widest window that is tried, in hits.
    pub widest: usize,
    /// What is to become better.
    pub measure: Measure,
    /// What a search may cost.
    pub limit: Limit,
}

/// A rule that is ready to be tuned: what can be wrong with it is found before anything is asked.
#[derive(Debug)]
pub struct Prepared {
    task: Task,
    /// The place of the rule in the configuration.
    place: usize,
    models: Vec<Model>,
    now: Setting,
}

impl Task {
    /// Finds the rule of the index, the models, and the setting of now.
    ///
    /// # Errors
    /// No rule is for the index, a model is not there, or the rule cannot be tuned.
    pub fn prepare(mut self) -> anyhow::Result<Prepared> {
        let settings = &self.config.settings;
        let place = settings.rules.iter().position(|rule| rule.index.matches(&self.index));
        let Some(place) = place else { bail!("no rule of the configuration is for the index `{}`", self.index) };
        let rule = &settings.rules[place];
        if self.models.is_empty() {
            self.models = self.config.models.keys().cloned().collect();
        }
        if let Some(twice) = self.models.iter().enumerate().find(|(at, name)| self.models[..*at].contains(name)) {
            bail!("the model `{}` is named twice", twice.1);
        }
        let models = self.models.iter().map(|name| model(&self.config, name)).collect::<anyhow::Result<Vec<_>>>()?;
        let names: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let now = rule::setting(settings, rule, &names);
        let now = now.map_err(|why| anyhow::anyhow!("rules[{place}] cannot be tuned: {why}"))?;
        // What is now must be measured in full.
        self.widest = self.widest.max(rule.window);
        Ok(Prepared { place, models, now, task: self })
    }
}

impl Prepared {
    /// The configuration of the proxy that is asked: the rule asks for all models, and orders by whichever a search names.
    fn asking(&self) -> anyhow::Result<Config> {
        const LABEL: &str = "all models";
        let mut config = self.task.config.clone();
        let settings = &mut config.settings;
        let signal = |model: &Model| SignalConfig {
            source: SourceConfig::Model { name: model.name.clone(), keep: None, gap: None },
            weighting: Weighting::alone(),
            probability: None,
        };
        settings.fused.insert(LABEL.to_owned(), self.models.iter().map(signal).collect());
        settings.clients.explain = Detail::Scores;
        let rule = &mut settings.rules[self.place];
        LABEL.clone_into(&mut rule.model);
        rule.window = self.task.widest;
        rule.budget = MAX_BUDGET;
        rule.blend = Blend::Replace;
        (rule.mode, rule.traffic) = (Mode::On, 1.0);
        // They move hits whatever models say, and stay as they are.
        (rule.pin, rule.bury, rule.diversity) = (Vec::new(), Vec::new(), None);
        (rule.probability, rule.min_score) = (None, None);
        own_proxy::for_index(config, &self.task.index)
    }

    /// Asks every model about every query, through a proxy of our own; `target` is given its URL and how many hits to ask for.
    ///
    /// # Errors
    /// The proxy cannot be started, a search fails, or a model says nothing.
    pub async fn observe(
        &self,
        queries: &[Query],
        target: impl AsyncFnOnce(&str, usize) -> anyhow::Result<Target>,
    ) -> anyhow::Result<Observation> {
        ensure!(!queries.is_empty(), "there is no judged query");
        let proxy = own_proxy::OwnProxy::start(self.asking()?).await?;
        let target = target(&proxy.url, self.task.widest).await?;
        let observation = observe(&target, queries, &self.models).await?;
        proxy.stop().await?;
        Ok(observation)
    }

    /// Works out what is best, and what to change.
    ///
    /// # Errors
    /// The operator's file cannot be read any more.
    pub fn work_out(self, observation: Observation) -> anyhow::Result<Tuned> {
        let Self { task, place, now, .. } = self;
        let Observation { queries, costs, skipped } = observation;
        let mut cheapest_first: Vec<usize> = (0..task.models.len()).collect();
        cheapest_first.sort_by(|a, b| costs.seconds_a_pair[*a].total_cmp(&costs.seconds_a_pair[*b]));
        let tried = settings(&cheapest_first, task.widest);
        let advice = advise(&queries, &tried, &now, task.measure, &costs, task.limit);
        let best = advice.best.map_or_else(|| now.clone(), |best| tried[best].clone());
        // Where nothing is to be changed but the curves, they are those of the rule as it is, and all of them: what it has is not taken away.
        let is_recommended = advice.verdict == Verdict::Recommended;
        let kept = if is_recommended { &best } else { &now };
        let calibration = Some(calibrate(&queries, kept, task.models.len()))
            .filter(|found| is_recommended || (advice.verdict != Verdict::TooFewQueries && found.is_whole()));
        let has_change = is_recommended || calibration.is_some();
        let calibration = calibration.unwrap_or_default();
        let change = if has_change { change(&task, place, kept, &calibration)? } else { Change::default() };
        let rule = &task.config.settings.rules[place];
        Ok(Tuned {
            notes: notes(rule),
            min_score: rule.min_score,
            measure: task.measure,
            limit: task.limit,
            models: task.models,
            widest: task.widest,
            tried: tried.len(),
            costs,
            skipped,
            advice,
            best,
            calibration,
            change,
        })
    }
}

/// What of a rule is not as it was measured, and stays.
fn notes(rule: &Rule) -> Vec<String> {
    let mut notes = Vec::new();
    if rule.mode == Mode::Shadow || rule.traffic < 1.0 {
        notes.push(
            "the rule's `mode` and `traffic` keep searches from being reranked; it is measured as if all were"
                .to_owned(),
        );
    }
    if rule.min_score.is_some() || !rule.pin.is_empty() || !rule.bury.is_empty() || rule.diversity.is_some() {
        notes.push(
            "the rule's `min_score`, `pin`, `bury` and `diversity` are left out of what is measured here".to_owned(),
        );
    }
    notes
}

/// A model that can be asked.
fn model(config: &Config, name: &str) -> anyhow::Result<Model> {
    let scale = match config.models.get(name) {
        Some(OpenModel::Local(folder)) if matches!(folder.kind(), Kind::CrossEncoder) => Scale::Logit,
        Some(_) => Scale::AsIs,
        None => {
            let names: Vec<&str> = config.models.keys().map(String::as_str).collect();
            bail!("there is no model `{name}` in the configuration; there is: {}", names.join(", "))
        }
    };
    Ok(Model { name: name.to_owned(), scale })
}

/// The rule with this setting, and what that changes in the operator's file.
fn change(task: &Task, place: usize, setting: &Setting, calibration: &Calibration) -> anyhow::Result<Change> {
    let models: Vec<&str> = task.models.iter().map(String::as_str).collect();
    let lines = rule::lines(setting, &models, &calibration.curves);
    let (name, text) = match &task.file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), text)
        }
        None if task.config.settings.is_bundled() => ("bundled.toml".to_owned(), BUNDLED.to_owned()),
        None => return Ok(Change { lines, difference: None }),
    };
    let is_calibrated = setting.scoring != Scoring::Cluster && calibration.is_whole();
    let changed = file::with_rule(&text, place, &lines, is_calibrated);
    Ok(Change { difference: changed.map(|changed| file::difference(&name, &text, &changed)), lines })
}
