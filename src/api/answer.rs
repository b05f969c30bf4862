//! A ranking → the answer in the words of the API that was asked, and so are faults. Owns the shapes of answers; docs/api.md
//! says what their members mean. Pure, but for the time and the number that an answer carries.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    call::{Call, Document, Shape},
    fault::Fault,
    response,
};
use crate::{cluster::body::Body, document_ranking::Ranking};

/// The answer to a call, of which `sent` is the body.
pub(super) fn body(call: &Call, sent: &[u8], ranking: &Ranking, model: &str, tells_cached: bool) -> Vec<u8> {
    let places = places(call, sent, ranking);
    let (tokens, pairs) = (ranking.scored.tokens(), ranking.ranked.len());
    let mut usage = json!({"prompt_tokens": tokens, "total_tokens": tokens, "pairs": pairs});
    if tells_cached {
        usage["cached"] = json!(ranking.scored.cached());
    }
    let meta = |version| json!({"api_version": {"version": version}, "tokens": {"input_tokens": tokens}});
    let rest = match call.shape {
        Shape::Tei => return places,
        Shape::Voyage => json!({"object": "list", "model": model, "usage": usage}),
        Shape::Infinity => json!({"object": "rerank", "id": id(), "created": now(), "model": model, "usage": usage}),
        Shape::V1 => json!({
            "object": "rerank", "id": id(), "created": now(), "model": model, "usage": usage, "meta": meta("1"),
        }),
        Shape::V2 => json!({"id": id(), "meta": meta("2")}),
    };
    let name = if call.shape == Shape::Voyage { "data" } else { "results" };
    let mut body = rest.to_string().into_bytes();
    // In place of the closing brace.
    body.pop();
    body.extend(format!(",\"{name}\":").bytes());
    body.extend(places);
    body.push(b'}');
    body
}

/// The best documents, best first, as a list.
fn places(call: &Call, sent: &[u8], ranking: &Ranking) -> Vec<u8> {
    let name = if call.shape == Shape::Tei { "score" } else { "relevance_score" };
    let mut list = vec![b'['];
    for (place, ranked) in ranking.ranked.iter().take(call.top.unwrap_or(usize::MAX)).enumerate() {
        if place > 0 {
            list.push(b',');
        }
        let score = ranking.score(ranked, call.raw_scores);
        // With {:?}, the fewest digits that tell a number from its neighbours: JSON, as it is finite.
        list.extend(format!("{{\"index\":{},\"{name}\":{score:?}", ranked.hit).bytes());
        if call.with_documents {
            add_document(&mut list, call.shape, &call.documents[ranked.hit], sent);
        }
        list.push(b'}');
    }
    list.push(b']');
    list
}

/// A document as it was sent, to the byte.
fn add_document(list: &mut Vec<u8>, shape: Shape, document: &Document, sent: &[u8]) {
    let (before, after): (&[u8], &[u8]) = match shape {
        Shape::Tei => (b",\"text\":", b""),
        Shape::V1 | Shape::V2 if document.is_string => (b",\"document\":{\"text\":", b"}"),
        _ => (b",\"document\":", b""),
    };
    list.extend(before);
    list.extend(&sent[document.span.clone()]);
    list.extend(after);
}

