//! The subject of a search: the text that someone typed, found in `q` whatever parser reads it, and the fields they
//! looked in. Owns the table of parsers ([`PARSERS`]) and how queries lie within one another: local parameters,
//! references, the JSON query DSL. Filters and boosts (`fq`, `bq`, `bf`, `boost`) are never looked into. Pure.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::{
    asked::{Asked, as_text},
    embedded,
    local_params::LocalParams,
};
use crate::{
    lucene::Syntax,
    plan::SkipReason,
    query_text::{Gathered, QueryText, without_boost},
};

/// The most queries within one another that are looked into.
const MAX_DEPTH: usize = 16;
/// The most bytes of a query in which others are looked for; no text that counts is as long.
const MAX_LENGTH: usize = 16 * 1024;
/// The most queries that are looked into in all; a search with more is too complex.
const MAX_QUERIES: usize = 1024;
/// The number of times that a request may be read over in all, as queries refer to its parameters; a search beyond that
/// is too complex.
const MAX_READINGS: usize = 16;

/// The place in which a parser finds text.
#[derive(Clone, Copy)]
enum Place {
    /// In the Lucene syntax; words without a field are looked for in `df`.
    Lucene,
    /// In one of the Lucene syntaxes, looked for in `qf`, or in `df`; where there is none, in `q.alt`.
    Fields(Syntax),
    /// In words and phrases, looked for there too.
    Words,
    /// All of it, looked for in the field `f`.
    Field,
    /// All of it, and the field holds vectors.
    Vector,
    /// In further queries under these names.
    Within(&'static [&'static str]),
}

/// Every parser of queries that can hold text, and where. What is not listed holds none: among others `term`, `terms`,
/// `prefix` and `raw`, whose words are those of the index rather than of a person, `func`, `knn` and `vectorSimilarity`.
///
/// Source: <https://solr.apache.org/guide/solr/latest/query-guide/other-parsers.html>.
const PARSERS: &[(&str, Place)] = &[
    ("lucene", Place::Lucene),
    ("edismax", Place::Fields(Syntax::Classic)),
    ("dismax", Place::Words),
    ("simple", Place::Fields(Syntax::Simple)),
    ("complexphrase", Place::Lucene),
    ("maxscore", Place::Lucene),
    ("field", Place::Field),
    ("payload_score", Place::Field),
    ("payload_check", Place::Field),
    ("knn_text_to_vector", Place::Vector),
    ("bool", Place::Within(&["must", "should"])),
    ("boost", Place::Within(&["v"])),
    ("query", Place::Within(&["v"])),
    ("parent", Place::Within(&["v"])),
    ("child", Place::Within(&["v"])),
];

/// The subject of the request's query; `None` where it holds no text.
pub(super) fn of(asked: &Asked) -> Result<Option<QueryText>, SkipReason> {
    let left_to_read = Cell::new(MAX_READINGS * asked.size());
    let mut reader = Reader { asked, gathered: Gathered::default(), left: MAX_QUERIES, left_to_read };
    let parser = asked.first("defType").unwrap_or_else(|| "lucene".to_owned());
    let json = asked.json("query");
    reader.gathered.from(if json.is_some() { "query" } else { "q" });
    match json {
        Some(Value::String(query)) => reader.query(query, &parser, 0),
        Some(query) => reader.json(query, 0),
        None => reader.query(&asked.first("q").unwrap_or_default(), &parser, 0),
    }
    if reader.left_to_read.get() == 0 && asked.size() > 0 {
        return Err(SkipReason::TooComplex);
    }
    reader.gathered.within_caps()
}

struct Reader<'a> {
    asked: &'a Asked,
    gathered: Gathered,
    /// The number of further queries that may be looked into.
    left: usize,
    /// The number of further bytes of parameters that may be; 0 where it was too many.
    left_to_read: Cell<usize>,
}

