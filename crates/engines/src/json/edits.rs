//! Edits of a JSON text: which bytes go, which come in their place. What no edit names comes out as it went in, so key
//! order, number literals and layout survive. Owns how commas and white space follow the items they belong to. Pure.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use memchr::memrchr;

use super::{Items, Members, is_white_space};

/// Replacements, insertions and removals of ranges that do not overlap, applied in one pass.
///
/// Of two ranges one of which lies within the other, the outer one counts. An insertion at the edge of a range that is
/// replaced is kept, one inside it is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// In a tree, since edits within one another are not made in the order of the text.
    edits: BTreeMap<Place, New>,
}

/// The place of an edit, in the order in which edits are applied: by position; at one position insertions first, then
/// the longest range; of the same, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    start: usize,
    replaces: bool,
    end: Reverse<usize>,
    number: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum New {
    Text(Vec<u8>),
    /// One more item before a closing bracket. Whether a comma is needed shows only when it is written, since other
    /// edits may have emptied the container: `lead` and `tail` are the white space before and after it.
    Item {
        lead: Vec<u8>,
        item: Vec<u8>,
        tail: Vec<u8>,
    },
}

impl Edits {
    /// True if nothing is to change.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `with` in the place of `at`.
    pub fn replace(&mut self, at: Range<usize>, with: impl Into<Vec<u8>>) {
        self.push(at, New::Text(with.into()));
    }

    /// Takes `at` out, and nothing around it.
    pub fn remove(&mut self, at: Range<usize>) {
        self.replace(at, Vec::new());
    }

    /// Takes those of `items` out that are not kept, with the commas and white space that go with them.
    ///
    /// `container` is an object or array, brackets included; `items` are the spans of all its members or elements, in
    /// order. What is left looks as if it had been printed so. An emptied container becomes `{}` or `[]`, and `{ }` or
    /// `[ ]` where there was white space inside, as Elasticsearch prints.
    pub fn retain(
        &mut self,
        text: &[u8],
        container: Range<usize>,
        items: &[Range<usize>],
        keep: impl Fn(usize) -> bool,
    ) {
        let mut kept = (0..items.len()).filter(|&item| keep(item));
        let (Some(first), Some(inside)) = (items.first(), inside(&container)) else { return };
        let Some(mut last_kept) = kept.next() else {
            let spaced = text.get(inside.start).copied().is_some_and(is_white_space);
            return self.replace(inside, if spaced { " " } else { "" });
        };
        if last_kept > 0 {
            self.remove(first.start..items[last_kept].start);
        }
        for next in kept {
            if next > last_kept + 1 {
                self.remove(items[last_kept].end..items[next - 1].end);
            }
            last_kept = next;
        }
        if last_kept + 1 < items.len() {
            self.remove(items[last_kept].end..items[items.len() - 1].end);
        }
    }

    /// Puts a member at the end of an object, empty or not, laid out as the members before it. `value` is JSON and comes
    /// out as it is; `name` is escaped.
    pub fn add_member(&mut self, text: &[u8], object: Range<usize>, name: &str, value: &str) {
        let first = Members(Items::of(text, object.start, b'{')).next();
        let colon = match &first {
            Some(first) => &text[first.key.end..first.value.start],
            None if object.len() > 2 => b" : ",
            None => b":",
        };
        let mut member = serde_json::Value::from(name).to_string().into_bytes();
        member.extend_from_slice(colon);
        member.extend_from_slice(value.as_bytes());
        self.add_item(text, object, first.map(|first| first.key.start), member);
    }

    /// `first` is where the container's first item begins; `None` where it has none.
    fn add_item(&mut self, text: &[u8], container: Range<usize>, first: Option<usize>, item: Vec<u8>) {
        let Some(inside) = inside(&container) else { return };
        let closing = inside.end;
        let (lead, tail) = match first {
            Some(first) => (text[inside.start..first].to_vec(), trailing_white_space(&text[inside]).to_vec()),
            None if inside.is_empty() => (Vec::new(), Vec::new()),
            None => indentation(text, container.start),
        };
        self.push(closing..closing, New::Item { lead, item, tail });
    }

    /// Appends `text[range]`, edited, to `out`. Edits outside the range are ignored; an insertion belongs to the range
    /// that begins there (at the very end of the text: to the one that ends there).
    pub fn apply(&self, text: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
        let written_from = out.len();
        let mut at = range.start;
        let first = Place { start: range.start, replaces: false, end: Reverse(usize::MAX), number: 0 };
        for (&Place { start, end: Reverse(end), .. }, with) in self.edits.range(first..) {
            if start >= range.end && !(start == range.end && range.end == text.len()) {
                break;
            }
            if start < at || end > range.end {
                continue;
            }
            out.extend_from_slice(&text[at..start]);
            with.write(out, written_from);
            at = end;
        }
        out.extend_from_slice(&text[at..range.end]);
    }

    /// The whole text, edited.
    pub fn applied(&self, text: &[u8]) -> Vec<u8> {
        let added: usize = self.edits.values().map(New::len).sum();
        let mut out = Vec::with_capacity(text.len() + added);
        self.apply(text, 0..text.len(), &mut out);
        out
    }

    fn push(&mut self, at: Range<usize>, with: New) {
        let number = self.edits.len();
        self.edits.insert(Place { start: at.start, replaces: !at.is_empty(), end: Reverse(at.end), number }, with);
    }
}

impl New {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Item { lead, item, tail } => 1 + lead.len() + item.len() + tail.len(),
        }
    }

    /// Appends to `out`, of which what comes from `from` on is the text's.
    fn write(&self, out: &mut Vec<u8>, from: usize) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Item { lead, item, tail } => {
                while out.len() > from && out.last().copied().is_some_and(is_white_space) {
                    out.pop();
                }
                // Before a closing bracket, an opening one that is not part of a string means: nothing in between.
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    out.push(b',');
                }
                out.extend_from_slice(lead);
                out.extend_from_slice(item);
                out.extend_from_slice(tail);
            }
        }
    }
}

/// The range between the brackets; `None` where there is no room for two.
fn inside(container: &Range<usize>) -> Option<Range<usize>> {
    (container.len() >= 2).then(|| container.start + 1..container.end - 1)
}

fn trailing_white_space(text: &[u8]) -> &[u8] {
    let length = text.iter().rev().take_while(|&&byte| is_white_space(byte)).count();
    &text[text.len() - length..]
}

/// The most bytes to look back for the beginning of a line. A text with longer lines is not printed prettily.
const MAX_LINE: usize = 4096;

/// The white space before the first item of an empty container that opens at `at` in pretty-printed text, and after its
/// last: items are indented two spaces deeper than the line on which their container opens.
fn indentation(text: &[u8], at: usize) -> (Vec<u8>, Vec<u8>) {
    let near = &text[at.saturating_sub(MAX_LINE)..at];
    let line = &near[memrchr(b'\n', near).map_or(0, |newline| newline + 1)..];
    let depth = line.iter().take_while(|&&byte| byte == b' ').count();
    let tail = [b"\n", &line[..depth]].concat();
    let lead = [&tail[..], b"  "].concat();
    (lead, tail)
}
