//! Local parameters: `{!edismax qf='title body' v=$qq}`, as they stand before a query or within one. Owns their syntax
//! (<https://solr.apache.org/guide/solr/latest/query-guide/local-params.html>). Pure; what Solr would refuse is no local
//! parameters here.

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
        let mut rest = text.strip_prefix("{!")?;
        let mut found = Self::default();
        loop {
            rest = rest.trim_start();
            if let Some(behind) = rest.strip_prefix('}') {
                return Some((found, behind));
            }
            let (name, behind) = identifier(rest)?;
            rest = behind.trim_start();
            let Some(behind) = rest.strip_prefix('=') else {
                found.parser = Some(name.to_owned());
                continue;
            };
            let (value, behind) = value(behind.trim_start())?;
            rest = behind;
            match (name, value.as_str()) {
                ("type", Some(parser)) => found.parser = Some(parser.to_owned()),
                _ => found.pairs.push((name.to_owned(), value)),
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value)
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

fn value(text: &str) -> Option<(Value, &str)> {
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let (said, rest) = quoted(&text[1..], quote)?;
        return Some((Value::from(said), rest));
    }
    if let Some(reference) = text.strip_prefix('$') {
        let (name, rest) = identifier(reference)?;
        return Some((json!({ "param": name }), rest));
    }
    let end = text.find(|c: char| c == '}' || c.is_whitespace())?;
    Some((Value::from(&text[..end]), &text[end..]))
}

/// A text up to its closing quote, which is passed; backslashes escape.
pub(super) fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut said = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => said.extend(chars.next().map(|(_, escaped)| escaped)),
            c if c == quote => return Some((said, &text[at + c.len_utf8()..])),
            c => said.push(c),
        }
    }
    None
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
