//! What was written → what is ready to use. Owns every key, its default and its bounds. Finds all mistakes at once,
//! before anything is bound or loaded.

use std::{net::SocketAddr, time::Duration};

use bytesize::ByteSize;
use engines::{
    order::Blend,
    passage::{Content, PassageSpec, Template},
    plan::{DEFAULT_WINDOW, MAX_WINDOW, MIN_WINDOW},
};
use http::{Uri, uri::Scheme};
use scoring::LongPassages;

use super::{
    ClientsConfig, Config, ConfigError, Engine, LimitsConfig, LogConfig, LogFormat, ModelConfig, ScoringConfig,
    ServerConfig, UpstreamConfig,
    api::api,
    cache::cache,
    models::{Models, Variable, models, provider_origins},
    read::{Findings, Section},
    rule_model::{Cascades, rule_model},
    source::{Node, Value},
};
use crate::{
    memory::{ANSWER_COPIES, REQUEST_COPIES},
    rules::{Explicit, IndexPatterns, Mode, Rule, ShownScore},
    wishes::{Detail, Wish},
};

/// No client waits longer; what is more is mostly a mistaken unit.
pub(crate) const MAX_BUDGET: Duration = Duration::from_mins(10);
/// As long as nginx, Envoy and Go's servers are mostly given for it.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// What is more is mostly a mistaken unit.
const MAX_HEADER_TIMEOUT: Duration = Duration::from_hours(1);
/// More connections than a machine has ports to reach a cluster from.
const MAX_CONNECTIONS: usize = 1_000_000;
/// The `k` of reciprocal rank fusion in its paper, and in both engines.
const DEFAULT_RRF_K: f32 = 60.0;
/// The most tokens that windows of a passage may share: what is said in more of them than these falls into one anyway.
const MAX_OVERLAP: usize = 256;
/// The most windows that a passage may be read in; each costs as much as a passage that fills the model.
pub(crate) const MAX_WINDOWS: usize = 64;

/// The configuration, or everything that is wrong with it in the order of reading. `variable` reads the environment,
/// which holds the keys of rerank servers.
pub(super) fn resolve(root: &Node, variable: Variable) -> Result<Config, Vec<ConfigError>> {
    let findings = Findings::default();
    let config = read(root, variable, &findings);
    let errors = findings.errors.into_inner();
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(errors),
    }
}

/// Every key that a configuration may hold, without its section.
#[cfg(test)]
pub(super) fn known_keys(root: &Node) -> std::collections::BTreeSet<String> {
    let findings = Findings::default();
    read(root, &|_| None, &findings);
    findings.keys.into_inner()
}

fn read(root: &Node, variable: Variable, findings: &Findings) -> Option<Config> {
    let empty = Node::empty();
    let top = Section::new(root, "", findings);
    let section = |key: &'static str| Section::new(top.node(key).unwrap_or(&empty), key, findings);

    let server = server(&section("server"));
    let upstream = upstream(&section("upstream"));
    let limits = limits(&section("limits"));
    let clients = clients(&section("clients"));
    let scoring = scoring(&section("scoring"));
    let cache = cache(&section("cache"), variable, findings);
    let log = log(&section("log"));
    let models = models(&top, scoring.models_dir.clone(), variable, findings);
    let provider_origins = provider_origins(&top);
    let api = api(&section("api"), &models, server.listen, limits.memory, variable, findings);
    let mut cascades = Cascades::new();
    let rules = rules(&top, &models, &mut cascades, findings);
    top.finish();
    let models = models.into_iter().filter_map(|(name, model)| Some((name, model?))).collect();
    Some(Config {
        server,
        upstream: upstream?,
        limits,
        clients,
        api,
        scoring,
        cache,
        log,
        models,
        provider_origins,
        cascades,
        rules,
    })
}

fn server(section: &Section) -> ServerConfig {
    let config = ServerConfig {
        listen: section.or("listen", SocketAddr::from(([127, 0, 0, 1], 9700))),
        drain: section.or("drain", Duration::from_secs(30)),
        header_timeout: section.or("header_timeout", HEADER_TIMEOUT),
        max_connections: section.or("max_connections", 0),
    };
    if config.header_timeout.is_zero() || config.header_timeout > MAX_HEADER_TIMEOUT {
        section.error("header_timeout", "must be more than nothing and at most 1h (one hour)");
    }
    if config.max_connections > MAX_CONNECTIONS {
        let message = format!("must be at most {MAX_CONNECTIONS}; 0 for as many as there are file descriptors for");
        section.error("max_connections", message);
    }
    section.finish();
    config
}

