//! What has to be known before the figures are believed, in sentences: searches that were not reranked, hits that nobody judged, ids
//! that do not fit, queries that are too few. Pure.

use evaluation::measures::Kind as Counted;

use super::Report;
use crate::eval::{figures::Order, run::Run};

/// The number of queries below which intervals come out too narrow.
const FEW: usize = 20;

/// The share of judged hits that an order may have less than the cluster's before it is told.
const UNJUDGED: f64 = 0.05;

/// The sentences.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let orders = &report.figures.orders;
    let mut notes: Vec<String> = orders.iter().filter_map(|order| shortfall(report, order)).collect();
    notes.extend(report.figures.others().iter().filter_map(|order| unjudged(report, order)));
    notes.extend(unknown_ids(report));
    if report.is_judged() && report.queries.len() < FEW {
        let count = report.queries.len();
        notes.push(format!("{count} queries are few: intervals come out too narrow, and little is certain."));
    }
    notes
}

/// Where nothing that was found has a judgement, the judgements are most likely about other ids.
fn unknown_ids(report: &Report) -> Option<String> {
    let is_judged = |run: &Run| {
        let mut answers = report.queries.iter().zip(&run.answers);
        answers.any(|(query, answer)| answer.ids.iter().any(|id| query.grades.of(id).is_some()))
    };
    let found = report.runs.iter().flat_map(|run| &run.answers).find_map(|answer| answer.ids.first());
    let judged = report.queries.iter().find_map(|query| query.grades.any());
    match (found, judged) {
        (Some(found), Some(judged)) if !report.runs.iter().any(is_judged) => Some(format!(
            "Not one hit of any query was judged. Are these the same documents, by the same ids? Hits are called such as `{found}`, judged \
             documents such as `{judged}`; --id names another field of the hits."
        )),
        _ => None,
    }
}

fn shortfall(report: &Report, order: &Order) -> Option<String> {
    let count: usize = order.shortfalls.values().sum();
    let reasons: Vec<String> = order.shortfalls.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    (count > 0).then(|| {
        format!(
            "{}: {count} of {} searches were not reranked, or not whole, and count as they were answered: {}.",
            order.name,
            report.queries.len(),
            reasons.join(", ")
        )
    })
}

fn unjudged(report: &Report, order: &Order) -> Option<String> {
    let at = report.figures.measures.iter().position(|measure| measure.kind == Counted::Judged)?;
    let (own, here) = (report.figures.orders.first()?.means[at], order.means[at]);
    (own - here > UNJUDGED).then(|| {
        format!(
            "{}: fewer of its hits were judged than of the cluster's ({} {here:.2}, there {own:.2}). What nobody judged counts as not \
             relevant, so that it may be better than its figures.",
            order.name, report.figures.measures[at]
        )
    })
}
