//! All measured orders side by side: how good each is, whether that may be chance, and what it costs. Pure: text and JSON out of
//! what was measured.

use std::{collections::BTreeSet, fmt::Write as _};

use evaluation::{
    comparison::{Change, Comparison, Run},
    corpus::Dataset,
    significance::{Outcomes, randomisation_p},
};
use serde_json::{Value, json};

use super::orders::Measured;

/// Columns for an order's name.
const NAME: usize = 26;

/// A table over all queries and, where an order was measured with fewer, one over those. The usual order stands last.
pub fn overview(measured: &[Measured], before: &Run, dataset: &Dataset) -> String {
    let measured = usual_last(measured);
    let samples: BTreeSet<usize> = measured.iter().map(|each| each.order.every).collect();
    let mut text = String::new();
    for every in samples {
        text.push_str(&table(&measured, before, dataset, every));
    }
    text.push_str(
        "better, worse: queries, by NDCG@10, than with BM25; p: of a paired randomisation test of that.\n\
         pairs: of query and hit, that each model scores for one search; added: the time that it takes at the\n\
         median, one search at a time. Vectors of passages found before are cached, and pairs scored before.\n",
    );
    for each in &measured {
        let reasons = each.shortfalls();
        let count: usize = reasons.values().sum();
        if count > 0 {
            let _ =
                writeln!(text, "\n{}: {count} of {} answers were not fully reranked:", each.order.name, each.run.len());
            reasons.iter().for_each(|(reason, count)| _ = writeln!(text, "  {count} × {}", short(reason)));
        }
    }
    text
}

/// A header, cut to what a line has room for.
fn short(header: &str) -> String {
    header.chars().take(90).collect()
}

fn usual_last(measured: &[Measured]) -> Vec<&Measured> {
    let (usual, others): (Vec<_>, Vec<_>) = measured.iter().partition(|each| each.is_usual());
    others.into_iter().chain(usual).collect()
}

/// The table over every `every`-th query.
fn table(measured: &[&Measured], before: &Run, dataset: &Dataset, every: usize) -> String {
    let rows = measured.iter().filter_map(|each| Some((*each, each.against(before, dataset, every)?)));
    let rows: Vec<(&Measured, Comparison)> = rows.collect();
    let Some((_, first)) = rows.first() else { return String::new() };
    let queries = first.queries.len();
    let which = match every {
        1 => format!("all {queries} judged queries"),
        every => format!("{queries} of them, every {every}th"),
    };
    let mut text = format!(
        "{which:<NAME$}{:>9}{:>8}{:>8}{:>7}{:>9}{:>12}{:>12}\n",
        "NDCG@10", "MRR@10", "better", "worse", "p", "pairs", "added"
    );
    let _ = writeln!(text, "{:<NAME$}{:>9.3}{:>8.3}", "BM25", first.ndcg().before, first.mrr().before);
    for (each, comparison) in &rows {
        let Outcomes { wins, losses, .. } = comparison.outcomes();
        let p = match p(comparison) {
            p if p < 0.001 => "<0.001".to_owned(),
            p => format!("{p:.3}"),
        };
        let pairs: Vec<String> = each.pairs().iter().map(|pairs| format!("{pairs:.0}")).collect();
        let added = each.added().map_or_else(String::new, |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        let name: String = each.order.name.chars().take(NAME - 1).collect();
        let _ = writeln!(
            text,
            "{name:<NAME$}{:>9.3}{:>8.3}{wins:>8}{losses:>7}{p:>9}{:>12}{added:>12}",
            comparison.ndcg().after,
            comparison.mrr().after,
            pairs.join(" + "),
        );
    }
    text.push('\n');
    text
}

fn p(comparison: &Comparison) -> f64 {
    randomisation_p(&comparison.gains())
}

/// Every order as an object, for programs: against BM25 over the queries that it was measured with.
pub fn orders_json(measured: &[Measured], before: &Run, dataset: &Dataset) -> Vec<Value> {
    let change = |change: Change| json!({"before": change.before, "after": change.after});
    let order = |each: &&Measured| {
        let comparison = each.against(before, dataset, each.order.every)?;
        let Outcomes { wins, ties, losses } = comparison.outcomes();
        let incomplete: usize = each.shortfalls().values().sum();
        Some(json!({
            "name": each.order.name,
            "queries": comparison.queries.len(),
            "ndcg@10": change(comparison.ndcg()),
            "mrr@10": change(comparison.mrr()),
            "better": wins,
            "worse": losses,
            "same": ties,
            "p": p(&comparison),
            "pairs": each.pairs(),
            "added_ms_p50": each.added().map(|time| time.as_secs_f64() * 1e3),
            "not_fully_reranked": incomplete,
        }))
    };
    usual_last(measured).iter().filter_map(order).collect()
}
