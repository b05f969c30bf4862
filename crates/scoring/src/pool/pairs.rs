//! The pairs that are in flight, and who waits for each. Owns the promise that a pair is run once, however many searches want
//! it at the same time: each search queues its own work, whichever comes first is run, and its output answers all of them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, PoisonError},
    time::Instant,
};

use super::{
    job::Job,
    locks::{Mutex, MutexGuard},
};
use crate::{cache::Key, model_output::ModelOutput};

/// Every pair that somebody waits for.
#[derive(Default)]
pub(super) struct Pairs(Mutex<HashMap<Key, Wanted>>);

#[derive(Default)]
struct Wanted {
    /// Jobs, and the place of the pair among their texts.
    by: Vec<(Arc<Job>, usize)>,
    running: bool,
}

impl Pairs {
    /// Tells for each of these pairs whether it is being run, or somebody waits for it whose deadline is no later than this
    /// one.
    pub(super) fn wanted(&self, keys: &[Key], deadline: Instant) -> Vec<bool> {
        let pairs = self.lock();
        let is_sooner = |(job, _): &(Arc<Job>, usize)| job.work.deadline <= deadline && !job.is_pointless();
        let wanted = |pair: &Wanted| pair.running || pair.by.iter().any(is_sooner);
        keys.iter().map(|key| pairs.get(key).is_some_and(wanted)).collect()
    }

    /// Notes that somebody waits for the texts of `job` that are to be run.
    pub(super) fn want(&self, job: &Arc<Job>) {
        let mut pairs = self.lock();
        for index in 0..job.depth() {
            pairs.entry(job.key(index)).or_default().by.push((Arc::clone(job), index));
        }
    }

    /// Notes that nobody waits for `job` any more. Pairs that are being run are run to their end.
    pub(super) fn forget(&self, job: &Arc<Job>) {
        let mut pairs = self.lock();
        for index in 0..job.depth() {
            let Entry::Occupied(mut pair) = pairs.entry(job.key(index)) else { continue };
            pair.get_mut().by.retain(|(other, at)| *at != index || !Arc::ptr_eq(other, job));
            if pair.get().by.is_empty() && !pair.get().running {
                pair.remove();
            }
        }
    }

    /// True where somebody waits for the pair and nobody is running it.
    pub(super) fn waits(&self, key: Key) -> bool {
        self.lock().get(&key).is_some_and(|pair| !pair.running)
    }

    /// Takes the pair on; false where somebody else has. It must be ended by [`Self::answer`], [`Self::fail`] or
    /// [`Self::give_up`].
    pub(super) fn begin(&self, key: Key) -> bool {
        match self.lock().get_mut(&key) {
            Some(pair) if !pair.running => {
                pair.running = true;
                true
            }
            _ => false,
        }
    }

    /// Ends a pair for all who wait for it.
    pub(super) fn answer(&self, key: Key, output: &ModelOutput) {
        for (job, index) in self.take(key) {
            job.answer(index, output.clone());
        }
    }

    /// The same with a failure.
    pub(super) fn fail(&self, key: Key, reason: &str) {
        for (job, index) in self.take(key) {
            job.fail(index, reason);
        }
    }

    /// Ends a pair that was begun, if nobody waits for it any more.
    pub(super) fn give_up(&self, key: Key) -> bool {
        match self.lock().entry(key) {
            Entry::Occupied(pair) if pair.get().by.is_empty() => {
                pair.remove();
                true
            }
            _ => false,
        }
    }

    fn take(&self, key: Key) -> Vec<(Arc<Job>, usize)> {
        self.lock().remove(&key).map(|pair| pair.by).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Wanted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
