//! What is told of an evaluation: a table for the terminal, JSON for programs, one HTML file for people, run files for other tools. Owns
//! what all of these are made of.

mod html;
mod json;
mod notes;
mod plot;
mod runs;
mod style;
mod table;

use evaluation::judgements::{Query, Search};

use super::{
    figures::{Figures, Order},
    run::Run,
};

pub use html::html;
pub use json::json;
pub use runs::write_runs;
pub use table::table;

/// The queries that gained most, and those that lost most, of each order.
const EXAMPLES: usize = 5;

/// What is less is no gain, but what rounding makes of none.
const LEAST: f64 = 1e-9;

/// Queries to look at.
#[derive(Debug, Clone)]
struct Examples {
    /// What they have in common.
    what: &'static str,
    /// Their places, and what they gained, or how far the orders agree.
    queries: Vec<(usize, f64)>,
}

/// All that there is to tell.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// What was searched, and where the queries are from.
    pub subject: Subject,
    /// The queries.
    pub queries: &'a [Query],
    /// The answers, the cluster's own first.
    pub runs: &'a [Run],
    /// The figures.
    pub figures: Figures,
}

/// What was searched, and where the queries are from.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The cluster's URL.
    pub cluster: String,
    /// The index.
    pub index: String,
    /// The file or folder of the queries.
    pub queries: String,
    /// What of it was not used; empty where all was.
    pub left_out: String,
    /// The number of hits that were asked for.
    pub depth: usize,
    /// Searches at a time.
    pub at_once: usize,
    /// When it was made, as a person reads it.
    pub made: String,
}

impl Report<'_> {
    /// True where there are judgements, so that there are measures.
    pub fn is_judged(&self) -> bool {
        !self.figures.measures.is_empty()
    }

    /// The queries that gained most and those that lost most in an order; without judgements, those that changed most. None of what
    /// there is nothing.
    fn examples(&self, order: &Order) -> Vec<Examples> {
        let ascending = |values: Vec<f64>| {
            let mut values: Vec<(usize, f64)> = values.into_iter().enumerate().collect();
            values.sort_by(|left, right| left.1.total_cmp(&right.1));
            values
        };
        let taken = |what, queries: &mut dyn Iterator<Item = (usize, f64)>| {
            let queries: Vec<(usize, f64)> = queries.take(EXAMPLES).collect();
            (!queries.is_empty()).then_some(Examples { what, queries })
        };
        if !self.is_judged() {
            let changed = ascending(order.rbo.clone());
            let changed = taken(
                "changed most (RBO with the cluster's order)",
                &mut changed.into_iter().filter(|(_, rbo)| *rbo < 1.0),
            );
            return changed.into_iter().collect();
        }
        let gains = ascending(self.figures.gains(order));
        let gained = taken("gained most", &mut gains.iter().rev().copied().filter(|(_, gain)| *gain > LEAST));
        let lost = taken("lost most", &mut gains.iter().copied().filter(|(_, gain)| *gain < -LEAST));
        gained.into_iter().chain(lost).collect()
    }

    /// The number of the orders that are compared with the cluster's.
    fn compared(&self) -> usize {
        self.figures.others().len()
    }
}

/// The text of a query, or what stands for it.
fn words(query: &Query) -> String {
    match &query.search {
        Search::Text(text) => text.clone(),
        Search::Body(_) | Search::Template(_) => query.id.clone(),
    }
}

/// A p as it is usually written.
fn p(value: f64) -> String {
    if value < 0.001 { "<.001".to_owned() } else { format!("{value:.3}").trim_start_matches('0').to_owned() }
}

/// A number with its sign.
fn signed(value: f64) -> String {
    // What rounding makes of nothing has no sign.
    let value = if value.abs() < 0.0005 { 0.0 } else { value };
    format!("{value:+.3}").replace('-', "−")
}

/// Milliseconds with as many digits as mean something.
fn milliseconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// The pairs of each model for one search.
fn pairs(order: &Order) -> String {
    let each = order.pairs.iter().map(|(_, pairs)| pairs.map_or_else(|| "?".to_owned(), |pairs| format!("{pairs:.1}")));
    each.collect::<Vec<_>>().join(" + ")
}
