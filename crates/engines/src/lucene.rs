//! Text out of the Lucene query syntax (`query_string`, `?q=`) and, in [`simple`], out of `simple_query_string`. Owns
//! which parts of such a query are words that someone looked for: operators, field names, ranges, patterns and whatever
//! must *not* match are left out. Pure; never fails, since the engine itself judges the syntax.

mod simple;
mod words;

pub(super) use words::Found;
use words::{Field, Words};

/// The two syntaxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `query_string` and `?q=`: Lucene's classic query parser.
    Classic,
    /// `simple_query_string`: no field names, no words as operators.
    Simple,
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

/// The scope of a clause: the field it looks in, and whether it says what must *not* match.
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

    /// The character that a backslash, already read, stands for: `\uXXXX` is a UTF-16 unit, any other character is
    /// itself.
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
    /// True if a wildcard lies between two characters.
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

/// True if a term is made of such characters, besides escapes. At its beginning `+` and `-` are operators.
fn is_term(c: char) -> bool {
    !is_space(c)
        && !matches!(c, '!' | '(' | ')' | ':' | '^' | '[' | ']' | '"' | '{' | '}' | '~' | '*' | '?' | '\\' | '/')
}

#[cfg(test)]
mod tests;