impl Reader<'_> {
    /// A query as text, which `parser` reads unless local parameters name another; only these parsers heed them.
    fn query(&mut self, text: &str, parser: &str, depth: usize) {
        let heeds = matches!(parser, "lucene" | "func");
        match LocalParams::read(text.trim_start()).filter(|_| heeds) {
            None => self.parsed(parser, text, &LocalParams::default(), depth),
            Some((local, rest)) => {
                let parser = local.parser.clone().unwrap_or_else(|| parser.to_owned());
                let said = local.get("v").map(|value| self.text(value));
                self.parsed(&parser, &said.unwrap_or_else(|| rest.to_owned()), &local, depth);
            }
        }
    }

    /// A query in the JSON query DSL: `"text"`, `{"param": NAME}`, `{PARSER: {…}}`, `{"#tag": query}`.
    fn json(&mut self, query: &Value, depth: usize) {
        if depth == MAX_DEPTH || !self.count() {
            return;
        }
        let object = match query {
            Value::String(text) => return self.query(text, "lucene", depth),
            Value::Object(object) => object,
            _ => return,
        };
        for (name, body) in object {
            match (name.as_str(), body) {
                ("param", Value::String(name)) => match self.asked.json("queries").and_then(|known| known.get(name)) {
                    Some(query) => {
                        self.read(weight(query));
                        self.each(query, depth);
                    }
                    None => self.query(&self.parameter(name).unwrap_or_default(), "lucene", depth),
                },
                (name, body) if name.starts_with('#') => self.json(body, depth + 1),
                (name, Value::String(text)) => self.parsed(name, text, &LocalParams::default(), depth),
                (name, Value::Object(body)) => {
                    let local = local_of(name, body);
                    let text = local.get("v").map(|value| self.text(value)).unwrap_or_default();
                    self.parsed(name, &text, &local, depth);
                }
                _ => {}
            }
        }
    }

    /// One query or several of the DSL.
    fn each(&mut self, queries: &Value, depth: usize) {
        match queries {
            Value::Array(queries) => queries.iter().for_each(|query| self.json(query, depth + 1)),
            query => self.json(query, depth + 1),
        }
    }

    fn parsed(&mut self, parser: &str, text: &str, local: &LocalParams, depth: usize) {
        if depth == MAX_DEPTH || !self.count() {
            return;
        }
        self.read(text.len());
        let Some((_, place)) = PARSERS.iter().find(|(known, _)| *known == parser) else { return };
        match place {
            Place::Lucene => self.lucene(text, Syntax::Classic, &self.fields(local, &["df"]), depth),
            Place::Fields(_) | Place::Words if text.trim().is_empty() => {
                let alternative = self.said(local, "q.alt");
                self.query(&alternative.unwrap_or_default(), "lucene", depth + 1);
            }
            Place::Fields(syntax) => self.lucene(text, *syntax, &self.fields(local, &["qf", "df"]), depth),
            Place::Words => {
                let fields = self.fields(local, &["qf", "df"]);
                self.gathered.typed(&embedded::words(text), fields.iter().map(String::as_str));
            }
            Place::Field => self.gathered.typed(text, local.get("f").and_then(Value::as_str)),
            Place::Vector => self.gathered.typed(text, None),
            // Behind local parameters the query itself may follow.
            Place::Within(["v"]) if local.get("v").is_none() => self.query(text, "lucene", depth + 1),
            Place::Within(names) => {
                let within = local.pairs.iter().filter(|(name, _)| names.contains(&name.as_str()));
                within.for_each(|(_, query)| self.each(query, depth));
            }
        }
    }

    /// A query in a Lucene syntax, and the queries of other syntaxes in it.
    fn lucene(&mut self, text: &str, syntax: Syntax, fields: &[String], depth: usize) {
        if syntax == Syntax::Simple {
            return self.gathered.lucene(text, syntax, fields.iter().map(String::as_str));
        }
        let found = embedded::split(&text[..text.floor_char_boundary(MAX_LENGTH)]);
        self.gathered.lucene(&found.text, syntax, fields.iter().map(String::as_str));
        for query in &found.queries {
            self.query(query, "lucene", depth + 1);
        }
    }

    /// The fields under the first of these parameters that says any.
    fn fields(&self, local: &LocalParams, names: &[&str]) -> Vec<String> {
        let read = |name: &&str| -> Vec<String> {
            let said = self.said(local, name).unwrap_or_default();
            let fields = said.split([' ', ',', '\n', '\t']).map(|field| without_boost(field.trim()));
            fields.filter(|field| !field.is_empty()).map(str::to_owned).collect()
        };
        names.iter().map(read).find(|fields| !fields.is_empty()).unwrap_or_default()
    }

    /// A parameter that may be local.
    fn said(&self, local: &LocalParams, name: &str) -> Option<String> {
        local.get(name).map(|value| self.text(value)).or_else(|| self.parameter(name))
    }

    /// A parameter of the request, as long as it may be read once more.
    fn parameter(&self, name: &str) -> Option<String> {
        let value = if self.left_to_read.get() == 0 { None } else { self.asked.first(name) }?;
        self.read(name.len() + value.len());
        Some(value)
    }

    /// Counts bytes that are read.
    fn read(&self, bytes: usize) {
        self.left_to_read.set(self.left_to_read.get().saturating_sub(bytes));
    }

    /// Counts a query; whether it may be looked into.
    fn count(&mut self) -> bool {
        let counts = self.left > 0 && self.left_to_read.get() > 0;
        if counts {
            self.left -= 1;
        } else {
            self.gathered.leave_out();
        }
        counts
    }

    /// A value of a local parameter as text.
    fn text(&self, value: &Value) -> String {
        match value {
            Value::Object(reference) => {
                let name = reference.get("param").and_then(Value::as_str);
                name.and_then(|name| self.parameter(name)).unwrap_or_default()
            }
            Value::Array(values) => values.iter().map(|value| self.text(value)).collect::<Vec<_>>().join(" "),
            Value::Null => String::new(),
            value => as_text(value),
        }
    }
}

/// About how many bytes a value of JSON is long.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| 1 + weight(value)).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + 1 + weight(value)).sum(),
        _ => 1,
    }
}

/// The body of a query in the DSL as local parameters. Its `query` is what is parsed; a text that is a reference is one
/// there, too.
fn local_of(parser: &str, body: &Map<String, Value>) -> LocalParams {
    let mut local = LocalParams { parser: Some(parser.to_owned()), pairs: Vec::new() };
    for (name, value) in body {
        let name = if name == "query" { "v" } else { name };
        local.pairs.push((name.to_owned(), value.clone()));
    }
    local
}

#[cfg(test)]
mod tests;
