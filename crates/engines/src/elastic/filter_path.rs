//! `filter_path`: which parts of an answer the client wants. Owns doing the cluster's work here, with the cluster's
//! semantics, on an answer that had to be asked for whole. What is kept keeps its bytes: numbers, escapes and the white
//! space inside `_source`, which a cluster that filters prints anew, come out as they came in. Pure.

mod pattern;

use crate::json::{self, Items};
use pattern::{Next, Patterns, State};

/// The value of `?filter_path=`.
///
/// The semantics are those of Elasticsearch 9.2.0, found by asking it. OpenSearch 3.4.0 differs in corners: under an
/// exclusion it also drops objects and arrays that were empty before, it ignores a dot at the end of a path, and it
/// reads backslashes more loosely. Only answers that succeeded are filtered: errors the clusters send whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterPath {
    /// The paths that may stay; everything where there are none.
    included: Patterns,
    /// The paths among those that go all the same.
    excluded: Patterns,
}

impl FilterPath {
    /// Reads comma-separated paths, percent-decoded; those that begin with `-` exclude. White space around a path counts
    /// for nothing, nor do empty paths.
    pub(crate) fn parse(parameter: &str) -> Self {
        let mut filter = Self { included: Patterns::default(), excluded: Patterns::default() };
        for path in parameter.split(',').map(trimmed) {
            match path.strip_prefix('-') {
                Some(path) => filter.excluded.add(trimmed(path)),
                None => filter.included.add(path),
            }
        }
        filter
    }

    /// The number of keys of all its paths together.
    pub(super) fn keys(&self) -> usize {
        self.included.keys() + self.excluded.keys()
    }

    /// True if everything below `path` stays, whatever it is. Arrays on the way count for nothing: the hits are at
    /// `["hits", "hits"]`.
    pub(super) fn keeps_whole(&self, path: &[&str]) -> bool {
        let mut fate = self.root();
        for name in path {
            match fate {
                Fate::Goes => return false,
                Fate::Stays => return true,
                Fate::Depends(below) => fate = self.fate(&below, name),
            }
        }
        matches!(fate, Fate::Stays)
    }

    /// The filtered answer: `{}` where nothing is left. Takes time linear in the size of the answer times the number of
    /// path segments, and memory for the way to the innermost level, not the stack.
    pub(crate) fn apply(&self, answer: &[u8]) -> Vec<u8> {
        let root = json::value(answer, 0);
        let below = match self.root() {
            Fate::Depends(below) if matches!(answer.get(root.start), Some(b'{' | b'[')) => below,
            _ => return answer.to_vec(),
        };
        let mut filtering = Filtering { answer, out: Vec::with_capacity(answer.len()), open: Vec::new() };
        filtering.out.extend_from_slice(&answer[..root.start]);
        let opened = filtering.out.len();
        filtering.open(root.start, opened, below);
        let end = self.run(&mut filtering);
        let mut out = filtering.out;
        if out.len() == opened {
            let spaced = answer.get(root.start + 1).is_some_and(u8::is_ascii_whitespace);
            out.extend_from_slice(if spaced { b"{ }" } else { b"{}" });
        }
        out.extend_from_slice(&answer[end..]);
        out
    }

    /// Goes through the answer until everything that was open is closed; returns where the outermost value ended.
    fn run(&self, filtering: &mut Filtering<'_>) -> usize {
        let mut closed = None;
        while let Some(mut level) = filtering.open.pop() {
            if let Some(end) = closed.take() {
                level.items.pass(end);
            }
            match self.next_to_open(filtering, &mut level) {
                Some((at, from, below)) => {
                    filtering.open.push(level);
                    filtering.open(at, from, below);
                }
                None => {
                    closed = Some(level.items.end());
                    let stays = filtering.close(&level);
                    if let (true, Some(parent)) = (stays, filtering.open.last_mut()) {
                        parent.kept = true;
                    }
                }
            }
        }
        closed.unwrap_or(filtering.answer.len())
    }

    /// Writes the items of a level that stay as they are, up to one that must be looked into: where that begins, where
    /// in the output to cut if nothing of it stays, and what is asked of its members.
    fn next_to_open(&self, filtering: &mut Filtering<'_>, level: &mut Level<'_>) -> Option<(usize, usize, Below)> {
        let answer = filtering.answer;
        loop {
            let (item, start, fate) = if level.is_object {
                let (key, start) = level.items.next_member()?;
                let fate = self.fate(&level.below, &json::unescaped(&answer[key.clone()]));
                (key.start, start, fate)
            } else {
                let start = level.items.next_element()?;
                (start, start, Fate::Depends(level.below.clone()))
            };
            level.is_empty = false;
            let fate = match fate {
                Fate::Depends(below) if !matches!(answer.get(start), Some(b'{' | b'[')) => below.of_scalar(),
                fate => fate,
            };
            match fate {
                Fate::Depends(below) => {
                    let from = filtering.out.len();
                    filtering.separate(level, item);
                    filtering.out.extend_from_slice(&answer[item..start]);
                    return Some((start, from, below));
                }
                Fate::Stays => {
                    let end = json::value(answer, start).end;
                    filtering.separate(level, item);
                    filtering.out.extend_from_slice(&answer[item..end]);
                    level.kept = true;
                    level.items.pass(end);
                }
                Fate::Goes => level.items.pass(json::value(answer, start).end),
            }
        }
    }

