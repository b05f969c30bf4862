//! Queries in the Lucene syntaxes, and what is read out of them.

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
        "(", ")", "-(", "a:", "a:(", "\"", "\\\"", "/", r"\\/", "[", "[\"", "~", "^", "a ", " ", "*", r"\u", r"\uD83D",
        "(\"", "a) ",
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
