//! Calls and answers of each API, and answers that are wrong.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn asked(api: Api, model: Option<&str>) -> Value {
    serde_json::from_slice(&api.request(model, "q", &["a".to_owned(), "b".to_owned()])).unwrap()
}

#[test]
fn each_api_is_asked_in_its_own_words() {
    assert_eq!(asked(Api::Tei, None), json!({"query": "q", "texts": ["a", "b"], "truncate": true, "raw_scores": true}));
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
        (r#"[{"index":0,"score":1},{"index":1,"score":2},{"index":1,"score":3}]"#, [Some(1.0), None], "an index twice"),
        (r#"[{"index":0,"score":1},{"index":1,"score":null}]"#, [Some(1.0), None], "a score that is no number"),
        (r#"[{"index":0,"score":1},{"index":1,"score":NaN}]"#, [Some(1.0), None], "a score that is no number"),
        (r#"[{"index":0,"score":1},{"index":1,"score":-Infinity}]"#, [Some(1.0), None], "a score that is no number"),
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
