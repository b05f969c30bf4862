//! Texts as clients write them in JSON. Owns that any string can be read: half of a surrogate pair (which Python writes where
//! a text was cut in the middle of an emoji) is a character that cannot be shown, and no reason to refuse a text. And owns
//! what the text of a document is. Pure.

use std::borrow::Cow;

use engines::{
    json,
    passage::{Content, Document, PassageSpec},
};
use memchr::memchr;
use serde::de::IgnoredAny;
use serde_json::Value;

/// An escape: a backslash, `u`, and four digits.
const ESCAPE: usize = 6;

/// The same JSON, with U+FFFD for each half of a surrogate pair that lacks the other one. Everything stays in its place.
pub(super) fn with_whole_pairs(json: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(next) = memchr(b'\\', &json[at..]) {
        at += next;
        at += match (unit(json, at), unit(json, at + ESCAPE)) {
            (None, _) => 2,
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * ESCAPE,
            (Some(0xd800..=0xdfff), _) => {
                text.to_mut()[at..at + ESCAPE].copy_from_slice(br"\ufffd");
                ESCAPE
            }
            (Some(_), _) => ESCAPE,
        };
        at = at.min(json.len());
    }
    text
}

/// The unit of UTF-16 that the escape at `at` stands for, if it is one that does.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix(br"\u")?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// How these fields are read: as those of a rule are of a hit. `None` where there are none.
pub(crate) fn of_fields(names: Vec<String>) -> Option<PassageSpec> {
    (!names.is_empty()).then(|| PassageSpec { content: Content::Fields(names), ..PassageSpec::default() })
}

/// The text of a document that nobody has read yet; `None` where it is no JSON, or has none.
pub(crate) fn of_document(json: &[u8], fields: Option<&PassageSpec>) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    of(&with_whole_pairs(json), fields)
}

/// The text of a document in JSON that can be read: a string, or the string `text` of an object, or what `fields` say,
/// which may be nothing.
pub(super) fn of(json: &[u8], fields: Option<&PassageSpec>) -> Option<String> {
    let text = match (json.first()?, fields) {
        (b'{', Some(fields)) => {
            // JSON may be nested deeper, and its numbers larger, than can be read.
            let object: Value = serde_json::from_slice(json).ok()?;
            let document = Document { source: Some(&object), fields: None };
            return Some(fields.passage(document, &[]).unwrap_or_default());
        }
        (b'{', None) => &json[json::member(json, 0, "text")?.value],
        _ => json,
    };
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> String {
        serde_json::from_slice(&with_whole_pairs(json.as_bytes())).unwrap()
    }

    #[test]
    fn any_string_can_be_read() {
        for (json, text) in [
            (r#""plain""#, "plain"),
            (r#""tab\tquote\"""#, "tab\tquote\""),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\ude00 cut \ud83d\ud83d, go on \u00e9""#, "\u{fffd} cut \u{fffd}\u{fffd}, go on é"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d""#, r"\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""""#, ""),
        ] {
            assert_eq!(read(json), text, "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_read_anyway_is_left_alone(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(with_whole_pairs(json.as_bytes()), json.as_bytes());
        }

        #[test]
        fn escapes_of_any_units_can_be_read(units: Vec<u16>) {
            let json = format!("\"{}\"", units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>());
            prop_assert_eq!(read(&json), String::from_utf16_lossy(&units));
        }

        #[test]
        fn nonsense_does_no_harm(text in r"[\\u0dD8a ]{0,40}") {
            prop_assert_eq!(with_whole_pairs(text.as_bytes()).len(), text.len());
        }
    }
}
