//! The tables `[[rules]]`: how the searches over some indices are reranked. Owns which rule a search falls under; keys with
//! a form of their own are a file each.

mod blend;
mod conditions;
mod diversity;
mod effort;
mod field_name;
mod field_signal;
mod index;
mod model;
mod normalization;
mod passage;
mod probability;
mod signal;
mod signals;

use std::{collections::HashSet, sync::Arc, time::Duration};

use engines::{
    passage::{Content, PassageSpec},
    plan::{DEFAULT_WINDOW, MAX_WINDOW, MIN_WINDOW},
};
use ranking::{calibration::Curve, conditions::Condition, order::Blend};
use scoring::LongPassages;
use xxhash_rust::xxh3::xxh3_64;

use super::{long_passages, models::Models, reading::section::Section, reading::tree::Value};

pub use diversity::DiversityConfig;
#[cfg(feature = "eval")]
pub(crate) use effort::effort_key;
pub use index::IndexPatterns;
#[cfg(feature = "eval")]
pub(crate) use normalization::normalization_keys;
pub(super) use signal::FusedScorings;
pub use signal::{SignalConfig, SourceConfig};

/// The longest budget: no client waits longer, and what is more is mostly a mistaken unit.
pub(crate) const MAX_BUDGET: Duration = Duration::from_mins(10);

/// The most fields whose values a rule looks at: each is looked for in every hit.
const MAX_FIELDS: usize = 64;

/// The most characters that the metrics and the log show of a rule's indices.
const LABEL: usize = 100;

/// A rule: how the searches over some indices are reranked.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The indices.
    pub index: IndexPatterns,
    /// What the metrics and the log call it: its indices as they are written.
    pub label: Arc<str>,
    /// The name of the model in the configuration, or the label of several signals.
    pub model: String,
    /// The text of a hit that the model reads.
    pub passage: PassageSpec,
    /// The number of the cluster's top hits that are reranked.
    pub window: usize,
    /// The time that scoring may hold up an answer.
    pub budget: Duration,
    /// The way in which the score of the model and that of the cluster become one.
    pub blend: Blend,
    /// Hits that meet one of these go before all others of the window.
    pub pin: Vec<Condition>,
    /// Hits that meet one of these go behind all others of the window.
    pub bury: Vec<Condition>,
    /// The way in which hits that are alike are kept apart, where they are.
    pub diversity: Option<Arc<DiversityConfig>>,
    /// The treatment of passages that are longer than the model reads.
    pub long_passages: LongPassages,
    /// The score that the hits show.
    pub score: ShownScore,
    /// The force that the rule is in.
    pub mode: Mode,
    /// The share of the searches that are reranked, 0 to 1.
    pub traffic: f32,
    /// JSON pointers to the query text in a search's body.
    pub query_path: Vec<String>,
    /// The one who does a reranking that a search spells out in its engine's own syntax.
    pub explicit: Explicit,
    /// The probability that a hit is good, by the output of the rule's only model.
    pub probability: Option<Curve>,
    /// The probability below which hits go behind all others.
    pub min_score: Option<f32>,
}

impl Rule {
    /// A rule with every setting at its default.
    pub fn for_index(index: IndexPatterns, model: String) -> Self {
        let label = index.globs().collect::<Vec<_>>().join(",").chars().take(LABEL).collect::<String>();
        Self {
            index,
            label: label.into(),
            model,
            passage: PassageSpec::default(),
            window: DEFAULT_WINDOW,
            budget: Duration::from_millis(300),
            blend: Blend::Replace,
            pin: Vec::new(),
            bury: Vec::new(),
            diversity: None,
            long_passages: LongPassages::Truncate,
            score: ShownScore::Rerank,
            mode: Mode::On,
            traffic: 1.0,
            query_path: Vec::new(),
            explicit: Explicit::Proxy,
            probability: None,
            min_score: None,
        }
    }

    /// The fields that it names for the passage; `None` where the query's count.
    pub fn passage_fields(&self) -> Option<Vec<&str>> {
        match &self.passage.content {
            Content::Searched => None,
            Content::Fields(fields) => Some(fields.iter().map(String::as_str).collect()),
            Content::Template(template) => Some(template.paths().collect()),
        }
    }

    /// True where a search for `query` is in the rule's share of the traffic. The same query always is or is not, so that
    /// its pages stay together, here and on every other replica.
    pub fn takes(&self, query: &str) -> bool {
        let share = xxh3_64(query.as_bytes()) as f64 / u64::MAX as f64;
        self.traffic >= 1.0 || share < f64::from(self.traffic)
    }
}

