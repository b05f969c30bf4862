//! Names of fields: what a pattern names, and what lies beneath a dotted path. The same for what a rule names, what a
//! search asks for and what an answer is filtered by. Owns that looking a name up among many takes no longer than among
//! few. Pure.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Bound,
};

use memchr::memmem;

/// True if `name` is what `pattern` describes, in which `*` stands for any run of characters, dots included, and the empty
/// one too, as it does in both engines. Takes time in proportion to the length of both: where what stands between two stars
/// is found as early as it can be, nothing is gained by looking for it further on.
pub(crate) fn matches(pattern: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> bool {
    let (pattern, name) = (pattern.as_ref(), name.as_ref());
    if pattern.first().is_some_and(|&first| first != b'*' && name.first() != Some(&first)) {
        return false;
    }
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(last) = pieces.next_back() else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    for piece in pieces {
        let Some(at) = memmem::find(rest, piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// True if a name stands for others.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

/// `a.b` and `a` for `a.b.c`.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('.').map(|(dot, _)| &path[..dot])
}

/// Names and patterns of names. Among the names one is looked up without going through all of them; the patterns are gone
/// through, and there must be few.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    plain: HashSet<&'a str>,
    patterns: Vec<&'a str>,
    /// All of them, in an order in which what lies beneath a name stands together.
    sorted: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for name in names {
            match (all.sorted.insert(name), is_pattern(name)) {
                (true, true) => all.patterns.push(name),
                (true, false) => _ = all.plain.insert(name),
                (false, _) => {}
            }
        }
        all
    }

    /// True if one of them is `name`, or describes it.
    pub(crate) fn match_name(&self, name: &str) -> bool {
        self.plain.contains(name) || self.patterns.iter().any(|pattern| matches(pattern, name))
    }

    /// True if one of them is what `pattern` describes, as far as it is written.
    pub(crate) fn match_pattern(&self, pattern: &str) -> bool {
        match is_pattern(pattern) {
            true => self.sorted.iter().any(|name| matches(pattern, name)),
            false => self.sorted.contains(pattern),
        }
    }

    /// True if one of them lets all of `path` through: it is the path or an object that the path lies in, or describes one.
    pub(crate) fn cover(&self, path: &str) -> bool {
        let names = std::iter::once(path).chain(parents(path)).any(|name| self.plain.contains(name));
        // A star stands for dots, too: what describes an object of the path describes the path up to one of its dots.
        names || self.patterns.iter().any(|pattern| matches(pattern, path) || matches(format!("{pattern}.*"), path))
    }

    /// True if one of them, as it is written, lies beneath `name`.
    pub(crate) fn lie_beneath(&self, name: &str) -> bool {
        let least = format!("{name}.");
        let from = (Bound::Included(least.as_str()), Bound::Unbounded);
        self.sorted.range::<str, _>(from).next().is_some_and(|found| found.starts_with(&least))
    }

    /// True if there are patterns among them.
    pub(crate) fn have_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// True if `path` lies beneath `name`: `a.b` beneath `a`.
    fn is_beneath(path: &str, name: &str) -> bool {
        path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    }

    #[test]
    fn a_star_stands_for_any_text_dots_included() {
        for (pattern, path, matched) in [
            ("*", "a.b", true),
            ("*", "", true),
            ("a*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "ab.c", false),
            ("*_text", "deep.body_text", true),
            ("*_text", "body_texts", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a.b.b.c", true),
            ("a*b*c", "acb", false),
            ("a*bc*c", "abc", false),
            ("**", "x", true),
            ("title", "title", true),
            ("title", "title.x", false),
        ] {
            assert_eq!(matches(pattern, path), matched, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_match_across_dots() {
        for (pattern, name, matched) in [
            ("title", "title", true),
            ("title", "titles", false),
            ("t*", "title.raw", true),
            ("*.raw", "title.raw", true),
            ("t*e", "title", true),
            ("t*x*e", "title", false),
            ("*", "anything", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), matched, "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_is_found_among_many() {
        let names = Names::of(["a", "b.c", "d*", "e.*.f", "g.h*"]);
        for (name, matched, covered, beneath) in [
            ("a", true, true, false),
            ("a.x", false, true, false),
            ("b", false, false, true),
            ("b.c", true, true, false),
            ("b.cc", false, false, false),
            ("dx.y", true, true, false),
            ("e.x.f", true, true, false),
            ("e.x.f.g", false, true, false),
            ("e", false, false, true),
            ("g", false, false, true),
            ("", false, false, false),
        ] {
            assert_eq!(names.match_name(name), matched, "{name}");
            assert_eq!(names.cover(name), covered, "{name}");
            assert_eq!(names.lie_beneath(name), beneath, "{name}");
        }
        assert!(names.match_pattern("b*") && names.match_pattern("a") && !names.match_pattern("b"));
        assert!(names.have_patterns() && !Names::of(["a"]).have_patterns());
    }

    proptest! {
        #[test]
        fn names_are_found_as_one_by_one(
            names in prop::collection::vec("[ab.*]{0,5}", 0..5), path in "[ab.]{0,7}", pattern in "[ab.*]{0,4}",
        ) {
            let all = Names::of(names.iter().map(String::as_str));
            let ends = || path.match_indices('.').map(|(dot, _)| dot).chain([path.len()]);
            let covers = |name: &String| ends().any(|end| matches(name, &path[..end]));
            prop_assert_eq!(all.match_name(&path), names.iter().any(|name| matches(name, &path)));
            prop_assert_eq!(all.match_pattern(&pattern), names.iter().any(|name| matches(&pattern, name)));
            prop_assert_eq!(all.cover(&path), names.iter().any(covers));
            prop_assert_eq!(all.lie_beneath(&path), names.iter().any(|name| is_beneath(name, &path)));
        }

        #[test]
        fn a_star_matches_what_a_search_over_all_splits_finds(pattern in "[ab*]{0,6}", name in "[ab]{0,6}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|skipped| slow(rest, &name[skipped..])),
                    Some((first, rest)) => name.split_first().is_some_and(|(n, name)| n == first && slow(rest, name)),
                }
            }
            prop_assert_eq!(matches(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
