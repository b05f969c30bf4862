//! Documents in, ranks out: what the rerank API and `rerank-proxy rerank` do with a list of texts of any length. Owns how a
//! list is given to a scorer in portions, and that a list is ranked whole or not at all; knows neither HTTP nor models.

use std::{sync::Arc, time::Instant};

use ranking::{
    order::{self, Blend},
    ranked::Ranked,
    value::Value,
};
use scoring::{LongPassages, Priority, Request, Score, ScoreError, Scored, Scorer, held_to, portions};

/// A list to be ranked.
#[derive(Debug, Clone)]
pub struct Documents<'a> {
    /// What they are ranked for.
    pub query: &'a str,
    /// Their texts.
    pub texts: Vec<String>,
    /// What becomes of those that are longer than the model reads.
    pub long: LongPassages,
    /// When there must be an answer.
    pub deadline: Instant,
}

/// A ranked list.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// All documents, best first, equal ones in the order they were given; each by its place in that order.
    pub ranked: Vec<Ranked>,
    /// What the model said of each document, in the order they were given.
    pub scored: Scored,
}

impl Ranking {
    /// The score that is told of a document in its place: what the model put out, or what is shown of that.
    pub fn score(&self, ranked: &Ranked, raw: bool) -> f32 {
        let put_out = self.scored.scores[ranked.hit].filter(|_| raw);
        put_out.map_or(ranked.score, |score| score.raw)
    }
}

/// Why a list is not ranked. Scores that were made stay in the cache: the same list, sent again, goes on from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRanked {
    /// So much is waiting for the model that there is no time, or no room, for this.
    #[error("too much is waiting for the model; try again later")]
    Overloaded,
    /// The model is not loaded, or does not answer.
    #[error("the model is not available: {0}")]
    Unavailable(String),
    /// There was no time for all of it.
    #[error(
        "there was time for {scored} of {documents} documents; sent again, it goes on from there as long as the scores are cached"
    )]
    Late {
        /// Documents that have a score.
        scored: usize,
        /// All of them.
        documents: usize,
    },
    /// The model's output for a document is no number.
    #[error("the model has no score for document {0}, counted from 0")]
    NoScore(usize),
}

/// Ranks a list. Dropping the future drops the work that is still queued.
///
/// # Errors
/// A list of which a single document has no score is not ranked: whoever asks wants to know of all of them.
pub async fn rank(scorer: &Arc<dyn Scorer>, documents: Documents<'_>) -> Result<Ranking, NotRanked> {
    let Documents { query, texts, long, deadline } = documents;
    let count = texts.len();
    let request =
        Request { query, passages: texts, long, deadline, priority: Priority::Background, known: None, vectors: false };
    let scored = if scorer.compares_passages() {
        let late = Scored { scores: vec![None; count], budget_hit: true, ..Scored::default() };
        held_to(deadline, scorer.score(request)).await.unwrap_or(Ok(late))
    } else {
        portions::score(&**scorer, request).await
    };
    let scored = scored.and_then(|scored| scored.of_passages(count));
    let scored = scored.map_err(|error| match error {
        ScoreError::Overloaded => NotRanked::Overloaded,
        ScoreError::Unavailable(cause) => NotRanked::Unavailable(cause),
    })?;
    if let Some(document) = scored.scores.iter().position(Option::is_none) {
        let count = scored.scores.iter().flatten().count();
        return Err(match (scored.shed > 0, scored.budget_hit) {
            (false, false) => NotRanked::NoScore(document),
            // Where there is a score, what there was no room for may have waited behind other portions of the same list.
            (true, _) if count == 0 => NotRanked::Overloaded,
            _ => NotRanked::Late { scored: count, documents: scored.scores.len() },
        });
    }
    let no_other_order = vec![None; scored.scores.len()];
    Ok(Ranking { ranked: order::order(&no_other_order, &outputs(&scored.scores), 0, Blend::Replace), scored })
}

/// What is put in order of these scores.
pub(crate) fn outputs(scores: &[Option<Score>]) -> Vec<Option<Value>> {
    scores.iter().map(|score| score.map(|score| score.number())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use scoring::{Readiness, Scale, Score, ScoreFuture};

    /// Scores a text as the number that it begins with, in logits; what is no number has no score.
    struct Numbers {
        late: bool,
        shed: usize,
    }

    impl Scorer for Numbers {
        fn score<'a>(&'a self, request: Request<'a>) -> ScoreFuture<'a> {
            assert_eq!(request.priority, Priority::Background, "searches go first");
            let number = |text: &String| text.split(' ').next()?.parse().ok();
            let score = |text| number(text).map(|number| Score::fresh(number, Scale::Logit));
            let scores = request.passages.iter().map(score).collect();
            Box::pin(async move { Ok(Scored { scores, budget_hit: self.late, shed: self.shed, ..Scored::default() }) })
        }

        fn readiness(&self) -> Readiness {
            Readiness::Ready
        }
    }

    fn numbers() -> Arc<dyn Scorer> {
        Arc::new(Numbers { late: false, shed: 0 })
    }

    async fn ranked(scorer: &Arc<dyn Scorer>, texts: &[&str]) -> Result<Vec<usize>, NotRanked> {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let deadline = Instant::now() + Duration::from_secs(20);
        let documents = Documents { query: "q", texts, long: LongPassages::Truncate, deadline };
        Ok(rank(scorer, documents).await?.ranked.iter().map(|ranked| ranked.hit).collect())
    }

    #[tokio::test]
    async fn the_best_comes_first_and_equal_ones_in_the_order_given() {
        assert_eq!(ranked(&numbers(), &["1 a", "30 b", "2 c", "1 d", "31 e"]).await.unwrap(), [4, 1, 2, 0, 3]);
        assert_eq!(ranked(&numbers(), &[]).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn a_list_without_all_of_its_scores_is_not_ranked_and_the_reason_is_told() {
        assert_eq!(ranked(&numbers(), &["1", "none"]).await, Err(NotRanked::NoScore(1)));
        let late: Arc<dyn Scorer> = Arc::new(Numbers { late: true, shed: 0 });
        assert_eq!(ranked(&late, &["1", "none", "3"]).await, Err(NotRanked::Late { scored: 2, documents: 3 }));
        assert_eq!(ranked(&late, &["1", "3"]).await, Ok(vec![1, 0]), "all scores are there");
        let full: Arc<dyn Scorer> = Arc::new(Numbers { late: true, shed: 1 });
        assert_eq!(ranked(&full, &["none", "none"]).await, Err(NotRanked::Overloaded));
        assert_eq!(ranked(&full, &["1", "none"]).await, Err(NotRanked::Late { scored: 1, documents: 2 }));
    }

    /// Never answers.
    struct Silent;

    impl Scorer for Silent {
        fn score<'a>(&'a self, _request: Request<'a>) -> ScoreFuture<'a> {
            Box::pin(std::future::pending())
        }

        fn readiness(&self) -> Readiness {
            Readiness::Ready
        }
    }

    #[tokio::test]
    async fn a_scorer_that_breaks_its_word_is_not_waited_for() {
        let silent: Arc<dyn Scorer> = Arc::new(Silent);
        let texts = vec![String::new(); 2];
        let documents = Documents { query: "q", texts, long: LongPassages::Truncate, deadline: Instant::now() };
        assert_eq!(rank(&silent, documents).await, Err(NotRanked::Late { scored: 0, documents: 2 }));
    }
}
