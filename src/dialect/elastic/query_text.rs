//! What a query is *about*: the text that someone typed, found inside the query DSL. Owns the table of clauses
//! ([`CLAUSES`]); to teach the proxy another one, add a line there and a line to the test below it. Pure.

use serde_json::{Map, Value};

use super::lucene::{self, Syntax};

/// Where a clause keeps its text.
enum Text {
    /// `{"FIELD": "text"}` or `{"FIELD": {"query": "text"}}`.
    UnderField,
    /// `{"query": "text"}`.
    Plain,
    /// `{"query": "Lucene syntax"}`.
    Lucene(Syntax),
    /// Further queries under these keys, each an object or an array of objects.
    Within(&'static [&'static str]),
}

/// Every clause that can hold text. What is not listed holds none; `filter` and `must_not` are never looked into.
const CLAUSES: &[(&str, Text)] = &[
    ("match", Text::UnderField),
    ("match_phrase", Text::UnderField),
    ("match_phrase_prefix", Text::UnderField),
    ("match_bool_prefix", Text::UnderField),
    ("multi_match", Text::Plain),
    ("combined_fields", Text::Plain),
    ("query_string", Text::Lucene(Syntax::Classic)),
    ("simple_query_string", Text::Lucene(Syntax::Simple)),
    ("bool", Text::Within(&["must", "should"])),
    ("dis_max", Text::Within(&["queries"])),
    ("function_score", Text::Within(&["query"])),
    ("script_score", Text::Within(&["query"])),
    ("nested", Text::Within(&["query"])),
    ("constant_score", Text::Within(&["filter"])),
];

/// The text of a query (`{"match": {…}}`), or `None` where it has none. Texts from several clauses are joined with a
/// space in the order of the query; the same text twice counts once.
pub(super) fn of_query(query: &Value) -> Option<String> {
    let mut texts = Vec::new();
    collect(query, &mut texts);
    join(texts)
}

/// The text of `?q=`.
pub(super) fn of_q(q: &str) -> Option<String> {
    join(vec![lucene::text(q, Syntax::Classic)])
}

fn join(texts: Vec<String>) -> Option<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        let text = text.trim();
        if !text.is_empty() && !distinct.iter().any(|known| known == text) {
            distinct.push(text.to_owned());
        }
    }
    (!distinct.is_empty()).then(|| distinct.join(" "))
}

fn collect(query: &Value, texts: &mut Vec<String>) {
    let Some(clauses) = query.as_object() else { return };
    for (name, body) in clauses {
        let Some((_, place)) = CLAUSES.iter().find(|(known, _)| known == name) else { continue };
        let Some(body) = body.as_object() else { continue };
        match place {
            Text::UnderField => under_field(body, texts),
            Text::Plain => texts.extend(body.get("query").and_then(scalar)),
            Text::Lucene(syntax) => {
                texts.extend(body.get("query").and_then(scalar).map(|query| lucene::text(&query, *syntax)));
            }
            Text::Within(keys) => keys.iter().filter_map(|key| body.get(*key)).for_each(|inner| match inner {
                Value::Array(queries) => queries.iter().for_each(|query| collect(query, texts)),
                query => collect(query, texts),
            }),
        }
    }
}

fn under_field(body: &Map<String, Value>, texts: &mut Vec<String>) {
    for value in body.values() {
        texts.extend(match value {
            Value::Object(options) => options.get("query").and_then(scalar),
            value => scalar(value),
        });
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_clause_gives_its_text() {
        let inner = json!({"match": {"title": "red wine"}});
        for (query, expected) in [
            (json!({"match": {"title": "red wine"}}), Some("red wine")),
            (json!({"match": {"title": {"query": "red wine", "boost": 2}}}), Some("red wine")),
            (json!({"match": {"year": 1999}}), Some("1999")),
            (json!({"match_phrase": {"title": "red wine"}}), Some("red wine")),
            (json!({"match_phrase_prefix": {"title": {"query": "red wi"}}}), Some("red wi")),
            (json!({"match_bool_prefix": {"title": "red wi"}}), Some("red wi")),
            (json!({"multi_match": {"query": "red wine", "fields": ["title^2"]}}), Some("red wine")),
            (json!({"combined_fields": {"query": "red wine", "fields": ["title"]}}), Some("red wine")),
            (json!({"query_string": {"query": "title:red AND wine"}}), Some("red wine")),
            (json!({"simple_query_string": {"query": "red +wine -beer"}}), Some("red wine")),
            (json!({"bool": {"must": inner, "filter": {"match": {"x": "no"}}}}), Some("red wine")),
            (json!({"bool": {"should": [inner, inner], "must_not": [{"match": {"x": "no"}}]}}), Some("red wine")),
            (json!({"bool": {"must": [inner], "should": {"match": {"text": "dry"}}}}), Some("red wine dry")),
            (json!({"dis_max": {"queries": [inner, {"match": {"text": "dry"}}]}}), Some("red wine dry")),
            (json!({"function_score": {"query": inner, "functions": []}}), Some("red wine")),
            (json!({"script_score": {"query": inner, "script": {}}}), Some("red wine")),
            (json!({"nested": {"path": "p", "query": inner}}), Some("red wine")),
            (json!({"constant_score": {"filter": inner, "boost": 2}}), Some("red wine")),
            (json!({"match_all": {}}), None),
            (json!({"term": {"color": "red"}}), None),
            (json!({"bool": {"filter": inner}}), None),
            (json!({"match": {"title": ""}}), None),
            (json!({"match": "broken"}), None),
            (json!([]), None),
        ] {
            assert_eq!(of_query(&query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn q_loses_its_syntax() {
        assert_eq!(of_q("title:red AND wine").as_deref(), Some("red wine"));
        assert_eq!(of_q("*"), None);
    }
}
