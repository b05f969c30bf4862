//! The report for people: one HTML file that needs nothing else, no script either. Owns its parts and their order. Pure; every text
//! of a query, a document or a name is escaped.

use std::{collections::HashMap, fmt::Write as _};

use evaluation::judgements::Query;
use html_escape::encode_text;

use super::{
    Examples, Report, milliseconds,
    notes::notes,
    p, pairs,
    plot::{self, Point},
    signed,
    style::{CSS, colour},
    words,
};
use crate::eval::{
    figures::{OVERLAP_AT, Order},
    run::{Answered, Kind, Run},
};

/// The hits that are shown side by side.
const HITS: usize = 10;

/// The report as the text of a file.
pub fn html(report: &Report) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let _ = write!(page, "<title>{}</title><style>\n{CSS}</style></head><body><main>", encode_text(&title(report)));
    page.push_str(&heading(report));
    page.push_str(&cards(report));
    notes(report).iter().for_each(|note| _ = write!(page, "<p class=\"note\">{}</p>", encode_text(note)));
    page.push_str(&quality_against_time(report));
    page.push_str(&table(report));
    page.push_str(&gains(report));
    page.push_str(&examples(report));
    page.push_str(&method(report));
    page + "</main></body></html>\n"
}

fn title(report: &Report) -> String {
    format!("Reranking of {}", report.subject.index)
}

fn heading(report: &Report) -> String {
    let subject = &report.subject;
    let judged = if report.is_judged() { "judged queries" } else { "queries without judgements" };
    let left_out = match subject.left_out.as_str() {
        "" => String::new(),
        left_out => format!(" Not used: {}.", encode_text(left_out)),
    };
    format!(
        "<h1>{}</h1><p class=\"soft\">{} {judged} of <code>{}</code>, searched in <code>{}</code> at <code>{}</code>. {}.{left_out}</p>",
        encode_text(&title(report)),
        report.queries.len(),
        encode_text(&subject.queries),
        encode_text(&subject.index),
        encode_text(&subject.cluster),
        encode_text(&subject.made),
    )
}

/// The configuration with the best first measure; without judgements the first.
fn best<'a>(report: &'a Report) -> Option<&'a Order> {
    let mut reranked = report.figures.orders.iter().filter(|order| order.kind == Kind::Reranked);
    match report.is_judged() {
        true => reranked.max_by(|left, right| left.means[0].total_cmp(&right.means[0])),
        false => reranked.next(),
    }
}

/// The best configuration in a few figures.
fn cards(report: &Report) -> String {
    let (Some(best), Some(own)) = (best(report), report.figures.orders.first()) else { return String::new() };
    let mut cards: Vec<(String, String)> = Vec::new();
    if let (Some(measure), Some(difference)) = (report.figures.measures.first(), best.differences.first()) {
        let (low, high) = (signed(difference.interval.low), signed(difference.interval.high));
        cards.push((
            format!("{:.3} → {:.3}", own.means[0], best.means[0]),
            format!("{measure}, the cluster’s own and reranked"),
        ));
        cards.push((
            signed(difference.mean),
            format!("[{low}, {high}] at 95 %, p {}", p(difference.p_holm).replace('<', "< ")),
        ));
        let outcomes = difference.outcomes;
        cards.push((
            format!("{} ▲ {} ▼", outcomes.wins, outcomes.losses),
            format!("queries better and worse; {} the same", outcomes.ties),
        ));
    } else {
        let agreement = best.agreement;
        cards.push((format!("{:.0} %", agreement.overlap * 1e2), format!("of the first {OVERLAP_AT} hits stay there")));
        cards
            .push((format!("{:.0} %", agreement.other_first * 1e2), "of the queries get another first hit".to_owned()));
        cards.push((format!("{:.1}", agreement.displacement), "places that a hit moves, in the mean".to_owned()));
    }
    if let Some(added) = best.added {
        let tail = milliseconds(added.p95);
        cards.push((
            format!("+{} ms", milliseconds(added.p50)),
            format!("added to a search at the median; 95 % within {tail} ms"),
        ));
    }
    let cards = cards.iter().map(|(figure, what)| {
        format!("<div class=\"card\"><b>{}</b><span>{}</span></div>", encode_text(figure), encode_text(what))
    });
    let name = match report.compared() {
        0 | 1 => String::new(),
        _ => format!("<p class=\"soft small\">The best configuration: {}.</p>", encode_text(&best.name)),
    };
    format!("<div class=\"cards\">{}</div>{name}", cards.collect::<String>())
}

/// What stands in the point of the order at this place.
fn mark(place: usize) -> String {
    if place == 0 { "C".to_owned() } else { place.to_string() }
}

fn dot(place: usize) -> String {
    format!("<span class=\"dot\" style=\"background:{}\">{}</span>", colour(place), mark(place))
}

