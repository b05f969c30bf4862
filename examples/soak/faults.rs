//! What goes wrong and when, as it is remembered: so that an error can be told from one that nothing explains.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Something that goes wrong, or that is done to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    NodeKilled,
    NodeStalled,
    NodeSlow,
    NodeResets,
    NodeCutsAnswers,
    NodeRefuses,
    RedisKilled,
    RedisFrozen,
    ScorerDead,
    ScorerSlow,
    ScorerFails,
    ReloadBySignal,
    ReloadByPost,
    ReloadRefused,
    CertificateReplaced,
    ClientsAbort,
    ClientsReadSlowly,
    HalfRequests,
    ConnectionFlood,
}

impl Fault {
    /// How long after its end it may still show: pools hold connections that broke, and a rerank server that failed is left alone for a
    /// while, which doubles.
    fn aftermath(self) -> Duration {
        match self {
            Self::ScorerDead | Self::ScorerSlow | Self::ScorerFails => Duration::from_secs(30),
            // A connection that came while there was no place is told so for as long as it lives in the reserve.
            Self::ConnectionFlood => Duration::from_secs(8),
            _ => Duration::from_secs(3),
        }
    }
}

#[derive(Debug)]
struct Episode {
    fault: Fault,
    began: Instant,
    ended: Option<Instant>,
}

/// All faults of a run.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Episode>>);

impl Faults {
    /// Notes that a fault begins; the number is for [`Self::end`].
    pub fn begin(&self, fault: Fault) -> usize {
        let mut episodes = self.lock();
        episodes.push(Episode { fault, began: Instant::now(), ended: None });
        episodes.len() - 1
    }

    pub fn end(&self, number: usize) {
        self.lock()[number].ended = Some(Instant::now());
    }

    /// The faults that may show in what happened between these times.
    pub fn between(&self, from: Instant, to: Instant) -> Vec<Fault> {
        let is_at_work = |episode: &&Episode| {
            episode.began <= to && episode.ended.is_none_or(|ended| ended + episode.fault.aftermath() >= from)
        };
        self.lock().iter().rev().take(64).filter(is_at_work).map(|episode| episode.fault).collect()
    }

    /// True where nothing went wrong in this time, nor just before.
    pub fn is_calm(&self, from: Instant) -> bool {
        let is_over = |episode: &Episode| episode.ended.is_some_and(|ended| ended + Duration::from_secs(3) < from);
        self.lock().iter().rev().take(64).all(is_over)
    }

    pub fn counts(&self) -> BTreeMap<Fault, usize> {
        let mut counts = BTreeMap::new();
        for episode in self.lock().iter() {
            *counts.entry(episode.fault).or_default() += 1;
        }
        counts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Episode>> {
        self.0.lock().expect("nobody panics with it")
    }
}
