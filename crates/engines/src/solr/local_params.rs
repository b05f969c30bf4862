//! Local parameters: `{!edismax qf='title body' v=$qq}`, as they stand before a query or within one. Owns their syntax
//! (<https://solr.apache.org/guide/solr/latest/query-guide/local-params.html>). Pure; what Solr would refuse is no local
//! parameters here.

use std::{collections::HashSet, ops::Range};

use serde_json::{Value, json};

/// The parameters between `{!` and `}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LocalParams {
    /// The parser's name, where one is given.
    pub(super) parser: Option<String>,
    /// Names and values, in order. A value is a text, or `{"param": NAME}` where it is `$NAME`: the JSON request API writes
    /// it so.
    pub(super) pairs: Vec<(String, Value)>,
}

impl LocalParams {
    /// Reads those at the beginning of `text`; what follows them. `None` where there are none.
    pub(super) fn read(text: &str) -> Option<(Self, &str)> {
        Cursor::of(text).local_params(0).map(|(found, end)| (found, &text[end..]))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Reads local parameters and quoted texts at any places of one text, from its beginning to its end. Remembers what it looked
/// for in vain, so that a text which opens much and closes nothing is not read to its end again and again.
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// From here on nothing closes `"` and `'`. What is behind a quote was never in the middle of an escape.
    unclosed: [usize; 2],
    /// The beginning of what turned out to be no parameter.
    dead: HashSet<usize>,
    /// Between these two places nothing ends a value without quotes.
    unended: Range<usize>,
}

impl<'a> Cursor<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, unclosed: [usize::MAX; 2], dead: HashSet::new(), unended: 0..0 }
    }

    /// The local parameters at `at`, and where they end.
    pub(super) fn local_params(&mut self, at: usize) -> Option<(LocalParams, usize)> {
        let mut visited = Vec::new();
        let found = self.text[at..].starts_with("{!").then(|| self.parameters(at + 2, &mut visited)).flatten();
        if found.is_none() {
            self.dead.extend(visited);
        }
        found
    }

    fn parameters(&mut self, at: usize, visited: &mut Vec<usize>) -> Option<(LocalParams, usize)> {
        let mut at = at;
        let mut found = LocalParams::default();
        loop {
            at = self.behind_white_space(at);
            if self.dead.contains(&at) {
                return None;
            }
            visited.push(at);
            if self.text[at..].starts_with('}') {
                return Some((found, at + 1));
            }
            let (name, behind) = identifier(&self.text[at..])?;
            at = self.behind_white_space(self.text.len() - behind.len());
            if !self.text[at..].starts_with('=') {
                found.parser = Some(name.to_owned());
                continue;
            }
            let begins = self.behind_white_space(at + 1);
            let (value, end) = self.value(begins)?;
            at = end;
            match (name, value.as_str()) {
                ("type", Some(parser)) => found.parser = Some(parser.to_owned()),
                _ => found.pairs.push((name.to_owned(), value)),
            }
        }
    }

    fn behind_white_space(&self, at: usize) -> usize {
        self.text.len() - self.text[at..].trim_start().len()
    }

    fn value(&mut self, at: usize) -> Option<(Value, usize)> {
        let text = &self.text[at..];
        if text.starts_with(['"', '\'']) {
            return self.quoted(at).map(|(said, end)| (Value::from(said), end));
        }
        if let Some(reference) = text.strip_prefix('$') {
            let (name, rest) = identifier(reference)?;
            return Some((json!({ "param": name }), self.text.len() - rest.len()));
        }
        if !self.unended.contains(&at) {
            let length = text.find(|c: char| c == '}' || c.is_whitespace()).unwrap_or(text.len());
            self.unended = at..at + length;
        }
        let end = self.unended.end;
        (end < self.text.len()).then(|| (Value::from(&self.text[at..end]), end))
    }

    /// The text in the quotes that open at `at`, backslashes taken off, and where it ends.
    pub(super) fn quoted(&mut self, at: usize) -> Option<(String, usize)> {
        let quote = self.text[at..].chars().next()?;
        let kind = usize::from(quote == '\'');
        if at >= self.unclosed[kind] {
            return None;
        }
        let mut said = String::new();
        let mut chars = self.text[at + 1..].char_indices();
        while let Some((length, c)) = chars.next() {
            match c {
                '\\' => said.extend(chars.next().map(|(_, escaped)| escaped)),
                c if c == quote => return Some((said, at + 1 + length + c.len_utf8())),
                c => said.push(c),
            }
        }
        self.unclosed[kind] = at;
        None
    }
}

/// A name, or the name behind a `!`, which switches it.
fn identifier(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('!').unwrap_or(text);
    let end = text.find(|c: char| !is_identifier(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '-' | '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_references_are_read() {
        let (found, rest) =
            LocalParams::read("{!edismax qf='title^2 body' v=$qq  q.op=OR a=\"b \\\" c\"}red wine").expect("some");
        assert_eq!((found.parser.as_deref(), rest), (Some("edismax"), "red wine"));
        let pairs: Vec<(&str, &Value)> = found.pairs.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let expected = [json!("title^2 body"), json!({"param": "qq"}), json!("OR"), json!("b \" c")];
        let names = ["qf", "v", "q.op", "a"];
        assert_eq!(pairs, names.into_iter().zip(&expected).collect::<Vec<_>>());
        let (found, rest) = LocalParams::read("{!type=dismax cache=false}").expect("some");
        assert_eq!((found.parser.as_deref(), found.pairs.len(), rest), (Some("dismax"), 1, ""));
    }

    #[test]
    fn what_is_broken_is_none() {
        for text in ["", "{", "{!", "{!a", "{!a b=", "{!a b='c}", "{!a b=$}", "{!=}", "title:x", " {!a}"] {
            assert_eq!(LocalParams::read(text), None, "{text}");
        }
    }
}
