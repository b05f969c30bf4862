//! `simple_query_string`: Lucene's `SimpleQueryParser`, described in
//! <https://lucene.apache.org/core/10_0_0/queryparser/org/apache/lucene/queryparser/simple/SimpleQueryParser.html>. Owns
//! its operators `+ | - " * ( ) ~N`, all of them switched on: `flags` are not looked at. It takes any text: an
//! operator that has nothing to work on is ignored, as here.

use std::collections::HashMap;

use super::words::Words;

/// Reads `query` in one pass. Every operator is an ASCII character, so that bytes will do.
pub(super) fn words(query: &str, words: &mut Words) {
    let closing = closing_parentheses(query);
    // The groups that are open: where each ends, and whether it says what must not match.
    let mut groups: Vec<Group> = Vec::new();
    let mut reader = Reader { query, at: 0, end: query.len(), unclosed_before: 0 };
    let mut negated = false;
    loop {
        let hidden = groups.last().is_some_and(|group| group.hidden);
        let Some(byte) = reader.peek() else {
            if groups.pop().is_none() {
                break;
            }
            reader.at = reader.end + 1;
            reader.end = groups.last().map_or(query.len(), |group| group.end);
            negated = false;
            continue;
        };
        match byte {
            b'(' => {
                if let Some(&end) = closing.get(&reader.at) {
                    groups.push(Group { end, hidden: hidden || negated });
                    reader.end = end;
                }
                reader.at += 1;
            }
            b'"' => {
                if let Some(phrase) = reader.phrase()
                    && !hidden
                    && !negated
                {
                    words.keep(&phrase, None);
                }
            }
            // Twice is not at all; and it must stand right before what it negates.
            b'-' => {
                reader.at += 1;
                negated = !negated;
                continue;
            }
            byte if ends_token(byte) => reader.at += 1,
            _ => {
                let token = reader.token();
                if !hidden && !negated {
                    words.keep(&token, None);
                }
            }
        }
        negated = false;
    }
}

struct Group {
    end: usize,
    hidden: bool,
}

struct Reader<'a> {
    query: &'a str,
    at: usize,
    /// The end of the innermost open group, which nothing in it reaches across.
    end: usize,
    /// Up to here no quote closes. A quote was followed in vain as far as that, through the end of its group, and what is a
    /// quote behind it was part of an escape then, so that nothing would be read any differently.
    unclosed_before: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.query[self.at..self.end].bytes().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.query[self.at..self.end].chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// The text of a phrase; where no quote closes it, nothing, and the opening one is passed over.
    fn phrase(&mut self) -> Option<String> {
        self.at += 1;
        let start = self.at;
        if start < self.unclosed_before {
            return None;
        }
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => {
                    if self.peek() == Some(b'~') {
                        self.skip_number();
                    }
                    return Some(text);
                }
                '\\' => text.extend(self.next()),
                c => text.push(c),
            }
        }
        self.at = start;
        self.unclosed_before = self.end;
        None
    }

    fn token(&mut self) -> String {
        let start = self.at;
        let mut text = String::new();
        // A star at the end, which asks for words that begin so.
        let mut is_prefix = false;
        while let Some(byte) = self.peek() {
            if ends_token(byte) {
                break;
            }
            if byte == b'~' && !text.is_empty() {
                self.skip_number();
                break;
            }
            let c = self.next();
            is_prefix = c == Some('*');
            text.extend(if c == Some('\\') { self.next() } else { c });
        }
        if self.query[start..self.at].bytes().all(|byte| byte == b'*') {
            return String::new();
        }
        if is_prefix && text.len() > 1 {
            text.pop();
        }
        text
    }

    /// The fuzziness or slop behind a word or a phrase: `~2`.
    fn skip_number(&mut self) {
        let rest = &self.query.as_bytes()[self.at..self.end];
        self.at += rest.iter().position(|byte| ends_token(*byte)).unwrap_or(rest.len());
    }
}

fn ends_token(byte: u8) -> bool {
    matches!(byte, b'"' | b'|' | b'+' | b'(' | b')' | b' ' | b'\t' | b'\n' | b'\r')
}

/// The place at which each opening parenthesis is closed. Quotes do not matter here, backslashes do.
fn closing_parentheses(query: &str) -> HashMap<usize, usize> {
    let mut closing = HashMap::new();
    let mut open = Vec::new();
    let mut is_escaped = false;
    for (at, byte) in query.bytes().enumerate() {
        match byte {
            _ if is_escaped => {}
            b'(' => open.push(at),
            b')' => closing.extend(open.pop().map(|start| (start, at))),
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    closing
}

#[cfg(test)]
mod tests {
    use super::super::{Syntax, read};

    #[test]
    fn there_are_no_fields_and_no_operator_words() {
        for (query, expected) in [
            ("time: 10 AND more", "time: 10 AND more"),
            ("\"fried eggs\" +(eggplant | potato) -frittata", "fried eggs eggplant potato"),
            ("a|b cof* tea~1 \"red wine\"~5 x", "a b cof tea red wine x"),
            ("well-known a - b", "well-known a b"),
            ("-a --b -\"c d\" -(e (f g) h) i", "b i"),
            ("a -(b c", "a b c"),
            ("a) (b -c) \"d e", "a b d e"),
            ("(\"a) b\" c)", "a b c"),
            (r#"\-a \"b term\*1 c\* d*e \(f\)"#, r#"-a "b term*1 c* d*e (f)"#),
            (r#"a~\" b~\" c"#, "a b c"),
            (r#"(a~\" b) "c d" e~\" f"#, "a b c d e f"),
            ("*", ""),
            ("** a **", "a"),
            ("  ", ""),
        ] {
            assert_eq!(read(query, Syntax::Simple).texts.join(" "), expected, "{query}");
        }
    }
}
