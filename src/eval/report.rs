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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evaluation::judgements::Grades;
    use serde_json::json as value;

    use super::*;
    use crate::eval::run::{Answered, Kind};

    const HOSTILE: &str = "<script>alert('x')</script> & \"co\"";

    fn answer(ids: [&str; 2], rerank: &str) -> Answered {
        Answered {
            ids: ids.map(str::to_owned).to_vec(),
            shown: vec![HOSTILE.to_owned(), "two".to_owned()],
            rerank: rerank.to_owned(),
            added: rerank.starts_with("applied").then(|| Duration::from_millis(12)),
            took: Duration::from_millis(20),
        }
    }

    fn run(name: &str, kind: Kind, answers: Vec<Answered>) -> Run {
        Run { name: name.to_owned(), kind, answers, runs: vec![("m".to_owned(), Some(4))] }
    }

    /// The report of two queries in the cluster's order and in another, which changes the first and skips the second.
    fn told<T>(is_judged: bool, tell: impl FnOnce(&Report) -> T) -> T {
        let query =
            |id: &str, grades: Grades| Query { id: id.to_owned(), search: Search::Text(HOSTILE.to_owned()), grades };
        let queries = [query("q1", [("b", 1)].into_iter().collect()), query("q2", [("a", 1)].into_iter().collect())];
        let own = vec![answer(["a", "b"], ""), answer(["a", "b"], "")];
        let applied = "applied; model=\"m\"; window=2; scored=2; cached=0; budget-hit=?0";
        let other = vec![answer(["b", "a"], applied), answer(["a", "b"], "skipped; reason=sort")];
        let runs = [run("cluster", Kind::Cluster, own), run(HOSTILE, Kind::Reranked, other)];
        let measures = if is_judged { vec!["RR@10".parse().expect("a measure")] } else { Vec::new() };
        let subject = Subject { index: HOSTILE.to_owned(), queries: "beir".to_owned(), ..Subject::default() };
        let figures = Figures::of(&queries, &measures, &runs);
        tell(&Report { subject, queries: &queries, runs: &runs, figures })
    }

    #[test]
    fn a_row_of_the_table_has_the_measure_its_difference_and_its_cost() {
        let table = told(true, table);
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
        assert_eq!(row("cluster").split_whitespace().collect::<Vec<_>>(), ["cluster", "0.750"]);
        let other = row("<script>");
        let other: Vec<&str> = other.split_whitespace().rev().take(9).collect();
        assert_eq!(other[..5], ["2.0", "ms", "12", "ms", "12"]);
        assert_eq!(other[5..], ["1/1/0", "1.000", "+0.500]", "[+0.000,"]);
        assert!(
            table.contains("1 of 2 searches were not reranked, or not whole") && table.contains("1 × sort"),
            "{table}"
        );
        assert!(table.contains("gained most\n  +0.500  q1: "), "{table}");
    }

    #[test]
    fn ids_that_no_judgement_knows_are_told_with_an_example_of_each() {
        let found = told(true, |report| {
            let grades = |id: &str| [(id, 1)].into_iter().collect::<Grades>();
            let queries: Vec<Query> =
                report.queries.iter().map(|query| Query { grades: grades("doc-7"), ..query.clone() }).collect();
            notes::notes(&Report { queries: &queries, ..report.clone() })
        });
        assert!(found.iter().any(|note| note.contains("`a`") && note.contains("`doc-7`")), "{found:?}");
        let found = told(true, notes::notes);
        assert!(!found.iter().any(|note| note.contains("Not one hit")), "{found:?}");
    }

    #[test]
    fn without_judgements_agreement_is_told_and_no_measure() {
        let table = told(false, table);
        assert!(table.contains("overlap@10") && table.contains("50 %") && !table.contains("RR@10"), "{table}");
        assert!(table.contains("changed most"), "{table}");
        assert!(told(false, html).contains("overlap@10"));
    }

    #[test]
    fn the_page_escapes_whatever_others_wrote() {
        for is_judged in [true, false] {
            let page = told(is_judged, html);
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
            assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
        }
    }

    #[test]
    fn programs_get_every_figure() {
        let json = told(true, json);
        let order = &json["orders"][1];
        assert_eq!(order["means"]["RR@10"], value!(1.0));
        assert_eq!(order["against_cluster"]["RR@10"]["wins"], value!(1));
        assert_eq!(order["not_reranked"], value!({"sort": 1}));
        assert_eq!(order["pairs"], value!([{"model": "m", "pairs": 2.0}]));
        assert_eq!(json["queries"][0]["orders"]["cluster"], value!(0.5));
    }

    #[test]
    fn run_files_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = told(true, |report| write_runs(report, folder.path())).expect("written");
        let source = evaluation::input::Source::read(&written[1]).expect("there");
        let ranked = evaluation::trec_run::read(&source).expect("a run");
        assert_eq!((ranked[0].query.as_str(), &ranked[0].documents[..]), ("q1", &["b".to_owned(), "a".to_owned()][..]));
    }
}
