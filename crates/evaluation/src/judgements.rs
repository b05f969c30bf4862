//! A judged dataset: passages, queries and graded judgements, read from three files and checked as a whole.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::measures::MAX_GRADE;

/// The passages, one JSON object a line: `{"id", "domain", "title", "text"}`.
pub const PASSAGES_FILE: &str = "passages.jsonl";
/// The queries, one JSON object a line: `{"id", "text"}`.
pub const QUERIES_FILE: &str = "queries.jsonl";
/// The judgements, one a line: query id, passage id, grade 0 to 3, separated by tabs.
pub const JUDGEMENTS_FILE: &str = "qrels.tsv";

/// One passage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// Unique in the dataset.
    pub id: String,
    /// The subject at large, such as `cooking`.
    pub domain: String,
    /// One line.
    pub title: String,
    /// The passage itself.
    pub text: String,
}

/// One query, as a person types it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Unique in the dataset.
    pub id: String,
    /// The text that is searched for.
    pub text: String,
}

/// Passages, queries and what is relevant to what.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// The passages, in the order of the file.
    pub passages: Vec<Passage>,
    /// The queries, in the order of the file.
    pub queries: Vec<Query>,
    /// Query id → passage id → grade.
    judgements: HashMap<String, HashMap<String, u8>>,
}

/// The reason why a dataset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A line does not hold what it must.
    #[error("{file}, line {line}: {problem}")]
    Malformed {
        /// The file's name.
        file: &'static str,
        /// The line, from 1.
        line: usize,
        /// The sentence that says what is wrong with it.
        problem: String,
    },
}

impl Dataset {
    /// The dataset with the first of its judged queries and every `step`-th after it; 1 keeps all.
    #[must_use]
    pub fn every(&self, step: usize) -> Self {
        let queries = self.judged_queries().step_by(step.max(1)).cloned().collect();
        Self { queries, ..self.clone() }
    }

    /// Reads the three files in `folder`.
    ///
    /// # Errors
    /// A file cannot be read, or as [`Dataset::parse`].
    pub fn load(folder: &Path) -> Result<Self, DatasetError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|source| DatasetError::Unreadable { path, source })
        };
        Self::parse(&read(PASSAGES_FILE)?, &read(QUERIES_FILE)?, &read(JUDGEMENTS_FILE)?)
    }

    /// Reads the contents of the three files.
    ///
    /// # Errors
    /// At the first line that is malformed, repeats an id, names an unknown query or passage, judges a pair twice or
    /// has a grade other than 0 to 3.
    pub fn parse(passages: &str, queries: &str, judgements: &str) -> Result<Self, DatasetError> {
        let passages: Vec<Passage> = json_lines(PASSAGES_FILE, passages, |passage: &Passage| &passage.id)?;
        let queries: Vec<Query> = json_lines(QUERIES_FILE, queries, |query: &Query| &query.id)?;
        let passage_ids: HashSet<&str> = passages.iter().map(|passage| passage.id.as_str()).collect();
        let query_ids: HashSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();

        let mut judged: HashMap<String, HashMap<String, u8>> = HashMap::new();
        for (line, text) in numbered_lines(judgements) {
            let wrong = |problem: String| DatasetError::Malformed { file: JUDGEMENTS_FILE, line, problem };
            let columns: Vec<&str> = text.split('\t').collect();
            let [query, passage, grade] = columns[..] else {
                return Err(wrong(format!("expected query id, passage id and grade between tabs, found {text:?}")));
            };
            let grade = match grade.trim().parse::<u8>() {
                Ok(grade) if grade <= MAX_GRADE => grade,
                _ => return Err(wrong(format!("the grade {grade:?} is not a whole number from 0 to {MAX_GRADE}"))),
            };
            if !query_ids.contains(query) {
                return Err(wrong(format!("there is no query {query:?}")));
            }
            if !passage_ids.contains(passage) {
                return Err(wrong(format!("there is no passage {passage:?}")));
            }
            let grades = judged.entry(query.to_owned()).or_default();
            if grades.insert(passage.to_owned(), grade).is_some() {
                return Err(wrong(format!("query {query:?} and passage {passage:?} are judged twice")));
            }
        }
        Ok(Self { passages, queries, judgements: judged })
    }

    /// The queries that have at least one relevant passage, that is, those that can be measured.
    pub fn judged_queries(&self) -> impl Iterator<Item = &Query> {
        self.queries.iter().filter(|query| self.grades(&query.id).iter().any(|grade| *grade > 0))
    }

    /// The grades of all passages judged for the query `query_id`, in no particular order.
    pub fn grades(&self, query_id: &str) -> Vec<u8> {
        self.judgements.get(query_id).into_iter().flat_map(|grades| grades.values().copied()).collect()
    }

    /// The grade of a passage for a query; 0 when it was not judged.
    pub fn grade(&self, query_id: &str, passage_id: &str) -> u8 {
        let grades = self.judgements.get(query_id);
        grades.and_then(|grades| grades.get(passage_id)).copied().unwrap_or(0)
    }
}

