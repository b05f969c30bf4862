//! The body of an Elasticsearch or OpenSearch `_rank_eval` request
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-rank-eval>): searches with rated documents. Its `metric`
//! is ignored.

use std::{collections::HashMap, path::Path};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    GRADES, Grades, JudgedQueries, LeftOut, Query, Search,
    qrels::{Ids, contradiction, wrong_grade},
};
use crate::input::{InputError, Problems, Source};

#[derive(Deserialize)]
struct RankEval {
    requests: Vec<Value>,
    #[serde(default)]
    templates: Vec<Value>,
}

#[derive(Deserialize)]
struct RatedRequest {
    id: String,
    request: Option<Map<String, Value>>,
    template_id: Option<String>,
    #[serde(default)]
    params: Map<String, Value>,
    ratings: Vec<Value>,
}

#[derive(Deserialize)]
struct Rating {
    #[serde(rename = "_id")]
    id: String,
    rating: i64,
}

#[derive(Deserialize)]
struct Template {
    id: String,
    template: Script,
}

/// A script as templates have it; `inline` is what `source` was called before.
#[derive(Deserialize)]
struct Script {
    #[serde(alias = "inline")]
    source: Option<Value>,
    id: Option<String>,
}

/// Reads the file at `path`.
///
/// # Errors
/// It cannot be read, or as [`parse`].
pub fn load(path: &Path) -> Result<JudgedQueries, InputError> {
    parse(&Source::read(path)?)
}

/// Reads the contents of the file.
///
/// Documents are known by their `_id` alone: `_index` may be an alias, whose hits name another index. The same `_id` in two indices is
/// therefore one document, with one grade.
///
/// # Errors
/// [`InputError::Malformed`] with every request, rating and template that is not as it must be, each with its key; or where no request has a
/// rating.
pub fn parse(source: &Source) -> Result<JudgedQueries, InputError> {
    let mut problems = Problems::default();
    let whole: RankEval = match serde_json::from_str(source.text()) {
        Ok(whole) => whole,
        Err(error) => {
            problems.add(
                source,
                format_args!("line {}, column {}", error.line(), error.column()),
                without_place(&error),
            );
            return Err(InputError::Malformed(problems));
        }
    };
    let mut reader = Reader { source, problems, left_out: LeftOut::default() };
    let templates = reader.templates(whole.templates);
    let mut ids = Ids::default();
    let mut queries = Vec::new();
    for (at, value) in whole.requests.into_iter().enumerate() {
        let key = format!("requests[{at}]");
        let Some(request) = reader.read::<RatedRequest>(value, &key) else { continue };
        if let Err(problem) = ids.check(&request.id) {
            reader.problem(&key, problem);
        }
        let grades = reader.grades(&request.id, request.ratings, &key);
        let search = match (request.request, request.template_id) {
            (Some(body), None) => Search::Body(body),
            (None, Some(id)) => match templates.get(&id) {
                Some(template) => {
                    let mut template = template.clone();
                    template.insert("params".to_owned(), Value::Object(request.params));
                    Search::Template(template)
                }
                None => {
                    reader.problem(&key, format!("there is no template {id:?} in `templates`"));
                    continue;
                }
            },
            _ => {
                reader.problem(&key, "expected either `request` or `template_id`".to_owned());
                continue;
            }
        };
        match grades.is_empty() {
            true => reader.left_out.unjudged_queries += 1,
            false => queries.push(Query { id: request.id, search, grades }),
        }
    }
    let Reader { mut problems, left_out, .. } = reader;
    if queries.is_empty() && problems.is_empty() {
        problems.add(source, "requests", "no request has a rating");
    }
    problems.or(JudgedQueries { queries, left_out })
}

struct Reader<'a> {
    source: &'a Source,
    problems: Problems,
    left_out: LeftOut,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, problem: String) {
        self.problems.add(self.source, key, problem);
    }

    fn read<T: DeserializeOwned>(&mut self, value: Value, key: &str) -> Option<T> {
        serde_json::from_value(value).map_err(|error| self.problem(key, error.to_string())).ok()
    }

    /// The templates by their ids, as `_search/template` takes them.
    fn templates(&mut self, templates: Vec<Value>) -> HashMap<String, Map<String, Value>> {
        let mut found = HashMap::new();
        for (at, value) in templates.into_iter().enumerate() {
            let key = format!("templates[{at}]");
            let Some(Template { id, template }) = self.read(value, &key) else { continue };
            let (name, value) = match (template.source, template.id) {
                (Some(source), None) => ("source", source),
                (None, Some(stored)) => ("id", Value::String(stored)),
                _ => {
                    self.problem(&key, "expected either `source` or `id` in `template`".to_owned());
                    continue;
                }
            };
            if found.insert(id.clone(), Map::from_iter([(name.to_owned(), value)])).is_some() {
                self.problem(&key, format!("the template id {id:?} is used twice"));
            }
        }
        found
    }

    fn grades(&mut self, query: &str, ratings: Vec<Value>, key: &str) -> Grades {
        let mut grades = Grades::default();
        for (at, value) in ratings.into_iter().enumerate() {
            let key = format!("{key}.ratings[{at}]");
            let Some(Rating { id, rating }) = self.read(value, &key) else { continue };
            let Some(grade) = i32::try_from(rating).ok().filter(|grade| GRADES.contains(grade)) else {
                self.problem(&key, wrong_grade(&rating.to_string()));
                continue;
            };
            match grades.add(id.clone(), grade) {
                None => (),
                Some(before) if before == grade => self.left_out.repeated_judgements += 1,
                Some(before) => self.problem(&key, contradiction(query, &id, before, grade)),
            }
        }
        grades
    }
}