fn quality_against_time(report: &Report) -> String {
    let Some(measure) = report.figures.measures.first() else { return String::new() };
    let Some(own) = report.figures.orders.first() else { return String::new() };
    let points: Vec<Point> = report
        .figures
        .orders
        .iter()
        .enumerate()
        .map(|(place, order)| {
            let mean = order.means[0];
            let interval = order.differences.first().map(|difference| difference.interval);
            let (low, high) =
                interval.map_or((mean, mean), |interval| (own.means[0] + interval.low, own.means[0] + interval.high));
            Point {
                mark: mark(place),
                name: order.name.clone(),
                colour: colour(place),
                time: (order.took.p50, order.took.p95),
                measure: (mean, low, high),
            }
        })
        .collect();
    let legend = report.figures.orders.iter().enumerate().map(|(place, order)| {
        format!(
            "<span style=\"display:inline-block;margin:0 18px 4px 0\">{}{}</span>",
            dot(place),
            encode_text(&order.name)
        )
    });
    format!(
        "<h2>Quality against latency</h2><p class=\"soft small\">Upright whiskers: the 95 % interval of the difference to the cluster’s own order, which \
         the dashed line is.</p><figure>{}</figure><p class=\"small\">{}</p>",
        plot::scatter(&points, &measure.to_string()),
        legend.collect::<String>()
    )
}

