//! What `check` prints of the cluster and the models. Owns its wording.

use std::{collections::BTreeMap, time::Duration};

use ranking::order::Blend;

use super::{
    measuring::{Costs, Window},
    survey::{Caught, Content, OtherName, Outlook, Survey},
};
use crate::config::{
    Settings,
    rules::{Mode, Rule},
};

/// The names that are told of a list.
const TOLD: usize = 10;

/// What was found.
pub(super) struct Report<'a> {
    pub(super) settings: &'a Settings,
    pub(super) survey: &'a Survey,
    pub(super) costs: &'a Costs,
}

impl Report<'_> {
    /// Prints it.
    pub(super) fn print(&self) {
        for (name, score, took) in &self.costs.probes {
            println!("model {name}: a probe pair scores {score:.4}, in {}", millis(*took));
        }
        for (place, (rule, caught)) in self.settings.rules.iter().zip(&self.survey.caught).enumerate() {
            println!("\nrule {}: {}", place + 1, settings_of(rule, self.settings));
            if caught.is_empty() {
                println!("  catches nothing: no index, alias or collection matches");
            }
            for caught in caught {
                self.print_caught(place, rule, caught);
            }
            self.print_other_names(rule, caught);
        }
        let free = &self.survey.free;
        if !free.is_empty() {
            println!("\nno rule: {}", some(&free.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        for line in self.comes_to_nothing() {
            println!("\n{line}");
        }
    }

    /// The aliases and data streams by which clients may search what a rule catches, past the rule.
    fn print_other_names(&self, rule: &Rule, caught: &[Caught]) {
        if rule.mode == Mode::Off {
            return;
        }
        let is_past = |other: &&OtherName| {
            self.survey.free.contains(&other.name) && caught.iter().any(|caught| caught.name == other.target)
        };
        let mut past: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for other in self.survey.others.iter().filter(is_past) {
            past.entry((other.kind, &other.name)).or_default().push(&other.target);
        }
        for ((kind, name), targets) in past {
            println!(
                "  {kind} {name} -> {}: searches that name it are not reranked; add it to `index`",
                some(&targets)
            );
        }
    }

    /// A line each for the rules that rerank nothing, and for those that lack something.
    fn comes_to_nothing(&self) -> Vec<String> {
        let of = |found: Outlook| {
            let outlooks = self.survey.outlooks(&self.settings.rules);
            outlooks.filter(|outlook| *outlook == found).count()
        };
        let line = |count: usize, what: &str, see: &str| {
            let rules = if count == 1 { "rule" } else { "rules" };
            (count > 0).then(|| format!("{count} {rules} {what}: see {see} above (exit status 4 with --strict)"))
        };
        let nothing = line(of(Outlook::Nothing), "would rerank nothing", "NOT THERE, NO TEXT and \"catches nothing\"");
        let lacking = line(of(Outlook::Lacking), "would rerank only in part", "NOT THERE and NO TEXT");
        nothing.into_iter().chain(lacking).collect()
    }

    fn print_caught(&self, place: usize, rule: &Rule, caught: &Caught) {
        let content = match &caught.content {
            None => return println!("  {}: not looked into, one of many", caught.name),
            Some(Err(fault)) => return println!("  {}: not known, {fault}", caught.name),
            Some(Ok(content)) => content,
        };
        println!("  {}:", caught.name);
        println!("    fields: {}", fields(rule, content));
        let window = self.costs.window(place, &caught.name);
        println!("    passages: {}", passages(content, window));
        if let Some(window) = window {
            println!("    first search: {}", first_search(rule, window));
        }
    }
}

/// The first of some names, and how many there are more.
fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(TOLD);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", names.iter().take(TOLD).copied().collect::<Vec<_>>().join(", "))
}

fn settings_of(rule: &Rule, settings: &Settings) -> String {
    let models = settings.models_of(&rule.model).join(" + ");
    let blend = match rule.blend {
        Blend::Replace => "replace".to_owned(),
        Blend::Linear { weight } => format!("linear, weight {weight}"),
        Blend::Rrf { k } => format!("rrf, k {k}"),
    };
    format!(
        "index {}; mode {}; model {models}; window {}; budget {}; blend {blend}",
        rule.index.globs().collect::<Vec<_>>().join(", "),
        rule.mode.name(),
        rule.window,
        millis(rule.budget),
    )
}

fn fields(rule: &Rule, content: &Content) -> String {
    let Some(names) = rule.passage_fields() else {
        return "those that a query searches, else every text".to_owned();
    };
    match content.missing.as_slice() {
        [] => format!("{}, all there", names.join(", ")),
        missing => format!("{}; NOT THERE: {}", names.join(", "), missing.join(", ")),
    }
}

fn passages(content: &Content, window: Option<&Window>) -> String {
    let passages = &content.passages;
    let (documents, with_text) = (passages.documents, passages.texts.len());
    match (documents, with_text) {
        (0, _) => return "it has no documents".to_owned(),
        (_, 0) => return format!("NO TEXT in any of {documents} documents"),
        _ => {}
    }
    let length = format!("{with_text} of {documents} documents have text; median {} characters", passages.median());
    match window {
        Some(Window { tokens, truncated, .. }) => {
            format!("{length}, {tokens} tokens as the model reads it; {truncated} would be truncated")
        }
        None => length,
    }
}

fn first_search(rule: &Rule, window: &Window) -> String {
    let Window { rate, .. } = window;
    let takes = Duration::from_secs_f64(rule.window as f64 / rate);
    let pairs = format!("{} pairs, at {rate:.0} a second here, take {}", rule.window, millis(takes));
    match takes > rule.budget {
        true => {
            let scored = (rule.budget.as_secs_f64() * rate) as usize;
            format!("{pairs}; the budget ({}) cuts it after about {scored}", millis(rule.budget))
        }
        false => format!("{pairs}, within the budget ({})", millis(rule.budget)),
    }
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}
