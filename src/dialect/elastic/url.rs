//! The query string of a search. Owns reading parameters by name and setting `from` and `size` without touching any
//! other byte. Pure.

use http::uri::{InvalidUri, PathAndQuery};
use percent_encoding::percent_decode_str;

/// `text` percent-decoded; bytes that are no UTF-8 become U+FFFD.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The last value of the parameter `name`, decoded (`+` is a space); `""` where it has no value.
///
/// The last one counts, as in the engines' own map of parameters.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.rev().find(|(key, _)| decode_form(key) == name)?.1;
    Some(decode_form(value))
}

fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// The same path and query string, asking for the hits `0..size`. Parameters in the URL win over those in the body, so
/// the body can stay as it is.
pub(super) fn with_hits(path_and_query: &PathAndQuery, size: usize) -> Result<PathAndQuery, InvalidUri> {
    let mut text = path_and_query.path().to_owned();
    text.push('?');
    for pair in path_and_query.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        if !matches!(decode_form(key).as_str(), "from" | "size") {
            text.push_str(pair);
            text.push('&');
        }
    }
    text.push_str("from=0&size=");
    text.push_str(&size.to_string());
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_last_one_counts() {
        let query = Some("q=red+wine%21&pretty&size=1&size=2");
        assert_eq!(parameter(query, "q").as_deref(), Some("red wine!"));
        assert_eq!(parameter(query, "pretty").as_deref(), Some(""));
        assert_eq!(parameter(query, "size").as_deref(), Some("2"));
        assert_eq!(parameter(query, "from"), None);
        assert_eq!(parameter(None, "from"), None);
    }

    #[test]
    fn setting_the_hits_leaves_every_other_byte_alone() {
        let with = |text: &str| with_hits(&text.parse().expect("a path"), 50).expect("a path").to_string();
        assert_eq!(with("/a/./b/_search"), "/a/./b/_search?from=0&size=50");
        assert_eq!(with("/_search?q=%20x+y&size=3&fr%6Fm=4&pretty"), "/_search?q=%20x+y&pretty&from=0&size=50");
    }
}