fn upstream(section: &Section) -> Option<UpstreamConfig> {
    let url: Option<String> = section.optional("url");
    let engines = [
        ("auto", Engine::Auto),
        ("elasticsearch", Engine::Elasticsearch),
        ("opensearch", Engine::OpenSearch),
        ("solr", Engine::Solr),
    ];
    let engine = choice(section, "engine", &engines);
    let connect_timeout = section.or("connect_timeout", Duration::from_secs(5));
    let preserve_host = section.or("preserve_host", true);
    let compressed = section.or("compressed", false);
    if section.node("url").is_none() {
        section.error("url", "is missing: give the cluster's URL, such as \"http://localhost:9200\"");
    }
    let address = url.and_then(|url| match parse_url(&url) {
        Ok(address) => Some(address),
        Err(message) => {
            section.error("url", message);
            None
        }
    });
    section.finish();
    let (scheme, authority) = address?;
    Some(UpstreamConfig { scheme, authority, engine, connect_timeout, preserve_host, compressed })
}

fn parse_url(url: &str) -> Result<(Scheme, http::uri::Authority), String> {
    let example = "must be a URL such as \"http://localhost:9200\"";
    let uri: Uri = url.parse().map_err(|error| format!("{example}: {error}"))?;
    let parts = uri.into_parts();
    let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let (Some(scheme), Some(authority)) = (scheme, parts.authority) else { return Err(example.to_owned()) };
    if authority.as_str().contains('@') {
        return Err("must hold no user and password: the clients' own credentials are passed on".to_owned());
    }
    match parts.path_and_query {
        Some(path) if path.path().trim_end_matches('/') == "/solr" => {
            Err(format!("{example}, without a path: `{path}` comes with the clients' requests"))
        }
        Some(path) if path != "/" => Err(format!("{example}, without a path (`{path}`)")),
        _ => Ok((scheme, authority)),
    }
}

fn clients(section: &Section) -> ClientsConfig {
    let names: Option<Vec<String>> = section.optional("headers");
    let headers = names.map_or_else(
        || Wish::DEFAULT.to_vec(),
        |names| {
            let known = |name: &String| Wish::NAMES.iter().find(|(known, _)| known == name).map(|(_, wish)| *wish);
            for unknown in names.iter().filter(|name| known(name).is_none()) {
                let all: Vec<&str> = Wish::NAMES.iter().map(|(name, _)| *name).collect();
                section.error("headers", format!("there is no `{unknown}`; there is: {}", all.join(", ")));
            }
            names.iter().filter_map(known).collect()
        },
    );
    let explain = choice(section, "explain", &[("full", Detail::Full), ("scores", Detail::Scores)]);
    section.finish();
    ClientsConfig { headers, explain }
}

fn limits(section: &Section) -> LimitsConfig {
    let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    let config = LimitsConfig {
        request_body: bytes(section.or("request_body", ByteSize::mib(1))),
        answer: bytes(section.or("answer", ByteSize::mib(32))),
        memory: bytes(section.or("memory", ByteSize::mib(256))),
        body_timeout: section.or("body_timeout", Duration::from_secs(30)),
        send_timeout: section.or("send_timeout", Duration::from_mins(1)),
    };
    for (key, largest, copies) in
        [("request_body", config.request_body, REQUEST_COPIES), ("answer", config.answer, ANSWER_COPIES)]
    {
        if largest.saturating_mul(copies) > config.memory {
            section.error(key, never_fits(largest, copies, config.memory));
        }
    }
    section.finish();
    config
}

/// Why something of `largest` bytes, of which that many copies count, cannot be held.
pub(super) fn never_fits(largest: usize, copies: usize, memory: usize) -> String {
    let [largest, needed, memory] =
        [largest, largest.saturating_mul(copies), memory].map(|bytes| ByteSize::b(bytes as u64));
    format!("{largest} never fits into limits.memory ({memory}): it takes {needed} there; lower this, or raise that")
}