fn table(report: &Report) -> String {
    let mut head = vec![String::new()];
    if let Some(first) = report.figures.measures.first() {
        head.extend(report.figures.measures.iter().map(ToString::to_string));
        head.extend([format!("Δ {first}"), "p".to_owned(), "win/tie/loss".to_owned()]);
    } else {
        head.extend([format!("overlap@{OVERLAP_AT}"), "RBO".to_owned(), "moved".to_owned(), "other first".to_owned()]);
    }
    head.extend(["added".to_owned(), "pairs".to_owned()]);
    let head = head.iter().map(|cell| format!("<th>{}</th>", encode_text(cell))).collect::<String>();
    let rows =
        report.figures.orders.iter().enumerate().map(|(place, order)| row(report, place, order)).collect::<String>();
    format!(
        "<h2>All orders</h2><div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

fn row(report: &Report, place: usize, order: &Order) -> String {
    let mut row = format!("<tr><td>{}{}</td>", dot(place), encode_text(&order.name));
    let cell = |class: &str, text: &str| format!("<td class=\"{class}\">{}</td>", encode_text(text));
    if report.is_judged() {
        for (at, mean) in order.means.iter().enumerate() {
            let most = report.figures.orders.iter().map(|order| order.means[at]).fold(f64::NEG_INFINITY, f64::max);
            row.push_str(&cell(if *mean >= most { "best" } else { "" }, &format!("{mean:.3}")));
        }
        row.push_str(&match order.differences.first() {
            Some(difference) => {
                let (interval, outcomes) = (difference.interval, difference.outcomes);
                // What is left of it where several orders were tried.
                let is_certain = difference.p_holm < 0.05;
                let class = if is_certain && interval.low > 0.0 {
                    "up"
                } else if is_certain && interval.high < 0.0 {
                    "down"
                } else {
                    ""
                };
                let outcomes = format!("{}/{}/{}", outcomes.wins, outcomes.ties, outcomes.losses);
                let bounds = format!("{} to {}", signed(interval.low), signed(interval.high));
                [
                    format!(
                        "<td><span class=\"{class}\">{}</span><small>{bounds}</small></td>",
                        signed(difference.mean)
                    ),
                    cell("", &p(difference.p_holm)),
                    cell("", &outcomes),
                ]
                .concat()
            }
            None => cell("", "").repeat(3),
        });
    } else if order.kind == Kind::Cluster {
        row.push_str(&cell("", "").repeat(4));
    } else {
        let agreement = order.agreement;
        row.push_str(&cell("", &format!("{:.3}", agreement.overlap)));
        row.push_str(&cell("", &format!("{:.3}", agreement.rbo)));
        row.push_str(&cell("", &format!("{:.1}", agreement.displacement)));
        row.push_str(&cell("", &format!("{:.0} %", agreement.other_first * 1e2)));
    }
    let added = order.added.map(|added| [added.p50, added.p95].map(milliseconds));
    let added = added.map(|[p50, p95]| format!("{p50} ms<small>p95 {p95} ms</small>")).unwrap_or_default();
    let _ = write!(row, "<td>{added}</td>");
    row.push_str(&cell("", &pairs(order)));
    row + "</tr>"
}

fn gains(report: &Report) -> String {
    let Some(measure) = report.figures.measures.first() else { return String::new() };
    let texts: Vec<String> = report.queries.iter().map(words).collect();
    let figures = report.figures.others().iter().enumerate().map(|(at, order)| {
        let mut gains: Vec<(&str, f64)> = texts.iter().map(String::as_str).zip(report.figures.gains(order)).collect();
        gains.sort_by(|left, right| right.1.total_cmp(&left.1));
        format!(
            "<figure><figcaption>{}{}</figcaption>{}</figure>",
            dot(at + 1),
            encode_text(&order.name),
            plot::bars(&gains)
        )
    });
    format!(
        "<h2>Gain of each query</h2><p class=\"soft small\">A bar for each query, by {measure} less the cluster’s own; what stays the same has none.</p>\
         <div class=\"gains\">{}</div>",
        figures.collect::<String>()
    )
}

fn examples(report: &Report) -> String {
    let Some(own) = report.runs.first() else { return String::new() };
    let mut text = String::from("<h2>Queries that changed most</h2>");
    let best = best(report).map(|best| best.name.as_str());
    let mut orders: Vec<(usize, &Order, &Run)> = report
        .figures
        .orders
        .iter()
        .zip(report.runs)
        .enumerate()
        .skip(1)
        .map(|(at, (order, run))| (at, order, run))
        .collect();
    // Who looks at one order looks at the best.
    orders.sort_by_key(|(_, order, _)| best != Some(order.name.as_str()));
    for (number, (at, order, run)) in orders.into_iter().enumerate() {
        for (group, Examples { what, queries }) in report.examples(order).into_iter().enumerate() {
            let _ = write!(text, "<h3>{}{}: {}</h3>", dot(at), encode_text(&order.name), encode_text(what));
            for (place_in_group, (place, value)) in queries.into_iter().enumerate() {
                let is_open = number + group + place_in_group == 0;
                text.push_str(&example(report, (own, run), place, value, is_open));
            }
        }
    }
    text
}

/// One query, with the hits of both orders.
fn example(report: &Report, (own, run): (&Run, &Run), place: usize, value: f64, is_open: bool) -> String {
    let query = &report.queries[place];
    let (before, after) = (&own.answers[place], &run.answers[place]);
    let open = if is_open { " open" } else { "" };
    let (class, value) = match report.is_judged() {
        true => (if value > 0.0 { "up" } else { "down" }, signed(value)),
        false => ("", format!("{value:.3}")),
    };
    format!(
        "<details{open}><summary><b class=\"{class}\">{value}</b>{} <span class=\"soft small\">{}</span></summary><div class=\"sides\">\
         <div><h4>the cluster’s own order</h4>{}</div><div><h4>{}</h4>{}</div></div></details>",
        encode_text(&words(query)),
        encode_text(&query.id),
        hits(query, before, None),
        encode_text(&run.name),
        hits(query, after, Some(before)),
    )
}

/// The first hits of an answer, and how far each has moved.
fn hits(query: &Query, answer: &Answered, before: Option<&Answered>) -> String {
    let ranks: HashMap<&str, usize> =
        before.into_iter().flat_map(|before| before.ids.iter().enumerate()).map(|(at, id)| (id.as_str(), at)).collect();
    let items = answer.ids.iter().take(HITS).enumerate().map(|(at, id)| {
        let grade = query.grades.of(id);
        let class = if grade.is_some_and(|grade| grade > 0) { "grade hit" } else { "grade" };
        let moved = match (before, ranks.get(id.as_str())) {
            (None, _) => String::new(),
            (Some(_), None) => "new".to_owned(),
            (Some(_), Some(rank)) if *rank > at => format!("▲ {}", rank - at),
            (Some(_), Some(rank)) if *rank < at => format!("▼ {}", at - rank),
            (Some(_), Some(_)) => "=".to_owned(),
        };
        let words = answer.shown.get(at).map_or("", String::as_str);
        format!(
            "<li><span class=\"rank\">{}</span><span class=\"{class}\">{}</span><span class=\"moved\">{moved}</span><span>{} <code class=\"soft\">{}</code></span></li>",
            at + 1,
            grade.map_or_else(|| "–".to_owned(), |grade| grade.to_string()),
            encode_text(words),
            encode_text(id),
        )
    });
    format!("<ol>{}</ol>", items.collect::<String>())
}

fn method(report: &Report) -> String {
    let subject = &report.subject;
    let corrected = match report.compared() {
        0 | 1 => String::new(),
        count => format!(", corrected for {count} orders by Holm’s method"),
    };
    let chance = match report.is_judged() {
        true => format!(
            "<p class=\"small\">Δ is the difference to the cluster’s own order, with a paired bootstrap interval (10,000 draws), which is not corrected for how many orders were tried; it is coloured where p is below .05. p is of a paired \
             randomisation test, two-sided{corrected}. Hits that nobody judged count as not relevant (–).</p>"
        ),
        false => String::new(),
    };
    format!(
        "<h2>How it was measured</h2>{chance}<p class=\"small\">Each order was asked for all queries through a proxy of its own with an empty cache, {} \
         at a time, {} hits each. “Added” is the time that reranking took after the cluster’s answer was there. Pairs are the inputs that each \
         model was run on for a search, in the mean; what was cached is not among them. Made by rerank-proxy {}.</p>",
        subject.at_once.max(1),
        subject.depth,
        env!("CARGO_PKG_VERSION"),
    )
}
