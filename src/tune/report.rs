//! What tuning found, in words and as JSON. Owns that nothing is recommended in words that the figures do not bear.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use evaluation::{
    measures::Measure,
    significance::Interval,
    tuning::{
        advice::{Advice, Cost, Costs, LEAST_QUERIES, Limit, Verdict},
        trial::Setting,
    },
};
use serde_json::{Value, json};

use super::calibrate::Calibration;

/// What came of it.
#[derive(Debug)]
pub struct Tuned {
    pub(super) measure: Measure,
    pub(super) limit: Limit,
    pub(super) models: Vec<String>,
    pub(super) widest: usize,
    pub(super) tried: usize,
    pub(super) costs: Costs,
    pub(super) skipped: BTreeMap<String, usize>,
    /// What is to be known of the rule besides.
    pub(super) notes: Vec<String>,
    /// The threshold that the rule has now.
    pub(super) min_score: Option<f32>,
    pub(super) advice: Advice,
    /// The setting that is best on all queries.
    pub(super) best: Setting,
    pub(super) calibration: Calibration,
    /// The rule as lines, and the change to the operator's file where the rule stands in one.
    pub(super) change: Change,
}

/// What an operator is to change.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) lines: Vec<String>,
    pub(super) difference: Option<String>,
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self))
    }
}

impl Tuned {
    /// The same as one JSON object.
    pub fn json(&self) -> serde_json::Value {
        json(self)
    }

    /// Whether something is to be changed.
    pub fn is_recommended(&self) -> bool {
        self.advice.verdict == Verdict::Recommended
    }
}

/// What is known, line by line; the last part is what to change.
fn text(tuned: &Tuned) -> String {
    let mut out = String::new();
    let _ = asked(tuned, &mut out).and_then(|()| found(tuned, &mut out)).and_then(|()| changes(tuned, &mut out));
    out
}

