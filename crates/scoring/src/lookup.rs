//! The look-up of a window's texts, the same for every scorer with a cache: the cache is asked for all of them, each text
//! that it does not know is computed once, and the outputs go to their places. Owns that cached outputs stand, whatever
//! happens to the others; the caller says how they are computed.

use std::{collections::HashMap, time::Instant};

use crate::{
    cache::{Key, ScoreCache},
    model_output::ModelOutput,
    score::{Score, ScoreError, Scored},
};

/// The texts that the cache does not know, each once.
#[derive(Default)]
pub(crate) struct Missing {
    pub(crate) texts: Vec<String>,
    pub(crate) keys: Vec<Key>,
}

/// The outputs of missing texts.
#[derive(Default)]
pub(crate) struct Computed {
    /// One per missing text; `None` where there was no time, or no output.
    pub(crate) outputs: Vec<Option<ModelOutput>>,
    /// True where there was no time for some of them.
    pub(crate) budget_hit: bool,
    /// The number of texts that were turned away from the beginning.
    pub(crate) shed: usize,
    /// The reason why some of them could not be computed.
    pub(crate) failure: Option<String>,
}

impl Computed {
    /// No output for any of `count` texts, as there was no time.
    pub(crate) fn too_late(count: usize) -> Computed {
        Computed { outputs: vec![None; count], budget_hit: true, ..Computed::default() }
    }
}

/// The outputs of texts, from the cache or computed.
pub(crate) struct Found {
    /// One per text, in their order.
    pub(crate) outputs: Vec<Option<ModelOutput>>,
    /// True for each text whose output came out of the cache.
    pub(crate) cached: Vec<bool>,
    budget_hit: bool,
    shed: usize,
    failure: Option<String>,
}

impl Found {
    /// Looks `texts` up by the `deadline`, and has `compute` do those that the cache does not know, first ones first.
    ///
    /// # Errors
    /// Those of `compute`, but for [`ScoreError::Overloaded`] where the cache knows some of the texts.
    pub(crate) async fn look_up(
        cache: &ScoreCache,
        texts: impl Iterator<Item = (Key, String)>,
        deadline: Instant,
        compute: impl AsyncFnOnce(Missing) -> Result<Computed, ScoreError>,
    ) -> Result<Found, ScoreError> {
        let (keys, texts): (Vec<Key>, Vec<String>) = texts.unzip();
        let mut outputs = cache.look_up_all(&keys, deadline).await;
        let cached: Vec<bool> = outputs.iter().map(Option::is_some).collect();
        let (missing, places) = missing(&keys, texts, &cached);
        if places.is_empty() {
            return Ok(Found { outputs, cached, budget_hit: false, shed: 0, failure: None });
        }
        let count = missing.texts.len();
        let computed = match compute(missing).await {
            // Cached outputs stand, as they do where a part of the others is admitted.
            Err(ScoreError::Overloaded) if cached.contains(&true) => {
                Computed { shed: count, ..Computed::too_late(count) }
            }
            computed => computed?,
        };
        for (place, which) in places {
            outputs[place].clone_from(&computed.outputs[which]);
        }
        let Computed { budget_hit, shed, failure, .. } = computed;
        Ok(Found { outputs, cached, budget_hit, shed, failure })
    }

    /// Adds the outputs of more texts after these.
    pub(crate) fn append(&mut self, others: Found) {
        self.outputs.extend(others.outputs);
        self.cached.extend(others.cached);
        self.budget_hit |= others.budget_hit;
        self.shed += others.shed;
        self.failure = self.failure.take().or(others.failure);
    }

    /// The score of each text, where its output is one.
    pub(crate) fn scores(&self) -> Vec<Option<Score>> {
        let score = |(output, &cached): (&Option<ModelOutput>, &bool)| output.as_ref()?.score(cached);
        self.outputs.iter().zip(&self.cached).map(score).collect()
    }

    /// The answer to the search, with the `scores` that were made of the outputs.
    ///
    /// # Errors
    /// There was a failure, and it left nothing to order by.
    pub(crate) fn scored(self, scores: Vec<Option<Score>>) -> Result<Scored, ScoreError> {
        let scored = Scored { scores, budget_hit: self.budget_hit, shed: self.shed, ..Scored::default() };
        scored.unless_all_failed(self.failure.map(ScoreError::Unavailable))
    }
}

/// The texts that are not cached, each once, and where their outputs go: (place among all texts, index of the missing one).
fn missing(keys: &[Key], texts: Vec<String>, cached: &[bool]) -> (Missing, Vec<(usize, usize)>) {
    let (mut missing, mut places, mut seen) = (Missing::default(), Vec::new(), HashMap::new());
    for (place, text) in texts.into_iter().enumerate().filter(|(place, _)| !cached[*place]) {
        let which = *seen.entry(keys[place]).or_insert(missing.texts.len());
        if which == missing.texts.len() {
            missing.texts.push(text);
            missing.keys.push(keys[place]);
        }
        places.push((place, which));
    }
    (missing, places)
}

#[cfg(test)]
mod tests;
