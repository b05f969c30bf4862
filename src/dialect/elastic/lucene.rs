//! Text out of the Lucene query syntax (`query_string`, `?q=`) and out of `simple_query_string`. Owns which parts of
//! such a query are words that someone looked for: operators, field names, ranges, patterns and whatever must *not*
//! match are left out. Pure; never fails, since the engine itself judges the syntax.

/// Which of the two syntaxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `query_string` and `?q=`: <https://lucene.apache.org/core/10_0_0/queryparser/org/apache/lucene/queryparser/classic/package-summary.html>
    Classic,
    /// `simple_query_string`: no field names, no words as operators.
    Simple,
}

/// The words of `query`, in order, separated by single spaces.
pub(super) fn text(query: &str, syntax: Syntax) -> String {
    let chars: Vec<char> = query.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, syntax };
    let mut words = Vec::new();
    reader.sequence(&mut words);
    words.join(" ")
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    syntax: Syntax,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Reads clauses up to the end, or through the closing parenthesis of a group.
    ///
    /// Groups are counted, not recursed into, so that no depth of parentheses can exhaust the stack. A negation holds
    /// for the one clause after it: a word, a phrase or a whole group.
    fn sequence(&mut self, words: &mut Vec<String>) {
        let mut depth = 0_usize;
        let mut negated_group: Option<usize> = None;
        let mut negate = false;
        while let Some(c) = self.peek() {
            let hidden = negate || negated_group.is_some();
            match c {
                '(' => {
                    depth += 1;
                    if negate && negated_group.is_none() {
                        negated_group = Some(depth);
                    }
                    negate = false;
                    self.at += 1;
                }
                ')' => {
                    if negated_group == Some(depth) {
                        negated_group = None;
                    }
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                    self.suffix();
                }
                '-' => {
                    negate = true;
                    self.at += 1;
                }
                '!' if self.syntax == Syntax::Classic => {
                    negate = true;
                    self.at += 1;
                }
                '+' | '|' | '&' => self.at += 1,
                '"' => {
                    let phrase = self.phrase();
                    keep(words, phrase, hidden);
                    negate = false;
                }
                '[' | '{' if self.syntax == Syntax::Classic => {
                    self.skip_through(&[']', '}']);
                    negate = false;
                }
                '/' if self.syntax == Syntax::Classic => {
                    self.skip_through(&['/']);
                    negate = false;
                }
                c if c.is_whitespace() => self.at += 1,
                _ => match self.word() {
                    Word::Field => {}
                    Word::Not => negate = true,
                    Word::Operator => negate = false,
                    Word::Text(text) => {
                        keep(words, text, hidden);
                        negate = false;
                    }
                },
            }
        }
    }

    fn phrase(&mut self) -> String {
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => break,
                '\\' => text.extend(self.escaped()),
                c => text.push(c),
            }
        }
        self.suffix();
        text
    }

    fn word(&mut self) -> Word {
        let start = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    self.at += 1;
                    text.extend(self.escaped());
                    continue;
                }
                ':' if self.syntax == Syntax::Classic => {
                    self.at += 1;
                    // `field:>=10` is a range.
                    if self.peek().is_some_and(|c| matches!(c, '>' | '<')) {
                        self.skip_through(&[' ']);
                    }
                    return Word::Field;
                }
                '^' | '~' => {
                    self.suffix();
                    break;
                }
                '*' | '?' if self.syntax == Syntax::Classic => {}
                '*' => {}
                '(' | ')' | '"' => break,
                '|' if self.syntax == Syntax::Simple => break,
                c if c.is_whitespace() => break,
                c => text.push(c),
            }
            self.at += 1;
        }
        // Never stand still, whatever the character.
        self.at = self.at.max(start + 1);
        match (self.syntax, text.as_str()) {
            (Syntax::Classic, "NOT") => Word::Not,
            (Syntax::Classic, "AND" | "OR" | "&&" | "||") => Word::Operator,
            _ => Word::Text(text),
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += 1;
        c
    }

    /// A boost or fuzziness: `^2`, `~1`, `~0.8^3`.
    fn suffix(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, '^' | '~')) {
            self.at += 1;
            while self.peek().is_some_and(|c| c.is_ascii_digit() || c == '.') {
                self.at += 1;
            }
        }
    }

    fn skip_through(&mut self, ends: &[char]) {
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            if ends.contains(&c) {
                break;
            }
        }
    }
}

enum Word {
    Field,
    Not,
    Operator,
    Text(String),
}

fn keep(words: &mut Vec<String>, text: String, hidden: bool) {
    let text = text.trim();
    if !hidden && !text.is_empty() {
        words.push(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_kept_and_syntax_is_left_out() {
        for (query, expected) in [
            ("quick brown fox", "quick brown fox"),
            ("title:quick AND (brown OR fox)", "quick brown fox"),
            ("\"quick brown\"~2 fox^3", "quick brown fox"),
            ("quick -brown NOT fox !dog +cat", "quick cat"),
            ("quick -(brown fox) dog", "quick dog"),
            ("-title:(brown (very) fox) dog", "dog"),
            ("price:[1 TO 5} wine", "wine"),
            ("age:>=10 wine /wh?i.*y/ red", "wine red"),
            ("qui* w?ne fuzzy~1", "qui wne fuzzy"),
            (r"AC\/DC \(live\) a\:b", "AC/DC (live) a:b"),
            ("well-known x&y", "well-known x&y"),
            ("  ", ""),
            ("((((", ""),
            ("a && b || c", "a b c"),
        ] {
            assert_eq!(text(query, Syntax::Classic), expected, "{query}");
        }
    }

    #[test]
    fn the_simple_syntax_has_no_fields_and_no_operator_words() {
        for (query, expected) in [
            ("time: 10 AND more", "time: 10 AND more"),
            ("\"fried eggs\" +(eggplant | potato) -frittata", "fried eggs eggplant potato"),
            ("a|b cof* tea~1", "a b cof tea"),
        ] {
            assert_eq!(text(query, Syntax::Simple), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(query in r#"[a-z:()"\[\]{}/\\+\-!&|^~*? é]{0,60}"#) {
            for syntax in [Syntax::Classic, Syntax::Simple] {
                let words = text(&query, syntax);
                prop_assert!(words.len() <= query.len() + 1);
            }
        }
    }
}