fn asked(tuned: &Tuned, out: &mut String) -> std::fmt::Result {
    let Tuned { advice, models, costs, widest, .. } = tuned;
    writeln!(out, "{} judged queries, up to {widest} hits each; a pair takes here:", advice.gains.len())?;
    for (model, seconds) in models.iter().zip(&costs.seconds_a_pair) {
        writeln!(out, "  {model}: {:.2} ms", seconds * 1e3)?;
    }
    for note in &tuned.notes {
        writeln!(out, "  note: {note}")?;
    }
    for (said, count) in &tuned.skipped {
        writeln!(out, "  not reranked, and counted in the cluster's order: {count} answers that say `{said}`")?;
    }
    let limits = [
        tuned
            .limit
            .seconds
            .map(|seconds| format!("take {:?} at most (95th percentile)", Duration::from_secs_f64(seconds))),
        tuned.limit.pairs.map(|pairs| format!("score {pairs} pairs a search at most")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    match &limits[..] {
        [] => writeln!(out, "{} settings were tried.\n", tuned.tried),
        limits => {
            writeln!(
                out,
                "{} settings were tried; {} of them {}.\n",
                tuned.tried,
                advice.affordable,
                limits.join(" and ")
            )
        }
    }
}

fn found(tuned: &Tuned, out: &mut String) -> std::fmt::Result {
    let advice = &tuned.advice;
    let row = |out: &mut String, name: &str, quality: f64, cost: &Cost| {
        writeln!(
            out,
            "{name:<22} {quality:>8.4} {:>12.1} {:>12} {:>12}",
            cost.pairs,
            milliseconds(cost.mean_seconds),
            milliseconds(cost.p95_seconds)
        )
    };
    writeln!(out, "{:<22} {:>8} {:>12} {:>12} {:>12}", "", tuned.measure.to_string(), "pairs", "mean", "p95")?;
    row(out, "the rule as it is", advice.now, &advice.cost_now)?;
    if advice.best.is_some() {
        row(out, "the best that was found", advice.expected, &advice.cost)?;
    }
    writeln!(out)?;
    if advice.best.is_some() {
        let Interval { low, high } = advice.interval;
        let outcomes = advice.outcomes;
        writeln!(
            out,
            "On queries that had no part in the choice (five folds, dealt five times): {:+.4} {}, 95 % interval {low:+.4} to {high:+.4},\n\
             p = {:.4} (randomisation test); {} queries better, {} worse, {} the same. As many other queries of the same kind\n\
             will gain {:+.4} to {:+.4}, 99 times in 100.\n",
            advice.expected - advice.now,
            tuned.measure,
            advice.p,
            outcomes.wins,
            outcomes.losses,
            outcomes.ties,
            advice.of_others.low,
            advice.of_others.high,
        )?;
    }
    match (advice.verdict, advice.best) {
        (Verdict::Recommended, _) => writeln!(out, "Recommended."),
        (Verdict::TooFewQueries, _) => writeln!(
            out,
            "Nothing is recommended: {LEAST_QUERIES} judged queries are the fewest that an interval can be trusted on."
        ),
        (Verdict::NoGain, Some(_)) if advice.interval.high < 0.0 => writeln!(
            out,
            "Nothing is recommended: on queries that had no part in the choice it is worse than the rule as it is."
        ),
        (Verdict::NoGain, Some(_)) => writeln!(
            out,
            "Nothing is recommended: the interval includes zero, so that the gain may be chance. More judged queries would tell."
        ),
        (Verdict::NoGain, None) => {
            writeln!(out, "Nothing is recommended: nothing of what was tried is better than the rule as it is.")
        }
    }?;
    if !advice.now_is_affordable {
        writeln!(
            out,
            "The rule as it is does not keep to the limit. What a cheaper one would lose, `eval --matrix` measures."
        )?;
    }
    Ok(())
}

fn changes(tuned: &Tuned, out: &mut String) -> std::fmt::Result {
    let is_new = tuned.is_recommended();
    if let Some(worth) = tuned.calibration.worth {
        writeln!(
            out,
            "\nThe probabilities below are fitted to these judgements (log loss {:.3} on other queries; {:.3} for who knows but the\n\
             share of good hits). With `min_score` in the rule, hits below it go behind all others, and `X-Rerank` says how many are\n\
             above it (`good`); a client may have them left out with `X-Rerank-Min-Score`:",
            worth.log_loss, worth.log_loss_of_the_share
        )?;
        writeln!(out, "  min_score   of the good hits it keeps   of what it keeps is good")?;
        for threshold in &tuned.calibration.thresholds {
            writeln!(
                out,
                "  {:>9.1}   {:>23.0} %   {:>22.0} %",
                threshold.least,
                100.0 * threshold.recall,
                100.0 * threshold.precision
            )?;
        }
    }
    let has_curves = tuned.calibration.worth.is_some();
    match (tuned.min_score, tuned.calibration.is_whole()) {
        (Some(threshold), true) => writeln!(
            out,
            "\nThe rule's own `min_score = {threshold}` is a threshold of the new probabilities from now on: see the table."
        )?,
        (Some(_), false) if is_new => {
            writeln!(out, "\nThe rule's `min_score` is taken out: what the new one says of a hit is no probability.")?;
        }
        _ => {}
    }
    match (&tuned.change.difference, is_new || has_curves) {
        (_, false) => Ok(()),
        (Some(difference), true) if difference.is_empty() => Ok(()),
        (Some(difference), true) => {
            let what = if is_new { "The change" } else { "The same order, with probabilities" };
            writeln!(out, "\n{what}:\n{}", difference.trim_end())
        }
        (None, true) => {
            let what = if is_new { "The rule" } else { "The rule as it is, with probabilities" };
            writeln!(
                out,
                "\n{what} (it stands in no file yet: put these lines under its [[rules]]):\n{}",
                tuned.change.lines.join("\n")
            )
        }
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// The same as [`text`], for programs.
fn json(tuned: &Tuned) -> Value {
    let advice = &tuned.advice;
    let interval = |Interval { low, high }: Interval| json!([low, high]);
    let cost =
        |cost: Cost| json!({"pairs": cost.pairs, "mean_seconds": cost.mean_seconds, "p95_seconds": cost.p95_seconds});
    let models = tuned.models.iter().zip(&tuned.costs.seconds_a_pair);
    let models = models.map(|(name, seconds)| json!({"name": name, "seconds_a_pair": seconds}));
    let thresholds = tuned.calibration.thresholds.iter();
    let thresholds =
        thresholds.map(|at| json!({"min_score": at.least, "precision": at.precision, "recall": at.recall}));
    let verdict = match advice.verdict {
        Verdict::Recommended => "recommended",
        Verdict::NoGain => "no-gain",
        Verdict::TooFewQueries => "too-few-queries",
    };
    json!({
        "verdict": verdict,
        "measure": tuned.measure.to_string(),
        "queries": advice.gains.len(),
        "widest": tuned.widest,
        "models": models.collect::<Vec<_>>(),
        "skipped": tuned.skipped,
        "settings": {"tried": tuned.tried, "affordable": advice.affordable, "now_is_affordable": advice.now_is_affordable},
        "now": {"mean": advice.now, "cost": cost(advice.cost_now)},
        "best": advice.best.map(|_| json!({
            "window": tuned.best.window,
            "expected": advice.expected,
            "gain": advice.expected - advice.now,
            "interval": interval(advice.interval),
            "interval_of_other_queries": interval(advice.of_others),
            "p": advice.p,
            "wins": advice.outcomes.wins,
            "ties": advice.outcomes.ties,
            "losses": advice.outcomes.losses,
            "agreement": advice.agreement,
            "cost": cost(advice.cost),
        })),
        "rule": tuned.change.lines,
        "diff": tuned.change.difference,
        "thresholds": thresholds.collect::<Vec<_>>(),
    })
}
