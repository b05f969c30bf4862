//! Keys of the cache, by content: the same model, query and passage give the same key wherever and whenever they meet, and
//! an edited passage gives another.

use xxhash_rust::xxh3::Xxh3;

use crate::request::LongPassages;

/// xxh3-128 over the parts that an entry depends on, each with its length in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) u128);

impl Key {
    pub(super) fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// Maker of the keys of one model and one query (or of one model, for texts that are embedded alone).
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
