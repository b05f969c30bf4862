//! The rerank APIs on the wire: the body of a call, and how its answer is read. Pure functions over bytes; when and how often
//! a server is called is not decided here. The shapes are those of the servers' own documentation: TEI's and
//! infinity's OpenAPI pages, and the API references of Cohere, Jina and Voyage.

use serde::Deserialize;
use serde_json::json;

/// A rerank API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Hugging Face's Text Embeddings Inference.
    Tei,
    /// Cohere's first version.
    CohereV1,
    /// Cohere's second version.
    CohereV2,
    /// Jina AI; vLLM and others speak it as well.
    Jina,
    /// michaelfeil/infinity.
    Infinity,
    /// Voyage AI.
    Voyage,
}

/// The scores in an answer to one call.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// One entry per text, in the order they were sent; `None` where the answer has no score for it that can be trusted.
    pub scores: Vec<Option<f32>>,
    /// The mistake in the answer, where there is one; says nothing of the texts.
    pub oddity: Option<&'static str>,
}

/// One text's score, as all APIs say it but for the name of the score.
#[derive(Deserialize)]
struct Entry {
    index: i64,
    #[serde(default, alias = "relevance_score")]
    score: Option<f64>,
}

#[derive(Deserialize)]
struct Enveloped {
    #[serde(alias = "data")]
    results: Vec<Entry>,
}

impl Api {
    /// Every API under its name in the configuration.
    pub const NAMES: [(&'static str, Api); 6] = [
        ("tei", Api::Tei),
        ("cohere-v1", Api::CohereV1),
        ("cohere-v2", Api::CohereV2),
        ("jina", Api::Jina),
        ("infinity", Api::Infinity),
        ("voyage", Api::Voyage),
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, api)| *api == self).map_or("", |(name, _)| name)
    }

    /// The path of the API on its server.
    pub fn path(self) -> &'static str {
        match self {
            Api::Tei | Api::Infinity => "/rerank",
            Api::CohereV1 | Api::Jina | Api::Voyage => "/v1/rerank",
            Api::CohereV2 => "/v2/rerank",
        }
    }

    /// True where a call must name the model.
    pub fn needs_model(self) -> bool {
        !matches!(self, Api::Tei | Api::Infinity)
    }

    /// True where a call can name the model: TEI has one only.
    pub fn takes_model(self) -> bool {
        self != Api::Tei
    }

    /// True where the scores are logits; else they are made for showing, mostly within 0 to 1.
    pub fn gives_logits(self) -> bool {
        matches!(self, Api::Tei | Api::Infinity)
    }

    /// The body of a call.
    pub fn request(self, model: Option<&str>, query: &str, texts: &[String]) -> Vec<u8> {
        let count = texts.len();
        let mut body = match self {
            // Without `truncate` a text beyond the model's length is an error for all of the call.
            Api::Tei => json!({"query": query, "texts": texts, "truncate": true, "raw_scores": true}),
            Api::CohereV2 => json!({"query": query, "documents": texts, "top_n": count}),
            Api::CohereV1 | Api::Jina => {
                json!({"query": query, "documents": texts, "top_n": count, "return_documents": false})
            }
            Api::Infinity => json!({
                "query": query, "documents": texts, "top_n": count, "return_documents": false, "raw_scores": true,
            }),
            Api::Voyage => json!({
                "query": query, "documents": texts, "top_k": count, "return_documents": false, "truncation": true,
            }),
        };
        if let Some(model) = model {
            body["model"] = model.into();
        }
        body.to_string().into_bytes()
    }

    /// The scores in the answer to a call with `count` texts, or `None` where it is not an answer of this API.
    pub fn read(self, answer: &[u8], count: usize) -> Option<Answer> {
        self.entries(answer).or_else(|| self.entries(&with_nulls(answer))).map(|entries| by_text(entries, count))
    }

    fn entries(self, answer: &[u8]) -> Option<Vec<Entry>> {
        match self {
            Api::Tei => serde_json::from_slice(answer).ok(),
            _ => serde_json::from_slice::<Enveloped>(answer).ok().map(|answer| answer.results),
        }
    }
}

/// The scores of entries, which come in any order, best first as a rule. An entry that comes twice counts as none: either may
/// be wrong.
fn by_text(entries: Vec<Entry>, count: usize) -> Answer {
    let (mut scores, mut said) = (vec![None; count], vec![false; count]);
    let mut oddity = None;
    for entry in entries {
        let Some(place) = usize::try_from(entry.index).ok().filter(|place| *place < count) else {
            oddity = Some("an index out of range");
            continue;
        };
        if said[place] {
            scores[place] = None;
            oddity = Some("an index twice");
            continue;
        }
        said[place] = true;
        scores[place] = entry.score.map(|score| score as f32).filter(|score| score.is_finite());
        if scores[place].is_none() {
            oddity = Some("a score that is no number");
        }
    }
    if said.contains(&false) {
        oddity = oddity.or(Some("fewer scores than texts"));
    }
    Answer { scores, oddity }
}

/// Servers in Python write `NaN`, `Infinity` and `-Infinity`, which are not JSON; here they become `null`.
fn with_nulls(answer: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(answer.len());
    let (mut rest, mut in_string) = (answer, false);
    while let Some((&byte, after)) = rest.split_first() {
        let word =
            [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            json.extend_from_slice(b"null");
            rest = &rest[word.len()..];
            continue;
        }
        json.push(byte);
        rest = after;
        match (byte, after.split_first()) {
            (b'"', _) => in_string = !in_string,
            (b'\\', Some((&escaped, after))) if in_string => {
                json.push(escaped);
                rest = after;
            }
            _ => {}
        }
    }
    json
}

#[cfg(test)]
mod tests;