/// The one who does a reranking that a search spells out in its engine's own syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explicit {
    /// The proxy, with the rule's model.
    Proxy,
    /// The cluster, with its own.
    Cluster,
}

impl Explicit {
    const NAMES: [(&'static str, Self); 2] = [("proxy", Self::Proxy), ("cluster", Self::Cluster)];
}

/// The score that a reranked hit shows as `_score`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownScore {
    /// The one that it is ordered by.
    Rerank,
    /// The cluster's own.
    Original,
}

impl ShownScore {
    const NAMES: [(&'static str, Self); 2] = [("rerank", Self::Rerank), ("original", Self::Original)];
}

/// The force that a rule is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Searches are reranked.
    On,
    /// Searches go through untouched.
    Off,
    /// Searches go through untouched, and are scored in the background for the metrics.
    Shadow,
}

impl Mode {
    const NAMES: [(&'static str, Self); 3] = [("on", Self::On), ("off", Self::Off), ("shadow", Self::Shadow)];

    /// The name of the mode, as the operator writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Shadow => "shadow",
        }
    }
}

/// The first rule that matches the index expression.
pub fn find<'a>(rules: &'a [Rule], expression: &str) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.index.matches(expression))
}

/// Reads the rules, without those in which something is missing; what they fuse is added to `fused`.
pub(super) fn read(top: &Section, models: &Models, fused: &mut FusedScorings) -> Vec<Rule> {
    let Some(node) = top.node("rules") else {
        top.error(
            "rules",
            "no rule: add a [[rules]] with `index` and `model`, or start with --model to rerank every index",
        );
        return Vec::new();
    };
    let Value::List(entries) = &node.value else {
        top.error("rules", "must be a list: write [[rules]] above each rule");
        return Vec::new();
    };
    let sections = entries.iter().enumerate().map(|(place, node)| top.table_within(node, format!("rules[{place}]")));
    sections.filter_map(|section| rule(&section, models, fused)).collect()
}

fn rule(section: &Section, models: &Models, fused: &mut FusedScorings) -> Option<Rule> {
    let index = section.optional::<Vec<String>>("index");
    if !section.has("index") {
        section.error("index", "is missing: name indices or globs, or \"*\" for all");
    }
    let index =
        index.and_then(|globs| IndexPatterns::new(&globs).map_err(|message| section.error("index", message)).ok());
    let window = section.or("window", DEFAULT_WINDOW);
    let gap = effort::read(section);
    let model = match section.node("signals") {
        Some(_) => signals::read(section, models, window, gap, fused),
        None => model::read(section, models, window, gap, fused),
    };
    let calibration = match model.as_deref() {
        Some(name) if models.contains(name) => probability::read(section, &[name]),
        _ => {
            if section.node("probability").is_some() {
                section.error(
                    "probability",
                    "belongs to a rule with one model; of several, write `signals` with a `probability` in each",
                );
            }
            None
        }
    };
    let min_score = min_score(section, model.as_deref(), calibration.is_some(), fused);
    let passage = passage::read(section);
    // What is missing is a mistake that is noted already; the other keys are read all the same.
    let any = || IndexPatterns::new(&["*"]).expect("`*` is a glob");
    let is_whole = index.is_some() && model.is_some();
    let defaults = Rule::for_index(index.unwrap_or_else(any), model.unwrap_or_default());
    if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
        section.error("window", format!("must be {MIN_WINDOW} to {MAX_WINDOW} hits"));
    }
    let budget = section.or("budget", defaults.budget);
    if budget.is_zero() {
        section.error("budget", "must be more than nothing; to switch a rule off, set mode = \"off\"");
    }
    if budget > MAX_BUDGET {
        section.error("budget", "must be 10m (ten minutes) or less; milliseconds are written ms");
    }
    let score = section.choice("score", defaults.score, &ShownScore::NAMES);
    let mode = section.choice("mode", defaults.mode, &Mode::NAMES);
    let explicit = section.choice("explicit", defaults.explicit, &Explicit::NAMES);
    let traffic = section.or("traffic", defaults.traffic);
    if !(0.0..=1.0).contains(&traffic) {
        section.error("traffic", "must be the share of searches that are reranked, 0 to 1");
    }
    let query_path = section.or("query_path", defaults.query_path.clone());
    for pointer in query_path.iter().filter(|pointer| !pointer.starts_with('/')) {
        section.error(
            "query_path",
            format!("`{pointer}` is no JSON pointer: it must begin with a slash, as in \"/query/match/title/query\""),
        );
    }
    let blend = blend::read(section);
    let diversity = diversity::read(section).map(Arc::new);
    let (pin, bury) = (conditions::read(section, "pin"), conditions::read(section, "bury"));
    let of_signals = model_fields(fused, &defaults.model);
    let of_conditions = pin.iter().chain(&bury).map(|condition| condition.field.as_str());
    let of_diversity = diversity.iter().filter_map(|config| config.field.as_deref());
    if of_signals.chain(of_conditions).chain(of_diversity).collect::<HashSet<_>>().len() > MAX_FIELDS {
        section.error(
            "index",
            format!("the rule looks at more than {MAX_FIELDS} fields of its hits, in `signals`, `pin`, `bury` and `diversity`"),
        );
    }
    let long_passages = long_passages::read(section, models.is_remote(&defaults.model));
    section.finish();
    is_whole.then_some(Rule {
        passage,
        window,
        budget,
        blend,
        pin,
        bury,
        diversity,
        long_passages,
        score,
        mode,
        traffic,
        query_path,
        explicit,
        probability: calibration,
        min_score,
        ..defaults
    })
}

