//! What a hit is about, in a few words, for a person who compares two orders. Owns which of its texts these are taken from.

use serde_json::Value;

use super::search::Engine;

/// The longest that is shown of a text, in characters.
const LONGEST: usize = 160;

/// Members that are shown rather than others, in this order.
const TITLES: [&str; 7] = ["title", "name", "headline", "subject", "heading", "question", "text"];

/// The words of a hit: its title, or else its first text; nothing where it shows none.
pub(super) fn shown(engine: &Engine, hit: &Value) -> String {
    let source = match engine {
        Engine::Elastic => &hit["_source"],
        Engine::Solr { .. } => hit,
    };
    let Some(members) = source.as_object() else { return String::new() };
    let title = TITLES.iter().find_map(|title| {
        let named = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(title));
        named.and_then(|(_, value)| text(value))
    });
    // An id or a URL has no blank in it.
    let first = || members.values().filter_map(text).find(|text| text.contains(' '));
    let words = title.or_else(first).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        Value::Array(values) => values.first().and_then(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hit_is_shown_by_its_title_or_its_first_text() {
        let elastic = |source: Value| shown(&Engine::Elastic, &json!({"_id": "a", "_source": source}));
        assert_eq!(elastic(json!({"text": "long", "Title": " Red\n wine "})), "Red wine");
        assert_eq!(elastic(json!({"sku": "a1", "body": "two words"})), "two words");
        assert_eq!(elastic(json!({"n": 1})), "");
        assert_eq!(shown(&Engine::Elastic, &json!({"_id": "a"})), "");
        assert_eq!(elastic(json!({"title": "é".repeat(500)})).chars().count(), LONGEST + 1);
        let solr = Engine::Solr { unique_key: "id".to_owned() };
        assert_eq!(shown(&solr, &json!({"id": "a", "title": ["one", "two"]})), "one");
    }
}
