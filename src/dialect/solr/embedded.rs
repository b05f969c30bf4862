//! Queries of other parsers within a query in the Lucene syntax: `+{!edismax qf=title v=$qq}`, `_query_:"{!…}…"`. Owns
//! what Solr adds to Lucene's syntax: it is taken out, so that what is left reads as Lucene's own. And the little syntax of
//! `dismax`. Pure.

use super::local_params::{LocalParams, quoted};

/// A query, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// What is left for Lucene's own syntax.
    pub(super) text: String,
    /// The queries that lay within, as they were written.
    pub(super) queries: Vec<String>,
}

/// Takes a query apart, in one pass. What must not match, filters (`filter(…)`), functions (`_val_:…`) and comments are left
/// out; a boost `^=2` becomes one that Lucene knows.
pub(super) fn split(query: &str) -> Split {
    let mut split = Split::default();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = embedded(rest, &mut split).or_else(|| left_out(rest, &split.text)) {
            rest = &rest[length..];
            split.text.push(' ');
            continue;
        }
        let length = match c {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '"' => quoted(&rest[1..], '"').map_or(1, |(_, behind)| rest.len() - behind.len()),
            c => c.len_utf8(),
        };
        split.text.push_str(&rest[..length]);
        rest = &rest[length..];
        if c == '^' {
            rest = rest.strip_prefix('=').unwrap_or(rest);
        }
    }
    split
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

/// The length of a query of another parser at the beginning of `rest`, which is noted unless it must not match.
fn embedded(rest: &str, split: &mut Split) -> Option<usize> {
    let hidden = is_hidden(&split.text);
    let (query, behind) = if let Some(behind) = rest.strip_prefix("_query_:") {
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        quoted(&behind[1..], quote)?
    } else {
        let (_, behind) = LocalParams::read(rest)?;
        let end = behind.find(|c: char| c.is_whitespace() || matches!(c, ')' | '{' | '^')).unwrap_or(behind.len());
        let length = rest.len() - behind.len() + end;
        (rest[..length].to_owned(), &rest[length..])
    };
    if !hidden {
        split.queries.push(query);
    }
    Some(rest.len() - behind.len())
}

/// The length of what is at the beginning of `rest` and not looked for; `before` is what stands before it.
fn left_out(rest: &str, before: &str) -> Option<usize> {
    if let Some(inside) = rest.strip_prefix("/*") {
        return Some(4 + inside.find("*/")?);
    }
    if let Some(function) = rest.strip_prefix("_val_:") {
        let behind = function.strip_prefix('"').and_then(|inside| quoted(inside, '"')).map(|(_, behind)| behind);
        return Some(
            rest.len() - behind.unwrap_or_else(|| function.trim_start_matches(|c: char| !c.is_whitespace())).len(),
        );
    }
    if !rest.starts_with("filter(") || before.ends_with(|c: char| !(c.is_whitespace() || "+-!(".contains(c))) {
        return None;
    }
    let mut depth = 0_usize;
    let mut inside = rest;
    while let Some(c) = inside.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\\' => length += inside[1..].chars().next().map_or(0, char::len_utf8),
            '"' => length = quoted(&inside[1..], '"').map_or(1, |(_, behind)| inside.len() - behind.len()),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        inside = &inside[length..];
        if c == ')' && depth == 0 {
            break;
        }
    }
    Some(rest.len() - inside.len())
}

/// Whether what follows `before` must not match.
fn is_hidden(before: &str) -> bool {
    before.ends_with(['-', '!']) || before.trim_end().ends_with("NOT")
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
