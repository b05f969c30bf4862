//! The defaults of request handlers, which hold where a client says nothing (`defaults` in solrconfig.xml,
//! `initParams`, `useParams`): which parser reads `q`, in which fields, what documents show, how long a page is. Owns
//! how that is asked for (once in a while, of each handler, in a client's name) and remembered. Bounded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::uri::PathAndQuery;
use serde::Deserialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::params::{Params, encoded};

/// The most handlers that are remembered.
const MOST: u64 = 10_000;
/// The time for which a handler's word counts before it is asked again; configurations change.
const FRESH: Duration = Duration::from_mins(1);
/// The time for which it is remembered after its last use, to go by where the handler does not answer.
const IDLE: Duration = Duration::from_hours(1);

/// Parameters of ours, and one that Solr makes up for each request: none of them is a default.
const OURS: [&str; 4] = ["echoParams", "omitHeader", "indent", "rid"];
/// Parameters of the client that decide which defaults there are, or in which form they are told.
const DECIDING: [&str; 3] = ["qt", "useParams", "wt"];

/// A handler's defaults, and when they were told.
#[derive(Debug, Clone)]
struct Told(Arc<Params>, Instant);

/// The handlers by a hash of what they are asked.
#[derive(Debug)]
pub(crate) struct Handlers(moka::sync::Cache<u128, Told>);

impl Default for Handlers {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(MOST).time_to_idle(IDLE).build())
    }
}

impl Handlers {
    /// The question to the handler at `path`, if it must be asked; `sent` are the client's own parameters.
    pub(super) fn question(&self, path: &str, sent: &Params) -> Option<PathAndQuery> {
        let question = question(path, sent);
        let told = self.0.get(&key(&question));
        if told.is_some_and(|Told(_, at)| at.elapsed() < FRESH) {
            return None;
        }
        question.parse().ok()
    }

    /// Remembers the answer. One that does not tell changes nothing.
    pub(super) fn learn(&self, path: &str, sent: &Params, answer: &[u8]) {
        if let Some(defaults) = defaults(answer, sent) {
            self.0.insert(key(&question(path, sent)), Told(Arc::new(defaults), Instant::now()));
        }
    }

    /// The defaults, as far as they are known.
    pub(super) fn defaults(&self, path: &str, sent: &Params) -> Option<Arc<Params>> {
        self.0.get(&key(&question(path, sent))).map(|Told(defaults, _)| defaults)
    }
}

/// A search for nothing, of which Solr repeats all parameters, filled in.
fn question(path: &str, sent: &Params) -> String {
    let deciding = DECIDING.iter().filter_map(|name| Some(encoded(name, sent.first(name)?)));
    let own = "echoParams=all&omitHeader=false&indent=off".to_owned();
    format!("{path}?{}", std::iter::once(own).chain(deciding).collect::<Vec<_>>().join("&"))
}

fn key(question: &str) -> u128 {
    xxh3_128(question.as_bytes())
}

fn defaults(answer: &[u8], sent: &Params) -> Option<Params> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "responseHeader")]
        header: Header,
    }
    #[derive(Deserialize)]
    struct Header {
        params: Map<String, Value>,
    }
    let told: Answer = serde_json::from_slice(answer).ok()?;
    // A handler that will not repeat everything leaves us in the dark.
    if told.header.params.get("echoParams")? != "all" {
        return None;
    }
    let mut defaults = Params::default();
    for (name, value) in told.header.params {
        if OURS.contains(&name.as_str()) || (DECIDING.contains(&name.as_str()) && sent.has(&name)) {
            continue;
        }
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            defaults.push(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    Some(defaults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_asked_once_for_what_it_fills_in() {
        let handlers = Handlers::default();
        let sent = Params::read("q=x&wt=json&useParams=a,b");
        let question = handlers.question("/solr/books/select", &sent).expect("not known yet");
        assert_eq!(question, "/solr/books/select?echoParams=all&omitHeader=false&indent=off&useParams=a,b&wt=json");
        for dark in [&b""[..], b"{}", br#"{"responseHeader":{"params":{"echoParams":"explicit"}}}"#] {
            handlers.learn("/solr/books/select", &sent, dark);
            assert_eq!(handlers.defaults("/solr/books/select", &sent), None);
        }
        let answer = br#"{"responseHeader":{"params":{"echoParams":"all","indent":"off","wt":"json","df":"text","fl":["a","b"],"rows":"20"}}}"#;
        handlers.learn("/solr/books/select", &sent, answer);
        let defaults = handlers.defaults("/solr/books/select", &sent).expect("known");
        assert_eq!(*defaults, Params::read("df=text&fl=a&fl=b&rows=20"));
        assert_eq!(handlers.question("/solr/books/select", &sent), None);
        assert_eq!(handlers.defaults("/solr/books/query", &sent), None);
    }
}
