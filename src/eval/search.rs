//! The request that a query becomes. Owns the templates that a person writes (`{{query}}` stands for the text), and what the engines' APIs
//! want besides: the number of hits, the fields of a hit.

use evaluation::judgements::{Query, Search};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// What stands for the query's text in a template.
pub const PLACEHOLDER: &str = "{{query}}";

/// What is escaped in a path: an index expression keeps its commas, and what else is plain in a path.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b',').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

/// The characters that mean something to Solr's query parsers.
const SOLR_SYNTAX: &str = r#"\+-!():^[]"{}~*?|&/"#;

/// An API to search by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Elasticsearch and OpenSearch.
    Elastic,
    /// Solr.
    Solr {
        /// The field that its documents are known by.
        unique_key: String,
    },
}

/// A search in which a text has yet to be put.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// The path; `None` is that of the index's searches.
    path: Option<String>,
    /// The parameters, decoded; the placeholder is in their values.
    parameters: Vec<(String, String)>,
    /// The body; the placeholder is in its texts.
    body: Option<Map<String, Value>>,
    /// True where the text is to be read as words, whatever Solr's syntax would make of it.
    is_plain: bool,
}

/// A search that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path, with parameters.
    pub path: String,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Template {
    /// Reads a template: a body, `{"query": …}`; or parameters, `q={{query}}&defType=edismax`; or a path, `/docs/_search?q={{query}}`, with or
    /// without a method before and a body in the lines below it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (line, body) = match text.find('{') {
            Some(0) => ("", text),
            // A line of its own before the body; `{{query}}` is no body.
            _ => text.split_once('\n').map_or((text, ""), |(line, rest)| (line.trim(), rest.trim())),
        };
        let line = ["GET ", "POST "].iter().find_map(|method| line.strip_prefix(method)).unwrap_or(line).trim();
        let (path, parameters) = match line.split_once('?') {
            Some((path, parameters)) => (path, parameters),
            None if line.starts_with('/') => (line, ""),
            None => ("", line),
        };
        if !path.is_empty() && !path.starts_with('/') {
            return Err(format!("the path {path:?} does not begin with /"));
        }
        let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
            let (name, value) =
                parameter.split_once('=').ok_or_else(|| format!("the parameter {parameter:?} has no value"))?;
            Ok((decoded(name)?, decoded(value)?))
        });
        let body = (!body.is_empty()).then(|| {
            serde_json::from_str::<Map<String, Value>>(body)
                .map_err(|error| format!("the body is no JSON object: {error}"))
        });
        let template = Self {
            path: (!path.is_empty()).then(|| path.to_owned()),
            parameters: parameters.collect::<Result<_, String>>()?,
            body: body.transpose()?,
            is_plain: false,
        };
        if template.has_placeholder() {
            Ok(template)
        } else {
            Err(format!("{PLACEHOLDER} is nowhere in it, so that all queries would be the same"))
        }
    }

    /// A search for the words of the text in these fields, which may have boosts (`title^2`).
    pub fn of_fields(engine: &Engine, fields: &[String]) -> Self {
        match engine {
            Engine::Elastic => {
                let query = json!({"multi_match": {"query": PLACEHOLDER, "fields": fields}});
                Self { body: Some(Map::from_iter([("query".to_owned(), query)])), ..Self::default() }
            }
            Engine::Solr { .. } => {
                let parameters = [("q", PLACEHOLDER), ("defType", "edismax"), ("qf", &fields.join(" "))];
                let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
                Self { parameters, is_plain: true, ..Self::default() }
            }
        }
    }

    fn has_placeholder(&self) -> bool {
        let in_parameters = self.parameters.iter().any(|(_, value)| value.contains(PLACEHOLDER));
        in_parameters || self.body.as_ref().is_some_and(|body| json!(body).to_string().contains(PLACEHOLDER))
    }

    /// The search for a text, for so many hits.
    fn filled(&self, engine: &Engine, index: &str, text: &str, depth: usize) -> Request {
        let text = if self.is_plain { escaped(text) } else { text.to_owned() };
        let mut parameters: Vec<(String, String)> =
            self.parameters.iter().map(|(name, value)| (name.clone(), value.replace(PLACEHOLDER, &text))).collect();
        let mut body = self.body.as_ref().map(|body| with_text(body, &text));
        let (number, fields) = match (engine, &body) {
            (Engine::Elastic, _) => ("size", None),
            (Engine::Solr { .. }, Some(_)) => ("limit", Some(("fields", "*,score"))),
            (Engine::Solr { .. }, None) => ("rows", Some(("fl", "*,score"))),
        };
        parameters.retain(|(name, _)| name != number);
        if let Some(body) = &mut body {
            body.insert(number.to_owned(), json!(depth));
            fields.into_iter().for_each(|(name, all)| _ = body.entry(name).or_insert_with(|| json!(all)));
        } else {
            parameters.push((number.to_owned(), depth.to_string()));
            let fields = fields.filter(|(name, _)| parameters.iter().all(|(there, _)| there != name));
            parameters.extend(fields.map(|(name, all)| (name.to_owned(), all.to_owned())));
        }
        let parameters = encoded(&parameters);
        let path = self.path.clone().unwrap_or_else(|| path_of(engine, index));
        match body {
            Some(body) => Request {
                path: if parameters.is_empty() { path } else { format!("{path}?{parameters}") },
                content_type: JSON,
                body: Value::Object(body).to_string(),
            },
            None if *engine == Engine::Elastic => {
                Request { path: format!("{path}?{parameters}"), content_type: JSON, body: String::new() }
            }
            None => Request { path, content_type: "application/x-www-form-urlencoded", body: parameters },
        }
    }
}

