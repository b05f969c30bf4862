//! The cost model: how fast this machine scores with this model, learned from the work itself (tokens to a byte of text, and
//! time to a token by the length of the input). Owns the estimates that admission is decided by; decides nothing.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::{
    locks::{Mutex, MutexGuard},
    work::Work,
};
use crate::request::LongPassages;

/// Lengths are told apart by their power of two, from 16 tokens on: attention makes a long input's tokens dearer, and
/// what a run costs whatever its length makes a short one's dearer.
const CLASSES: usize = 8;
const SHORTEST_CLASS: usize = 4;

/// Tokens to a byte of English, before any text was tokenized.
const TOKENS_PER_BYTE: f64 = 0.25;

/// A mean that follows: of the first so many samples all count alike, then the newest counts this part.
const MEMORY: f64 = 32.0;

/// A run that takes so many times as long as usual says something of the machine (it was suspended, or swapped), and nothing
/// of the work: it counts as this many times the mean, once that is one of so many samples.
const OUTLIER: f64 = 8.0;
const SURE: f64 = 8.0;

/// The time for which a cost that was learned of one length stands against those of other lengths. Under steady load, inputs
/// that are taken for dearer than they are would never be run, and so nobody would learn better.
const FRESH: Duration = Duration::from_mins(1);

/// The cost that is expected of the work on one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Estimate {
    /// Tokens, all windows together.
    pub(super) tokens: usize,
    /// Time on one worker; nothing where nothing is known yet.
    pub(super) time: Duration,
}

impl std::iter::Sum for Estimate {
    fn sum<I: Iterator<Item = Estimate>>(all: I) -> Estimate {
        all.fold(Estimate::default(), |sum, one| Estimate {
            tokens: sum.tokens + one.tokens,
            time: sum.time + one.time,
        })
    }
}

impl std::ops::Sub for Estimate {
    type Output = Estimate;

    fn sub(self, other: Estimate) -> Estimate {
        Estimate { tokens: self.tokens.saturating_sub(other.tokens), time: self.time.saturating_sub(other.time) }
    }
}

/// The costs as they were learned.
pub(super) struct CostModel {
    /// The longest input of the model, in tokens.
    max_tokens: usize,
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    tokens_per_byte: Mean,
    seconds_per_token: [Class; CLASSES],
    seconds_per_text: Mean,
}

/// Inputs of about the same length.
#[derive(Default, Clone, Copy)]
struct Class {
    mean: Mean,
    latest: Option<Instant>,
}

impl Class {
    fn is_fresh(&self, now: Instant) -> bool {
        self.latest.is_some_and(|latest| now.saturating_duration_since(latest) < FRESH)
    }

    fn add(&mut self, sample: f64, now: Instant) {
        if !self.is_fresh(now) {
            self.mean = Mean::default();
        }
        self.mean.add(sample);
        self.latest = Some(now);
    }
}

#[derive(Default, Clone, Copy)]
struct Mean {
    value: f64,
    samples: f64,
}

impl Mean {
    fn add(&mut self, sample: f64) {
        let is_sure = self.samples >= SURE && self.value > 0.0;
        let sample = if is_sure { sample.min(self.value * OUTLIER) } else { sample };
        self.samples = (self.samples + 1.0).min(MEMORY);
        self.value += (sample - self.value) / self.samples;
    }

    fn get(&self) -> Option<f64> {
        (self.samples > 0.0).then_some(self.value)
    }
}

impl CostModel {
    /// A model that has learned nothing yet.
    pub(super) fn new(max_tokens: usize) -> CostModel {
        CostModel { max_tokens, learned: Mutex::default() }
    }

    /// Learns from texts of so many bytes, queries included, that gave so many tokens, none of them cut short.
    pub(super) fn tokenized(&self, bytes: usize, tokens: usize) {
        if bytes > 0 {
            self.lock().tokens_per_byte.add(tokens as f64 / bytes as f64);
        }
    }

    /// Learns from one run of `texts` inputs of `tokens` each that took so long.
    pub(super) fn ran(&self, texts: usize, tokens: usize, took: Duration) {
        self.lock().ran(texts, tokens, took, Instant::now());
    }

    /// The cost that is expected of each text of `work`.
    pub(super) fn estimates(&self, work: &Work) -> Vec<Estimate> {
        let now = Instant::now();
        let learned = self.lock();
        let per_byte = learned.tokens_per_byte.get().unwrap_or(TOKENS_PER_BYTE);
        let query = work.query.as_deref().map_or(0, str::len);
        let most = match work.long {
            LongPassages::Truncate => self.max_tokens,
            LongPassages::Beginning { tokens } => self.max_tokens.min(query + tokens),
            LongPassages::Windows { at_most, .. } => self.max_tokens * at_most,
        };
        let estimate = |text: &String| {
            let tokens = ((query + text.len()) as f64 * per_byte).ceil() as usize;
            learned.estimate(tokens.clamp(1, most), self.max_tokens, now)
        };
        work.texts.iter().map(estimate).collect()
    }

    /// Texts that one worker does a second, as they come; `None` before the first.
    pub(super) fn texts_per_second(&self) -> Option<f64> {
        self.lock().seconds_per_text.get().filter(|seconds| *seconds > 0.0).map(f64::recip)
    }

    fn lock(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learned {
    fn ran(&mut self, texts: usize, tokens: usize, took: Duration, now: Instant) {
        let all = (texts * tokens).max(1) as f64;
        self.seconds_per_token[class(tokens)].add(took.as_secs_f64() / all, now);
        self.seconds_per_text.add(took.as_secs_f64() / texts.max(1) as f64);
    }

    fn estimate(&self, tokens: usize, max_tokens: usize, now: Instant) -> Estimate {
        let wanted = class(tokens.min(max_tokens));
        let known = self.seconds_per_token.iter().enumerate().filter(|(_, class)| class.latest.is_some());
        // Where nothing is fresh, nobody was busy, and the nearest will do.
        let nearest = known.min_by_key(|(at, class)| (!class.is_fresh(now), at.abs_diff(wanted)));
        let seconds = nearest.map_or(0.0, |(_, class)| class.mean.value * tokens as f64);
        Estimate { tokens, time: Duration::try_from_secs_f64(seconds).unwrap_or_default() }
    }
}

fn class(tokens: usize) -> usize {
    let power = tokens.max(1).next_power_of_two().trailing_zeros() as usize;
    power.saturating_sub(SHORTEST_CLASS).min(CLASSES - 1)
}

#[cfg(test)]
mod tests;
