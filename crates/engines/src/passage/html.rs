//! HTML → the text that a reader sees. Owns which `<` begins a tag and which is one, in text that may be broken HTML or
//! none at all. It follows the tokeniser of the HTML standard (<https://html.spec.whatwg.org/multipage/parsing.html>)
//! except where a browser would swallow the rest of the text: a comment, a script or a tag that never ends does not begin.
//! Each character is looked at a bounded number of times.

use memchr::{memchr_iter, memchr2, memmem};

/// Elements that begin and end on a line of their own, and `br`.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "optgroup",
    "option",
    "p",
    "pre",
    "search",
    "section",
    "select",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Elements that stand beside each other, with a gap between.
const CELLS: &[&str] = &["td", "th"];
/// The longest reference that HTML knows is `&CounterClockwiseContourIntegral;`.
const LONGEST_REFERENCE: usize = 33;
/// The meaning of numeric references to 0x80–0x9F: the standard reads them as windows-1252. Five of them mean nothing
/// there.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
const SOFT_HYPHEN: &str = "\u{ad}";

/// The text of `html`: without tags, comments, scripts and styles, with character references decoded. Blocks and `<br>`
/// become line breaks; all other white space becomes single spaces, as it does on a page.
pub(super) fn strip(html: &str) -> String {
    let mut reader = Reader { html, ..Reader::default() };
    let mut text = Text { out: String::with_capacity(html.len()), gap: None };
    let mut at = 0;
    while let Some(found) = memchr2(b'<', b'&', &html.as_bytes()[at..]) {
        let start = at + found;
        text.push(&html[at..start]);
        at = if html.as_bytes()[start] == b'&' {
            reference(html, start, &mut text)
        } else {
            reader.markup(start, &mut text)
        };
    }
    text.push(&html[at..]);
    text.out
}

/// Text with its white space collapsed.
struct Text {
    out: String,
    /// The separator before the next word.
    gap: Option<char>,
}

impl Text {
    fn push(&mut self, mut text: &str) {
        loop {
            let word = text.trim_start();
            if word.len() < text.len() {
                self.gap(' ');
            }
            if word.is_empty() {
                return;
            }
            let end = word.find(char::is_whitespace).unwrap_or(word.len());
            if let Some(gap) = self.gap.take().filter(|_| !self.out.is_empty()) {
                self.out.push(gap);
            }
            self.out.push_str(&word[..end]);
            text = &word[end..];
        }
    }

    fn gap(&mut self, gap: char) {
        if self.gap != Some('\n') {
            self.gap = Some(gap);
        }
    }
}

/// Reads the character reference at `start`, or the `&` alone; returns where it ends.
fn reference(html: &str, start: usize, text: &mut Text) -> usize {
    let limit = html.len().min(start + LONGEST_REFERENCE);
    let end = html.as_bytes()[start..limit].iter().position(|byte| *byte == b';').map(|length| start + length + 1);
    if let Some((end, decoded)) = end.and_then(|end| Some((end, decode(&html[start..end])?))) {
        // A soft hyphen would take the word that it stands in apart.
        if decoded != SOFT_HYPHEN {
            text.push(&decoded);
        }
        return end;
    }
    text.push("&");
    start + 1
}

/// The meaning of `&…;`. Names count in lower case where nothing is called so as it is written.
fn decode(reference: &str) -> Option<String> {
    let as_written = html_escape::decode_html_entities(reference);
    if as_written == reference {
        let lower_case = reference.to_ascii_lowercase();
        let decoded = html_escape::decode_html_entities(&lower_case);
        return (decoded != lower_case).then(|| decoded.into_owned());
    }
    let c1 = as_written.chars().next().and_then(|c| u32::from(c).checked_sub(0x80));
    let meant = c1.and_then(|place| WINDOWS_1252.chars().nth(place as usize));
    Some(meant.map_or_else(|| as_written.into_owned(), String::from))
}

/// Finds where mark-up ends, and remembers what it looked for in vain, so as not to look twice.
#[derive(Default)]
struct Reader<'a> {
    html: &'a str,
    /// Attributes are not known to be quoted rightly before this place.
    quotes_from: usize,
    unclosed_comment: bool,
    unclosed_elements: Vec<&'static str>,
}

