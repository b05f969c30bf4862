//! A log of queries that nobody judged: one a line, as text, or as a JSON object with `query`. What came again is asked once.

use std::{collections::HashSet, path::Path};

use serde::Deserialize;

use super::{Grades, JudgedQueries, LeftOut, Query, Search};
use crate::input::{InputError, Line, Problems, Source};

#[derive(Deserialize)]
struct LogLine {
    query: String,
}

/// Reads the file at `path`.
///
/// # Errors
/// It cannot be read, or as [`parse`].
pub fn load(path: &Path) -> Result<JudgedQueries, InputError> {
    parse(&Source::read(path)?)
}

/// Reads the contents of the file. A query's id is the number of its line.
///
/// # Errors
/// [`InputError::Malformed`] with every line that begins as JSON does and has no `query`; or where there is no query.
pub fn parse(source: &Source) -> Result<JudgedQueries, InputError> {
    let mut problems = Problems::default();
    let (mut seen, mut queries) = (HashSet::new(), Vec::new());
    for (line, text) in source.lines() {
        let text = text.trim();
        let query = if text.starts_with('{') {
            match serde_json::from_str(text) {
                Ok(LogLine { query }) => query.trim().to_owned(),
                Err(_) => {
                    problems.add(source, Line(line), "expected a text, or a JSON object with a text `query`");
                    continue;
                }
            }
        } else {
            text.to_owned()
        };
        if !query.is_empty() && seen.insert(query.clone()) {
            queries.push(Query { id: line.to_string(), search: Search::Text(query), grades: Grades::default() });
        }
    }
    if queries.is_empty() && problems.is_empty() {
        problems.add_overall(format!("{} has no queries: write one a line, or JSON with `query`", source.name));
    }
    problems.or(JudgedQueries { queries, left_out: LeftOut::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let queries = parse(&Source::new("a.log", text)).map_err(|error| error.to_string())?.queries;
        Ok(queries.into_iter().map(|query| (query.id.clone(), query.label().to_owned())).collect())
    }

    #[test]
    fn lines_are_texts_or_json_and_what_comes_again_is_asked_once() {
        let pair = |id: &str, text: &str| (id.to_owned(), text.to_owned());
        let log = "red wine\n\n {\"timestamp\": 1, \"query\": \"oven \"}\nred wine\n{\"query\": \"\"}\n";
        assert_eq!(read(log), Ok(vec![pair("1", "red wine"), pair("3", "oven")]));
    }

    #[test]
    fn lines_that_cannot_be_read_are_told() {
        let error = read("{\"q\": 1}\nx\n{\n").expect_err("wrong");
        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(error.starts_with("a.log, line 1: expected a text"), "{error}");
        assert_eq!(read("\n"), Err("a.log has no queries: write one a line, or JSON with `query`".to_owned()));
    }
}
