//! The rerank APIs on the wire: what each is asked, and how its answer is read. Pure functions over bytes; who is
//! asked, when, and how often is not decided here. The shapes are those of the servers' own documentation: TEI's and
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

/// What an answer says of the texts of one call.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// One entry per text, in the order they were sent; `None` where the answer has no score for it that can be trusted.
    pub scores: Vec<Option<f32>>,
    /// What is wrong with the answer, where something is; says nothing of the texts.
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
    /// Their names in the configuration.
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

    /// Where the API is on its server.
    pub fn path(self) -> &'static str {
        match self {
            Api::Tei | Api::Infinity => "/rerank",
            Api::CohereV1 | Api::Jina | Api::Voyage => "/v1/rerank",
            Api::CohereV2 => "/v2/rerank",
        }
    }

    /// Whether a call must name the model.
    pub fn needs_model(self) -> bool {
        !matches!(self, Api::Tei | Api::Infinity)
    }

    /// Whether a call can name the model: TEI has one only.
    pub fn takes_model(self) -> bool {
        self != Api::Tei
    }

    /// Whether the scores are logits; else they are made for showing, mostly within 0 to 1.
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

/// Entries come in any order, best first as a rule. What is said twice may be wrong either time, so it counts as not said.
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
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn asked(api: Api, model: Option<&str>) -> Value {
        serde_json::from_slice(&api.request(model, "q", &["a".to_owned(), "b".to_owned()])).unwrap()
    }

    #[test]
    fn each_api_is_asked_in_its_own_words() {
        assert_eq!(
            asked(Api::Tei, None),
            json!({"query": "q", "texts": ["a", "b"], "truncate": true, "raw_scores": true})
        );
        let documents = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 2});
        assert_eq!(asked(Api::CohereV2, Some("m")), documents);
        let mut without_texts = documents;
        without_texts["return_documents"] = false.into();
        assert_eq!(asked(Api::CohereV1, Some("m")), without_texts);
        assert_eq!(asked(Api::Jina, Some("m")), without_texts);
        without_texts["raw_scores"] = true.into();
        assert_eq!(asked(Api::Infinity, Some("m")), without_texts);
        assert_eq!(
            asked(Api::Voyage, Some("m")),
            json!({
                "model": "m", "query": "q", "documents": ["a", "b"], "top_k": 2, "return_documents": false,
                "truncation": true,
            })
        );
        assert_eq!(asked(Api::Infinity, None).get("model"), None);
    }

    #[test]
    fn each_api_s_answer_is_put_in_the_order_of_the_texts() {
        let enveloped =
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.75},{"index":0,"relevance_score":0.5}],"meta":{}}"#;
        let answers = [
            (Api::Tei, r#"[{"index":1,"score":0.75},{"index":0,"score":0.5}]"#),
            (Api::CohereV1, enveloped),
            (Api::CohereV2, enveloped),
            (Api::Jina, enveloped),
            (Api::Infinity, enveloped),
            (
                Api::Voyage,
                r#"{"object":"list","data":[{"relevance_score":0.75,"index":1},{"relevance_score":0.5,"index":0}]}"#,
            ),
        ];
        for (api, answer) in answers {
            let expected = Answer { scores: vec![Some(0.5), Some(0.75)], oddity: None };
            assert_eq!(api.read(answer.as_bytes(), 2), Some(expected), "{}", api.name());
        }
    }

    #[test]
    fn what_an_answer_gets_wrong_is_no_score() {
        for (answer, scores, oddity) in [
            (r#"[{"index":0,"score":1}]"#, [Some(1.0), None], "fewer scores than texts"),
            (r#"[{"index":0,"score":1},{"index":2,"score":2}]"#, [Some(1.0), None], "an index out of range"),
            (r#"[{"index":0,"score":1},{"index":-1,"score":2}]"#, [Some(1.0), None], "an index out of range"),
            (
                r#"[{"index":0,"score":1},{"index":1,"score":2},{"index":1,"score":3}]"#,
                [Some(1.0), None],
                "an index twice",
            ),
            (r#"[{"index":0,"score":1},{"index":1,"score":null}]"#, [Some(1.0), None], "a score that is no number"),
            (r#"[{"index":0,"score":1},{"index":1,"score":NaN}]"#, [Some(1.0), None], "a score that is no number"),
            (
                r#"[{"index":0,"score":1},{"index":1,"score":-Infinity}]"#,
                [Some(1.0), None],
                "a score that is no number",
            ),
            (r#"[{"index":0,"score":1},{"index":1,"score":1e39}]"#, [Some(1.0), None], "a score that is no number"),
            ("[]", [None, None], "fewer scores than texts"),
        ] {
            let expected = Answer { scores: scores.to_vec(), oddity: Some(oddity) };
            assert_eq!(Api::Tei.read(answer.as_bytes(), 2), Some(expected), "{answer}");
        }
    }

    #[test]
    fn what_is_not_an_answer_of_the_api_is_none() {
        for answer in ["", "<html>", "{}", r#"{"error":"x"}"#, r#"[{"index":"0","score":1}]"#, "[1]"] {
            assert_eq!(Api::Tei.read(answer.as_bytes(), 1), None, "{answer}");
            assert_eq!(Api::Jina.read(answer.as_bytes(), 1), None, "{answer}");
        }
    }

    #[test]
    fn words_within_strings_are_no_numbers() {
        assert_eq!(with_nulls(br#"["NaN", NaN, "\"NaN", -Infinity]"#), br#"["NaN", null, "\"NaN", null]"#);
    }

    proptest! {
        #[test]
        fn any_bytes_give_one_entry_per_text_or_nothing(answer: Vec<u8>, count in 0_usize..5) {
            for (_, api) in Api::NAMES {
                prop_assert!(api.read(&answer, count).is_none_or(|answer| answer.scores.len() == count));
            }
        }

        #[test]
        fn a_text_gets_the_score_that_was_said_of_it_or_none(entries in proptest::collection::vec((-1_i64..6, 0_u16..9), 0..8)) {
            let answer: Vec<_> = entries.iter().map(|(index, score)| json!({"index": index, "score": score})).collect();
            let read = Api::Tei.read(json!(answer).to_string().as_bytes(), 5).unwrap();
            for (place, score) in read.scores.iter().enumerate() {
                let said: Vec<f32> =
                    entries.iter().filter(|(index, _)| *index == place as i64).map(|(_, score)| f32::from(*score)).collect();
                prop_assert_eq!(*score, if said.len() == 1 { Some(said[0]) } else { None });
            }
        }
    }
}
