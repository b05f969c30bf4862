//! The table `[api]`: the rerank API. Owns its keys, defaults and bounds.

use std::{net::SocketAddr, time::Duration};

use bytesize::ByteSize;
use indexmap::IndexMap;

use super::{
    ApiConfig, Keys,
    models::{Models, Variable},
    read::{Findings, Section},
    resolve::{MAX_BUDGET, long_passages, never_fits},
    source::{Node, Value},
};
use crate::{api::digest_of, memory::CALL_COPIES};

/// As many as Cohere takes.
const DOCUMENTS: usize = 10_000;
/// Calls at a time; each may hold a body of `request_body` and its documents.
const CONCURRENCY: usize = 64;
/// More would be more than tokio's semaphore holds; nobody means it.
const MAX_CONCURRENCY: usize = 1 << 20;

/// `taken` is the address of the proxy's own listener, `memory` what all requests and answers may hold.
pub(super) fn api(
    section: &Section,
    models: &Models,
    taken: SocketAddr,
    memory: usize,
    variable: Variable,
    findings: &Findings,
) -> ApiConfig {
    let listen: Option<SocketAddr> = section.optional("listen");
    let keys = keys(section, variable);
    let model: Option<String> = section.optional("model");
    let config = ApiConfig {
        enabled: section.or("enabled", true),
        listen,
        keys,
        model: model.clone().or_else(|| Some(models.keys().next()?.clone()).filter(|_| models.len() == 1)),
        aliases: section.node("aliases").map_or_else(IndexMap::new, |node| aliases(section, node, models)),
        budget: section.or("budget", Duration::from_secs(30)),
        max_documents: section.or("max_documents", DOCUMENTS),
        request_body: usize::try_from(section.or("request_body", ByteSize::mib(32)).as_u64()).unwrap_or(usize::MAX),
        concurrency: section.or("concurrency", CONCURRENCY),
        long_passages: long_passages(section, false, findings),
    };
    if listen.is_some_and(|listen| listen == taken && listen.port() != 0) {
        section.error("listen", "must be another address than server.listen");
    }
    if listen.is_some() && !config.enabled {
        section.error("listen", "is for the rerank API, which `enabled = false` switches off");
    }
    if let Some(unknown) = model.filter(|model| !models.contains_key(model)) {
        section.error("model", no_model(&unknown, models));
    }
    if config.budget.is_zero() || config.budget > MAX_BUDGET {
        section.error("budget", "must be more than nothing and at most 10m (ten minutes); milliseconds are written ms");
    }
    if config.request_body.saturating_mul(CALL_COPIES) > memory {
        section.error("request_body", never_fits(config.request_body, CALL_COPIES, memory));
    }
    if config.max_documents == 0 {
        section.error("max_documents", "must be 1 or more");
    }
    if !(1..=MAX_CONCURRENCY).contains(&config.concurrency) {
        section.error("concurrency", "must be 1 or more calls at a time; to switch the API off, set enabled = false");
    }
    section.finish();
    config
}

fn keys(section: &Section, variable: Variable) -> Keys {
    let env: Option<String> = section.optional("keys_env");
    let keys: Option<String> = section.optional("keys");
    if keys.as_ref().is_some_and(|keys| keys != "none") {
        let message = "must be \"none\": keys themselves are read from the environment variable that `keys_env` names";
        section.error("keys", message);
    }
    if keys.is_some() && env.is_some() {
        section.error("keys", "contradicts `keys_env`: leave out one or the other");
    }
    match (env, keys) {
        (Some(name), _) => Keys::Held(held(section, variable(&name))),
        (None, Some(_)) => Keys::NotNeeded,
        (None, None) => Keys::Unsaid,
    }
}

/// The digests of the keys, which a comma separates. No message shows what the variable holds.
fn held(section: &Section, keys: Option<String>) -> Vec<Vec<u8>> {
    let keys: Vec<Vec<u8>> = keys
        .iter()
        .flat_map(|keys| keys.split(','))
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(digest_of)
        .collect();
    if keys.is_empty() {
        let message = "there is no such environment variable, or it is empty; it holds one key, or several with commas";
        section.error("keys_env", message);
    }
    keys
}

fn aliases(section: &Section, node: &Node, models: &Models) -> IndexMap<String, String> {
    let Value::Table(table) = &node.value else {
        section.error("aliases", "must be a table, such as { \"rerank-v3.5\" = \"fast\" }");
        return IndexMap::new();
    };
    let mut aliases = IndexMap::new();
    for (alias, node) in table {
        match &node.value {
            Value::Text(model) if models.contains_key(model) => {
                aliases.insert(alias.clone(), model.clone());
            }
            Value::Text(model) => section.error("aliases", format!("`{alias}`: {}", no_model(model, models))),
            _ => section.error("aliases", format!("`{alias}` must be the name of a model")),
        }
    }
    aliases
}

fn no_model(name: &str, models: &Models) -> String {
    let known: Vec<&str> = models.keys().map(String::as_str).collect();
    format!("there is no model `{name}`; there is: {}", known.join(", "))
}