/// A fault, in the words of the API that was asked.
pub(super) fn fault(shape: Shape, fault: &Fault) -> Response<Body> {
    let reason = fault.to_string();
    let body = match shape {
        Shape::Tei => json!({"error": reason, "error_type": fault.kind()}),
        // Cohere's clients show `message`, Jina's `detail`.
        Shape::V1 => json!({"message": reason, "detail": reason}),
        Shape::V2 => json!({"id": id(), "message": reason}),
        // As FastAPI tells what it finds wrong with a call; infinity's client insists on it.
        Shape::Infinity if fault.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            json!({"detail": [{"loc": ["body"], "msg": reason, "type": "value_error"}]})
        }
        Shape::Infinity | Shape::Voyage => json!({"detail": reason}),
    };
    let mut response = response::json(fault.status(), format!("{body}\n").into_bytes());
    let headers = response.headers_mut();
    if fault.may_pass() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if *fault == Fault::Locked {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What tells one answer from all others, in the form of a UUID.
fn id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let hash = xxh3_128(format!("{at} {count} {}", std::process::id()).as_bytes());
    let hex = format!("{hash:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use serde_json::Value;

    use super::*;
    use crate::{
        api::{
            call::{ApiVersion, Limits, read},
            waiting,
        },
        document_ranking::NotRanked,
    };
    use ranking::ranked::Ranked;
    use scoring::{Scale, Score, Scored};

    fn call(version: ApiVersion, sent: &[u8]) -> Call {
        let (_waiting, waited) = waiting::until(Instant::now() + Duration::from_mins(10));
        read(version, sent, Limits { documents: 10, windows: 8 }, &waited).unwrap()
    }

    /// Of two documents, the second is the better one.
    fn ranking() -> Ranking {
        let score = |raw: f32| Some(Score { tokens: 7, ..Score::fresh(raw, Scale::Logit) });
        let scores = vec![score(0.0), score(1.5)];
        let ranked = [1, 0].map(|hit| Ranked { hit, score: scores[hit].map_or(0.0, |score: Score| score.value()) });
        Ranking { ranked: ranked.into(), scored: Scored { scores, budget_hit: false, shed: 0, ..Scored::default() } }
    }

    fn answered(version: ApiVersion, body: &str) -> Value {
        let sent = Bytes::copy_from_slice(body.as_bytes());
        let call = call(version, &sent);
        let body = super::body(&call, &sent, &ranking(), "fast", true);
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        // What is another each time.
        for member in ["id", "created"] {
            if let Some(member) = answer.get_mut(member) {
                *member = Value::Null;
            }
        }
        answer
    }

    #[test]
    fn each_api_is_answered_in_its_own_words() {
        let usage = json!({"prompt_tokens": 14, "total_tokens": 14, "pairs": 2, "cached": 0});
        let meta = |version| json!({"api_version": {"version": version}, "tokens": {"input_tokens": 14}});
        assert_eq!(
            answered(ApiVersion::Unversioned, r#"{"query":"q","texts":["a","\ud800 b"],"raw_scores":true}"#),
            json!([{"index": 1, "score": 1.5}, {"index": 0, "score": 0.0}])
        );
        assert_eq!(
            answered(ApiVersion::V1, r#"{"query":"q","documents":["a",{"text":"b","id":1}],"return_documents":true}"#),
            json!({
                "object": "rerank", "id": null, "created": null, "model": "fast", "usage": usage, "meta": meta("1"),
                "results": [
                    {"index": 1, "relevance_score": 0.817_574_44, "document": {"text": "b", "id": 1}},
                    {"index": 0, "relevance_score": 0.5, "document": {"text": "a"}},
                ],
            })
        );
        assert_eq!(
            answered(ApiVersion::V2, r#"{"query":"q","documents":["a","b"],"top_n":1,"return_documents":true}"#),
            json!({"id": null, "meta": meta("2"), "results": [{"index": 1, "relevance_score": 0.817_574_44}]})
        );
        assert_eq!(
            answered(
                ApiVersion::Unversioned,
                r#"{"query":"q","documents":["a","b"],"return_documents":true,"top_n":9}"#
            ),
            json!({
                "object": "rerank", "id": null, "created": null, "model": "fast", "usage": usage,
                "results": [
                    {"index": 1, "relevance_score": 0.817_574_44, "document": "b"},
                    {"index": 0, "relevance_score": 0.5, "document": "a"},
                ],
            })
        );
        assert_eq!(
            answered(ApiVersion::V1, r#"{"query":"q","documents":["a","b"],"return_documents":true,"top_k":1}"#),
            json!({
                "object": "list", "model": "fast", "usage": usage,
                "data": [{"index": 1, "relevance_score": 0.817_574_44, "document": "b"}],
            })
        );
    }

    #[test]
    fn a_document_comes_back_as_it_was_sent() {
        let sent = Bytes::from_static(br#"{"query":"q","texts":["a","\ud800 \u00e9\/b"],"return_text":true}"#);
        let call = call(ApiVersion::Unversioned, &sent);
        let answer = String::from_utf8(super::body(&call, &sent, &ranking(), "fast", false)).unwrap();
        assert!(answer.contains(r#""text":"\ud800 \u00e9\/b"}"#), "{answer}");
    }

    #[test]
    fn a_fault_is_told_where_each_client_looks_for_it() {
        let told = |shape| {
            let response = fault(shape, &Fault::NotRanked(NotRanked::Overloaded));
            (response.status().as_u16(), response.headers().contains_key("retry-after"))
        };
        for shape in [Shape::Tei, Shape::Infinity, Shape::V1, Shape::V2, Shape::Voyage] {
            assert_eq!(told(shape), (429, true), "{shape:?}");
        }
        assert_eq!(fault(Shape::V1, &Fault::Locked).headers()["www-authenticate"], "Bearer");
        assert!(!fault(Shape::V1, &Fault::Empty).headers().contains_key("retry-after"));
    }

    #[test]
    fn no_two_answers_have_the_same_id() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 36 && id.split('-').count() == 5));
    }
}
