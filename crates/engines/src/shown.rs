//! The hits that an answer shows, read for a person who looks at them: what each is called, and its document as it came. No part
//! of reranking: that moves hits without reading them. Pure.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A hit as an answer shows it.
#[derive(Debug, Default)]
pub struct ShownHit<'a> {
    /// Its name.
    pub id: Option<String>,
    /// The index that it is in, where the answer says so.
    pub index: Option<String>,
    /// Its score.
    pub score: Option<f64>,
    /// The document, where it is shown.
    pub source: Option<&'a RawValue>,
}

/// A hit of Elasticsearch or OpenSearch.
#[derive(Deserialize)]
struct ElasticHit<'a> {
    #[serde(rename = "_id")]
    id: Option<String>,
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
}

/// The hits of an answer of Elasticsearch or OpenSearch; none where it has none in the usual place.
pub(crate) fn of_elastic(answer: &[u8]) -> Vec<ShownHit<'_>> {
    #[derive(Deserialize)]
    struct Hits<'a> {
        #[serde(borrow)]
        hits: Vec<ElasticHit<'a>>,
    }
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        hits: Hits<'a>,
    }
    let Ok(Answer { hits: Hits { hits } }) = serde_json::from_slice(answer) else { return Vec::new() };
    let shown = |ElasticHit { id, index, score, source }| ShownHit { id, index, score, source };
    hits.into_iter().map(shown).collect()
}

/// The hits of an answer of Solr; none where it has none in the usual place.
pub(crate) fn of_solr(answer: &[u8]) -> Vec<ShownHit<'_>> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        docs: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        response: Response<'a>,
    }
    let Ok(Answer { response: Response { docs } }) = serde_json::from_slice(answer) else { return Vec::new() };
    docs.into_iter().map(solr_document).collect()
}

/// A document of Solr's. What its key is called the schema says; it is `id` where nobody changed it.
fn solr_document(document: &RawValue) -> ShownHit<'_> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow)]
        score: Option<&'a RawValue>,
    }
    let read: Option<Document<'_>> = serde_json::from_str(document.get()).ok();
    let (id, score) = read.map_or((None, None), |read| (read.id, read.score));
    let score = score.and_then(|score| score.get().parse().ok());
    let id = id.map(|id| serde_json::from_str(id.get()).unwrap_or_else(|_| id.get().to_owned()));
    ShownHit { id, index: None, score, source: Some(document) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (Option<&'a str>, Option<&'a str>, Option<f64>, Option<&'a str>);

    fn told<'a>(hits: &'a [ShownHit<'_>]) -> Vec<Parts<'a>> {
        let told =
            |hit: &'a ShownHit<'_>| (hit.id.as_deref(), hit.index.as_deref(), hit.score, hit.source.map(RawValue::get));
        hits.iter().map(told).collect()
    }

    #[test]
    fn hits_are_told_with_their_documents_as_they_came() {
        let answer = br#"{"hits":{"hits":[{"_index":"i","_id":"1","_score":1.5,"_source":{"n": 1e999}},{"_id":"2"}]}}"#;
        assert_eq!(
            told(&of_elastic(answer)),
            [(Some("1"), Some("i"), Some(1.5), Some(r#"{"n": 1e999}"#)), (Some("2"), None, None, None)]
        );
        let answer = br#"{"response":{"docs":[{"id":"1","score":1.5},{"id":2},{"name":"x"}]}}"#;
        assert_eq!(
            told(&of_solr(answer)),
            [
                (Some("1"), None, Some(1.5), Some(r#"{"id":"1","score":1.5}"#)),
                (Some("2"), None, None, Some(r#"{"id":2}"#)),
                (None, None, None, Some(r#"{"name":"x"}"#)),
            ]
        );
    }

    #[test]
    fn an_answer_without_hits_shows_none() {
        for answer in ["", "[]", "{}", r#"{"error":{"type":"x"}}"#, r#"{"hits":{"hits":7}}"#, r#"{"response":{}}"#] {
            assert!(of_elastic(answer.as_bytes()).is_empty() && of_solr(answer.as_bytes()).is_empty(), "{answer}");
        }
    }
}
