//! Caps on what one request may make the proxy look at. Below these numbers, which no client that was not made to
//! exceed them comes near, planning takes time in proportion to the bytes of the request; a search beyond them is
//! answered as the cluster would, with [`SkipReason::TooComplex`]. They are on top of that, not instead of it: where a
//! request meets an answer (names that are looked for in each hit, patterns that each name is held against), what the
//! one costs is multiplied by the other, and only a bound on the one keeps the product linear. Pure.

use crate::{
    names::{is_pattern, parents},
    plan::SkipReason,
};

/// The most fields that one query may look in. Elasticsearch itself expands a query to at most 1024 by default
/// (`indices.query.bool.max_clause_count`).
pub(super) const MAX_FIELDS: usize = 1024;
/// The most clauses with text that are looked into. Elasticsearch takes 1024 by default, and more on large nodes.
pub(super) const MAX_CLAUSES: usize = 4096;
/// The most patterns in one list of fields; what a pattern may be a multi-field of counts too, where it is one.
pub(super) const MAX_PATTERNS: usize = 128;
/// The longest name of a field that is searched, and the longest pattern, in bytes.
pub(super) const MAX_NAME: usize = 512;
/// The most levels that such a name may have. Mappings go 20 deep, unless an operator has other ideas.
pub(super) const MAX_LEVELS: usize = 32;
/// The most searches in one request.
pub(super) const MAX_SEARCHES: usize = 1024;
/// The longest list of indices in the path of a request with several searches, in bytes: each of them repeats it.
/// Elasticsearch takes request lines of up to 4096 by default (`http.max_initial_line_length`).
pub(super) const MAX_SHARED_INDICES: usize = 4096;
/// The most keys in all paths of a `filter_path` together, and the longest one, in bytes.
pub(super) const MAX_FILTER_KEYS: usize = 128;
pub(super) const MAX_FILTER: usize = 4096;

/// The most hits of an answer that are read; one with more is `malformed`. Each takes some hundred bytes, though it may be
/// written in two. Elasticsearch gives at most 10,000 by default (`index.max_result_window`).
pub(super) const MAX_HITS: usize = 100_000;

/// Holds the fields that a query looks in against these bounds.
pub(super) fn searched<S: AsRef<str>>(fields: &[S]) -> Result<(), SkipReason> {
    let is_fine = |field: &S| field.as_ref().len() <= MAX_NAME && parents(field.as_ref()).count() < MAX_LEVELS;
    if fields.len() > MAX_FIELDS || !fields.iter().all(is_fine) {
        return Err(SkipReason::TooComplex);
    }
    let above = fields.iter().flat_map(|field| parents(field.as_ref()));
    patterns(fields.iter().map(AsRef::as_ref).chain(above))
}

/// Holds the patterns among some names against these bounds.
pub(super) fn patterns<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), SkipReason> {
    let mut patterns = names.into_iter().filter(|name| is_pattern(name));
    let is_fine = patterns.by_ref().take(MAX_PATTERNS).all(|pattern| pattern.len() <= MAX_NAME);
    if is_fine && patterns.next().is_none() { Ok(()) } else { Err(SkipReason::TooComplex) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_may_be_is_fine_and_one_more_is_not() {
        let many = |count: usize, pattern: &str| -> Vec<String> {
            (0..count).map(|n| pattern.replace('N', &n.to_string())).collect()
        };
        for (fields, fine) in [
            (many(MAX_FIELDS, "N"), true),
            (many(MAX_FIELDS + 1, "N"), false),
            (many(MAX_PATTERNS, "N*"), true),
            (many(MAX_PATTERNS + 1, "N*"), false),
            (many(MAX_PATTERNS / 2, "N*.a"), true),
            (many(MAX_PATTERNS / 2 + 1, "N*.a"), false),
            (vec!["n".repeat(MAX_NAME)], true),
            (vec!["n".repeat(MAX_NAME + 1)], false),
            (vec!["a.".repeat(MAX_LEVELS - 1) + "a"], true),
            (vec!["a.".repeat(MAX_LEVELS) + "a"], false),
        ] {
            assert_eq!(searched(&fields).is_ok(), fine, "{} {}", fields.len(), fields[0]);
        }
    }
}
