//! Text out of the Lucene query syntax (`query_string`, `?q=`) and, in [`simple`], out of `simple_query_string`. Owns
//! which parts of such a query are words that someone looked for: operators, field names, ranges, patterns and whatever
//! must *not* match are left out. Pure; never fails, since the engine itself judges the syntax.

use indexmap::IndexSet;

mod simple;

/// Which of the two syntaxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `query_string` and `?q=`: Lucene's classic query parser.
    Classic,
    /// `simple_query_string`: no field names, no words as operators.
    Simple,
}

/// What was found in a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The words, in order; those that were looked for in one field, one after the other, make one text:
    /// `title:(red wine) OR body:(red wine)` is twice the text `red wine`.
    pub(super) texts: Vec<String>,
    /// Where these words were looked for, each once, in order; `None` is wherever words without a field are looked for.
    pub(super) fields: Vec<Option<String>>,
}

/// Reads a query in one pass, in time and memory that grow with its length only.
pub(super) fn read(query: &str, syntax: Syntax) -> Found {
    let mut words = Words::default();
    match syntax {
        Syntax::Classic => Reader { rest: query }.clauses(&mut words),
        Syntax::Simple => simple::words(query, &mut words),
    }
    words.found()
}

/// A field by its place among [`Words::names`], so that a long name is held once however many words follow it.
type Field = Option<usize>;

/// The words kept so far.
#[derive(Default)]
struct Words {
    names: IndexSet<String>,
    used: IndexSet<Field>,
    runs: Vec<(Field, String)>,
}

impl Words {
    fn keep(&mut self, word: &str, field: Field) {
        let word = word.trim();
        if word.is_empty() {
            return;
        }
        match self.runs.last_mut() {
            Some((last, run)) if *last == field => {
                run.push(' ');
                run.push_str(word);
            }
            _ => {
                self.used.insert(field);
                self.runs.push((field, word.to_owned()));
            }
        }
    }

    fn found(self) -> Found {
        let name = |field: Field| field.and_then(|at| self.names.get_index(at)).cloned();
        Found {
            texts: self.runs.into_iter().map(|(_, run)| run).collect(),
            fields: self.used.into_iter().map(name).collect(),
        }
    }
}

/// What holds for a clause: the field it looks in, and whether it says what must *not* match.
#[derive(Clone, Copy, Default)]
struct Scope {
    field: Field,
    hidden: bool,
}

