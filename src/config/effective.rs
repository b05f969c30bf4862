//! The configuration as it counts: each key that has a value, that value, and where it was written. Owns which keys differ between
//! two configurations, and that what is shown of one holds no secret. What a value means is for the tables.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value as Json, json};

use super::reading::{
    mistake::Origin,
    tree::{Node, Value},
};

/// The keys, by their paths: `server.listen`, `rules[0].index`.
#[derive(Clone, Default)]
pub struct Effective(BTreeMap<String, Setting>);

/// The value of a key.
#[derive(Clone)]
struct Setting {
    value: Json,
    /// Where it was written; nowhere if it is the default.
    origin: Origin,
}

impl fmt::Debug for Effective {
    /// Says nothing of the values: some hold passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Effective").field(&self.0.len()).finish()
    }
}

impl Effective {
    /// What is written in `root`, in the words in which the tables understood it, and the defaults of what is not; `read` has both
    /// as far as they are single values.
    pub(super) fn of(root: &Node, read: BTreeMap<String, Json>) -> Self {
        let mut all = BTreeMap::new();
        gather(root, String::new(), &mut all);
        for (key, value) in read {
            let setting = all.entry(key).or_insert(Setting { value: Json::Null, origin: Origin::Nowhere });
            setting.value = value;
        }
        Self(all)
    }

    /// The keys whose values are others in `new`.
    pub fn changed(&self, new: &Self) -> Vec<String> {
        let value = |all: &Self, key: &str| all.0.get(key).map(|setting| setting.value.clone());
        let mut keys: Vec<&String> = self.0.keys().chain(new.0.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter(|key| value(self, key) != value(new, key)).cloned().collect()
    }

    /// Where the value of `key` was written.
    pub fn origin(&self, key: &str) -> Origin {
        self.0.get(key).map_or(Origin::Nowhere, |setting| setting.origin.clone())
    }

    /// The keys that have a value.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// For people: each key with its value and where that is from, without passwords.
    pub fn shown(&self) -> Json {
        let shown = |(key, Setting { value, origin }): (&String, &Setting)| {
            let from = match origin {
                Origin::Nowhere => "default".to_owned(),
                known => known.to_string(),
            };
            (key.clone(), json!({"value": without_secrets(value), "from": from}))
        };
        Json::Object(self.0.iter().map(shown).collect::<Map<_, _>>())
    }
}

/// Adds what stands at `path` and below it. A list of tables has numbers in its paths, another list is one value.
fn gather(node: &Node, path: String, all: &mut BTreeMap<String, Setting>) {
    let is_table = |node: &Node| matches!(node.value, Value::Table(_));
    match &node.value {
        Value::Table(table) => {
            for (key, node) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                gather(node, path, all);
            }
        }
        Value::List(entries) if !entries.is_empty() && entries.iter().all(is_table) => {
            entries.iter().enumerate().for_each(|(place, node)| gather(node, format!("{path}[{place}]"), all));
        }
        _ => _ = all.insert(path, Setting { value: to_json(&node.value), origin: node.origin.clone() }),
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Bool(truth) => json!(truth),
        Value::List(entries) => entries.iter().map(|node| to_json(&node.value)).collect(),
        Value::Table(table) => table.iter().map(|(key, node)| (key.clone(), to_json(&node.value))).collect(),
    }
}

fn without_secrets(value: &Json) -> Json {
    match value {
        Json::String(text) => Json::String(without_password(text)),
        Json::Array(entries) => entries.iter().map(without_secrets).collect(),
        Json::Object(table) => table.iter().map(|(key, value)| (key.clone(), without_secrets(value))).collect(),
        other => other.clone(),
    }
}

/// A text as it is; of a URL neither user and password nor what stands behind `?`, where some servers want a key.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    // What stands behind `?` goes first: an `@` in it ends no password.
    let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, _)| (place, "?***"));
    match place.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{query}"),
        None => format!("{scheme}://{place}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Draft,
        testing::{minimal, written},
    };

    fn effective(text: &str) -> Effective {
        Draft::of(&written(text), &|_| None).effective
    }

    #[test]
    fn each_key_has_its_value_and_where_that_is_from() {
        let shown = effective(&format!("{}window = 7\n[server]\ndrain = \"60s\"\n", minimal())).shown();
        assert_eq!(shown["server.drain"], json!({"value": "1m", "from": "rerank.toml:9"}));
        assert_eq!(shown["server.listen"], json!({"value": "127.0.0.1:9700", "from": "default"}));
        assert_eq!(shown["log.level"], json!({"value": "info", "from": "default"}));
        assert_eq!(shown["rules[0].window"], json!({"value": 7, "from": "rerank.toml:7"}));
        assert_eq!(shown["rules[0].index"], json!({"value": ["*"], "from": "rerank.toml:6"}));
        assert!(shown.get("models.m.batch").is_none(), "a model in a folder has none");
    }

    #[test]
    fn the_same_in_other_words_is_no_change() {
        let one = effective(&format!("{}[server]\ndrain = \"60s\"\nlisten = \"127.0.0.1:9700\"\n", minimal()));
        let other = effective(&format!("{}window = 7\n[server]\ndrain = \"1m\"\n", minimal()));
        assert_eq!(one.changed(&other), ["rules[0].window"]);
    }

    #[test]
    fn no_secret_is_shown() {
        let text = "[cache.redis]\nurl = \"redis://me:s3cret@cache:6379/0\"\n[models.far]\n\
                    url = \"http://:s3cret@far/rerank?key=s3cret\"\napi = \"tei\"\n";
        let effective = effective(text);
        let shown = effective.shown();
        assert_eq!(shown["cache.redis.url"]["value"], "redis://***@cache:6379/0");
        assert_eq!(shown["models.far.url"]["value"], "http://***@far/rerank?***");
        assert!(!format!("{shown} {effective:?}").contains("s3cret"));
        assert_eq!(without_password("http://otel:4318/?key=a@s3cret"), "http://otel:4318/?***");
        let other = super::tests::effective(&text.replace("me:s3cret", "me:an0ther"));
        assert_eq!(effective.changed(&other), ["cache.redis.url"], "a new password is a change");
    }
}
