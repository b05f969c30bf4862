//! A list of any length, given to a model in portions. Owns how large they are, and that what was not scored in one portion
//! does not end the others.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    request::Request,
    score::{ScoreError, Scored},
    scorer::{Scorer, held_to},
};

/// A portion has at most so many passages, and about so many bytes of text. Large enough to keep every worker busy, small
/// beside `scoring.queue_tokens`: what waits for one caller must leave room for others.
const PORTION: usize = 128;
const PORTION_BYTES: usize = 256 * 1024;

/// Portions that are with the model at once: while one is run, the next is made ready.
const PORTIONS: usize = 2;

/// Scores a list in portions, first ones first. What there is no time or no room for has no score.
///
/// # Errors
/// The model is not available.
pub async fn score(scorer: &dyn Scorer, request: Request<'_>) -> Result<Scored, ScoreError> {
    let Request { query, passages, long, deadline, priority, .. } = request;
    let portion =
        |passages| portion(scorer, Request { query, passages, long, deadline, priority, known: None, vectors: false });
    let portions: Vec<Scored> = stream::iter(portions(passages)).map(portion).buffered(PORTIONS).try_collect().await?;
    let mut scored = Scored::default();
    for portion in portions {
        scored.scores.extend(portion.scores);
        scored.budget_hit |= portion.budget_hit;
        scored.shed += portion.shed;
    }
    Ok(scored)
}

/// The scores of one portion: one for each passage, or none.
async fn portion(scorer: &dyn Scorer, request: Request<'_>) -> Result<Scored, ScoreError> {
    let (count, deadline) = (request.passages.len(), request.deadline);
    let late = Scored { scores: vec![None; count], budget_hit: true, ..Scored::default() };
    match held_to(deadline, scorer.score(request)).await {
        None => Ok(late),
        Some(Err(ScoreError::Overloaded)) => Ok(Scored { shed: count, ..late }),
        Some(scored) => scored,
    }
}

/// The passages in portions, in their order.
fn portions(passages: Vec<String>) -> Vec<Vec<String>> {
    let mut portions: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for passage in passages {
        match portions.last_mut().filter(|portion| portion.len() < PORTION && bytes + passage.len() <= PORTION_BYTES) {
            Some(portion) => {
                bytes += passage.len();
                portion.push(passage);
            }
            None => {
                bytes = passage.len();
                portions.push(vec![passage]);
            }
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn portions_are_the_list_in_its_order_and_none_is_too_large(lengths in prop::collection::vec(0_usize..100_000, 0..300)) {
            let texts: Vec<String> = lengths.iter().map(|&length| "x".repeat(length)).collect();
            let portions = portions(texts.clone());
            for portion in &portions {
                let bytes: usize = portion.iter().map(String::len).sum();
                prop_assert!(!portion.is_empty() && portion.len() <= PORTION);
                prop_assert!(bytes <= PORTION_BYTES || portion.len() == 1);
            }
            prop_assert_eq!(portions.concat(), texts);
        }
    }
}
