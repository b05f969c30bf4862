//! Where things lie in a JSON text, and edits of it that leave every other byte alone. Owns no parsing: the text is known
//! to be valid JSON, because `serde_json` has read it before (as a `RawValue`, say). On any other text nothing here panics
//! or runs on, but what it finds may be nonsense. Nested values are stepped over by counting brackets, not by
//! recursion, so depth costs nothing. Pure.

mod edits;

use std::{borrow::Cow, ops::Range};

use memchr::{memchr2, memchr3};

pub(crate) use edits::Edits;

/// One member of an object, as byte ranges into the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The key, quotes included.
    pub(crate) key: Range<usize>,
    /// The value, white space around it excluded.
    pub(crate) value: Range<usize>,
}

impl Member {
    /// From the start of the key to the end of the value.
    pub(crate) fn span(&self) -> Range<usize> {
        self.key.start..self.value.end
    }

    /// The key, unescaped.
    pub(crate) fn name<'a>(&self, text: &'a [u8]) -> Cow<'a, str> {
        let quoted = &text[self.key.clone()];
        let key = inside_quotes(quoted);
        if key.contains(&b'\\')
            && let Ok(unescaped) = serde_json::from_slice::<String>(quoted)
        {
            return Cow::Owned(unescaped);
        }
        String::from_utf8_lossy(key)
    }

    fn is_named(&self, text: &[u8], name: &str) -> bool {
        let key = inside_quotes(&text[self.key.clone()]);
        key == name.as_bytes() || (key.contains(&b'\\') && self.name(text) == name)
    }
}

fn inside_quotes(quoted: &[u8]) -> &[u8] {
    let opened = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    opened.strip_suffix(b"\"").unwrap_or(opened)
}

/// The members of the object that begins at `at`, or after white space there; empty where there is no object.
pub(crate) fn members(text: &[u8], at: usize) -> Vec<Member> {
    Members(Items::of(text, at, b'{')).collect()
}

/// The elements of the array that begins at `at`, or after white space there; empty where there is no array.
pub(crate) fn elements(text: &[u8], at: usize) -> Vec<Range<usize>> {
    Elements(Items::of(text, at, b'[')).collect()
}

/// The member `name` of the object at `at`; the last one where several share the name, as `serde_json` reads them.
pub(crate) fn member(text: &[u8], at: usize, name: &str) -> Option<Member> {
    Members(Items::of(text, at, b'{')).filter(|member| member.is_named(text, name)).last()
}

/// The value that begins at `at`, or after white space there.
pub(crate) fn value(text: &[u8], at: usize) -> Range<usize> {
    let start = after_white_space(text, at);
    let end = match text.get(start) {
        Some(b'"') => after_string(text, start),
        Some(b'{') => after_nested(text, start, b'{', b'}'),
        Some(b'[') => after_nested(text, start, b'[', b']'),
        _ => after_scalar(text, start),
    };
    start..end
}

/// A walk along the items of one object or array.
struct Items<'a> {
    text: &'a [u8],
    /// Where the next item begins, white space aside; the text's end after the last one.
    at: usize,
}

impl<'a> Items<'a> {
    fn of(text: &'a [u8], at: usize, opening: u8) -> Self {
        let start = after_white_space(text, at);
        let at = if text.get(start) == Some(&opening) { start + 1 } else { text.len() };
        Self { text, at }
    }

    /// Steps past the comma after an item that ends at `end`.
    fn pass(&mut self, end: usize) {
        let comma = after_white_space(self.text, end);
        self.at = if self.text.get(comma) == Some(&b',') { comma + 1 } else { self.text.len() };
    }
}

struct Members<'a>(Items<'a>);

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let text = self.0.text;
        let start = after_white_space(text, self.0.at);
        if text.get(start) != Some(&b'"') {
            return None;
        }
        let key = start..after_string(text, start);
        let colon = after_white_space(text, key.end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let value = value(text, colon + 1);
        self.0.pass(value.end);
        Some(Member { key, value })
    }
}

struct Elements<'a>(Items<'a>);

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = after_white_space(self.0.text, self.0.at);
        if matches!(self.0.text.get(start), None | Some(b']')) {
            return None;
        }
        let element = value(self.0.text, start);
        self.0.pass(element.end);
        Some(element)
    }
}

fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn after_white_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|&byte| !is_white_space(byte)).map_or(text.len(), |skipped| at + skipped)
}

/// Where the string that opens at `at` ends.
fn after_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// Where the object or array that opens at `at` ends. Brackets of the other kind need no counting: they pair up inside.
fn after_nested(text: &[u8], at: usize, opening: u8, closing: u8) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(found) = text.get(at..).and_then(|rest| memchr3(b'"', opening, closing, rest)) {
        at += found;
        if text[at] == b'"' {
            at = after_string(text, at);
            continue;
        }
        at += 1;
        if text[at - 1] == opening {
            depth += 1;
        } else {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    text.len()
}

fn after_scalar(text: &[u8], at: usize) -> usize {
    let ends = |&byte: &u8| is_white_space(byte) || matches!(byte, b',' | b']' | b'}');
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(ends).map_or(text.len(), |length| at + length)
}

#[cfg(test)]
mod tests;