/// Reads the classic syntax. The tokens are those of Lucene's grammar `QueryParser.jj` (Lucene 10), described in
/// <https://lucene.apache.org/core/10_0_0/queryparser/org/apache/lucene/queryparser/classic/package-summary.html>; the
/// one-sided ranges (`age:>=10`) and `_exists_` are Elasticsearch's and OpenSearch's own, described with their
/// `query_string`. What the grammar refuses is read somehow: the cluster answers it with an error.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Groups are kept on a stack of their own, so that no depth of parentheses can exhaust the thread's.
    fn clauses(&mut self, words: &mut Words) {
        let mut groups = Vec::new();
        let mut group = Scope::default();
        let mut clause = group;
        while let Some(c) = self.peek() {
            match c {
                c if is_space(c) || matches!(c, ':' | ']' | '}') => {
                    self.next();
                    continue;
                }
                '+' | '-' | '!' => {
                    self.next();
                    // An operator with a space behind it is none: `a - b` looks for `b`.
                    if self.peek().is_some_and(is_space) {
                        clause = group;
                    } else {
                        clause.hidden |= c != '+';
                    }
                    continue;
                }
                '(' => {
                    self.next();
                    groups.push(group);
                    group = clause;
                    continue;
                }
                ')' => {
                    self.next();
                    group = groups.pop().unwrap_or_default();
                }
                '"' => {
                    let phrase = self.phrase();
                    if !clause.hidden {
                        words.keep(&phrase, clause.field);
                    }
                }
                '[' | '{' => self.skip_range(),
                '/' => self.skip_regex(),
                '^' | '~' => {}
                _ => {
                    let term = self.term();
                    match term.image {
                        "AND" | "OR" | "&&" | "||" => {}
                        "NOT" => {
                            clause.hidden = true;
                            continue;
                        }
                        _ if self.skip_colon() => {
                            // `_exists_` asks whether a field is there: what follows is the field's name.
                            match term.name() {
                                "_exists_" => clause.hidden = true,
                                name => clause.field = Some(words.names.insert_full(name.to_owned()).0),
                            }
                            continue;
                        }
                        _ if clause.hidden || (clause.field.is_some() && term.is_range()) => {}
                        _ => words.keep(term.text(), clause.field),
                    }
                }
            }
            self.skip_suffix();
            clause = group;
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn skip_while(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }

    /// A phrase's text, from its opening quote through the closing one or the end.
    fn phrase(&mut self) -> String {
        self.next();
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => text.extend(self.escaped()),
                c => text.push(c),
            }
        }
        text
    }

    fn term(&mut self) -> Term<'a> {
        let start = self.rest;
        let mut literal = String::new();
        let mut wildcard_behind = false;
        let mut has_gap = false;
        while let Some(c) = self.peek() {
            let literally = match c {
                '*' | '?' => {
                    self.next();
                    wildcard_behind = !literal.is_empty();
                    continue;
                }
                '\\' => {
                    self.next();
                    self.escaped()
                }
                c if is_term(c) => self.next(),
                _ => break,
            };
            has_gap |= wildcard_behind;
            literal.extend(literally);
        }
        Term { image: &start[..start.len() - self.rest.len()], literal, has_gap }
    }

    /// What a backslash, already read, stands for: `\uXXXX` is a UTF-16 unit, any other character is itself.
    fn escaped(&mut self) -> Option<char> {
        let c = self.next()?;
        if c != 'u' {
            return Some(c);
        }
        let Some(unit) = self.unit() else { return Some(c) };
        let after = self.rest;
        let low = match self.rest.strip_prefix("\\u") {
            Some(rest) if (0xD800..0xDC00).contains(&unit) => {
                self.rest = rest;
                self.unit()
            }
            _ => None,
        };
        let decoded = char::decode_utf16([unit].into_iter().chain(low)).next()?;
        if decoded.is_err() {
            self.rest = after;
        }
        Some(decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        u16::from_str_radix(digits, 16).ok()
    }

    /// The colon that makes the term before it a field.
    fn skip_colon(&mut self) -> bool {
        let behind = self.rest.trim_start_matches(is_space).strip_prefix(':');
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// `[a TO b]`, `{a TO "b"}`, or a mixture.
    fn skip_range(&mut self) {
        self.next();
        loop {
            self.skip_while(is_space);
            match self.peek() {
                Some('"') => drop(self.phrase()),
                Some(']' | '}') | None => break,
                _ => self.skip_while(|c| !matches!(c, ' ' | ']' | '}')),
            }
        }
        self.next();
    }

    /// `/expression/`, or the rest where nothing closes it.
    fn skip_regex(&mut self) {
        self.next();
        let mut before = '/';
        while let Some(c) = self.next() {
            if c == '/' && before != '\\' {
                break;
            }
            before = c;
        }
    }

    /// Boost, fuzziness or slop: `^2`, `~1`, `~0.8^3`.
    fn skip_suffix(&mut self) {
        loop {
            match self.peek() {
                Some('^') => {
                    self.next();
                    self.skip_while(|c| c.is_ascii_digit() || c == '.');
                }
                Some('~') => {
                    self.next();
                    self.skip_while(is_term);
                    while self.peek() == Some('\\') {
                        self.next();
                        self.next();
                        self.skip_while(is_term);
                    }
                }
                _ => break,
            }
        }
    }
}

struct Term<'a> {
    /// As written.
    image: &'a str,
    /// Without backslashes and wildcards.
    literal: String,
    /// Whether a wildcard lies between two characters.
    has_gap: bool,
}

