//! One search for a judged query, through the proxy. Owns that it is sent, and what is read of the answer: the ids of the hits, and what
//! the proxy says of its work.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use evaluation::judgements::Query;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::search::{self, Engine, Template};
use crate::rerank_header::time_of_reranking;

/// The longest that is shown of what a cluster says of a search that failed, in characters.
const WORDS: usize = 500;

/// The time that a search may take in all. It is longer than the longest budget of a rule.
const PATIENCE: Duration = Duration::from_mins(15);

/// What is searched, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// The proxy's URL, without a slash at its end.
    pub url: String,
    /// The index, or several with commas between; of Solr, the collection.
    pub index: String,
    /// The engine's API.
    pub engine: Engine,
    /// The search for a text; queries that are searches themselves need none.
    pub template: Option<Template>,
    /// The field that holds the id by which judgements know a document; `None`: the engine's own id.
    pub id: Option<String>,
    /// The number of hits that are asked for.
    pub depth: usize,
    /// Headers of every request: the credentials.
    pub headers: HeaderMap,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The ids of the hits, best first.
    pub ids: Vec<String>,
    /// All of it.
    pub json: Value,
    /// The header `X-Rerank`.
    pub rerank: String,
    /// The time that reranking took of it, by `Server-Timing`.
    pub added: Option<Duration>,
    /// The time until all of the answer was there.
    pub took: Duration,
}

/// The client that searches are sent with.
///
/// # Errors
/// It cannot be made.
pub fn client() -> anyhow::Result<reqwest::Client> {
    // Whoever is pointed elsewhere by a cluster would take the credentials along, and measure something else.
    let nowhere_else = reqwest::redirect::Policy::none();
    Ok(reqwest::Client::builder().no_proxy().redirect(nowhere_else).timeout(PATIENCE).build()?)
}

/// The API that the cluster behind `url` speaks: Solr's where it knows the unique key of the collection.
///
/// # Errors
/// It cannot be asked, or refuses to say.
pub async fn engine(client: &reqwest::Client, url: &str, index: &str, headers: &HeaderMap) -> anyhow::Result<Engine> {
    // Of several collections each must have the same key to be searched together.
    let collection = index.split(',').next().unwrap_or_default();
    let path = format!("/solr/{collection}/schema/uniquekey");
    let answer = client.get(format!("{url}{path}")).headers(headers.clone()).send().await;
    let answer = answer.context("cannot ask the cluster which engine it is")?;
    let (status, text) = (answer.status(), answer.text().await?);
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || status.is_server_error() {
        bail!("the cluster does not say which engine it is: {path} answered {status}: {}", shortened(&text));
    }
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(match answer["uniqueKey"].as_str() {
        Some(unique_key) => Engine::Solr { unique_key: unique_key.to_owned() },
        None => Engine::Elastic,
    })
}

impl Target {
    /// Searches for a query, with these headers besides those of every request.
    ///
    /// # Errors
    /// The search cannot be sent, is refused, or its answer has no hits where they are expected.
    pub async fn ask(
        &self,
        client: &reqwest::Client,
        query: &Query,
        headers: &[(&'static str, String)],
    ) -> anyhow::Result<Answer> {
        let request = search::request(query, self.template.as_ref(), &self.engine, &self.index, self.depth);
        let request = request.map_err(anyhow::Error::msg)?;
        let path = request.path;
        let sent = client.post(format!("{}{path}", self.url)).header("content-type", request.content_type);
        let sent = sent.headers(self.headers.clone()).body(request.body);
        let sent = headers.iter().fold(sent, |sent, (name, value)| sent.header(*name, value));
        let began = Instant::now();
        let answer = sent.send().await.with_context(|| format!("cannot send the search to {path}"))?;
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (rerank, timing) = (header("x-rerank").to_owned(), header("server-timing").to_owned());
        let text = answer.text().await.context("the answer broke off")?;
        let took = began.elapsed();
        if !status.is_success() {
            bail!("{path} answered {status}: {}", shortened(&text));
        }
        let json: Value = serde_json::from_str(&text).with_context(|| format!("{path} did not answer with JSON"))?;
        Ok(Answer { ids: self.ids(&json)?, rerank, added: time_of_reranking(&timing), took, json })
    }

    /// The hits of an answer.
    pub fn hits<'a>(&self, answer: &'a Value) -> Option<&'a Vec<Value>> {
        let hits = match &self.engine {
            Engine::Elastic => &answer["hits"]["hits"],
            Engine::Solr { .. } => &answer["response"]["docs"],
        };
        hits.as_array()
    }

    fn ids(&self, answer: &Value) -> anyhow::Result<Vec<String>> {
        let hits = self.hits(answer).ok_or_else(|| anyhow!("the answer has no hits"))?;
        let id = |hit: &Value| {
            self.id_of(hit).ok_or_else(|| anyhow!("a hit has no `{}` that is one text or number", self.key()))
        };
        hits.iter().map(id).collect()
    }

    /// The name of the field with the id.
    fn key(&self) -> &str {
        match (&self.id, &self.engine) {
            (Some(field), _) => field,
            (None, Engine::Elastic) => "_id",
            (None, Engine::Solr { unique_key }) => unique_key,
        }
    }

    fn id_of(&self, hit: &Value) -> Option<String> {
        let key = self.key();
        let value = match (&self.id, &self.engine) {
            (Some(_), Engine::Elastic) => {
                // A name with dots is a path, or is written so.
                let source = &hit["_source"];
                let within = source.pointer(&format!("/{}", key.replace('.', "/")));
                within.or_else(|| source.get(key)).unwrap_or(&hit["fields"][key])
            }
            _ => &hit[key],
        };
        let value = value.as_array().filter(|values| values.len() == 1).map_or(value, |values| &values[0]);
        match value {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(engine: Engine, id: Option<&str>) -> Target {
        Target {
            url: String::new(),
            index: "docs".to_owned(),
            engine,
            template: None,
            id: id.map(str::to_owned),
            depth: 7,
            headers: HeaderMap::new(),
        }
    }

    #[test]
    fn hits_are_known_by_the_engine_s_id_or_by_a_field() {
        let hits = json!({"hits": {"hits": [
            {"_id": "a", "_source": {"doc": {"no": 3}, "x.y": "p"}},
            {"_id": "b", "_source": {}, "fields": {"doc.no": ["z"], "x.y": ["q"]}},
        ]}});
        assert_eq!(target(Engine::Elastic, None).ids(&hits).expect("ids"), ["a", "b"]);
        assert_eq!(target(Engine::Elastic, Some("doc.no")).ids(&hits).expect("ids"), ["3", "z"]);
        assert_eq!(target(Engine::Elastic, Some("x.y")).ids(&hits).expect("ids"), ["p", "q"]);
        assert!(target(Engine::Elastic, Some("none")).ids(&hits).expect_err("none").to_string().contains("`none`"));
        let solr = || Engine::Solr { unique_key: "sku".to_owned() };
        let docs = json!({"response": {"docs": [{"sku": "b", "url": ["u"]}, {"sku": 3, "url": "v"}]}});
        assert_eq!(target(solr(), None).ids(&docs).expect("ids"), ["b", "3"]);
        assert_eq!(target(solr(), Some("url")).ids(&docs).expect("ids"), ["u", "v"]);
        assert!(target(solr(), None).ids(&json!({"response": {"docs": [{"id": 1}]}})).is_err());
    }
}
