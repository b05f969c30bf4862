//! What has been scored before, by content: the same model, query and passage give the same key wherever and whenever
//! they meet, and an edited passage gives another. Owns keys, and the order of its levels: `memory`, then `shared`
//! (Redis), if there is one. Knows no queue and no model.

mod codec;
mod memory;
mod shared;

use std::{
    io,
    time::{Duration, Instant},
};

use xxhash_rust::xxh3::Xxh3;

use crate::{LongPassages, inference::Made};
use memory::Memory;
use shared::Shared;

/// xxh3-128 over the parts that an entry depends on, each with its length in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// Makes the keys of one model and one query (or of one model, for texts that are embedded alone).
#[derive(Clone)]
pub struct Keys(Xxh3);

impl Keys {
    /// Keys of passages paired with `query`, which should be normalised ([`normalise`]).
    pub fn of_pairs(revision: &str, long: LongPassages, query: &str) -> Keys {
        let mut hash = begun("pair", revision, long);
        add_part(&mut hash, query);
        Keys(hash)
    }

    /// Keys of texts on their own.
    pub fn of_texts(revision: &str, long: LongPassages) -> Keys {
        Keys(begun("text", revision, long))
    }

    /// The key of one passage or text.
    pub fn key(&self, text: &str) -> Key {
        let mut hash = self.0.clone();
        add_part(&mut hash, text);
        Key(hash.digest128())
    }
}

fn begun(what: &str, revision: &str, long: LongPassages) -> Xxh3 {
    let mut hash = Xxh3::new();
    add_part(&mut hash, what);
    add_part(&mut hash, revision);
    match long {
        LongPassages::Truncate => {}
        LongPassages::Beginning { tokens } => add_part(&mut hash, &format!("beginning {tokens}")),
        LongPassages::Windows { overlap, at_most } => add_part(&mut hash, &format!("windows {overlap} {at_most}")),
    }
    hash
}

fn add_part(hash: &mut Xxh3, part: &str) {
    hash.update(&(part.len() as u64).to_le_bytes());
    hash.update(part.as_bytes());
}

/// A query as it is scored and looked up: trimmed, with every run of white space as one space.
pub fn normalise(query: &str) -> String {
    let mut normalised = String::with_capacity(query.len());
    for word in query.split_whitespace() {
        if !normalised.is_empty() {
            normalised.push(' ');
        }
        normalised.push_str(word);
    }
    normalised
}

/// How a [`ScoreCache`] is set up.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// How much memory it takes at most, in bytes; 0 keeps nothing there.
    pub size: u64,
    /// How long an entry stays in memory. `None`: until the memory is needed.
    pub ttl: Option<Duration>,
    /// The level that replicas share.
    pub shared: Option<SharedOptions>,
}

/// How the shared level is set up.
#[derive(Debug, Clone)]
pub struct SharedOptions {
    /// Where Redis is, and the credentials, which `Debug` does not show.
    pub server: redis::ConnectionInfo,
    /// How long a look-up may take.
    pub timeout: Duration,
    /// How long an entry stays.
    pub ttl: Duration,
    /// What the name of each entry begins with.
    pub prefix: String,
}

/// What has become of the look-ups and entries of a cache since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Of the level in memory.
    pub memory: MemoryStats,
    /// Of the shared level, where there is one.
    pub shared: Option<SharedStats>,
}

/// The level in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that found nothing.
    pub misses: u64,
    /// Entries that it holds now.
    pub entries: u64,
    /// What they take, in bytes, estimated.
    pub bytes: u64,
    /// Entries that went for want of memory.
    pub evictions: u64,
}

/// The shared level, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedStats {
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that found nothing, or nothing readable.
    pub misses: u64,
    /// Searches whose look-ups were not answered, or not in time.
    pub failures: u64,
    /// Entries that were written.
    pub stored: u64,
    /// Entries that were not: too many at once, or nobody to take them.
    pub dropped: u64,
    /// Whether searches ask it now.
    pub connected: bool,
}

/// Outputs by content. Shared by all models: keys carry the revision.
#[derive(Debug)]
pub struct ScoreCache {
    memory: Memory,
    shared: Option<Shared>,
}

impl ScoreCache {
    /// A cache in memory alone that takes at most about `capacity` bytes; 0 keeps nothing.
    pub fn new(capacity: u64) -> ScoreCache {
        ScoreCache { memory: Memory::new(capacity, None), shared: None }
    }

    /// A cache with all that the operator wants of it. A shared level that is not there yet is no error, one that
    /// cannot have its thread is.
    pub fn start(options: CacheOptions) -> io::Result<ScoreCache> {
        let memory = Memory::new(options.size, options.ttl);
        Ok(ScoreCache { memory, shared: options.shared.map(Shared::start).transpose()? })
    }

    /// What is known of each key, in their order. Waits only for the shared level, only where memory does not know them
    /// all, and not beyond the deadline.
    pub async fn look_up_all(&self, keys: &[Key], deadline: Instant) -> Vec<Option<Made>> {
        let mut found = self.memory.look_up_all(keys);
        let Some(shared) = &self.shared else { return found };
        let unknown: Vec<usize> = (0..keys.len()).filter(|&place| found[place].is_none()).collect();
        if unknown.is_empty() {
            return found;
        }
        let asked: Vec<Key> = unknown.iter().map(|&place| keys[place]).collect();
        let answer = shared.look_up_all(&asked, deadline).await;
        for (place, made) in unknown.into_iter().zip(answer) {
            if let Some(made) = &made {
                self.memory.insert(keys[place], made.clone());
            }
            found[place] = made;
        }
        found
    }

    /// What memory knows of `key` by now; counts as nothing.
    pub(super) fn peek(&self, key: Key) -> Option<Made> {
        self.memory.peek(key)
    }

    /// Keeps what was computed. Does not wait: the shared level gets it later.
    pub(super) fn insert(&self, key: Key, made: Made) {
        if let Some(shared) = &self.shared {
            shared.insert(key, made.clone());
        }
        self.memory.insert(key, made);
    }

    /// Read-outs for metrics.
    pub fn stats(&self) -> CacheStats {
        CacheStats { memory: self.memory.stats(), shared: self.shared.as_ref().map(Shared::stats) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(revision: &str) -> Keys {
        Keys::of_texts(revision, LongPassages::Truncate)
    }

    #[test]
    fn a_key_depends_on_every_part_and_on_where_parts_end() {
        let key = |revision, query, passage| Keys::of_pairs(revision, LongPassages::Truncate, query).key(passage);
        let base = key("r", "ab", "c");
        assert_eq!(base, key("r", "ab", "c"));
        let windows = LongPassages::Windows { overlap: 64, at_most: 8 };
        let beginning = |tokens| Keys::of_pairs("r", LongPassages::Beginning { tokens }, "ab").key("c");
        let others = [
            beginning(7),
            key("s", "ab", "c"),
            key("r", "a", "bc"),
            key("r", "ab", "d"),
            texts("r").key("abc"),
            Keys::of_pairs("r", windows, "ab").key("c"),
        ];
        for other in others {
            assert_ne!(base, other);
        }
        assert_ne!(beginning(7), beginning(8));
    }

    #[test]
    fn queries_that_differ_in_white_space_are_one() {
        assert_eq!(normalise("  red\t shoes \n"), "red shoes");
        assert_eq!(normalise(" "), "");
    }
}
