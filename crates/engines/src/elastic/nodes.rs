//! The nodes that a cluster names (`GET /_nodes/http`). Owns which of them are to be asked, as the official clients have it, and how
//! their addresses are put in another's place, so that clients which look for nodes keep coming to it. Pure.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, de::IgnoredAny};

use crate::json::{Edits, member, members};
use crate::request::Segments;

#[derive(Deserialize)]
struct NodesInfo {
    nodes: BTreeMap<String, NodeInfo>,
}

#[derive(Deserialize)]
struct NodeInfo {
    #[serde(default)]
    roles: Vec<String>,
    http: Option<HttpInfo>,
}

#[derive(Deserialize)]
struct HttpInfo {
    publish_address: String,
}

/// Host and port of each node that takes requests of clients: all but those whose only business is to be a master.
///
/// # Errors
/// The answer names no nodes.
pub fn addresses(answer: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let info: NodesInfo = serde_json::from_slice(answer)?;
    let nodes = info.nodes.into_values().filter(|node| !is_dedicated_master(&node.roles));
    Ok(nodes.filter_map(|node| Some(address(&node.http?.publish_address))).collect())
}

/// A node without a role coordinates what others do, and takes requests.
fn is_dedicated_master(roles: &[String]) -> bool {
    let is_mastery = |role: &String| matches!(role.as_str(), "master" | "cluster_manager" | "voting_only");
    roles.iter().any(is_mastery) && roles.iter().all(|role| is_mastery(role) || role == "remote_cluster_client")
}

/// Host and port of a node: `10.0.0.1:9200`, or `search-1/10.0.0.1:9200`, of which the name counts, since certificates have it.
fn address(published: &str) -> String {
    match published.split_once('/') {
        Some((name, address)) => match address.rsplit_once(':') {
            Some((_, port)) => format!("{name}:{port}"),
            None => name.to_owned(),
        },
        None => published.to_owned(),
    }
}

/// Whether a request asks by which addresses the nodes are reached.
pub fn is_asked(method: &Method, path: &str) -> bool {
    let segments = Segments::<3>::of(path);
    *method == Method::GET
        && matches!(*segments.as_slice(), ["_nodes"] | ["_nodes", "http"] | ["_nodes", "_all", "http"])
}

/// The answer with `address` (host and port) as that of every node; `None` where it is no JSON. All other bytes stay.
pub fn all_at(answer: &[u8], address: &str) -> Option<Vec<u8>> {
    serde_json::from_slice::<IgnoredAny>(answer).ok()?;
    let address = serde_json::Value::from(address).to_string();
    let mut edits = Edits::default();
    if let Some(nodes) = member(answer, 0, "nodes") {
        for node in members(answer, nodes.value.start) {
            let http = member(answer, node.value.start, "http");
            if let Some(published) = http.and_then(|http| member(answer, http.value.start, "publish_address")) {
                edits.replace(published.value, address.clone());
            }
        }
    }
    Some(edits.applied(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{ "_nodes" : {"total":5}, "cluster_name" : "c", "nodes" : {
      "a": {"name":"a", "roles":["data","master"], "http" : {"bound_address":["[::]:9200"], "publish_address" : "10.0.0.1:9200"}},
      "b": {"name":"b","roles":["master","remote_cluster_client"],"http":{"publish_address":"10.0.0.2:9200"}},
      "c": {"name":"c","roles":[],"http":{"publish_address":"search-3/10.0.0.3:9201"}},
      "d": {"name":"d","roles":["cluster_manager"],"http":{"publish_address":"[::1]:9200"}},
      "e": {"name":"e","roles":["ingest"],"http":{"publish_address":"[2001:db8::1]:9200"}},
      "f": {"name":"f","roles":["data"],"transport":{"publish_address":"10.0.0.1:9300"}} } }"#;

    #[test]
    fn nodes_are_found_but_for_dedicated_masters() {
        let found = addresses(ANSWER.as_bytes()).unwrap();
        assert_eq!(found, ["10.0.0.1:9200", "search-3:9201", "[2001:db8::1]:9200"]);
        assert!(addresses(b"{}").is_err());
        assert!(addresses(b"<html>").is_err());
    }

    #[test]
    fn only_the_published_addresses_change() {
        let edited = String::from_utf8(all_at(ANSWER.as_bytes(), "proxy:9700").unwrap()).unwrap();
        let mut expected = ANSWER.to_owned();
        for address in ["10.0.0.1:9200", "10.0.0.2:9200", "search-3/10.0.0.3:9201", "[::1]:9200", "[2001:db8::1]:9200"]
        {
            expected = expected.replace(&format!("\"{address}\""), "\"proxy:9700\"");
        }
        assert_eq!(edited, expected);
        assert!(
            edited.contains("\"publish_address\":\"10.0.0.1:9300\""),
            "other protocols have addresses of their own"
        );
        for other in ["{}", "[]", "{\"nodes\":[1]}", "{\"nodes\":{\"a\":1}}"] {
            assert_eq!(all_at(other.as_bytes(), "x"), Some(other.as_bytes().to_vec()));
        }
        assert_eq!(all_at(b"{\"nodes\":", "x"), None);
    }

    #[test]
    fn what_asks_for_addresses_is_told_by_its_path() {
        for path in ["/_nodes", "/_nodes/http", "/_nodes/_all/http", "/_nodes/http/"] {
            assert!(is_asked(&Method::GET, path), "{path}");
        }
        for path in ["/_nodes/stats", "/_nodes/a/http", "/_nodes/_all/http/x", "/", "/products/_search"] {
            assert!(!is_asked(&Method::GET, path), "{path}");
        }
        assert!(!is_asked(&Method::POST, "/_nodes"));
    }
}
