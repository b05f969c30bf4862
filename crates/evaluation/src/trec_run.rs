//! TREC run files: rankings as `trec_eval`, `ir-measures` and others read them. A line is a result, `query Q0 document rank score tag`
//! between white space (<https://github.com/usnistgov/trec_eval>).

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    io,
};

use crate::input::{InputError, Line, Problems, Source};

/// The ranking of a query: its id, and those of its results, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// The query's id.
    pub query: String,
    /// The ids of the results.
    pub documents: Vec<String>,
}

/// The reason why a run file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// The file cannot be written.
    #[error(transparent)]
    Unwritable(#[from] io::Error),
    /// White space ends a column, and there is no way to quote it. Another id in its place would not be found in the judgements.
    #[error("the {what} {id:?} is empty or has white space, which a TREC run file cannot hold")]
    NoColumn {
        /// What it is.
        what: &'static str,
        /// The id.
        id: String,
    },
}

/// Writes a query's results, ranks from 1. Their scores are the number of results that are left: readers order by score and ignore
/// ranks, and what scores equal they order by id, so that an engine's own scores would not give the same order back.
///
/// # Errors
/// [`RunFileError`]: writing fails, or an id or `tag` has white space. Nothing of the query is written then.
pub fn write<Id: AsRef<str>>(
    out: &mut impl io::Write,
    tag: &str,
    query: &str,
    documents: &[Id],
) -> Result<(), RunFileError> {
    let named = [("tag", tag), ("query id", query)].into_iter();
    for (what, id) in named.chain(documents.iter().map(|id| ("document id", id.as_ref()))) {
        if id.is_empty() || id.contains(char::is_whitespace) {
            return Err(RunFileError::NoColumn { what, id: id.to_owned() });
        }
    }
    for (at, document) in documents.iter().enumerate() {
        writeln!(out, "{query} Q0 {} {} {} {tag}", document.as_ref(), at + 1, documents.len() - at)?;
    }
    Ok(())
}

/// Reads a run file; the queries come in the order of their first lines. As with `trec_eval`, the score alone decides a query's order, and
/// the higher id comes first where scores are equal.
///
/// # Errors
/// [`InputError::Malformed`] with every line that has not six columns or no number for a score, or repeats a document of its query.
pub fn read(source: &Source) -> Result<Vec<Ranked>, InputError> {
    let mut problems = Problems::default();
    let mut queries: Vec<(&str, Vec<(f64, &str)>)> = Vec::new();
    let mut places = HashMap::new();
    let mut seen = HashSet::new();
    for (line, text) in source.lines() {
        let columns: Vec<&str> = text.split_whitespace().collect();
        let [query, _, document, _, score, _] = columns[..] else {
            problems.add(source, Line(line), format!("expected `query Q0 document rank score tag`, found {text:?}"));
            continue;
        };
        let Some(score) = score.parse::<f64>().ok().filter(|score| !score.is_nan()) else {
            problems.add(source, Line(line), format!("the score {score:?} is not a number"));
            continue;
        };
        if !seen.insert((query, document)) {
            problems.add(source, Line(line), format!("query {query:?} has document {document:?} twice"));
            continue;
        }
        let place = *places.entry(query).or_insert(queries.len());
        if place == queries.len() {
            queries.push((query, Vec::new()));
        }
        queries[place].1.push((score, document));
    }
    let ranked = queries.into_iter().map(|(query, mut results)| {
        results.sort_by(|left, right| match right.0.total_cmp(&left.0) {
            Ordering::Equal => right.1.cmp(left.1),
            order => order,
        });
        Ranked { query: query.to_owned(), documents: results.into_iter().map(|(_, id)| id.to_owned()).collect() }
    });
    problems.or(ranked.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<Vec<Ranked>, String> {
        read(&Source::new("a.run", text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_run_is_written_with_scores_that_fall_with_the_rank() {
        let mut out = Vec::new();
        write(&mut out, "bm25", "q:1", &["b", "a"]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "q:1 Q0 b 1 2 bm25\nq:1 Q0 a 2 1 bm25\n");
    }

    #[test]
    fn ids_with_white_space_are_refused_and_nothing_is_written() {
        for (tag, query, documents) in [("t", "q", ["a", "b c"]), ("t", "q 1", ["a", "b"]), ("", "q", ["a", "b"])] {
            let mut out = Vec::new();
            let error = write(&mut out, tag, query, &documents).unwrap_err().to_string();
            assert!(error.contains("white space"), "{error}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn scores_decide_and_ids_where_they_are_equal() {
        let text = "q1\tQ0 a 1 0.5 t\r\n\nq2 Q0 x 1 -1e3 t\nq1 Q0 c 2 0.5 t\nq1 Q0 b 9 7 t\n";
        let ranked = |query: &str, ids: &[&str]| Ranked {
            query: query.to_owned(),
            documents: ids.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(read_text(text).unwrap(), [ranked("q1", &["b", "c", "a"]), ranked("q2", &["x"])]);
    }

    #[test]
    fn all_bad_lines_are_told_at_once() {
        let error = read_text("q1 Q0 a 1 t\nq1 Q0 a 1 high t\nq1 Q0 a 1 1 t\nq1 Q0 a 2 0 t\n").unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 3, "{error}");
        assert!(lines[0].starts_with("a.run, line 1: expected `query Q0"), "{error}");
        assert_eq!(lines[1], "a.run, line 2: the score \"high\" is not a number");
        assert_eq!(lines[2], "a.run, line 4: query \"q1\" has document \"a\" twice");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_the_same_order(ids in proptest::collection::hash_set("[!-~é]{1,6}", 1..20)) {
            let documents: Vec<String> = ids.into_iter().collect();
            let mut out = Vec::new();
            write(&mut out, "t", "q", &documents).unwrap();
            let read = read_text(&String::from_utf8(out).unwrap()).unwrap();
            prop_assert_eq!(read, [Ranked { query: "q".to_owned(), documents }]);
        }
    }
}
