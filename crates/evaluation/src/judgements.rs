//! Judged queries: what is asked, and how good each judged document is as an answer. One form for all formats that judgements come
//! in, each of which has a file of its own: [`beir`], [`trec`] and [`rank_eval`]; and queries that nobody judged, [`log`].

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    ops::RangeInclusive,
};

use serde_json::{Map, Value};

use crate::random::Random;

pub mod beir;
pub mod log;
mod qrels;
pub mod rank_eval;
pub mod trec;

/// The grades that a judgement may have. What is below 1 is not relevant; TREC has negative grades for documents that are worse
/// than irrelevant (spam), which `trec_eval` gives no gain. The bounds keep 2^grade within what a number can hold.
pub const GRADES: RangeInclusive<i32> = -1000..=1000;

/// A query with the judgements of its documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Unique among the queries.
    pub id: String,
    /// What is asked.
    pub search: Search,
    /// The judged documents.
    pub grades: Grades,
}

impl Query {
    /// The text that is searched for, where the query is one.
    pub fn text(&self) -> Option<&str> {
        match &self.search {
            Search::Text(text) => Some(text),
            Search::Body(_) | Search::Template(_) => None,
        }
    }

    /// What a person knows the query by: its text, or its id where it is a search of its own.
    pub fn label(&self) -> &str {
        self.text().unwrap_or(&self.id)
    }

    /// True where at least one document is relevant. Every measure but [`crate::measures::Kind::Judged`] is 0 of a query without.
    pub fn is_answerable(&self) -> bool {
        self.grades.relevant(1) > 0
    }
}

/// What a query asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Search {
    /// A text, as a person types it; how it is searched for is decided elsewhere.
    Text(String),
    /// The body of a `_search` request.
    Body(Map<String, Value>),
    /// The body of a `_search/template` request: `source` or `id`, and `params`.
    Template(Map<String, Value>),
}

/// The grades of the documents that were judged for a query, by the documents' ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grades(HashMap<String, i32>);

impl Grades {
    /// The grade of a document; `None` when it was not judged.
    pub fn of(&self, id: &str) -> Option<i32> {
        self.0.get(id).copied()
    }

    /// The grades of all judged documents, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = i32> {
        self.0.values().copied()
    }

    /// The id of a judged document, the same one each time; `None` where there is none.
    pub fn any(&self) -> Option<&str> {
        self.0.keys().map(String::as_str).min()
    }

    /// The number of documents with a grade of at least `lowest`.
    pub fn relevant(&self, lowest: i32) -> usize {
        self.values().filter(|grade| *grade >= lowest).count()
    }

    /// The number of judged documents.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where no document was judged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a judgement, unless the document has one already, which is returned.
    fn add(&mut self, id: String, grade: i32) -> Option<i32> {
        match self.0.entry(id) {
            Entry::Occupied(there) => Some(*there.get()),
            Entry::Vacant(free) => {
                free.insert(grade);
                None
            }
        }
    }
}

impl<I: Into<String>> FromIterator<(I, i32)> for Grades {
    fn from_iter<T: IntoIterator<Item = (I, i32)>>(judged: T) -> Self {
        Self(judged.into_iter().map(|(id, grade)| (id.into(), grade)).collect())
    }
}

/// All queries of a collection that can be measured, and what of it cannot.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedQueries {
    /// The queries with at least one judgement, in the order of their file. As with `trec_eval` only these count; those of them
    /// without a relevant document count as 0.
    pub queries: Vec<Query>,
    /// What was read and is not used.
    pub left_out: LeftOut,
}

impl JudgedQueries {
    /// Keeps so many of the queries, drawn by the seed; all where there are no more. Their order stays.
    pub fn sample(&mut self, count: usize, seed: u64) {
        let mut chance = Random::new(seed);
        let mut left = self.queries.len();
        let mut wanted = count;
        // Each is taken with the chance that leaves as many places as are wanted for those behind it.
        self.queries.retain(|_| {
            let is_taken = chance.below(left) < wanted;
            left -= 1;
            wanted -= usize::from(is_taken);
            is_taken
        });
    }
}

/// What was read and is not used. Shown, it is a line of what there is of it, each with its number; of nothing, an empty text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Queries without a judgement: BEIR keeps the queries of all splits in one file.
    pub unjudged_queries: usize,
    /// Judgements of queries that are not there.
    pub unknown_judgements: usize,
    /// The number of those queries.
    pub unknown_queries: usize,
    /// Judgements that say again what was said before.
    pub repeated_judgements: usize,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown =
            format!("judgements of unknown queries: {} (of {})", self.unknown_judgements, self.unknown_queries);
        let parts = [
            (self.unjudged_queries, format!("queries without judgements: {}", self.unjudged_queries)),
            (self.unknown_judgements, unknown),
            (self.repeated_judgements, format!("repeated judgements: {}", self.repeated_judgements)),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_in_one_line() {
        let left_out =
            LeftOut { unjudged_queries: 12, unknown_judgements: 30, unknown_queries: 4, repeated_judgements: 1 };
        assert_eq!(
            left_out.to_string(),
            "queries without judgements: 12, judgements of unknown queries: 30 (of 4), repeated judgements: 1"
        );
        assert_eq!(LeftOut::default().to_string(), "");
    }

    #[test]
    fn a_sample_is_the_same_each_time_and_keeps_the_order() {
        let all = || JudgedQueries {
            queries: (0..100)
                .map(|n| Query {
                    id: format!("{n:03}"),
                    search: Search::Text(String::new()),
                    grades: Grades::default(),
                })
                .collect(),
            left_out: LeftOut::default(),
        };
        let drawn = |count, seed| {
            let mut queries = all();
            queries.sample(count, seed);
            queries.queries.into_iter().map(|query| query.id).collect::<Vec<_>>()
        };
        assert_eq!((drawn(10, 1).len(), drawn(0, 1).len(), drawn(200, 1).len()), (10, 0, 100));
        assert!(drawn(10, 1).is_sorted());
        assert_eq!(drawn(10, 1), drawn(10, 1));
        assert_ne!(drawn(10, 1), drawn(10, 2));
    }

    #[test]
    fn a_query_is_known_by_its_text_and_a_search_of_its_own_by_its_id() {
        let query = |search| Query { id: "q1".to_owned(), search, grades: [("a", 1), ("b", -1)].into_iter().collect() };
        assert_eq!(query(Search::Text("steak".to_owned())).label(), "steak");
        assert_eq!(query(Search::Body(Map::new())).label(), "q1");
        assert!(query(Search::Body(Map::new())).is_answerable());
    }
}
