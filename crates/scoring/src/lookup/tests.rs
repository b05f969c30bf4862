//! Look-ups in a small cache, with computing that is made of closures.

use std::time::Duration;

use super::*;
use crate::{cache::Keys, model_output::Output, request::LongPassages};

/// The output of a text is its length as a logit; a text that begins with a `-` has none.
fn output(text: &str) -> Option<ModelOutput> {
    let output = Output::Logit(text.len() as f32);
    (!text.starts_with('-')).then_some(ModelOutput { output, truncated: false, span: None, tokens: 1 })
}

async fn look_up(
    cache: &ScoreCache,
    texts: &[&str],
    compute: impl AsyncFnOnce(Missing) -> Result<Computed, ScoreError>,
) -> Result<Scored, ScoreError> {
    let keys = Keys::of_texts("revision", LongPassages::Truncate);
    let texts = texts.iter().map(|text| (keys.key(text), (*text).to_owned()));
    let found = Found::look_up(cache, texts, Instant::now() + Duration::from_mins(1), compute).await?;
    let scores = found.scores();
    found.scored(scores)
}

fn raws(scored: &Scored) -> Vec<Option<f32>> {
    scored.scores.iter().map(|score| score.map(|score| score.raw)).collect()
}

/// A cache that knows these texts.
fn knowing(texts: &[&str]) -> ScoreCache {
    let cache = ScoreCache::new(1 << 20);
    let keys = Keys::of_texts("revision", LongPassages::Truncate);
    for &text in texts {
        cache.insert(keys.key(text), output(text).unwrap());
    }
    cache
}

#[tokio::test]
async fn unknown_texts_are_computed_once_each_and_their_outputs_go_to_their_places() {
    let compute = async |missing: Missing| {
        assert_eq!(missing.texts, ["bb", "cccc"]);
        Ok(Computed { outputs: missing.texts.iter().map(|text| output(text)).collect(), ..Computed::default() })
    };
    let scored = look_up(&knowing(&["a"]), &["bb", "a", "cccc", "bb"], compute).await.unwrap();
    assert_eq!(raws(&scored), [Some(2.0), Some(1.0), Some(4.0), Some(2.0)]);
    assert_eq!((scored.cached(), scored.budget_hit, scored.shed), (1, false, 0));
}

#[tokio::test]
async fn nothing_is_computed_where_all_is_known() {
    let compute = async |_| panic!("all is known");
    let scored = look_up(&knowing(&["a", "bb"]), &["bb", "a"], compute).await.unwrap();
    assert_eq!((raws(&scored), scored.cached()), (vec![Some(2.0), Some(1.0)], 2));
}

#[tokio::test]
async fn what_is_known_stands_where_the_rest_is_not_admitted() {
    let overloaded = async |_| Err(ScoreError::Overloaded);
    let scored = look_up(&knowing(&["a"]), &["bb", "a"], overloaded).await.unwrap();
    assert_eq!((raws(&scored), scored.budget_hit, scored.shed), (vec![None, Some(1.0)], true, 1));
    assert_eq!(look_up(&knowing(&[]), &["bb"], overloaded).await, Err(ScoreError::Overloaded));
    let gone = async |_| Err(ScoreError::Unavailable("gone".to_owned()));
    assert_eq!(look_up(&knowing(&["a"]), &["bb", "a"], gone).await, Err(ScoreError::Unavailable("gone".to_owned())));
}

#[tokio::test]
async fn a_failure_is_told_only_where_nothing_has_a_score_and_there_was_time() {
    let failing = |budget_hit| {
        async move |missing: Missing| {
            let outputs = missing.texts.iter().map(|text| output(text)).collect();
            Ok(Computed { outputs, budget_hit, shed: 0, failure: Some("broken".to_owned()) })
        }
    };
    let cache = knowing(&[]);
    let failure = look_up(&cache, &["-a", "-bb"], failing(false)).await;
    assert_eq!(failure, Err(ScoreError::Unavailable("broken".to_owned())));
    assert_eq!(raws(&look_up(&cache, &["-a", "bb"], failing(false)).await.unwrap()), [None, Some(2.0)]);
    assert!(look_up(&cache, &["-a"], failing(true)).await.unwrap().budget_hit);
}
