//! The texts that the demo prints of its usual order: before/after tables, the measures with the losses, and the last line for programs.
//! Pure: text out of a comparison; plain ASCII layout within [`WIDTH`] columns, no colours.

use std::{collections::HashMap, fmt::Write as _, net::SocketAddr};

use evaluation::{
    comparison::{CUTOFF, Comparison, QueryComparison},
    corpus::Dataset,
    significance::Outcomes,
};
use serde_json::{Value, json};

use super::load::INDEX;

/// The widest line, in columns.
pub const WIDTH: usize = 100;

/// The number of hits that a table shows.
const ROWS: usize = 5;

/// The number of losses that are listed.
const LOSSES: usize = 5;

/// Columns for a title in a table.
const TITLE_WIDTH: usize = 40;

/// Before/after tables of a few queries, chosen by rule and not by taste: the two largest gains, the median, the worst.
pub fn tables(comparison: &Comparison, dataset: &Dataset) -> String {
    let by_gain = comparison.by_gain();
    let count = by_gain.len();
    let mut chosen: Vec<(&str, &QueryComparison)> = Vec::new();
    let places = [
        ("largest gain", count.checked_sub(1)),
        ("second largest gain", count.checked_sub(2)),
        ("median", (count > 0).then_some(count / 2)),
        ("largest loss", (count > 0).then_some(0)),
    ];
    for (why, place) in places {
        let Some(query) = place.map(|place| by_gain[place]) else { continue };
        if chosen.iter().all(|(_, other)| other.query.id != query.query.id) {
            chosen.push((why, query));
        }
    }
    let titles: HashMap<&str, &str> =
        dataset.passages.iter().map(|passage| (passage.id.as_str(), passage.title.as_str())).collect();
    let mut text = String::new();
    for (why, query) in chosen {
        text.push_str(&table(why, query, &titles));
        text.push('\n');
    }
    text.push_str("*** answers  ** answers in part  * on the subject   +n/-n places moved, new: from below the page\n");
    text
}