    fn root(&self) -> Fate {
        let included = (!self.included.is_empty()).then(|| self.included.start());
        let excluded = (!self.excluded.is_empty()).then(|| self.excluded.start());
        Fate::of(included, excluded)
    }

    /// The fate of the member `name` of an object of which `below` is asked.
    fn fate(&self, below: &Below, name: &str) -> Fate {
        let included = match below.included.as_ref().map(|state| self.included.next(state, name)) {
            Some(Next::Nothing) => return Fate::Goes,
            Some(Next::Some(state)) => Some(state),
            Some(Next::All) | None => None,
        };
        let excluded = match below.excluded.as_ref().map(|state| self.excluded.next(state, name)) {
            Some(Next::All) => return Fate::Goes,
            Some(Next::Some(state)) => Some(state),
            Some(Next::Nothing) | None => None,
        };
        Fate::of(included, excluded)
    }
}

/// Java's `trim`, which is what the clusters cut by: everything up to and including the space.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// The fate of a value.
enum Fate {
    Goes,
    Stays,
    Depends(Below),
}

impl Fate {
    fn of(included: Option<State>, excluded: Option<State>) -> Self {
        if included.is_none() && excluded.is_none() { Self::Stays } else { Self::Depends(Below { included, excluded }) }
    }
}

/// The rest of the paths, as they apply to the members of a value.
#[derive(Debug, Clone)]
struct Below {
    /// `None`: everything is included.
    included: Option<State>,
    /// `None`: nothing is excluded.
    excluded: Option<State>,
}

impl Below {
    /// A path that goes on below a scalar does not include it, and does not exclude it.
    fn of_scalar(&self) -> Fate {
        if self.included.is_none() { Fate::Stays } else { Fate::Goes }
    }
}

/// The state of one pass through an answer.
struct Filtering<'a> {
    answer: &'a [u8],
    out: Vec<u8>,
    /// The objects and arrays that are being looked into, outermost first.
    open: Vec<Level<'a>>,
}

/// An object or array that is being looked into.
struct Level<'a> {
    items: Items<'a>,
    is_object: bool,
    below: Below,
    /// Its beginning in the answer.
    start: usize,
    /// The length of the output before its key and the comma before that, to cut it back to if nothing stays.
    from: usize,
    /// True if there was nothing inside to begin with.
    is_empty: bool,
    /// True if something inside stays.
    kept: bool,
}

impl Filtering<'_> {
    /// Begins the object or array at `at`.
    fn open(&mut self, at: usize, from: usize, below: Below) {
        let opening = self.answer[at];
        self.out.push(opening);
        self.open.push(Level {
            items: Items::of(self.answer, at, opening),
            is_object: opening == b'{',
            below,
            start: at,
            from,
            is_empty: true,
            kept: false,
        });
    }

    /// Writes what goes before the item at `item`: the white space of the container's first item, or a comma and the
    /// item's own white space, so that layout survives.
    fn separate(&mut self, level: &Level<'_>, item: usize) {
        if level.kept {
            self.out.push(b',');
            self.out.extend_from_slice(white_space_before(self.answer, item));
        } else {
            self.out.extend_from_slice(white_space_from(self.answer, level.start + 1));
        }
    }

    /// Ends a level, or takes it back: whether it stays. One that was emptied goes; one that was empty stays where
    /// everything is included.
    fn close(&mut self, level: &Level<'_>) -> bool {
        if level.kept {
            let closing = level.items.end() - 1;
            self.out.extend_from_slice(white_space_before(self.answer, closing));
            self.out.push(self.answer[closing]);
            return true;
        }
        if level.is_empty && level.below.included.is_none() {
            self.out.extend_from_slice(&self.answer[level.start + 1..level.items.end()]);
            return true;
        }
        self.out.truncate(level.from);
        false
    }
}

fn white_space_before(text: &[u8], at: usize) -> &[u8] {
    &text[text[..at].trim_ascii_end().len()..at]
}

fn white_space_from(text: &[u8], at: usize) -> &[u8] {
    let rest = &text[at..];
    &rest[..rest.len() - rest.trim_ascii_start().len()]
}

#[cfg(test)]
mod tests;
