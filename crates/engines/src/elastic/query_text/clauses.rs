//! Text out of the query DSL. Owns the table of clauses ([`CLAUSES`]); to teach the proxy another one, add a line there and a
//! line to the test of `query_text`. Pure.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use crate::{
    lucene::Syntax,
    query_text::{Gathered, without_boost},
};

/// The most queries or retrievers inside one another that are looked into. JSON itself, as it is read here, allows no
/// more; `wrapper` would.
pub(super) const MAX_DEPTH: usize = 64;

/// The place in which a clause keeps its text.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// `{FIELD: text}` or `{FIELD: {"query": text}}`.
    UnderField,
    /// `{FIELD: {KEY: text}}`, where the field holds vectors.
    UnderVectorField(&'static str),
    /// `{"query": text}`, with the names of the fields under these keys.
    Plain(&'static [&'static str]),
    /// `{"query": "Lucene syntax"}`, with the names of the fields under these keys.
    Lucene(Syntax, &'static [&'static str]),
    /// `{FIELD: rule}`, where a rule may hold further ones.
    Intervals,
    /// `{"like": text}`, among documents that are named.
    Like,
    /// `{"query_vector_builder": …}`.
    VectorBuilder,
    /// `{"query": "a query as JSON in base64"}`.
    Wrapped,
    /// Further queries under these keys, each an object or an array of objects.
    Within(&'static [&'static str]),
}

/// Every clause that can hold text. What is not listed holds none: among others `term` and the `span_…` queries, whose
/// words are those of the index rather than of a person. `filter` and `must_not` are never looked into.
///
/// Sources: the query DSL of Elasticsearch, <https://www.elastic.co/docs/reference/query-languages/querydsl>, and of
/// OpenSearch, <https://docs.opensearch.org/latest/query-dsl/>.
pub(super) const CLAUSES: &[(&str, Place)] = &[
    ("match", Place::UnderField),
    ("match_phrase", Place::UnderField),
    ("match_phrase_prefix", Place::UnderField),
    ("match_bool_prefix", Place::UnderField),
    ("multi_match", Place::Plain(&["fields"])),
    ("combined_fields", Place::Plain(&["fields"])),
    ("query_string", Place::Lucene(Syntax::Classic, &["fields", "default_field"])),
    ("simple_query_string", Place::Lucene(Syntax::Simple, &["fields"])),
    ("intervals", Place::Intervals),
    ("more_like_this", Place::Like),
    ("semantic", Place::Plain(&["field"])),
    ("neural", Place::UnderVectorField("query_text")),
    ("neural_sparse", Place::UnderVectorField("query_text")),
    ("text_expansion", Place::UnderVectorField("model_text")),
    ("sparse_vector", Place::Plain(&[])),
    ("knn", Place::VectorBuilder),
    ("bool", Place::Within(&["must", "should"])),
    ("dis_max", Place::Within(&["queries"])),
    ("boosting", Place::Within(&["positive"])),
    ("constant_score", Place::Within(&["filter"])),
    ("function_score", Place::Within(&["query"])),
    ("script_score", Place::Within(&["query"])),
    ("nested", Place::Within(&["query"])),
    ("has_child", Place::Within(&["query"])),
    ("has_parent", Place::Within(&["query"])),
    ("hybrid", Place::Within(&["queries"])),
    ("pinned", Place::Within(&["organic"])),
    ("rule", Place::Within(&["organic"])),
    ("rule_query", Place::Within(&["organic"])),
    ("wrapper", Place::Wrapped),
];

impl Gathered {
    pub(super) fn query(&mut self, query: &Value, depth: usize) {
        let Some(clauses) = query.as_object().filter(|_| depth < MAX_DEPTH) else { return };
        for (name, body) in clauses {
            let Some((kind, place)) = CLAUSES.iter().find(|(known, _)| known == name) else { continue };
            if let Some(body) = body.as_object() {
                self.from(kind);
                self.clause(*place, body, depth);
            }
        }
    }

