//! The table for the terminal. Pure.

use std::fmt::Write as _;

use super::{Examples, Report, milliseconds, notes::notes, p, pairs, signed, words};
use crate::eval::{
    figures::{OVERLAP_AT, Order},
    run::Kind,
};

/// The most columns of an order's name.
const NAME: usize = 72;

/// The most characters of a query among those that gained or lost most.
const QUERY: usize = 60;

/// The table, what has to be known of it, and the queries that gained and lost most.
pub fn table(report: &Report) -> String {
    let mut text = heading(report);
    let rows: Vec<Vec<String>> =
        [head(report)].into_iter().chain(report.figures.orders.iter().map(|order| row(report, order))).collect();
    text.push_str(&aligned(&rows));
    text.push_str(&legend(report));
    notes(report).into_iter().for_each(|note| _ = writeln!(text, "\nnote: {note}"));
    report.figures.others().iter().for_each(|order| text.push_str(&examples(report, order)));
    text
}

fn heading(report: &Report) -> String {
    let subject = &report.subject;
    let what = if report.is_judged() { "judged queries" } else { "queries" };
    let mut text = format!(
        "{} {what} of {}, searched in {} at {}\n",
        report.queries.len(),
        subject.queries,
        subject.index,
        subject.cluster
    );
    if !subject.left_out.is_empty() {
        let _ = writeln!(text, "not used: {}", subject.left_out);
    }
    text.push('\n');
    text
}

fn head(report: &Report) -> Vec<String> {
    let mut head = vec![String::new()];
    if let Some(first) = report.figures.measures.first() {
        head.extend(report.figures.measures.iter().map(ToString::to_string));
        head.extend([format!("Δ {first}"), "[95 %]".to_owned(), "p".to_owned(), "win/tie/loss".to_owned()]);
    } else {
        let overlap = format!("overlap@{OVERLAP_AT}");
        head.extend([overlap, "RBO".to_owned(), "moved".to_owned(), "other first".to_owned()]);
    }
    head.extend(["added p50", "p95", "pairs"].map(str::to_owned));
    head
}

fn row(report: &Report, order: &Order) -> Vec<String> {
    let mut row = vec![shortened(&order.name, NAME)];
    if report.is_judged() {
        row.extend(order.means.iter().map(|mean| format!("{mean:.3}")));
        row.extend(match order.differences.first() {
            Some(difference) => {
                let interval = difference.interval;
                let outcomes = difference.outcomes;
                [
                    signed(difference.mean),
                    format!("[{}, {}]", signed(interval.low), signed(interval.high)),
                    p(difference.p_holm),
                    format!("{}/{}/{}", outcomes.wins, outcomes.ties, outcomes.losses),
                ]
            }
            None => Default::default(),
        });
    } else if order.kind == Kind::Cluster {
        row.extend([const { String::new() }; 4]);
    } else {
        let agreement = order.agreement;
        row.extend([
            format!("{:.3}", agreement.overlap),
            format!("{:.3}", agreement.rbo),
            format!("{:.1}", agreement.displacement),
            format!("{:.0} %", agreement.other_first * 1e2),
        ]);
    }
    row.extend(match order.added {
        Some(added) => [format!("{} ms", milliseconds(added.p50)), format!("{} ms", milliseconds(added.p95))],
        None => Default::default(),
    });
    row.push(pairs(order));
    row
}

/// The rows with each column as wide as its widest cell; numbers stand to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn legend(report: &Report) -> String {
    let times = match report.subject.at_once {
        0 | 1 => "one search at a time".to_owned(),
        many => format!("{many} searches at a time, so that they wait for each other"),
    };
    let cost = format!(
        "added: the time that reranking takes, {times}; pairs: inputs that each model is run on for a search, what is\n\
         cached left out. docs/evaluation.md explains each column.\n"
    );
    let corrected = match report.compared() {
        0 | 1 => String::new(),
        count => format!(", corrected for {count} orders (Holm)"),
    };
    match report.is_judged() {
        true => format!(
            "\nΔ: to the cluster's own order, with a bootstrap interval; p: of a randomisation test{corrected};\n{cost}"
        ),
        false => format!(
            "\nAgainst the cluster's own order: overlap@{OVERLAP_AT}, the share of the first hits that both have; RBO, the same with the\n\
             first ranks counting most; moved, places of a hit in the mean; other first, queries with another first hit.\n{cost}"
        ),
    }
}

/// The queries that changed most.
fn examples(report: &Report, order: &Order) -> String {
    let mut text = String::new();
    for Examples { what, queries } in report.examples(order) {
        let _ = writeln!(text, "\n{}: {what}", order.name);
        for (place, value) in queries {
            let query = &report.queries[place];
            let value = if report.is_judged() { signed(value) } else { format!("{value:.3}") };
            let _ = writeln!(text, "  {value}  {}: {}", query.id, shortened(&words(query), QUERY));
        }
    }
    text
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}