const JSON: &str = "application/json";

/// The search for a query, for so many hits. A search of the query's own is sent as it is; a text is put into the template.
///
/// # Errors
/// The query cannot be asked of this engine.
pub fn request(
    query: &Query,
    template: Option<&Template>,
    engine: &Engine,
    index: &str,
    depth: usize,
) -> Result<Request, String> {
    let own = |path: String, body: Map<String, Value>| Request {
        path,
        content_type: JSON,
        body: Value::Object(body).to_string(),
    };
    match (&query.search, engine) {
        (Search::Text(text), _) => {
            let template = template.ok_or("it is a text, and nothing says how texts are searched for")?;
            Ok(template.filled(engine, index, text, depth))
        }
        (Search::Body(body), Engine::Elastic) => {
            let mut body = body.clone();
            body.insert("size".to_owned(), json!(depth));
            Ok(own(path_of(engine, index), body))
        }
        (Search::Template(template), Engine::Elastic) => {
            Ok(own(format!("{}/template", path_of(engine, index)), template.clone()))
        }
        (Search::Body(_) | Search::Template(_), Engine::Solr { .. }) => {
            Err("it is a search of Elasticsearch's or OpenSearch's own, and this is Solr".to_owned())
        }
    }
}

/// The path of searches of an index.
fn path_of(engine: &Engine, index: &str) -> String {
    let index = utf8_percent_encode(index, IN_PATH);
    match engine {
        Engine::Elastic => format!("/{index}/_search"),
        Engine::Solr { .. } => format!("/solr/{index}/select"),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(|decoded| decoded.into_owned()).map_err(|_| format!("{text:?} is not UTF-8 where it is decoded"))
}

fn encoded(parameters: &[(String, String)]) -> String {
    let coded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let parameters = parameters.iter().map(|(name, value)| format!("{}={}", coded(name), coded(value)));
    parameters.collect::<Vec<_>>().join("&")
}

/// The text as Solr's query parsers read it where no character of it is syntax.
fn escaped(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_operator = ["AND", "OR", "NOT"].contains(&word);
        let escaped = word.chars().flat_map(|c| SOLR_SYNTAX.contains(c).then_some('\\').into_iter().chain([c]));
        is_operator.then_some('\\').into_iter().chain(escaped).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The body in which the text stands for the placeholder, wherever it is in a value.
fn with_text(body: &Map<String, Value>, text: &str) -> Map<String, Value> {
    fn replaced(value: &Value, text: &str) -> Value {
        match value {
            Value::String(own) => Value::String(own.replace(PLACEHOLDER, text)),
            Value::Array(values) => values.iter().map(|value| replaced(value, text)).collect(),
            Value::Object(members) => Value::Object(with_text(members, text)),
            other => other.clone(),
        }
    }
    body.iter().map(|(name, value)| (name.clone(), replaced(value, text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solr() -> Engine {
        Engine::Solr { unique_key: "sku".to_owned() }
    }

    fn asked(template: &Template, engine: &Engine, text: &str) -> Request {
        let query = Query {
            id: "1".to_owned(),
            search: Search::Text(text.to_owned()),
            grades: [("d", 1)].into_iter().collect(),
        };
        request(&query, Some(template), engine, "my-docs,a b", 7).expect("a request")
    }

    #[test]
    fn a_text_stands_where_the_placeholder_is_and_cannot_break_out_of_it() {
        let body = r#"{"query": {"bool": {"must": [{"match": {"t": "{{query}}"}}], "boost": 2}}, "size": 1}"#;
        let asked = asked(&Template::parse(body).expect("right"), &Engine::Elastic, "a \"b\" {c}");
        assert_eq!(asked.path, "/my-docs,a%20b/_search");
        let expected = json!({"query": {"bool": {"must": [{"match": {"t": "a \"b\" {c}"}}], "boost": 2}}, "size": 7});
        assert_eq!(serde_json::from_str::<Value>(&asked.body).expect("JSON"), expected);
    }

    #[test]
    fn a_template_may_be_a_url_or_a_request_with_path_and_body() {
        let url =
            Template::parse("/docs/_search?q=t:{{query}}&size=3&search_type=dfs_query_then_fetch").expect("right");
        let request = asked(&url, &Engine::Elastic, "a&b");
        assert_eq!(request.path, "/docs/_search?q=t%3Aa%26b&search%5Ftype=dfs%5Fquery%5Fthen%5Ffetch&size=7");
        assert!(request.body.is_empty());
        let both =
            Template::parse("POST /docs/_search?search_pipeline=p\n{\n\"query\": \"{{query}}\"}").expect("right");
        let request = asked(&both, &Engine::Elastic, "x");
        assert_eq!(
            (request.path.as_str(), request.body.as_str()),
            ("/docs/_search?search%5Fpipeline=p", r#"{"query":"x","size":7}"#)
        );
        let form = asked(&Template::parse("q=text:({{query}})&fl=id&rows=2").expect("right"), &solr(), "x y");
        assert_eq!(form.path, "/solr/my-docs,a%20b/select");
        assert_eq!(form.body, "q=text%3A%28x%20y%29&fl=id&rows=7");
        let json = asked(&Template::parse(r#"{"query": "{{query}}"}"#).expect("right"), &solr(), "x");
        assert_eq!(json.body, r#"{"query":"x","limit":7,"fields":"*,score"}"#);
    }

    #[test]
    fn fields_are_searched_for_words() {
        let fields = ["title^2".to_owned(), "text".to_owned()];
        let elastic = asked(&Template::of_fields(&Engine::Elastic, &fields), &Engine::Elastic, "eat?");
        assert_eq!(elastic.body, r#"{"query":{"multi_match":{"query":"eat?","fields":["title^2","text"]}},"size":7}"#);
        let solr = asked(&Template::of_fields(&solr(), &fields), &solr(), "a-b OR eat?");
        assert_eq!(
            percent_decode_str(&solr.body).decode_utf8().expect("UTF-8"),
            r"q=a\-b \OR eat\?&defType=edismax&qf=title^2 text&rows=7&fl=*,score"
        );
    }

    #[test]
    fn what_is_wrong_with_a_template_is_told() {
        for (text, said) in [
            (r#"{"query": 1}"#, "{{query}} is nowhere"),
            ("{\"query\": ", "no JSON object"),
            ("docs/_search?q={{query}}", "does not begin with /"),
            ("{{query}}", "no JSON object"),
            ("words {{query}}", "has no value"),
            ("", "is nowhere"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