/// The table of one query.
fn table(why: &str, compared: &QueryComparison, titles: &HashMap<&str, &str>) -> String {
    let QueryComparison { query, before, after, ndcg, .. } = compared;
    let mut text = format!("{}\n", fitted(&format!("\"{}\"  ({why})", query.label()), WIDTH).trim_end());
    let heading = |name: &str, ndcg: f64| format!("{name}, NDCG@{CUTOFF} {ndcg:.2}");
    let (left, right) = (heading("before: BM25", ndcg.before), heading("after: reranked", ndcg.after));
    let _ = writeln!(text, "    {left:<TITLE_WIDTH$}           {right}");
    for row in 0..ROWS.min(before.len().max(after.len())) {
        let cell = |ids: &[String]| {
            let Some(id) = ids.get(row) else { return " ".repeat(TITLE_WIDTH + 4) };
            let stars = "*".repeat(usize::try_from(query.grades.of(id).unwrap_or(0)).unwrap_or(0));
            let title = titles.get(id.as_str()).copied().unwrap_or(id);
            format!("{} {stars:<3}", fitted(title, TITLE_WIDTH))
        };
        let line = format!("{:>3} {} {:>4}  {}", row + 1, cell(before), moved(row, before, after), cell(after));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The places that the hit at `row` has moved: `+3`, `-1`, `=`, or `new`.
fn moved(row: usize, before: &[String], after: &[String]) -> String {
    let Some(id) = after.get(row) else { return String::new() };
    match before.iter().position(|other| other == id) {
        None => "new".to_owned(),
        Some(place) if place == row => "=".to_owned(),
        Some(place) if place > row => format!("+{}", place - row),
        Some(place) => format!("-{}", row - place),
    }
}

/// `text` in exactly `width` columns, cut with an ellipsis or padded.
fn fitted(text: &str, width: usize) -> String {
    let text = text.replace(['\n', '\t'], " ");
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut:<0$}…", width - 1)
}

/// The measures over all judged queries, and the worst losses.
pub fn summary(comparison: &Comparison, dataset: &Dataset) -> String {
    let mut text = format!(
        "{} judged queries over {} passages\n\n{:>18}{:>10}{:>10}\n",
        comparison.queries.len(),
        dataset.passages.len(),
        "before",
        "after",
        "change"
    );
    for (name, change) in [("NDCG@10", comparison.ndcg()), ("MRR@10", comparison.mrr())] {
        let _ = writeln!(text, "{name:<9}{:>9.3}{:>10.3}{:>+10.3}", change.before, change.after, change.gain());
    }
    let Outcomes { wins, ties, losses } = comparison.outcomes();
    let _ = writeln!(text, "\nNDCG@10 by query: {wins} better, {losses} worse, {ties} the same");
    let worst = comparison.by_gain().into_iter().take(LOSSES.min(losses));
    for (number, query) in worst.enumerate() {
        if number == 0 {
            text.push_str("largest losses:\n");
        }
        let change = query.ndcg;
        let shown = fitted(query.query.label(), WIDTH - 32);
        let _ = writeln!(
            text,
            "{:>+8.3}  ({:.2} to {:.2})  {}",
            change.gain(),
            change.before,
            change.after,
            shown.trim_end()
        );
    }
    text
}

/// The addresses that things listen on, as soon as they do, and what is being waited for.
pub fn greeting(engine: SocketAddr, proxy: SocketAddr, dataset: &Dataset) -> String {
    format!(
        "playground                {}\n\
         search engine (BM25)      http://{engine}\n\
         the same, reranked        http://{proxy}\n\
         sending {} judged queries to both …\n",
        playground(proxy),
        dataset.queries.len()
    )
}

/// The query that the playground opens with: the words are in many passages, and those that answer it are not on top. The index is the only one
/// there is.
const OPENING: &str = "homemade garlic confit shelf life";

/// The page that shows a search in both orders, with a query in it.
fn playground(proxy: SocketAddr) -> String {
    format!("http://{proxy}/_rerank/ui#q={}", OPENING.replace(' ', "+"))
}

/// The next things to try.
pub fn invitation(engine: SocketAddr, proxy: SocketAddr, comparison: &Comparison) -> String {
    let example = comparison.by_gain().last().map_or("", |query| query.query.label()).to_owned();
    let plain: String = example.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect();
    let query = plain.split_whitespace().collect::<Vec<_>>().join("+");
    let body = json!({"query": {"match": {"text": plain.trim()}}, "size": 3});
    let ranking = rerank_call(proxy);
    format!(
        "try:\n\n\
         curl 'http://{engine}/{INDEX}/_search?pretty&size=3&q={query}'\n\
         curl 'http://{proxy}/{INDEX}/_search?pretty&size=3&q={query}'\n\
         curl -i 'http://{proxy}/{INDEX}/_search?pretty' -H 'content-type: application/json' \\\n  -d '{body}'\n\n\
         or passages of your own, with the rerank API:\n\n{ranking}\n"
    )
}

/// A question, and passages of which the third one answers it though it shares no word with it.
const QUESTION: &str = "How do I get my money back?";
const PASSAGES: [&str; 5] = [
    "Parcels are delivered within three days.",
    "Our office is closed on Sundays and holidays.",
    "Refunds are paid to the card that was used for the purchase.",
    "Choose a new password with the link below the login form.",
    "The battery lasts for ten hours of music.",
];

/// A command for the shell that has a few passages ranked.
fn rerank_call(proxy: SocketAddr) -> String {
    let passages = PASSAGES.map(|passage| format!("    {}", json!(passage))).join(",\n");
    format!(
        "curl http://{proxy}/_rerank/rerank -d '{{\n  \"query\": {}, \"return_text\": true, \"texts\": [\n{passages}\n  ]}}'",
        json!(QUESTION)
    )
}

/// The measures as one object, for programs.
pub fn measures_json(comparison: &Comparison, dataset: &Dataset, orders: Vec<Value>) -> Value {
    let change = |change: evaluation::comparison::Change| json!({"before": change.before, "after": change.after});
    json!({
        "ndcg@10": change(comparison.ndcg()),
        "mrr@10": change(comparison.mrr()),
        "queries": comparison.queries.len(),
        "passages": dataset.passages.len(),
        "orders": orders,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_its_width_in_characters() {
        assert_eq!(fitted("abc", 5), "abc  ");
        assert_eq!(fitted("äöüäöü", 4), "äöü…");
    }

    #[test]
    fn moves_are_told_from_the_reader_s_point_of_view() {
        let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (ids("a b c d"), ids("c b a x"));
        let moves: Vec<_> = (0..5).map(|row| moved(row, &before, &after)).collect();
        assert_eq!(moves, ["+2", "=", "-2", "new", ""]);
    }
}