/// What serde_json says, without the place, which stands before it.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(problem, _)| problem.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(value: &Value) -> Result<JudgedQueries, String> {
        parsed_text(&serde_json::to_string_pretty(value).unwrap())
    }

    fn parsed_text(text: &str) -> Result<JudgedQueries, String> {
        parse(&Source::new("rank_eval.json", text)).map_err(|error| error.to_string())
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn searches_and_templates_keep_their_bodies() {
        let request = json!({"query": {"match": {"text": "amsterdam"}}, "size": 5});
        let source = json!({"query": {"match": {"text": "{{query_string}}"}}});
        let read = parsed(&json!({
            "requests": [
                {"id": "a", "request": request, "ratings": [
                    {"_index": "i", "_id": "d1", "rating": 3}, {"_index": "j", "_id": "d1", "rating": 3},
                    {"_index": "i", "_id": "d 2", "rating": 0}]},
                {"id": "b", "template_id": "t", "params": {"query_string": "berlin"},
                 "ratings": [{"_index": "i", "_id": "d3", "rating": 1}]},
                {"id": "c", "template_id": "s", "ratings": [{"_index": "i", "_id": "d3", "rating": 1}]},
                {"id": "d", "request": {}, "ratings": []}
            ],
            "templates": [
                {"id": "t", "template": {"lang": "mustache", "inline": source}},
                {"id": "s", "template": {"id": "stored"}}
            ],
            "metric": {"dcg": {"k": 20}}
        }))
        .unwrap();
        let searches: Vec<&Search> = read.queries.iter().map(|query| &query.search).collect();
        assert_eq!(
            searches,
            [
                &Search::Body(object(request)),
                &Search::Template(object(json!({"source": source, "params": {"query_string": "berlin"}}))),
                &Search::Template(object(json!({"id": "stored", "params": {}}))),
            ]
        );
        assert_eq!(read.queries[0].grades, [("d1", 3), ("d 2", 0)].into_iter().collect());
        assert_eq!(read.left_out, LeftOut { unjudged_queries: 1, repeated_judgements: 1, ..LeftOut::default() });
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_key() {
        let error = parsed(&json!({
            "requests": [
                {"id": "a", "request": {}, "ratings": [
                    {"_id": "d1", "rating": 1}, {"_id": "d1", "rating": 2}, {"_id": "d2", "rating": 1.5}, {"rating": 1},
                    {"_id": "d3", "rating": 5000}]},
                {"id": "a", "template_id": "nowhere", "ratings": []},
                {"id": "b", "ratings": []},
                {"id": "c", "request": {}}
            ],
            "templates": [{"id": "t", "template": {}}]
        }))
        .unwrap_err();
        let expected = [
            "templates[0]: expected either `source` or `id` in `template`",
            "requests[0].ratings[1]: query \"a\" and document \"d1\" have the grade 2 here and 1 before: keep one of them",
            "requests[0].ratings[2]: invalid type: floating point `1.5`, expected i64",
            "requests[0].ratings[3]: missing field `_id`",
            "requests[0].ratings[4]: the grade \"5000\" is not a whole number from -1000 to 1000",
            "requests[1]: the query id \"a\" is used twice",
            "requests[1]: there is no template \"nowhere\" in `templates`",
            "requests[2]: expected either `request` or `template_id`",
            "requests[3]: missing field `ratings`",
        ]
        .map(|problem| format!("rank_eval.json, {problem}"));
        assert_eq!(error.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_text_that_is_no_such_request_is_told_with_its_place() {
        for (text, expected) in [
            ("{\n  \"requests\": [}", "rank_eval.json, line 2, column 16: expected value"),
            ("{\"metric\": {}}", "rank_eval.json, line 1, column 14: missing field `requests`"),
            ("{\"requests\": []}", "rank_eval.json, requests: no request has a rating"),
        ] {
            assert_eq!(parsed_text(text).unwrap_err(), expected);
        }
    }
}
