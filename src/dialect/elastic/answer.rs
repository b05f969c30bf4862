//! A search's answer → where its hits lie and what text they carry. Owns the shape
//! `{"hits": {"max_score": …, "hits": [{"_score": …, "_source": {…}}]}}`; reads it in place. Pure.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    dialect::Candidates,
    passage::{Document, PassageSpec},
    plan::SkipReason,
    rewrite::{HitSpan, Layout},
};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    max_score: Option<&'a RawValue>,
    #[serde(borrow)]
    hits: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(borrow, rename = "_score")]
    score: Option<&'a RawValue>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
}

/// The hits of `answer`, with the passages of the first `window` of them.
///
/// An answer that is no JSON, says a key twice, or has no hits in the usual place is `malformed`.
pub(super) fn candidates(answer: &[u8], spec: &PassageSpec, window: usize) -> Result<Candidates, SkipReason> {
    let parsed: Answer = serde_json::from_slice(answer).map_err(|_| SkipReason::Malformed)?;
    let mut candidates = Candidates::default();
    for (rank, raw) in parsed.hits.hits.into_iter().enumerate() {
        let hit: Hit = serde_json::from_str(raw.get()).map_err(|_| SkipReason::Malformed)?;
        let number = hit.score.and_then(number);
        candidates.layout.hits.push(HitSpan {
            span: range_within(answer, raw.get()),
            score: hit.score.filter(|_| number.is_some()).map(|score| range_within(answer, score.get())),
        });
        candidates.scores.push(number);
        if rank < window {
            candidates.passages.push(hit.source.and_then(|source| passage(source, spec)));
        }
    }
    let max_score = parsed.hits.max_score.filter(|raw| number(raw).is_some());
    candidates.layout = Layout { max_score: max_score.map(|raw| range_within(answer, raw.get())), ..candidates.layout };
    Ok(candidates)
}

fn number(raw: &RawValue) -> Option<f32> {
    raw.get().parse().ok()
}

fn passage(source: &RawValue, spec: &PassageSpec) -> Option<String> {
    let document: Value = serde_json::from_str(source.get()).ok()?;
    spec.passage(Document { source: Some(&document), fields: None }, &[])
}

/// Where `part`, a slice of `whole`, lies in it.
fn range_within(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::{Placed, rewrite};

    const PRETTY: &str = r#"{
  "took" : 3,
  "hits" : {
    "total" : { "value" : 2, "relation" : "eq" },
    "max_score" : 1.50,
    "hits" : [
      { "_id" : "a", "_score" : 1.50, "_source" : { "title" : "x", "n" : 1.0e10 } },
      { "_id" : "b", "_score" : 1.2, "_source" : { "title" : "y" } }
    ]
  }
}"#;

    fn of(answer: &str) -> Result<Candidates, SkipReason> {
        candidates(answer.as_bytes(), &PassageSpec::default(), 10)
    }

    #[test]
    fn hits_scores_and_passages_are_found() {
        let found = of(PRETTY).expect("an answer");
        assert_eq!(found.scores, [Some(1.5), Some(1.2)]);
        assert_eq!(found.passages, [Some("x".to_owned()), Some("y".to_owned())]);
        let page = [Placed { hit: 1, score: Some(0.5) }, Placed { hit: 0, score: Some(0.25) }];
        let new = rewrite(PRETTY.as_bytes(), &found.layout, &page, Some(0.5));
        assert_eq!(
            String::from_utf8(new).expect("text"),
            r#"{
  "took" : 3,
  "hits" : {
    "total" : { "value" : 2, "relation" : "eq" },
    "max_score" : 0.5,
    "hits" : [
      { "_id" : "b", "_score" : 0.5, "_source" : { "title" : "y" } },
      { "_id" : "a", "_score" : 0.25, "_source" : { "title" : "x", "n" : 1.0e10 } }
    ]
  }
}"#
        );
    }

    #[test]
    fn passages_are_read_within_the_window_only() {
        let found = candidates(PRETTY.as_bytes(), &PassageSpec::default(), 1).expect("an answer");
        assert_eq!((found.passages.len(), found.scores.len()), (1, 2));
    }

    #[test]
    fn null_scores_and_missing_sources_stay_as_they_are() {
        let found = of(r#"{"hits":{"max_score":null,"hits":[{"_score":null},{"_id":"b"}]}}"#).expect("an answer");
        assert_eq!(found.layout.max_score, None);
        assert_eq!(found.scores, [None, None]);
        assert_eq!(found.passages, [None, None]);
    }

    #[test]
    fn what_is_no_answer_to_a_search_is_malformed() {
        for text in ["", "{}", "[]", r#"{"hits":[]}"#, r#"{"hits":{"hits":[1]}}"#, r#"{"hits":{"hits":[]},"hits":{}}"#]
        {
            assert_eq!(of(text), Err(SkipReason::Malformed), "{text}");
        }
    }
}
