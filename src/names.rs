//! Names of fields: what a pattern names, and what lies beneath a dotted path. The same for what a rule names, what a
//! search asks for and what an answer is filtered by. Pure.

mod trail;

pub(crate) use trail::{Reached, Step, Trail};

/// Whether `name` is what `pattern` describes, in which `*` stands for any run of characters, dots included, and the empty
/// one too, as it does in both engines.
pub(crate) fn matches(pattern: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> bool {
    let (pattern, name) = (pattern.as_ref(), name.as_ref());
    let (mut p, mut n) = (0, 0);
    // After the last `*` seen, and from where in the name it was last tried.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
        } else if pattern.get(p) == Some(&name[n]) {
            p += 1;
            n += 1;
        } else if let Some((after, tried)) = retry {
            (p, n) = (after, tried + 1);
            retry = Some((after, n));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Whether `path` lies beneath `name`: `a.b` beneath `a`.
pub(crate) fn is_beneath(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
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