/// The key `min_score`, which means something only where there is a probability for every hit that has a score.
fn min_score(section: &Section, model: Option<&str>, is_calibrated: bool, fused: &FusedScorings) -> Option<f32> {
    let min_score: Option<f32> = section.optional("min_score");
    min_score?;
    if min_score.is_some_and(|lowest| !(0.0..=1.0).contains(&lowest)) {
        section.error("min_score", "must be a probability, 0 to 1");
    }
    let lacks = match model.and_then(|label| fused.get(label)) {
        Some(signals) => !signals.iter().all(SignalConfig::is_calibrated),
        None => model.is_some() && !is_calibrated,
    };
    if lacks {
        section.error(
            "min_score",
            "needs a `probability`: { MODEL = factor, offset = number } in the rule where it has one model, else in each model \
             of its `signals`; docs/models.md has an example",
        );
    }
    min_score
}

/// The fields among the signals that a label stands for.
fn model_fields<'a>(fused: &'a FusedScorings, label: &str) -> impl Iterator<Item = &'a str> {
    let signals = fused.get(label).map(Vec::as_slice).unwrap_or_default();
    signals.iter().filter(|signal| matches!(signal.source, SourceConfig::Field(_))).map(|signal| signal.source.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn a_share_of_the_traffic_is_the_same_queries_each_time() {
        let patterns = || IndexPatterns::new(&["*"]).expect("globs");
        let rule = Rule { traffic: 0.25, ..Rule::for_index(patterns(), "m".to_owned()) };
        let taken: Vec<bool> = (0..4000).map(|n| rule.takes(&format!("query {n}"))).collect();
        assert_eq!(taken, (0..4000).map(|n| rule.takes(&format!("query {n}"))).collect::<Vec<_>>());
        let share = taken.iter().filter(|&&taken| taken).count() as f64 / 4000.0;
        assert!((share - 0.25).abs() < 0.03, "{share}");
        assert!(Rule::for_index(patterns(), "m".to_owned()).takes("anything"));
        assert!(!Rule { traffic: 0.0, ..rule }.takes("anything"));
    }

    #[test]
    fn a_rule_that_looks_at_more_fields_than_may_be_is_a_mistake() {
        let rule = |count: usize| {
            let conditions: Vec<String> = (0..count).map(|n| format!("{{ field = \"f{n}\", is = 1 }}")).collect();
            let signals = "signals = [{ model = \"m\" }, { field = \"f0\" }, { field = \"g\" }]";
            read(&format!("{}{signals}\npin = [{}]\n", minimal(), conditions.join(",")))
        };
        assert!(rule(63).is_ok());
        let errors = rule(64).expect_err("too many");
        assert!(errors[0].contains("rules[0].index: the rule looks at more than 64 fields"), "{errors:?}");
    }

    #[test]
    fn a_budget_that_no_client_would_wait_for_is_a_mistake() {
        let errors = read(&format!("{}budget = \"300m\"\n", minimal())).expect_err("wrong").join("\n");
        assert!(errors.contains("rules[0].budget: must be 10m"), "{errors}");
    }
}
