//! Queries of other parsers within a query in the Lucene syntax: `+{!edismax qf=title v=$qq}`, `_query_:"{!…}…"`. Owns
//! what Solr adds to Lucene's syntax: it is taken out, so that what is left reads as Lucene's own. And the little syntax of
//! `dismax`. Pure.

use super::local_params::Cursor;

/// A query, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// The rest, for Lucene's own syntax.
    pub(super) text: String,
    /// The queries that lay within, as they were written.
    pub(super) queries: Vec<String>,
}

/// Takes a query apart, in one pass. What must not match, filters (`filter(…)`), functions (`_val_:…`) and comments are left
/// out; a boost `^=2` becomes one that Lucene knows.
pub(super) fn split(query: &str) -> Split {
    let mut splitting =
        Splitting { query, cursor: Cursor::of(query), split: Split::default(), said: 0, endless: false };
    let mut at = 0;
    while let Some(c) = query[at..].chars().next() {
        if let Some(end) = splitting.embedded(at).or_else(|| splitting.left_out(at)) {
            at = end;
            splitting.split.text.push(' ');
            continue;
        }
        let end = splitting.item(at, c);
        splitting.keep(&query[at..end]);
        at = end;
        if c == '^' && query[at..].starts_with('=') {
            at += 1;
        }
    }
    splitting.split
}

/// The words of a query as `dismax` reads it: quotes hold phrases together, `-` before a word or phrase says what must not
/// match, and nothing else means anything.
pub(super) fn words(query: &str) -> String {
    let mut words = String::new();
    for (place, part) in query.split('"').enumerate() {
        let is_phrase = place % 2 == 1;
        let hidden = is_phrase && words.ends_with(" -");
        if hidden {
            words.truncate(words.len() - 2);
        } else if is_phrase {
            words.push_str(part);
            words.push(' ');
        } else {
            let mut kept = part.split_whitespace().peekable();
            while let Some(word) = kept.next() {
                match word.strip_prefix('-') {
                    // What the next phrase does with it shows then.
                    Some("") if kept.peek().is_none() => words.push_str(" -"),
                    Some(_) => {}
                    None => {
                        words.push_str(word.strip_prefix('+').unwrap_or(word));
                        words.push(' ');
                    }
                }
            }
        }
    }
    words.trim_end_matches(" -").trim().to_owned()
}

/// A query while it is taken apart.
struct Splitting<'a> {
    query: &'a str,
    cursor: Cursor<'a>,
    split: Split,
    /// The length of the text up to its last character that is no white space.
    said: usize,
    /// True if a comment was seen that nothing ends; no later one ends, either.
    endless: bool,
}

impl Splitting<'_> {
    fn keep(&mut self, text: &str) {
        self.split.text.push_str(text);
        let said = text.trim_end().len();
        if said > 0 {
            self.said = self.split.text.len() - text.len() + said;
        }
    }

    /// The end of the character, escape or quoted text at `at`; `c` is its first character.
    fn item(&mut self, at: usize, c: char) -> usize {
        match c {
            '\\' => at + 1 + self.query[at + 1..].chars().next().map_or(0, char::len_utf8),
            '"' => self.cursor.quoted(at).map_or(at + 1, |(_, end)| end),
            c => at + c.len_utf8(),
        }
    }

    /// The end of a query of another parser that begins at `at`. It is noted unless it must not match.
    fn embedded(&mut self, at: usize) -> Option<usize> {
        let rest = &self.query[at..];
        let (query, end) = if let Some(behind) = rest.strip_prefix("_query_:") {
            behind.starts_with(['"', '\'']).then_some(())?;
            self.cursor.quoted(self.query.len() - behind.len())?
        } else {
            let (_, end) = self.cursor.local_params(at)?;
            let behind = &self.query[end..];
            let ends = |c: char| c.is_whitespace() || matches!(c, ')' | '{' | '^');
            let end = end + behind.find(ends).unwrap_or(behind.len());
            (self.query[at..end].to_owned(), end)
        };
        if !self.is_hidden() {
            self.split.queries.push(query);
        }
        Some(end)
    }

    /// The end of a part that begins at `at` and is not looked for.
    fn left_out(&mut self, at: usize) -> Option<usize> {
        let rest = &self.query[at..];
        if let Some(inside) = rest.strip_prefix("/*").filter(|_| !self.endless) {
            let length = inside.find("*/");
            self.endless = length.is_none();
            return Some(at + 4 + length?);
        }
        if let Some(function) = rest.strip_prefix("_val_:") {
            let begins = self.query.len() - function.len();
            let quoted = function.starts_with('"').then(|| self.cursor.quoted(begins)).flatten();
            let unquoted = || self.query.len() - function.trim_start_matches(|c: char| !c.is_whitespace()).len();
            return Some(quoted.map_or_else(unquoted, |(_, end)| end));
        }
        let before = &self.split.text;
        if !rest.starts_with("filter(") || before.ends_with(|c: char| !(c.is_whitespace() || "+-!(".contains(c))) {
            return None;
        }
        let mut depth = 0_usize;
        let mut at = at;
        while let Some(c) = self.query[at..].chars().next() {
            at = self.item(at, c);
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if c == ')' && depth == 0 {
                break;
            }
        }
        Some(at)
    }

    /// True if what follows must not match.
    fn is_hidden(&self) -> bool {
        self.split.text.ends_with(['-', '!']) || self.split.text[..self.said].ends_with("NOT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_solr_adds_is_taken_out() {
        for (query, text, queries) in [
            ("red wine", "red wine", &[][..]),
            ("+{!edismax qf=a v=$qq} b:c", "+  b:c", &["{!edismax qf=a v=$qq}"][..]),
            ("({!field f=a}red dry) x", "(  dry) x", &["{!field f=a}red"]),
            ("-{!field f=a}red NOT {!a}b x", "-  NOT   x", &[]),
            (r#"_query_:"{!dismax qf=\"a b\"}red wine" x"#, "  x", &[r#"{!dismax qf="a b"}red wine"#]),
            (r#"a filter(b:(c "d)") e) f myfilter(g)"#, "a   f myfilter(g)", &[]),
            (r#"_val_:"log(n)" a _val_:n b"#, "  a   b", &[]),
            ("a /* b c */ d^=2", "a   d^2", &[]),
            (r#"\{!a} "{!b}c" [1 TO 2}"#, r#"\{!a} "{!b}c" [1 TO 2}"#, &[]),
            ("filter(((", " ", &[]),
        ] {
            let queries = queries.iter().map(|&query| query.to_owned()).collect();
            assert_eq!(split(query), Split { text: text.to_owned(), queries }, "{query}");
        }
    }

    #[test]
    fn dismax_reads_words_and_phrases() {
        for (query, expected) in [
            ("c++ -old (wine)", "c++ (wine)"),
            (r#"+red "dry wine" -"old vine" x"#, "red dry wine x"),
            (r#"- a "b"#, "a b"),
            ("a -", "a"),
        ] {
            let single: Vec<String> = words(query).split_whitespace().map(str::to_owned).collect();
            assert_eq!(single.join(" "), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read(query in r#"[a-z"+ é-]{0,30}"#) {
            let _ = words(&query);
        }

        #[test]
        fn any_query_is_taken_apart(query in r#"([a-z:()"'\[\]{}!$=\\+*^/ é-]|filter\(|_val_:|_query_:|\{!a ){0,40}"#) {
            let _ = split(&query);
        }
    }
}
