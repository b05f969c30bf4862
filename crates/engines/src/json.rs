//! Places of things in a JSON text, and edits of it that leave every other byte alone. Owns no parsing: the text is
//! known to be valid JSON, because `serde_json` has read it before (as a `RawValue`, say). On any other text nothing
//! here panics or runs on, but what it finds may be nonsense. Nested values are stepped over by counting brackets, not
//! by recursion, so depth costs nothing. Pure.

mod edits;

use std::{borrow::Cow, ops::Range};

use memchr::{memchr, memchr3};

pub use edits::Edits;

/// The most bytes that each value and each key of a text takes as a `serde_json::Value`, in bytes, while lists of them
/// grow. Measured: 172 for numbers, 196 for objects of one member.
const NODE: usize = 200;

/// The most bytes that a text takes as a `serde_json::Value`, but for its strings, which take no more than they are
/// long. Signs in strings count like others, so that it may be much less.
pub fn size_of_tree(text: &[u8]) -> usize {
    let separates = |byte: &&u8| matches!(byte, b',' | b':' | b'[' | b'{');
    (1 + text.iter().filter(separates).count()) * NODE
}

/// True if the tree of a text may be larger than `limit`; the text is only looked at where it is long enough for that.
pub fn has_larger_tree(text: &[u8], limit: usize) -> bool {
    (1 + text.len()).saturating_mul(NODE) > limit && size_of_tree(text) > limit
}

/// One member of an object, as byte ranges into the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The key, quotes included.
    pub key: Range<usize>,
    /// The value, white space around it excluded.
    pub value: Range<usize>,
}

impl Member {
    /// From the start of the key to the end of the value.
    pub fn span(&self) -> Range<usize> {
        self.key.start..self.value.end
    }

    /// The key, unescaped.
    pub fn name<'a>(&self, text: &'a [u8]) -> Cow<'a, str> {
        unescaped(&text[self.key.clone()])
    }

    fn is_named(&self, text: &[u8], name: &str) -> bool {
        let key = inside_quotes(&text[self.key.clone()]);
        key == name.as_bytes() || (key.contains(&b'\\') && self.name(text) == name)
    }
}

/// The text of a string that is written so, quotes included. A string that is no Unicode comes out as it is written.
pub fn unescaped(quoted: &[u8]) -> Cow<'_, str> {
    let inside = inside_quotes(quoted);
    if inside.contains(&b'\\')
        && let Ok(unescaped) = serde_json::from_slice::<String>(quoted)
    {
        return Cow::Owned(unescaped);
    }
    String::from_utf8_lossy(inside)
}

/// An object, taken apart in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Braces included.
    pub span: Range<usize>,
    /// Its members, in order.
    pub members: Vec<Member>,
}

/// The object that begins at `at`; `None` where there is none.
pub fn object(text: &[u8], at: usize) -> Option<Object> {
    if text.get(at) != Some(&b'{') {
        return None;
    }
    let mut items = Members(Items::of(text, at, b'{'));
    let members = items.by_ref().collect();
    Some(Object { span: at..items.0.end(), members })
}

fn inside_quotes(quoted: &[u8]) -> &[u8] {
    let opened = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    opened.strip_suffix(b"\"").unwrap_or(opened)
}

/// The members of the object that begins at `at`, or after white space there; empty where there is no object.
pub fn members(text: &[u8], at: usize) -> Vec<Member> {
    each_member(text, at).collect()
}

/// The same, one by one.
pub fn each_member(text: &[u8], at: usize) -> impl Iterator<Item = Member> {
    Members(Items::of(text, at, b'{'))
}

/// The elements of the array that begins at `at`, or after white space there; empty where there is no array.
pub fn elements(text: &[u8], at: usize) -> Vec<Range<usize>> {
    Elements(Items::of(text, at, b'[')).collect()
}

/// The same, but only the first `most`.
pub fn first_elements(text: &[u8], at: usize, most: usize) -> Vec<Range<usize>> {
    Elements(Items::of(text, at, b'[')).take(most).collect()
}

/// The member `name` of the object at `at`; the last one where several share the name, as `serde_json` reads them.
pub fn member(text: &[u8], at: usize, name: &str) -> Option<Member> {
    Members(Items::of(text, at, b'{')).filter(|member| member.is_named(text, name)).last()
}

/// The value that begins at `at`, or after white space there.
pub fn value(text: &[u8], at: usize) -> Range<usize> {
    let start = after_white_space(text, at);
    let end = match text.get(start) {
        Some(b'"') => after_string(text, start),
        Some(b'{') => after_nested(text, start, b'{', b'}'),
        Some(b'[') => after_nested(text, start, b'[', b']'),
        _ => after_scalar(text, start),
    };
    start..end
}

/// A walk along the items of one object or array that looks into no value: the caller says where each one ends, so that
/// a walk which descends reads every byte once.
#[derive(Debug)]
pub struct Items<'a> {
    text: &'a [u8],
    /// The beginning of the next item, or white space before it; once done, the place of the closing bracket.
    at: usize,
    done: bool,
}

impl<'a> Items<'a> {
    /// A walk along the object (`opening` is `{`) or array (`[`) at `at`; along nothing where there is none.
    pub fn of(text: &'a [u8], at: usize, opening: u8) -> Self {
        let start = after_white_space(text, at);
        let found = text.get(start) == Some(&opening);
        Self { text, at: if found { start + 1 } else { text.len() }, done: !found }
    }

    /// The next member's key, quotes included, and where its value begins.
    pub fn next_member(&mut self) -> Option<(Range<usize>, usize)> {
        self.at = after_white_space(self.text, self.at);
        if self.done || self.text.get(self.at) != Some(&b'"') {
            self.done = true;
            return None;
        }
        let key = self.at..after_string(self.text, self.at);
        let colon = after_white_space(self.text, key.end);
        if self.text.get(colon) != Some(&b':') {
            self.done = true;
            return None;
        }
        Some((key, after_white_space(self.text, colon + 1)))
    }

    /// The beginning of the next element.
    pub fn next_element(&mut self) -> Option<usize> {
        self.at = after_white_space(self.text, self.at);
        self.done |= matches!(self.text.get(self.at), None | Some(b']'));
        (!self.done).then_some(self.at)
    }

    /// Steps past the item that ends at `end`, and the comma after it.
    pub fn pass(&mut self, end: usize) {
        self.at = after_white_space(self.text, end);
        self.done = self.text.get(self.at) != Some(&b',');
        self.at += usize::from(!self.done);
    }

    /// Once there are no more items: where the object or array ends.
    pub fn end(&self) -> usize {
        (self.at + 1).min(self.text.len())
    }
}

struct Members<'a>(Items<'a>);

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let (key, start) = self.0.next_member()?;
        let value = value(self.0.text, start);
        self.0.pass(value.end);
        Some(Member { key, value })
    }
}

struct Elements<'a>(Items<'a>);

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.0.next_element()?;
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

/// The end of the string that opens at `at`: at the first quote with an even number of backslashes before it. Most
/// escapes are no quotes, and are run over.
fn after_string(text: &[u8], at: usize) -> usize {
    let start = at + 1;
    let mut from = start;
    while let Some(found) = text.get(from..).and_then(|rest| memchr(b'"', rest)) {
        let quote = from + found;
        let backslashes = text[start..quote].iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 0 {
            return quote + 1;
        }
        from = quote + 1;
    }
    text.len()
}

/// The end of the object or array that opens at `at`. Brackets of the other kind need no counting: they pair up inside.
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