fn scoring(section: &Section) -> ScoringConfig {
    let config = ScoringConfig {
        onnxruntime: section.optional("onnxruntime"),
        models_dir: section.optional("models_dir"),
        workers: section.or("workers", 0),
        threads: section.or("threads", 0),
        queue_tokens: section.or("queue_tokens", 1 << 20),
    };
    if config.queue_tokens == 0 {
        section.error("queue_tokens", "must be 1 or more");
    }
    section.finish();
    config
}

fn log(section: &Section) -> LogConfig {
    let level = section.or("level", "info".to_owned());
    let format = section.or("format", "text".to_owned());
    if !matches!(level.as_str(), "error" | "warn" | "info" | "debug" | "trace") {
        section.error("level", "must be error, warn, info, debug or trace");
    }
    let format = match format.as_str() {
        "json" => LogFormat::Json,
        "text" => LogFormat::Text,
        _ => {
            section.error("format", "must be text or json");
            LogFormat::Text
        }
    };
    section.finish();
    LogConfig { level, format }
}

fn rules(top: &Section, models: &Models, cascades: &mut Cascades, findings: &Findings) -> Vec<Rule> {
    let Some(node) = top.node("rules") else {
        findings.error(
            top.origin(),
            "rules",
            "no rule: add a [[rules]] with `index` and `model`, or start with --model to rerank every index",
        );
        return Vec::new();
    };
    let Value::List(entries) = &node.value else {
        findings.error(&node.origin, "rules", "must be a list: write [[rules]] above each rule");
        return Vec::new();
    };
    entries
        .iter()
        .enumerate()
        .filter_map(|(i, node)| rule(&Section::new(node, format!("rules[{i}]"), findings), models, cascades, findings))
        .collect()
}

fn rule(section: &Section, models: &Models, cascades: &mut Cascades, findings: &Findings) -> Option<Rule> {
    let index = section.optional::<Vec<String>>("index");
    if section.node("index").is_none() {
        section.error("index", "is missing: name indices or globs, or \"*\" for all");
    }
    let index = index.and_then(|patterns| match IndexPatterns::new(&patterns) {
        Ok(patterns) => Some(patterns),
        Err(message) => {
            section.error("index", message);
            None
        }
    });
    let window = section.or("window", DEFAULT_WINDOW);
    let model = rule_model(section, models, window, cascades, findings);
    let passage = passage(section);
    // What it lacks is a mistake that is noted already; the other keys are read all the same.
    let any = || IndexPatterns::new(&["*"]).expect("`*` is a glob");
    let is_whole = index.is_some() && model.is_some();
    let defaults = Rule::for_index(index.unwrap_or_else(any), model.unwrap_or_default());
    if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
        section.error("window", format!("must be {MIN_WINDOW} to {MAX_WINDOW} hits"));
    }
    let budget = section.or("budget", defaults.budget);
    if budget.is_zero() {
        section.error("budget", "must be more than nothing; to switch a rule off, set mode = \"off\"");
    }
    if budget > MAX_BUDGET {
        section.error("budget", "must be 10m (ten minutes) or less; milliseconds are written ms");
    }
    let score = choice(section, "score", &[("rerank", ShownScore::Rerank), ("original", ShownScore::Original)]);
    let mode = choice(section, "mode", &[("on", Mode::On), ("off", Mode::Off), ("shadow", Mode::Shadow)]);
    let explicit = choice(section, "explicit", &[("proxy", Explicit::Proxy), ("cluster", Explicit::Cluster)]);
    let traffic = section.or("traffic", defaults.traffic);
    if !(0.0..=1.0).contains(&traffic) {
        section.error("traffic", "must be the share of searches that are reranked, 0 to 1");
    }
    let query_path = section.or("query_path", defaults.query_path.clone());
    for pointer in query_path.iter().filter(|pointer| !pointer.starts_with('/')) {
        section.error(
            "query_path",
            format!("`{pointer}` is no JSON pointer: it must begin with a slash, as in \"/query/match/title/query\""),
        );
    }
    let blend = blend(section, findings);
    let is_remote = matches!(models.get(&defaults.model), Some(Some(ModelConfig::Remote(_))));
    let long_passages = long_passages(section, is_remote, findings);
    section.finish();
    is_whole.then_some(Rule {
        passage,
        window,
        budget,
        blend,
        long_passages,
        score,
        mode,
        traffic,
        query_path,
        explicit,
        ..defaults
    })
}

