//! The paths of a `filter_path`, and how far a walk from the root has got along each of them. Owns what a path means:
//! dots between keys, `\.` for a dot in a key, `*` for any run of characters, `**` for one or more keys.

use std::rc::Rc;

use crate::names;

/// Several paths, matched at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Patterns {
    /// The segments of all paths, each path's one after the other.
    segments: Vec<Segment>,
    /// The beginning of each path.
    starts: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    /// The pattern of a key, unescaped.
    pattern: String,
    is_last: bool,
}

impl Segment {
    /// True if it stands for any number of keys, not for one.
    fn spans_levels(&self) -> bool {
        self.pattern == "**"
    }
}

/// The segments that may match the next key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State(Rc<[usize]>);

/// The result of one more key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// No path goes this way.
    Nothing,
    /// Some paths go on.
    Some(State),
    /// A path ends here, so everything below belongs to it.
    All,
}

impl Patterns {
    /// Adds a path; an empty one counts for nothing.
    ///
    /// As in Elasticsearch, a dot at the start of a key is part of the key, and so is all that comes after, as it is
    /// written: `a..b.c` is `.b.c` in `a`. After a dot at the end comes the key that has no characters.
    pub(super) fn add(&mut self, path: &str) {
        if path.is_empty() {
            return;
        }
        self.starts.push(self.segments.len());
        let mut rest = path;
        while let Some(dot) = separator(rest).filter(|&dot| dot > 0) {
            self.segments.push(Segment { pattern: unescaped(&rest[..dot]), is_last: false });
            rest = &rest[dot + 1..];
        }
        let pattern = if rest.starts_with('.') { rest.to_owned() } else { unescaped(rest) };
        self.segments.push(Segment { pattern, is_last: true });
    }

    /// The number of keys of all paths together.
    pub(super) fn keys(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The state before any key.
    pub(super) fn start(&self) -> State {
        State(self.starts.as_slice().into())
    }

    /// The step from `state` by the key `name`.
    pub(super) fn next(&self, state: &State, name: &str) -> Next {
        let mut next = Vec::new();
        for &at in &*state.0 {
            let segment = &self.segments[at];
            if !names::matches(&segment.pattern, name) {
                continue;
            }
            if segment.is_last {
                return Next::All;
            }
            // Several `**` in a row reach the same segment on several ways.
            for reached in [Some(at).filter(|_| segment.spans_levels()), Some(at + 1)].into_iter().flatten() {
                if next.last() != Some(&reached) {
                    next.push(reached);
                }
            }
        }
        match &next[..] {
            [] => Next::Nothing,
            // Below a `**` it stays the same for many levels, of which an answer may have a million.
            same if *same == *state.0 => Next::Some(state.clone()),
            other => Next::Some(State(other.into())),
        }
    }
}

/// The pattern of a key as it is meant: dots unescaped, and stars in a row, which say no more than one, as one.
fn unescaped(key: &str) -> String {
    let key = key.replace("\\.", ".");
    if key == "**" {
        return key;
    }
    let mut before = None;
    key.chars().filter(|&c| before.replace(c) != Some('*') || c != '*').collect()
}

/// The place of the first dot that separates keys.
fn separator(path: &str) -> Option<usize> {
    let mut escaped = false;
    path.bytes().position(|byte| {
        let separates = byte == b'.' && !escaped;
        escaped = byte == b'\\';
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a path, as the patterns read it.
    fn keys(path: &str) -> Vec<String> {
        let mut patterns = Patterns::default();
        patterns.add(path);
        patterns.segments.into_iter().map(|segment| segment.pattern).collect()
    }

    #[test]
    fn dots_separate_keys_unless_they_are_escaped_or_begin_one() {
        assert_eq!(keys("a.b.*"), ["a", "b", "*"]);
        assert_eq!(keys(r"a\.b.c"), ["a.b", "c"]);
        assert_eq!(keys(r"a\\.b\c"), [r"a\.b\c"]);
        assert_eq!(keys("a..b.c"), ["a", ".b.c"]);
        assert_eq!(keys(r"a..b\.c"), ["a", r".b\.c"]);
        assert_eq!(keys("a."), ["a", ""]);
        assert_eq!(keys(".a"), [".a"]);
        assert!(keys("").is_empty());
    }

    #[test]
    fn a_double_star_stands_for_one_key_or_more() {
        let mut patterns = Patterns::default();
        patterns.add("**.a");
        let Next::Some(state) = patterns.next(&patterns.start(), "a") else { panic!("not at the root") };
        assert_eq!(patterns.next(&state, "a"), Next::All);
        assert_eq!(patterns.next(&state, "b"), Next::Some(state.clone()), "any number of keys");
    }

    #[test]
    fn many_double_stars_do_not_multiply() {
        let mut patterns = Patterns::default();
        patterns.add(&"**.".repeat(50));
        let mut state = patterns.start();
        for _ in 0..40 {
            let Next::Some(next) = patterns.next(&state, "x") else { panic!("the path goes on") };
            assert!(next.0.len() <= 51, "{}", next.0.len());
            state = next;
        }
    }
}