/// Reads one `T` a line and checks that no id comes twice.
fn json_lines<T: DeserializeOwned>(
    file: &'static str,
    text: &str,
    id: impl Fn(&T) -> &String,
) -> Result<Vec<T>, DatasetError> {
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for (line, text) in numbered_lines(text) {
        let wrong = |problem: String| DatasetError::Malformed { file, line, problem };
        let item: T = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if !seen.insert(id(&item).clone()) {
            return Err(wrong(format!("the id {:?} is used twice", id(&item))));
        }
        items.push(item);
    }
    Ok(items)
}

/// The lines that hold something, numbered from 1.
fn numbered_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGES: &str = concat!(
        r#"{"id":"p1","domain":"d","title":"One","text":"first"}"#,
        "\n\n",
        r#"{"id":"p2","domain":"d","title":"Two","text":"second"}"#,
        "\n"
    );
    const QUERIES: &str = "{\"id\":\"q1\",\"text\":\"one\"}\n{\"id\":\"q2\",\"text\":\"unjudged\"}\n";

    #[test]
    fn a_dataset_knows_what_is_relevant_to_what() {
        let dataset = Dataset::parse(PASSAGES, QUERIES, "q1\tp1\t3\r\nq1\tp2\t0\n").unwrap();
        assert_eq!((dataset.passages.len(), dataset.queries.len()), (2, 2));
        assert_eq!((dataset.grade("q1", "p1"), dataset.grade("q1", "p2"), dataset.grade("q2", "p1")), (3, 0, 0));
        assert_eq!(dataset.judged_queries().map(|query| query.id.as_str()).collect::<Vec<_>>(), ["q1"]);
    }

    #[test]
    fn a_faulty_line_is_named_with_its_file() {
        for (passages, judgements, expected) in [
            ("{\"id\":1}\n", "", "passages.jsonl, line 1:"),
            (&*format!("{PASSAGES}{PASSAGES}"), "", "passages.jsonl, line 4: the id \"p1\" is used twice"),
            (PASSAGES, "q1\tp1\t3\nq1 p2 1\n", "qrels.tsv, line 2: expected"),
            (PASSAGES, "q1\tp1\t4\n", "qrels.tsv, line 1: the grade \"4\""),
            (PASSAGES, "q9\tp1\t1\n", "qrels.tsv, line 1: there is no query \"q9\""),
            (PASSAGES, "\nq1\tp9\t1\n", "qrels.tsv, line 2: there is no passage \"p9\""),
            (PASSAGES, "q1\tp1\t1\nq1\tp1\t2\n", "qrels.tsv, line 2: query \"q1\" and passage \"p1\" are judged twice"),
        ] {
            let error = Dataset::parse(passages, QUERIES, judgements).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let missing = Dataset::load(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read /nowhere/passages.jsonl"), "{missing}");
    }
}
