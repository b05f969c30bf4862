//! A BEIR folder: `queries.jsonl`, and judgements in `qrels/`. The format is that of Thakur et al., "BEIR: a
//! heterogeneous benchmark for zero-shot evaluation of information retrieval models", 2021; `corpus.jsonl` is not read.

use std::path::Path;

use serde::Deserialize;

use super::{
    JudgedQueries, Search,
    qrels::{Ids, Qrels},
};
use crate::input::{InputError, Line, Problems, Source, json_lines};

/// The queries, one JSON object a line: `_id` and `text`; other members are ignored.
pub const QUERIES: &str = "queries.jsonl";
/// The places of the judgements, the first of which that is there is read: query id, document id and grade between tabs, below a
/// header. Without a header, and in `trec_eval`'s four columns, they are read as well.
pub const JUDGEMENTS: [&str; 4] = ["qrels/test.tsv", "qrels.tsv", "qrels/dev.tsv", "qrels/train.tsv"];

#[derive(Deserialize)]
struct QueryLine {
    #[serde(rename = "_id", alias = "id")]
    id: String,
    text: String,
}

/// Reads the files in `folder`; the judgements in another file where one is given.
///
/// # Errors
/// A file is not there or cannot be read, or as [`parse`].
pub fn load(folder: &Path, judgements: Option<&Path>) -> Result<JudgedQueries, InputError> {
    let queries = Source::read(&folder.join(QUERIES))?;
    let usual = || JUDGEMENTS.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let Some(judgements) = judgements.map(Path::to_owned).or_else(usual) else {
        let mut problems = Problems::default();
        let places = JUDGEMENTS.join(", ");
        problems.add_overall(format!("{} has no judgements: put them into one of {places} in it", folder.display()));
        return Err(InputError::Malformed(problems));
    };
    parse(&queries, &Source::read(&judgements)?)
}

/// Reads the contents of the two files.
///
/// # Errors
/// [`InputError::Malformed`] with every line that is not as it must be, repeats a query's id, or gives a document another grade than
/// a line before; or where no query has a judgement.
pub fn parse(queries: &Source, judgements: &Source) -> Result<JudgedQueries, InputError> {
    let mut problems = Problems::default();
    let mut ids = Ids::default();
    let mut read = Vec::new();
    for (line, QueryLine { id, text }) in json_lines(queries, &mut problems) {
        match ids.check(&id) {
            Err(problem) => problems.add(queries, Line(line), problem),
            Ok(()) if text.trim().is_empty() => {
                problems.add(queries, Line(line), format!("query {id:?} has no text"));
            }
            Ok(()) => read.push((id, Search::Text(text))),
        }
    }
    let qrels = Qrels::read(judgements, &mut problems);
    qrels.judge(read, problems)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::judgements::{LeftOut, Query};

    const QUERIES_TEXT: &str = "\u{feff}{\"_id\": \"q:1\", \"text\": \"medium rare\", \"metadata\": {}}\r\n\r\n{\"_id\": \"q 2\", \"text\": \"x\"}\r\n";

    fn parsed(queries: &str, judgements: &str) -> Result<JudgedQueries, String> {
        parse(&Source::new("queries.jsonl", queries), &Source::new("qrels/test.tsv", judgements))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn queries_and_judgements_come_together() {
        let read = parsed(QUERIES_TEXT, "query-id\tcorpus-id\tscore\nq:1\ta\t2\n").unwrap();
        let query = Query {
            id: "q:1".to_owned(),
            search: Search::Text("medium rare".to_owned()),
            grades: [("a", 2)].into_iter().collect(),
        };
        assert_eq!(read.queries, [query]);
        assert_eq!(read.left_out, LeftOut { unjudged_queries: 1, ..LeftOut::default() });
        assert_eq!(parsed(QUERIES_TEXT, "q 2\ta\t2\n").unwrap().queries[0].id, "q 2");
    }

    #[test]
    fn bad_lines_of_both_files_are_told_at_once() {
        let queries = "{\"_id\": 1, \"text\": \"a\"}\n{\"_id\": \"q1\", \"text\": \" \"}\n{\"_id\": \"q2\", \"text\": \"a\"}\n\
                       {\"_id\": \"q2\", \"text\": \"b\"}\n{\"text\": \"b\"}\n";
        let error = parsed(queries, "q2\ta\n").unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        // Lines that are not as they must be come before what is wrong with their contents.
        for expected in [
            "queries.jsonl, line 1: invalid type: integer `1`, expected a string",
            "queries.jsonl, line 5: missing field `_id`",
            "queries.jsonl, line 2: query \"q1\" has no text",
            "queries.jsonl, line 4: the query id \"q2\" is used twice",
            "qrels/test.tsv, line 1: expected query id, document id and grade",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}: {error}");
        }
        assert_eq!(lines.len(), 5, "{error}");
    }

    #[test]
    fn a_folder_has_its_judgements_in_one_of_these_places_or_where_the_caller_says() {
        let folder = std::env::temp_dir().join(format!("beir-{}", std::process::id()));
        fs::create_dir_all(folder.join("qrels")).unwrap();
        fs::write(folder.join(QUERIES), QUERIES_TEXT).unwrap();
        let missing = load(&folder, None).unwrap_err().to_string();
        // The later ones count for less.
        let places = JUDGEMENTS.iter().enumerate().rev();
        let read: Vec<_> = places
            .map(|(at, place)| {
                fs::write(folder.join(place), format!("q:1\ta\t{}\n", at + 1)).unwrap();
                load(&folder, None).unwrap().queries[0].grades.of("a")
            })
            .collect();
        let chosen = load(&folder, Some(&folder.join("qrels/train.tsv")));
        fs::remove_dir_all(&folder).unwrap();
        assert!(missing.contains("has no judgements: put them into one of qrels/test.tsv, qrels.tsv, "), "{missing}");
        assert_eq!(read, [Some(4), Some(3), Some(2), Some(1)]);
        assert_eq!(chosen.unwrap().queries[0].grades.of("a"), Some(4));
    }
}
