//! The keys that cannot change while the process runs. Owns their list, and what is told of one that was changed; all other keys
//! count from the next request on, or where they say otherwise from the next connection.

use crate::config::{ConfigError, ConfigErrors, Effective};

/// The keys, or the tables of keys, that belong to what lives as long as the process.
const NEED_RESTART: [&str; 10] = [
    "limits.in_flight",
    "server.listen",
    "server.max_connections",
    "server.pin_threads",
    "api.listen",
    "admin.listen",
    "scoring.onnxruntime",
    "cache",
    "log.format",
    "traces",
];

/// Whether `key` is one of them.
fn needs_restart(key: &str) -> bool {
    let covers = |listed: &str| key.strip_prefix(listed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    NEED_RESTART.into_iter().any(covers)
}

/// Makes sure that no key changed that cannot.
///
/// # Errors
/// Each that did.
pub(super) fn check(old: &Effective, new: &Effective) -> Result<(), ConfigErrors> {
    let changed = old.changed(new).into_iter().filter(|key| needs_restart(key));
    let error = |key: String| ConfigError {
        origin: new.origin(&key),
        key,
        message: "cannot change while the proxy runs: restart it, or put the old value back".to_owned(),
    };
    let errors: Vec<ConfigError> = changed.map(error).collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Draft, Sources};

    /// The keys that count from the reload on. Models and rules do as a whole, whatever keys they have.
    const LIVE: [&str; 47] = [
        "server.drain",
        "server.drain_delay",
        "server.header_timeout",
        "server.own_paths",
        "server.proxy_protocol",
        "server.forwarded",
        "server.tls",
        "upstream.url",
        "upstream.urls",
        "upstream.health",
        "upstream.sniff",
        "upstream.authorization_env",
        "upstream.rewrite_nodes",
        "upstream.engine",
        "upstream.connect_timeout",
        "upstream.preserve_host",
        "upstream.compressed",
        "upstream.tls",
        "limits.head",
        "limits.request_body",
        "limits.answer",
        "limits.memory",
        "limits.body_timeout",
        "limits.send_timeout",
        "clients.headers",
        "clients.explain",
        "api.enabled",
        "api.playground",
        "api.keys_env",
        "api.model",
        "api.aliases",
        "api.budget",
        "api.max_documents",
        "api.request_body",
        "api.concurrency",
        "api.per_client",
        "api.long_passages",
        "admin.only",
        "reload.watch",
        "scoring.models_dir",
        "scoring.workers",
        "scoring.threads",
        "scoring.queue_tokens",
        "log.level",
        "log.access",
        "models",
        "rules",
    ];

    fn effective(text: &str) -> Effective {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let sources = Sources { file: Some(Path::new(file.path()).to_owned()), ..Sources::default() };
        Draft::read(&sources).expect("TOML").effective
    }

    /// The example with every comment taken off its keys.
    fn example() -> Effective {
        let lines = include_str!("../../config.example.toml").lines().map(|line| {
            let is_table = |rest: &&str| rest.starts_with('[') && rest.ends_with(']');
            let is_key = |rest: &&str| rest.contains(" = ") && !rest.starts_with(' ');
            line.strip_prefix("# ").filter(|rest| is_table(rest) || is_key(rest)).unwrap_or(line)
        });
        effective(&lines.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn every_key_of_the_example_either_counts_at_once_or_needs_a_restart() {
        let example = example();
        assert!(example.keys().count() > 100);
        for key in example.keys() {
            let covers =
                |live: &str| key.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            assert!(
                LIVE.into_iter().any(covers) != needs_restart(key),
                "{key}: say in src/reload/restart.rs whether it counts from a reload on (LIVE) or needs a restart"
            );
        }
        for listed in NEED_RESTART {
            assert!(example.keys().any(|key| key.starts_with(listed)), "{listed} is no key");
        }
    }

    #[test]
    fn a_change_of_what_needs_a_restart_is_refused_by_name() {
        let old = effective("[server]\ndrain = \"1s\"\n[cache]\nsize = \"1MiB\"\n");
        let changed =
            "[server]\nlisten = \"127.0.0.1:1\"\ndrain = \"2s\"\n[cache]\nsize = \"2MiB\"\nredis.url = \"redis://x\"\n";
        let errors = check(&old, &effective(changed)).expect_err("needs a restart").to_string();
        let keys: Vec<&str> = errors.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert_eq!(
            keys,
            [
                "cache.redis.prefix",
                "cache.redis.timeout",
                "cache.redis.ttl",
                "cache.redis.url",
                "cache.size",
                "server.listen"
            ]
        );
        assert!(errors.lines().all(|line| line.ends_with("restart it, or put the old value back")), "{errors}");
        assert!(check(&old, &effective("[server]\ndrain = \"9s\"\n[cache]\nsize = \"1MiB\"\n")).is_ok());
    }
}