fn passage(section: &Section) -> PassageSpec {
    let fields: Option<Vec<String>> = section.optional("fields");
    let template: Option<String> = section.optional("template");
    let strip_html = section.or("strip_html", false);
    if fields.as_ref().is_some_and(Vec::is_empty) {
        section.error("fields", "names no field; to have the model read what the query searches, leave the key out");
    }
    if fields.is_some() && template.is_some() {
        section.error("template", "give either `fields` or `template`");
    }
    let template = template.and_then(|text| match Template::parse(&text) {
        Ok(template) => Some(template),
        Err(message) => {
            section.error("template", message);
            None
        }
    });
    let content = match (fields, template) {
        (_, Some(template)) => Content::Template(template),
        (Some(fields), None) => Content::Fields(fields),
        (None, None) => Content::Searched,
    };
    PassageSpec { content, strip_html }
}

fn choice<T: Copy>(section: &Section, key: &'static str, choices: &[(&str, T)]) -> T {
    let (default_name, default) = choices[0];
    let name = section.or(key, default_name.to_owned());
    match choices.iter().find(|(known, _)| *known == name) {
        Some((_, choice)) => *choice,
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            section.error(key, format!("must be one of {}", names.join(", ")));
            default
        }
    }
}

fn blend(rule: &Section, findings: &Findings) -> Blend {
    let Some(node) = rule.node("blend") else { return Blend::Replace };
    let section = Section::new(node, rule.path_of("blend"), findings);
    let method = choice(&section, "method", &[("replace", 'r'), ("linear", 'l'), ("rrf", 'f')]);
    let weight: Option<f32> = section.optional("weight");
    let k: Option<f32> = section.optional("k");
    if weight.is_some() && method != 'l' {
        section.error("weight", "belongs to method = \"linear\" only");
    }
    if k.is_some() && method != 'f' {
        section.error("k", "belongs to method = \"rrf\" only");
    }
    if weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
        section.error("weight", "must be 0 (the cluster alone) to 1 (the model alone)");
    }
    if k.is_some_and(|k| k < 1.0) {
        section.error("k", "must be 1 or more");
    }
    section.finish();
    match method {
        'l' => Blend::Linear { weight: weight.unwrap_or(0.7) },
        'f' => Blend::Rrf { k: k.unwrap_or(DEFAULT_RRF_K) },
        _ => Blend::Replace,
    }
}

pub(super) fn long_passages(rule: &Section, is_remote: bool, findings: &Findings) -> LongPassages {
    let Some(node) = rule.node("long_passages") else { return LongPassages::Truncate };
    let section = Section::new(node, rule.path_of("long_passages"), findings);
    let in_windows = choice(&section, "method", &[("truncate", false), ("windows", true)]);
    let overlap: Option<usize> = section.optional("overlap");
    let max_windows: Option<usize> = section.optional("max_windows");
    for (key, given) in [("overlap", overlap), ("max_windows", max_windows)] {
        if given.is_some() && !in_windows {
            section.error(key, "belongs to method = \"windows\" only");
        }
    }
    if overlap.is_some_and(|overlap| overlap > MAX_OVERLAP) {
        section.error("overlap", format!("must be 0 to {MAX_OVERLAP} tokens"));
    }
    if max_windows.is_some_and(|windows| !(1..=MAX_WINDOWS).contains(&windows)) {
        section.error("max_windows", format!("must be 1 to {MAX_WINDOWS} windows"));
    }
    if in_windows && is_remote {
        section
            .error("method", "must be \"truncate\": the rule's model is on a server, which cuts long passages itself");
    }
    section.finish();
    match in_windows {
        true => LongPassages::Windows { overlap: overlap.unwrap_or(64), at_most: max_windows.unwrap_or(8) },
        false => LongPassages::Truncate,
    }
}
