//! Text analysis: what counts as one token. Follows Elasticsearch's `standard` analyzer (Unicode word boundaries,
//! UAX #29, then lower case; no stop words, no stemming) closely enough for Latin, Greek and Cyrillic text, and takes
//! ideographs one by one. Also the `*`/`?` patterns that names and terms are matched with.

use tantivy::tokenizer::{PreTokenizedString, Token};

/// The tokens of `text`, lower-cased, in order.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    spans(text).map(|(start, end)| text[start..end].to_lowercase()).collect()
}

/// `text` with its tokens, in the form in which tantivy takes them.
pub(crate) fn pre_tokenized(text: &str) -> PreTokenizedString {
    let tokens = spans(text).enumerate().map(|(position, (offset_from, offset_to))| Token {
        offset_from,
        offset_to,
        position,
        text: text[offset_from..offset_to].to_lowercase(),
        position_length: 1,
    });
    PreTokenizedString { tokens: tokens.collect(), text: text.to_owned() }
}

/// The byte ranges of the words in `text`.
fn spans(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = rest.find(|(_, character)| is_word(*character))?;
        let mut end = start + first.len_utf8();
        if is_ideograph(first) {
            return Some((start, end));
        }
        let mut last = first;
        while let Some(&(at, character)) = rest.peek() {
            let continues = if is_word(character) {
                !is_ideograph(character)
            } else {
                let next = text[at + character.len_utf8()..].chars().next();
                next.is_some_and(|next| joins(last, character, next))
            };
            if !continues {
                break;
            }
            rest.next();
            end = at + character.len_utf8();
            last = character;
        }
        Some((start, end))
    })
}

/// True for a character that is part of a word by itself (ALetter, Numeric, ExtendNumLet).
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || is_combining(character)
}

/// True where punctuation between `before` and `after` keeps them one word: `don't`, `U.S.`, `3.14`, `1,000` (rules
/// WB6, WB7, WB11 and WB12).
fn joins(before: char, middle: char, after: char) -> bool {
    let letters = before.is_alphabetic() && after.is_alphabetic() && !is_ideograph(after);
    let digits = before.is_numeric() && after.is_numeric();
    match middle {
        '.' | '\'' | '\u{2018}' | '\u{2019}' | '\u{2024}' => letters || digits,
        '\u{b7}' | '\u{387}' => letters,
        ',' | ';' => digits,
        _ => false,
    }
}

/// Combining diacritical marks, which extend the letter before them.
fn is_combining(character: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&character)
}

/// Han and kana, which have no spaces between words.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{309f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2fa1f}')
}

/// True where `pattern`, in which `*` stands for any text and `?` for one character, matches all of `text`.
pub(crate) fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to resume after a mismatch: the last star, and how much of the text it has swallowed.
    let mut resume: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                resume = Some((p, t));
                p += 1;
            }
            Some(&character) if character == '?' || character == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, swallowed)) = resume else { return false };
                resume = Some((star, swallowed + 1));
                p = star + 1;
                t = swallowed + 1;
            }
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_break_where_the_standard_analyzer_breaks_them() {
        assert_eq!(
            tokens("Don't panic: it's 3.5 km, (1,000 m)."),
            ["don't", "panic", "it's", "3.5", "km", "1,000", "m"]
        );
        assert_eq!(tokens("wi-fi E17 foo_bar a.b. x..y"), ["wi", "fi", "e17", "foo_bar", "a.b", "x", "y"]);
        assert_eq!(tokens("Crème BRÛLÉE 東京へ"), ["crème", "brûlée", "東", "京", "へ"]);
        assert!(tokens(" -- ! ").is_empty());
    }

    #[test]
    fn a_star_matches_any_text_and_backtracks() {
        assert!(wildcard_matches("products-*", "products-2024"));
        assert!(wildcard_matches("*", ""));
        assert!(wildcard_matches("a*b*c", "axxbyybzc"));
        assert!(wildcard_matches("t?a", "tea"));
        assert!(!wildcard_matches("a*b", "acbd"));
        assert!(!wildcard_matches("", "x"));
    }
}