    pub(super) fn clause(&mut self, place: Place, body: &Map<String, Value>, depth: usize) {
        if !self.count_clause() {
            return;
        }
        let query = || body.get("query").and_then(text);
        match place {
            Place::UnderField => {
                for (field, value) in body {
                    let value = value.as_object().map_or(Some(value), |options| options.get("query"));
                    self.typed(&value.and_then(text).unwrap_or_default(), [field.as_str()]);
                }
            }
            Place::UnderVectorField(key) => {
                for options in body.values() {
                    self.typed(&options.get(key).and_then(text).unwrap_or_default(), None);
                }
            }
            Place::Plain(keys) => self.typed(&query().unwrap_or_default(), fields(body, keys)),
            Place::Lucene(syntax, keys) => self.lucene(&query().unwrap_or_default(), syntax, fields(body, keys)),
            Place::Intervals => {
                for (field, rule) in body {
                    self.interval(field, rule, depth);
                }
            }
            Place::Like => {
                let likes = ["like", "like_text"].into_iter().filter_map(|key| body.get(key)).flat_map(each);
                let mut names = Some(fields(body, &["fields"]));
                for like in likes.filter_map(Value::as_str).filter(|like| !like.trim().is_empty()) {
                    self.typed(like, names.take().into_iter().flatten());
                }
            }
            Place::VectorBuilder => self.vector_builder(body.get("query_vector_builder")),
            Place::Wrapped => {
                if let Some(query) = body.get("query").and_then(Value::as_str).and_then(unwrapped) {
                    self.query(&query, depth + 1);
                }
            }
            Place::Within(keys) => {
                for inner in keys.iter().filter_map(|key| body.get(*key)).flat_map(each) {
                    self.query(inner, depth + 1);
                }
            }
        }
    }

    /// A rule of `intervals`. Patterns (`wildcard`, `regexp`), `fuzzy` terms and what a `filter` asks for are no text.
    fn interval(&mut self, field: &str, rule: &Value, depth: usize) {
        let Some(rules) = rule.as_object().filter(|_| depth < MAX_DEPTH && self.count_clause()) else { return };
        for (name, options) in rules {
            match name.as_str() {
                "match" => self.typed(&options.get("query").and_then(text).unwrap_or_default(), [field]),
                "prefix" => self.typed(&options.get("prefix").and_then(text).unwrap_or_default(), [field]),
                "all_of" | "any_of" => {
                    for inner in options.get("intervals").into_iter().flat_map(each) {
                        self.interval(field, inner, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// A `query_vector_builder`: `{"text_embedding": {"model_text": text}}` or `{"embedding": {"input": …}}`, where the
    /// input is text, or objects of which some may be images.
    pub(super) fn vector_builder(&mut self, builder: Option<&Value>) {
        let Some(builder) = builder.filter(|_| self.count_clause()) else { return };
        let typed = builder.pointer("/text_embedding/model_text").and_then(text);
        self.typed(&typed.unwrap_or_default(), None);
        for input in builder.pointer("/embedding/input").into_iter().flat_map(each) {
            let is_text = input.get("type").is_none_or(|kind| kind == "text");
            let typed = input.get("value").filter(|_| is_text).unwrap_or(input);
            self.typed(&text(typed).unwrap_or_default(), None);
        }
    }
}

/// The things in a place where the engines take one or an array of them.
pub(super) fn each(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// A text as the engines take it: numbers too, and several of them in an array. A truth value is no text: nobody typed it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(values) => {
            let scalars = values.iter().filter(|value| value.is_string() || value.is_number());
            Some(scalars.filter_map(text).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

/// The names of fields under `keys`, one or an array under each, without boosts.
fn fields<'a>(body: &'a Map<String, Value>, keys: &[&str]) -> impl Iterator<Item = &'a str> {
    let names = keys.iter().filter_map(|key| body.get(*key)).flat_map(each);
    names.filter_map(Value::as_str).map(without_boost)
}

/// The query in a `wrapper`: base64 in the standard alphabet or the one for URLs, padded or not.
fn unwrapped(query: &str) -> Option<Value> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let json = BASE64.decode(query.replace('-', "+").replace('_', "/")).ok()?;
    serde_json::from_slice(&json).ok()
}
