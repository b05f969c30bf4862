//! Lines of judgements ("qrels"), as BEIR and TREC write them, and how they find their queries.

use std::collections::{HashMap, HashSet};

use super::{GRADES, Grades, JudgedQueries, LeftOut, Query, Search};
use crate::input::{InputError, Line, Problems, Source};

/// First columns of a header.
const HEADERS: [&str; 4] = ["query-id", "query_id", "qid", "query"];

/// Judgements by the ids of their queries.
#[derive(Debug, Default)]
pub(super) struct Qrels {
    by_query: HashMap<String, Grades>,
    repeated: usize,
}

impl Qrels {
    /// Reads a line for each judgement: query, document and grade, with `trec_eval`'s unused `iteration` after the query or not.
    /// Columns are between tabs where that gives three or four of them, so that ids may hold spaces; else between white space.
    /// The first line may be a header.
    pub(super) fn read(source: &Source, problems: &mut Problems) -> Self {
        let mut qrels = Self::default();
        for (number, (line, text)) in source.lines().enumerate() {
            let Some((query, document, grade)) = columns(text) else {
                let problem = format!("expected query id, document id and grade, found {text:?}");
                problems.add(source, Line(line), problem);
                continue;
            };
            let Some(parsed) = grade.parse().ok().filter(|grade| GRADES.contains(grade)) else {
                let is_header = number == 0 && HEADERS.contains(&query.to_lowercase().as_str());
                if !is_header {
                    problems.add(source, Line(line), wrong_grade(grade));
                }
                continue;
            };
            let grades = qrels.by_query.entry(query.to_owned()).or_default();
            match grades.add(document.to_owned(), parsed) {
                None => (),
                Some(before) if before == parsed => qrels.repeated += 1,
                Some(before) => problems.add(source, Line(line), contradiction(query, document, before, parsed)),
            }
        }
        qrels
    }

    /// Gives `queries` their judgements.
    ///
    /// # Errors
    /// There were problems already, or no query has a judgement.
    pub(super) fn judge(
        mut self,
        queries: Vec<(String, Search)>,
        mut problems: Problems,
    ) -> Result<JudgedQueries, InputError> {
        let mut left_out = LeftOut { repeated_judgements: self.repeated, ..LeftOut::default() };
        let asked = queries.first().map(|(id, _)| id.clone());
        let mut judged = Vec::new();
        for (id, search) in queries {
            match self.by_query.remove(&id) {
                Some(grades) => judged.push(Query { id, search, grades }),
                None => left_out.unjudged_queries += 1,
            }
        }
        left_out.unknown_queries = self.by_query.len();
        left_out.unknown_judgements = self.by_query.values().map(Grades::len).sum();
        if judged.is_empty() && problems.is_empty() {
            let found = |id: Option<String>| id.map_or_else(|| "none".to_owned(), |id| format!("{id:?}"));
            // The least id, so that the message does not depend on how the table is laid out.
            let (asked, known) = (found(asked), found(self.by_query.into_keys().min()));
            problems.add_overall(format!(
                "no query has a judgement: ids of queries are such as {asked}, those in the judgements such as {known}"
            ));
        }
        problems.or(JudgedQueries { queries: judged, left_out })
    }
}

/// The ids of queries that were seen, so that none comes twice.
#[derive(Debug, Default)]
pub(super) struct Ids(HashSet<String>);

impl Ids {
    /// The sentence that says what is wrong with `id`, if something is.
    pub(super) fn check(&mut self, id: &str) -> Result<(), String> {
        match id {
            "" => Err("the query's id is empty".to_owned()),
            _ if self.0.insert(id.to_owned()) => Ok(()),
            _ => Err(format!("the query id {id:?} is used twice")),
        }
    }
}

