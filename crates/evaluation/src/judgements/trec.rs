//! TREC's files: topics, and judgements in `trec_eval`'s four columns (`query iteration document grade`, between white space:
//! <https://trec.nist.gov/data/qrels_eng/>).

use std::path::Path;

use super::{
    JudgedQueries, Search,
    qrels::{Ids, Qrels},
};
use crate::input::{InputError, Line, Problems, Source};

/// Reads topics and judgements.
///
/// # Errors
/// A file cannot be read, or as [`parse`].
pub fn load(topics: &Path, judgements: &Path) -> Result<JudgedQueries, InputError> {
    parse(&Source::read(topics)?, &Source::read(judgements)?)
}

/// Reads the contents of the two files.
///
/// Topics are lines of `id<TAB>text`, or the classic `<top>` elements (<https://trec.nist.gov/data/topics_eng/>), of which `<num>` is
/// the id and `<title>` the text, without their labels (`Number:`, `Topic:`) and in one line. Of ids that white space
/// surrounds, only what is within counts; character references (`&amp;`) stay as they are.
///
/// # Errors
/// [`InputError::Malformed`] with every topic and line that is not as it must be, repeats a query's id, or gives a document another
/// grade than a line before; or where no query has a judgement.
pub fn parse(topics: &Source, judgements: &Source) -> Result<JudgedQueries, InputError> {
    let mut problems = Problems::default();
    let found = match is_classic(topics) {
        true => classic(topics, &mut problems),
        false => tab_separated(topics, &mut problems),
    };
    let mut ids = Ids::default();
    let mut queries = Vec::new();
    for Topic { line, id, text } in found {
        match ids.check(id) {
            Err(problem) => problems.add(topics, Line(line), problem),
            Ok(()) if text.is_empty() => problems.add(topics, Line(line), format!("query {id:?} has no text")),
            Ok(()) => queries.push((id.to_owned(), Search::Text(text))),
        }
    }
    let qrels = Qrels::read(judgements, &mut problems);
    qrels.judge(queries, problems)
}

struct Topic<'a> {
    line: usize,
    id: &'a str,
    text: String,
}

fn is_classic(topics: &Source) -> bool {
    topics.lines().next().is_some_and(|(_, line)| line.trim_start().starts_with('<'))
}

fn tab_separated<'a>(topics: &'a Source, problems: &mut Problems) -> Vec<Topic<'a>> {
    let mut found = Vec::new();
    for (line, row) in topics.lines() {
        match row.split_once('\t') {
            Some((id, text)) => found.push(Topic { line, id: id.trim(), text: text.trim().to_owned() }),
            None => {
                problems.add(topics, Line(line), format!("expected a query's id, a tab and its text, found {row:?}"));
            }
        }
    }
    found
}

/// The `<top>` elements. They are no XML: most of their tags are never closed.
fn classic<'a>(topics: &'a Source, problems: &mut Problems) -> Vec<Topic<'a>> {
    let text = topics.text();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(start) = text[at..].find("<top>") {
        let start = at + start;
        line += text[at..start].matches('\n').count();
        let inside = &text[start + "<top>".len()..];
        // A topic that is not closed ends where the next one begins.
        let next = inside.find("<top>").unwrap_or(inside.len());
        let end = inside[..next].find("</top>").unwrap_or(next);
        let topic = &inside[..end];
        match (element(topic, "<num>", &["Number:"]), element(topic, "<title>", &["Topic:", "Title:"])) {
            (Some(id), Some(title)) => {
                let text = title.split_whitespace().collect::<Vec<_>>().join(" ");
                found.push(Topic { line, id, text });
            }
            (None, _) => problems.add(topics, Line(line), "this <top> has no <num>"),
            (_, None) => problems.add(topics, Line(line), "this <top> has no <title>"),
        }
        at = start + "<top>".len() + end;
        line += text[start..at].matches('\n').count();
    }
    if found.is_empty() && problems.is_empty() {
        problems.add(topics, Line(1), "there is no <top>: topics are <top> elements or lines of id, tab and text");
    }
    found
}

/// What follows `tag` up to the next tag, without one of `labels`.
fn element<'a>(topic: &'a str, tag: &str, labels: &[&str]) -> Option<&'a str> {
    let (_, content) = topic.split_once(tag)?;
    let is_tag = |at: usize| content[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let end = content.match_indices('<').map(|(at, _)| at).find(|at| is_tag(*at)).unwrap_or(content.len());
    let content = content[..end].trim();
    let unlabelled = labels.iter().find_map(|label| content.strip_prefix(label));
    Some(unlabelled.unwrap_or(content).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: &str = "\u{feff}
<top>\r
<num> Number: 301\r
<title> International Organized
Crime, a < b &amp; c
<desc> Description:
Identify organizations.
</top>

<top>
<num>302</num> <title>Topic: Poliomyelitis</title>
</top>
";

    /// The ids and texts of `topics`, each judged.
    fn queries(topics: &str, judgements: &str) -> Result<Vec<(String, String)>, String> {
        let read = parse(&Source::new("topics", topics), &Source::new("qrels", judgements));
        let pair = |query: crate::judgements::Query| (query.id.clone(), query.text().unwrap_or_default().to_owned());
        read.map(|read| read.queries.into_iter().map(pair).collect()).map_err(|error| error.to_string())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn classic_topics_give_their_number_and_title() {
        let found = queries(CLASSIC, "301 0 FBIS3-1 1\n302 0 FBIS3-2 0\n").unwrap();
        assert_eq!(found, pairs(&[("301", "International Organized Crime, a < b &amp; c"), ("302", "Poliomyelitis")]));
    }

    #[test]
    fn topics_that_are_not_closed_end_where_the_next_one_begins() {
        let found = queries("<top>\n<num> 1\n<title> one\n<top>\n<num> 2\n<title> two\n", "1 0 a 1\n2 0 a 1\n");
        assert_eq!(found.unwrap(), pairs(&[("1", "one"), ("2", "two")]));
    }

    #[test]
    fn lines_of_id_and_text_are_topics_too() {
        let found = queries("q:1\tcost of a\ttab\r\n\r\n q2 \ttwo \n", "q:1 0 a 1\nq2 0 a 1\n").unwrap();
        assert_eq!(found, pairs(&[("q:1", "cost of a\ttab"), ("q2", "two")]));
    }

    #[test]
    fn bad_topics_are_told_with_the_line_where_they_begin() {
        let topics = "<top>\n<title> no number\n</top>\n\n<top>\n<num> 2\n</top>\n<top><num> 3 <title> </top>\n\
                      <top> <num> 4 <title> a </top>\n<top> <num> 4 <title> b </top>\n";
        let error = queries(topics, "4 0 a 1").unwrap_err();
        for expected in [
            "topics, line 1: this <top> has no <num>",
            "topics, line 5: this <top> has no <title>",
            "topics, line 8: query \"3\" has no text",
            "topics, line 10: the query id \"4\" is used twice",
        ] {
            assert!(error.lines().any(|line| line == expected), "{expected}: {error}");
        }
        assert_eq!(error.lines().count(), 4, "{error}");
        let error = queries("q1 no tab\n", "q1 0 a 1\n").unwrap_err();
        assert!(error.starts_with("topics, line 1: expected a query's id, a tab and its text"), "{error}");
        let error = queries("<topics>\n<topic number=\"1\"/>\n", "1 0 a 1\n").unwrap_err();
        assert!(error.starts_with("topics, line 1: there is no <top>"), "{error}");
    }
}