impl Reader<'_> {
    /// Reads the mark-up at `start`, or the `<` alone; returns where it ends.
    fn markup(&mut self, start: usize, text: &mut Text) -> usize {
        let rest = &self.html.as_bytes()[start + 1..];
        let end = match rest {
            [b'!', b'-', b'-', ..] => self.comment_end(start),
            [b'!' | b'?', ..] => self.unquoted_end(start + 2),
            [b'/', letter, ..] if letter.is_ascii_alphabetic() => return self.tag(start, start + 2, text),
            [letter, ..] if letter.is_ascii_alphabetic() => return self.tag(start, start + 1, text),
            _ => None,
        };
        end.unwrap_or_else(|| literal(start, text))
    }

    fn comment_end(&mut self, start: usize) -> Option<usize> {
        if self.unclosed_comment {
            return None;
        }
        // `<!-->` is a comment: its dashes may be the same.
        let from = start + "<!".len();
        let end = memmem::find(&self.html.as_bytes()[from..], b"-->").map(|length| from + length + "-->".len());
        self.unclosed_comment = end.is_none();
        end
    }

    fn tag(&mut self, start: usize, name_start: usize, text: &mut Text) -> usize {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
        let rest = &self.html.as_bytes()[name_start..];
        let name_end = name_start + rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        // `<me@example.com>` is no tag.
        let ends_name = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
        let end = if self.html.as_bytes().get(name_end).is_some_and(ends_name) { self.tag_end(name_end) } else { None };
        let Some(end) = end else { return literal(start, text) };

        let is = |name: &&&'static str| name.eq_ignore_ascii_case(&self.html[name_start..name_end]);
        if BLOCKS.iter().any(|name| is(&name)) {
            text.gap('\n');
        } else if CELLS.iter().any(|name| is(&name)) {
            text.gap(' ');
        } else if let Some(name) = ["script", "style"].iter().find(is).filter(|_| name_start == start + 1) {
            return self.closing_tag(name, end).unwrap_or(end);
        }
        end
    }

    /// The end of the tag whose name ends at `from`: at a `>` outside quotes, or, where the quotes do not match, at the
    /// first one. Another `<` means that this was none.
    fn tag_end(&mut self, from: usize) -> Option<usize> {
        if from >= self.quotes_from {
            match self.quoted_end(from) {
                Ok(end) => return Some(end),
                Err(stopped) => self.quotes_from = stopped,
            }
        }
        self.unquoted_end(from)
    }

    fn quoted_end(&self, from: usize) -> Result<usize, usize> {
        let bytes = self.html.as_bytes();
        let mut at = from;
        let mut value_begins = false;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'>' => return Ok(at + 1),
                b'<' => return Err(at),
                b'"' | b'\'' if value_begins => {
                    let Some(length) = memchr::memchr(*byte, &bytes[at + 1..]) else { return Err(bytes.len()) };
                    at += 1 + length;
                    value_begins = false;
                }
                b'=' => value_begins = true,
                byte if byte.is_ascii_whitespace() => {}
                _ => value_begins = false,
            }
            at += 1;
        }
        Err(bytes.len())
    }

    fn unquoted_end(&self, from: usize) -> Option<usize> {
        let bytes = self.html.as_bytes();
        let end = from + memchr2(b'<', b'>', bytes.get(from..)?)?;
        (bytes[end] == b'>').then_some(end + 1)
    }

    /// The beginning of the element's closing tag, at or after `from`.
    fn closing_tag(&mut self, name: &'static str, from: usize) -> Option<usize> {
        if self.unclosed_elements.contains(&name) {
            return None;
        }
        let bytes = self.html.as_bytes();
        let closes = |rest: &[u8]| {
            rest.strip_prefix(b"/")
                .and_then(|rest| rest.split_at_checked(name.len()))
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        };
        let found = memchr_iter(b'<', &bytes[from..]).map(|at| from + at).find(|at| closes(&bytes[at + 1..]));
        if found.is_none() {
            self.unclosed_elements.push(name);
        }
        found
    }
}

/// A `<` that begins nothing.
fn literal(start: usize, text: &mut Text) -> usize {
    text.push("<");
    start + 1
}

#[cfg(test)]
mod tests;