/// The query, the document and the grade of a line.
fn columns(text: &str) -> Option<(&str, &str, &str)> {
    let between_tabs: Vec<&str> = text.split('\t').map(str::trim).collect();
    let between_spaces: Vec<&str> = text.split_whitespace().collect();
    [between_tabs, between_spaces].into_iter().find_map(|columns| match columns[..] {
        [query, document, grade] | [query, _, document, grade] if !query.is_empty() && !document.is_empty() => {
            Some((query, document, grade))
        }
        _ => None,
    })
}

/// The sentence that says what is wrong with a grade.
pub(super) fn wrong_grade(grade: &str) -> String {
    format!("the grade {grade:?} is not a whole number from {} to {}", GRADES.start(), GRADES.end())
}

/// The sentence that says that two judgements contradict each other.
pub(super) fn contradiction(query: &str, document: &str, before: i32, after: i32) -> String {
    format!(
        "query {query:?} and document {document:?} have the grade {after} here and {before} before: keep one of them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `judgements` for the query `q1`.
    fn judged(judgements: &str) -> Result<JudgedQueries, String> {
        let mut problems = Problems::default();
        let qrels = Qrels::read(&Source::new("qrels.tsv", judgements), &mut problems);
        let queries = ["q1", "q2"].map(|id| (id.to_owned(), Search::Text(id.to_owned())));
        qrels.judge(queries.to_vec(), problems).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_judgements_gives_the_same() {
        let expected: Grades = [("a", 2), ("b", 0)].into_iter().collect();
        for judgements in [
            "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\n",
            "q1\ta\t2\nq1\tb\t0",
            "q1\t0\ta\t2\nq1\t0\tb\t0\n",
            "q1 0 a 2\nq1  Q0  b  0  \n",
            "\u{feff}q1 a 2\r\n\r\n \nq1 b 0\r\n",
            "q1\ta\t+2\nq1\tb\t 0 \n",
        ] {
            let read = judged(judgements).unwrap();
            assert_eq!(read.queries.len(), 1, "{judgements}");
            assert_eq!(read.queries[0].grades, expected, "{judgements}");
        }
    }

    #[test]
    fn ids_may_hold_colons_and_between_tabs_spaces() {
        let read = judged("q1\thttp://a/b c\t1\nq1 doc:1 -2\n").unwrap();
        let grades = &read.queries[0].grades;
        assert_eq!((grades.of("http://a/b c"), grades.of("doc:1"), grades.len()), (Some(1), Some(-2), 2));
    }

    #[test]
    fn what_is_not_used_is_counted() {
        let read = judged("q1 a 1\nq1 a 1\nq8 a 1\nq8 b 1\nq9 a 0\n").unwrap();
        let expected =
            LeftOut { unjudged_queries: 1, unknown_judgements: 3, unknown_queries: 2, repeated_judgements: 1 };
        assert_eq!(read.left_out, expected);
    }

    #[test]
    fn all_bad_lines_are_told_with_their_numbers() {
        let error = judged("q1 a high\nq1 b 1\n\nq1 b 2\nq1\nq1 0 c 1.5\nq1 d 1001\n").unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        for (line, expected) in lines.iter().zip([
            "qrels.tsv, line 1: the grade \"high\" is not a whole number from -1000 to 1000",
            "qrels.tsv, line 4: query \"q1\" and document \"b\" have the grade 2 here and 1 before: keep one of them",
            "qrels.tsv, line 5: expected query id, document id and grade, found \"q1\"",
            "qrels.tsv, line 6: the grade \"1.5\" is not",
            "qrels.tsv, line 7: the grade \"1001\" is not",
        ]) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert_eq!(lines.len(), 5, "{error}");
    }

    #[test]
    fn judgements_of_other_queries_alone_are_an_error_that_shows_both_kinds_of_ids() {
        let error = judged("query-1 a 1\nquery-0 a 1\n").unwrap_err();
        assert!(error.contains("such as \"q1\"") && error.contains("such as \"query-0\""), "{error}");
        assert!(judged("").unwrap_err().contains("no query has a judgement"));
    }
}
