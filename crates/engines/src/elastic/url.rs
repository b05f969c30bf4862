//! The query string of a search. Owns reading parameters by name and changing some without touching any other
//! byte. Pure.

use std::collections::HashMap;

use http::uri::{InvalidUri, PathAndQuery};
use percent_encoding::percent_decode_str;

/// `text` percent-decoded; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The last value of the parameter `name`, decoded (`+` is a space); `""` where it has no value.
///
/// The last one counts, as in the engines' own map of parameters.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = pairs(query?).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.rev().find(|(key, _)| decode_form(key) == name)?.1;
    Some(decode_form(value))
}

/// The parameters of a query string, decoded once to be asked for by name: what [`parameter`] gives.
#[derive(Debug, Default)]
pub(crate) struct Parameters(HashMap<String, String>);

impl Parameters {
    pub(crate) fn of(query: Option<&str>) -> Self {
        let pairs = pairs(query.unwrap_or_default()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(name, value)| (decode_form(name), decode_form(value))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Both engines take a semicolon for an ampersand.
fn pairs(query: &str) -> impl DoubleEndedIterator<Item = &str> {
    query.split(['&', ';']).filter(|pair| !pair.is_empty())
}

fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// The same path and query string without the parameters `names`, and with `added` at its end.
pub(crate) fn edited(path_and_query: &PathAndQuery, names: &[&str], added: &str) -> Result<PathAndQuery, InvalidUri> {
    let query = path_and_query.query().unwrap_or_default();
    let kept = pairs(query).filter(|pair| {
        let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
        !names.contains(&decode_form(key).as_str())
    });
    let query: Vec<&str> = kept.chain(Some(added).filter(|added| !added.is_empty())).collect();
    match (path_and_query.path(), query.join("&")) {
        (path, query) if query.is_empty() => path.parse(),
        (path, query) => format!("{path}?{query}").parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_last_one_counts() {
        let query = Some("q=red+wine%21&pretty;size=1&size=2;x=3");
        assert_eq!(parameter(query, "q").as_deref(), Some("red wine!"));
        assert_eq!(parameter(query, "pretty").as_deref(), Some(""));
        assert_eq!(parameter(query, "size").as_deref(), Some("2"));
        assert_eq!(parameter(query, "from"), None);
        assert_eq!(parameter(query, "x").as_deref(), Some("3"));
        assert_eq!(parameter(None, "from"), None);
    }

    #[test]
    fn an_edit_leaves_every_other_byte_alone() {
        let edited = |text: &str, added: &str| {
            let path_and_query = text.parse().expect("a path");
            edited(&path_and_query, &["from", "size"], added).expect("a path").to_string()
        };
        assert_eq!(edited("/a/./b/_search", "size=50"), "/a/./b/_search?size=50");
        assert_eq!(edited("/_search?q=%20x+y&size=3&fr%6Fm=4&pretty", "size=5"), "/_search?q=%20x+y&pretty&size=5");
        assert_eq!(edited("/_search?size=3", ""), "/_search");
        assert_eq!(edited("/_search?pretty;size=3", ""), "/_search?pretty");
    }
}
