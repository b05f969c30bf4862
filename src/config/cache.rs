//! The table `[cache]`, and what is under `redis` in it. Owns their keys, defaults and bounds, and that no password is
//! shown in a message.

use std::time::Duration;

use bytesize::ByteSize;
use redis::{ConnectionInfo, IntoConnectionInfo};
use scoring::cache::{CacheOptions, SharedOptions};

use super::{
    models::Variable,
    read::{Findings, Section},
};

/// No score is of use for longer; what is more is mostly a mistake.
const MAX_TTL: Duration = Duration::from_hours(10 * 366 * 24);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn cache(section: &Section, variable: Variable, findings: &Findings) -> CacheOptions {
    let size = section.or("size", ByteSize::mib(256)).as_u64();
    let ttl = section.optional::<Duration>("ttl");
    if let Some(ttl) = ttl {
        check_ttl(section, ttl);
    }
    let redis = section.node("redis").map(|node| Section::new(node, section.path_of("redis"), findings));
    let shared = redis.and_then(|redis| shared(&redis, variable));
    section.finish();
    CacheOptions { size, ttl, shared }
}

fn shared(section: &Section, variable: Variable) -> Option<SharedOptions> {
    let url: Option<String> = section.optional("url");
    let password: Option<String> = section.optional("password_env");
    let timeout = section.or("timeout", Duration::from_millis(10));
    let ttl = section.or("ttl", 7 * DAY);
    let prefix = section.or("prefix", "rerank-proxy:".to_owned());
    if timeout.is_zero() {
        section.error("timeout", "must be more than nothing");
    }
    check_ttl(section, ttl);
    if section.node("url").is_none() {
        section.error("url", "is missing: give the URL of Redis or Valkey, such as \"redis://localhost:6379\"");
    }
    section.finish();
    let server = match parse_url(&url?) {
        Ok(server) => server,
        Err(message) => {
            section.error("url", message);
            return None;
        }
    };
    let server = match password {
        Some(name) => with_password(server, &name, variable).map_err(|why| section.error("password_env", why)).ok()?,
        None => server,
    };
    Some(SharedOptions { server, timeout, ttl, prefix })
}

fn check_ttl(section: &Section, ttl: Duration) {
    if ttl < Duration::from_millis(1) || ttl > MAX_TTL {
        section.error("ttl", "must be 1ms to 10years");
    }
}

/// The message never shows the URL: it may hold a password.
fn parse_url(url: &str) -> Result<ConnectionInfo, String> {
    let example = "must be a URL such as \"redis://localhost:6379\" or, with TLS, \"rediss://cache.example:6380/0\"";
    let url = redis::parse_redis_url(url).ok_or(example)?;
    // `#insecure` would leave the certificate unchecked.
    if !matches!(url.scheme(), "redis" | "rediss" | "valkey" | "valkeys") || url.fragment().is_some() {
        return Err(example.to_owned());
    }
    url.into_connection_info().map_err(|error| format!("{example}: {error}"))
}

fn with_password(server: ConnectionInfo, name: &str, variable: Variable) -> Result<ConnectionInfo, String> {
    if server.redis_settings().password().is_some() {
        return Err("the `url` holds a password already: leave out one or the other".to_owned());
    }
    // Who puts the password itself here should not find it in a log.
    let Some(password) = variable(name).filter(|password| !password.is_empty()) else {
        return Err("there is no such environment variable, or it is empty; it holds the password".to_owned());
    };
    let settings = server.redis_settings().clone().set_password(password);
    Ok(server.set_redis_settings(settings))
}