impl Term<'_> {
    /// `qui*` is the beginning of a word, and says something; of `w?ne` nobody knows the word.
    fn text(&self) -> &str {
        if self.has_gap { "" } else { &self.literal }
    }

    fn name(&self) -> &str {
        if self.image == "*" { "*" } else { &self.literal }
    }

    /// `>=10`, which is a range behind a field only.
    fn is_range(&self) -> bool {
        self.image.starts_with(['<', '>']) && self.image.len() > 1
    }
}

/// White space between tokens.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{3000}')
}

/// What a term is made of, besides escapes. At its beginning `+` and `-` are operators.
fn is_term(c: char) -> bool {
    !is_space(c)
        && !matches!(c, '!' | '(' | ')' | ':' | '^' | '[' | ']' | '"' | '{' | '}' | '~' | '*' | '?' | '\\' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(query: &str, syntax: Syntax) -> String {
        read(query, syntax).texts.join(" ")
    }

    #[test]
    fn words_are_kept_and_syntax_is_left_out() {
        for (query, expected) in [
            ("quick brown fox", "quick brown fox"),
            ("title:quick AND (brown OR fox)", "quick brown fox"),
            ("\"quick brown\"~2 fox^3", "quick brown fox"),
            ("a~1\\*b c ~2 d", "a c d"),
            ("(quick brown)^2.5 fox~ \"red dog\"^2~3 cat~0.8^3 end", "quick brown fox red dog cat end"),
            ("  ", ""),
            ("((((", ""),
            (")) a", "a"),
            ("a && b || c", "a b c"),
            ("well-known x&y a&&b c|d ANDROID", "well-known x&y a&&b c|d ANDROID"),
            ("red\u{3000}wine", "red wine"),
            ("東京 タワー", "東京 タワー"),
        ] {
            assert_eq!(text(query, Syntax::Classic), expected, "{query}");
        }
    }

    #[test]
    fn what_must_not_match_is_left_out() {
        for (query, expected) in [
            ("quick -brown NOT fox !dog +cat", "quick cat"),
            ("quick AND NOT brown OR fox", "quick fox"),
            ("quick -(brown fox) dog", "quick dog"),
            ("-title:(brown (very) fox) dog", "dog"),
            ("NOT title:\"brown fox\" dog", "dog"),
            ("!title:brown^2 dog", "dog"),
            ("-(a (b -c) d)^2 e", "e"),
            ("+(a -(b c) d)", "a d"),
            ("-[a TO b] c -/x/ d -\"y z\"~2 e", "c d e"),
            ("a - b ! c + d", "a b c d"),
            ("well-known -un-known", "well-known"),
        ] {
            assert_eq!(text(query, Syntax::Classic), expected, "{query}");
        }
    }

    #[test]
    fn ranges_and_patterns_are_no_text() {
        for (query, expected) in [
            ("price:[1 TO 5} wine", "wine"),
            ("date:{* TO \"2012]01 \\\" x\"]^2 wine", "wine"),
            ("age:>=10 wine <3", "wine <3"),
            ("age:(>=10 AND <20) wine", "wine"),
            ("name:/joh?n(ath[oa]n)/ wine /a\\/b/^2 red", "wine red"),
            ("*", ""),
            ("*:*", ""),
            ("title:* ??", ""),
            ("qui* *ick *uic* b?own wo*n o? a", "qui ick uic o a"),
            ("_exists_:title _exists_:(a b) wine", "wine"),
        ] {
            assert_eq!(text(query, Syntax::Classic), expected, "{query}");
        }
    }

    #[test]
    fn escaped_characters_are_themselves() {
        for (query, expected) in [
            (r"AC\/DC \(live\) a\:b \-c \*", "AC/DC (live) a:b -c *"),
            (r#""say \"hi\" \\ now""#, r#"say "hi" \ now"#),
            (r"caf\u00e9 \uD83D\uDE00 \uD83Dx \uD83D\u0041 \u12", "café 😀 \u{FFFD}x \u{FFFD}A u12"),
            (r"\AND \NOT a", "AND NOT a"),
            (r"two\ words\", "two words"),
            (r"ti\:tle:a", "a"),
        ] {
            assert_eq!(text(query, Syntax::Classic), expected, "{query}");
        }
    }

    #[test]
    fn fields_are_those_that_words_were_looked_for_in() {
        for (query, texts, fields) in [
            ("red wine", vec!["red wine"], vec![None]),
            ("title:red", vec!["red"], vec![Some("title")]),
            ("title : red wine", vec!["red", "wine"], vec![Some("title"), None]),
            ("title:(red wine) OR body:(red wine)", vec!["red wine", "red wine"], vec![Some("title"), Some("body")]),
            (
                "title:(red body:(wine dry) old) x",
                vec!["red", "wine dry", "old", "x"],
                vec![Some("title"), Some("body"), None],
            ),
            (r"book.\*:(quick) *:brown", vec!["quick", "brown"], vec![Some("book.*"), Some("*")]),
            ("-title:red year:[1 TO 2] _exists_:a body:* wine", vec!["wine"], vec![None]),
            ("", vec![], vec![]),
        ] {
            let found = read(query, Syntax::Classic);
            assert_eq!(found.texts, texts, "{query}");
            assert_eq!(found.fields.iter().map(Option::as_deref).collect::<Vec<_>>(), fields, "{query}");
        }
    }

    /// A reader that looks back or ahead too far would take hours here.
    #[test]
    fn hostile_queries_are_read_in_one_pass() {
        let patterns = [
            "(", ")", "-(", "a:", "a:(", "\"", "\\\"", "/", r"\\/", "[", "[\"", "~", "^", "a ", " ", "*", r"\u",
            r"\uD83D", "(\"", "a) ",
        ];
        let long_name = format!("{}:({})", "n".repeat(100_000), "a b:x ".repeat(20_000));
        let groups = "(".repeat(100_000) + &"a) ".repeat(100_000);
        for query in patterns.into_iter().map(|pattern| pattern.repeat(100_000)).chain([long_name, groups]) {
            for syntax in [Syntax::Classic, Syntax::Simple] {
                let _ = read(&query, syntax);
            }
        }
    }

    /// One word of the classic syntax that means exactly `word`.
    fn escape(word: &str) -> String {
        let operator = matches!(word, "AND" | "OR" | "NOT" | "&&" | "||");
        let escaped = word.chars().enumerate().flat_map(|(at, c)| {
            let special = !c.is_alphanumeric() || (operator && at == 0);
            special.then_some('\\').into_iter().chain([c])
        });
        escaped.collect()
    }

    proptest! {
        #[test]
        fn any_query_is_read(query in r#"([a-z:()"\[\]{}/\\+!&|^~*? é\u{3000}-]|\\u[0-9a-fD]{0,4}|NOT |AND |_exists_:){0,60}"#) {
            for syntax in [Syntax::Classic, Syntax::Simple] {
                let found = read(&query, syntax);
                prop_assert!(text(&query, syntax).len() <= query.len() + 1);
                prop_assert!(found.texts.iter().all(|text| text.trim() == text && !text.is_empty()));
                prop_assert_eq!(found.texts.is_empty(), found.fields.is_empty());
            }
        }

        #[test]
        fn any_characters_are_read(query in any::<String>()) {
            for syntax in [Syntax::Classic, Syntax::Simple] {
                let _ = read(&query, syntax);
            }
        }

        #[test]
        fn escaped_words_come_back(words in proptest::collection::vec(r"[^\s]{1,8}|AND|OR|NOT|&&", 0..6)) {
            let query = words.iter().map(|word| escape(word)).collect::<Vec<_>>().join(" ");
            let expected = words.join(" ");
            prop_assert_eq!(text(&query, Syntax::Classic), expected.clone());
            prop_assert_eq!(text(&query, Syntax::Simple), expected);
        }
    }
}
