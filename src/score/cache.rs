//! What has been scored before, by content: the same model, query and passage give the same key wherever and whenever
//! they meet, and an edited passage gives another. Owns keys, memory bound and counters; knows no queue and no model.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use super::{
    LongPassages,
    inference::{Made, Output},
};

/// xxh3-128 over the parts that an entry depends on, each with its length in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

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
    if let LongPassages::Windows { overlap, at_most } = long {
        add_part(&mut hash, &format!("windows {overlap} {at_most}"));
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

/// Outputs by content, bounded in bytes; the least used go first. Shared by all models: keys carry the revision.
#[derive(Debug)]
pub struct ScoreCache {
    entries: moka::sync::Cache<Key, Made>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What an entry costs beside key and value, in bytes: hash table, reference counts, the policy's deque nodes and
/// frequency sketch. Measured as resident memory over a million entries in moka 0.12.
const OVERHEAD: usize = 300;

impl ScoreCache {
    /// A cache that takes at most about `capacity` bytes; 0 keeps nothing.
    pub fn new(capacity: u64) -> ScoreCache {
        let entries = moka::sync::Cache::builder().max_capacity(capacity).weigher(|_, made| weigh(made)).build();
        ScoreCache { entries, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What is known of `key`; counts as a hit or a miss.
    pub fn look_up(&self, key: Key) -> Option<Made> {
        let found = self.entries.get(&key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// What is known of `key` by now; counts as nothing.
    pub(super) fn peek(&self, key: Key) -> Option<Made> {
        self.entries.get(&key)
    }

    pub(super) fn insert(&self, key: Key, made: Made) {
        self.entries.insert(key, made);
    }

    /// Look-ups that found something, since the start.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Look-ups that found nothing, since the start.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Bytes taken, estimated.
    pub fn bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    /// Entries kept.
    pub fn entries(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }
}

fn weigh(made: &Made) -> u32 {
    let heap = match &made.output {
        Output::Logit(_) | Output::Relevance(_) => 0,
        Output::Embedding(vector) => vector_bytes(vector),
        Output::Embeddings(windows) => {
            size_of_val(&**windows) + windows.iter().map(|(_, vector)| vector_bytes(vector)).sum::<usize>()
        }
    };
    let bytes = size_of::<Key>() + size_of::<Made>() + heap + OVERHEAD;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn vector_bytes(vector: &[f32]) -> usize {
    size_of_val(vector) + 2 * size_of::<usize>()
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
        let others = [
            key("s", "ab", "c"),
            key("r", "a", "bc"),
            key("r", "ab", "d"),
            texts("r").key("abc"),
            Keys::of_pairs("r", windows, "ab").key("c"),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn queries_that_differ_in_white_space_are_one() {
        assert_eq!(normalise("  red\t shoes \n"), "red shoes");
        assert_eq!(normalise(" "), "");
    }

    #[test]
    fn memory_is_bounded_in_bytes() {
        let cache = ScoreCache::new(100_000);
        let keys = texts("r");
        for index in 0..1000 {
            let output = Output::Embedding(vec![0.0; 384].into());
            cache.insert(keys.key(&index.to_string()), Made { output, truncated: false, span: None });
        }
        let (bytes, entries) = (cache.bytes(), cache.entries());
        assert!((50_000..=100_000).contains(&bytes), "{bytes} bytes in {entries} entries");
    }

    #[test]
    fn hits_and_misses_are_counted() {
        let cache = ScoreCache::new(1 << 20);
        let key = texts("r").key("a");
        assert_eq!(cache.look_up(key), None);
        let made = Made { output: Output::Logit(1.5), truncated: true, span: None };
        cache.insert(key, made.clone());
        assert_eq!(cache.look_up(key), Some(made));
        assert_eq!((cache.hits(), cache.misses()), (1, 1));
    }
}
