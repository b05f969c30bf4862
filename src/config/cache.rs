//! The table `[cache]`, and the table `redis` in it. Owns that no password is shown in a message.

use std::time::Duration;

use bytesize::ByteSize;
use redis::{ConnectionInfo, IntoConnectionInfo};
use scoring::cache::{CacheOptions, SharedOptions};

use super::reading::section::Section;

/// The longest life of a score: no score is of use for longer, and what is more is mostly a mistake.
const MAX_TTL: Duration = Duration::from_hours(10 * 366 * 24);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn read(section: &Section) -> CacheOptions {
    let size = section.or("size", ByteSize::mib(256)).as_u64();
    let ttl = section.optional::<Duration>("ttl");
    if let Some(ttl) = ttl {
        check_ttl(section, ttl);
    }
    let shared = section.optional_table("redis").and_then(|redis| shared(&redis));
    section.finish();
    CacheOptions { size, ttl, shared }
}

fn shared(section: &Section) -> Option<SharedOptions> {
    let url: Option<String> = section.optional("url");
    let password: Option<String> = section.optional("password_env");
    let timeout = section.or("timeout", Duration::from_millis(10));
    let ttl = section.or("ttl", 7 * DAY);
    let prefix = section.or("prefix", "rerank-proxy:".to_owned());
    if timeout.is_zero() {
        section.error("timeout", "must be more than nothing");
    }
    check_ttl(section, ttl);
    if !section.has("url") {
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
        Some(name) => {
            with_password(server, section.variable(&name)).map_err(|why| section.error("password_env", why)).ok()?
        }
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

fn with_password(server: ConnectionInfo, password: Option<String>) -> Result<ConnectionInfo, String> {
    if server.redis_settings().password().is_some() {
        return Err("the `url` holds a password already: leave out one or the other".to_owned());
    }
    // Who puts the password itself here should not find it in a log.
    let Some(password) = password else {
        return Err("there is no such environment variable, or it is empty; it holds the password".to_owned());
    };
    let settings = server.redis_settings().clone().set_password(password);
    Ok(server.set_redis_settings(settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    fn with_redis(keys: &str) -> Result<SharedOptions, String> {
        let settings = read(&format!("{}[cache.redis]\n{keys}\n", minimal())).map_err(|errors| errors.join("\n"))?;
        Ok(settings.cache.shared.expect("a shared level"))
    }

    #[test]
    fn the_cache_is_shared_where_there_is_a_redis() {
        assert!(read(&minimal()).expect("right").cache.shared.is_none());
        let shared = with_redis("url = \"rediss://me:s%40cret@cache.example/3\"").expect("right");
        let settings = shared.server.redis_settings();
        assert_eq!(shared.server.addr().to_string(), "cache.example:6379");
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("me"), Some("s@cret"), 3));
        assert_eq!((shared.timeout, shared.prefix.as_str()), (Duration::from_millis(10), "rerank-proxy:"));
        assert_eq!(shared.ttl, Duration::from_hours(7 * 24));
        assert!(!format!("{shared:?}").contains("cret"), "{shared:?}");
    }

    #[test]
    fn a_password_for_redis_may_come_from_a_variable() {
        let shared = with_redis("url = \"valkey://me@cache\"\npassword_env = \"TEST_KEY\"").expect("right");
        assert_eq!(shared.server.redis_settings().password(), Some("s3cret"));
        assert!(!format!("{shared:?}").contains("s3cret"), "{shared:?}");
    }

    #[test]
    fn a_redis_that_cannot_be_is_a_mistake_that_shows_no_password() {
        for (keys, mistake) in [
            ("timeout = \"5ms\"", "redis.url: is missing"),
            ("url = \"http://:s3cret@x\"", "redis.url: must be a URL such as"),
            ("url = \"s3cret\"", "redis.url: must be a URL such as"),
            ("url = \"redis+unix:///tmp/s3cret\"", "redis.url: must be a URL such as"),
            ("url = \"rediss://:s3cret@x/#insecure\"", "redis.url: must be a URL such as"),
            ("url = \"redis://:s3cret@x/one\"", "redis.url: must be a URL such as"),
            ("url = \"redis://x\"\ntimeout = \"0s\"", "redis.timeout: must be more than nothing"),
            ("url = \"redis://x\"\nttl = \"0s\"", "redis.ttl: must be 1ms to 10years"),
            ("url = \"redis://x\"\nttl = \"11years\"", "redis.ttl: must be 1ms to 10years"),
            ("url = \"redis://x\"\nprefix = \"\"", "redis.prefix: must be a text"),
            ("url = \"redis://x\"\npassword_env = \"s3cret\"", "redis.password_env: there is no such"),
            ("url = \"redis://:s3cret@x\"\npassword_env = \"TEST_KEY\"", "redis.password_env: the `url` holds"),
            ("url = \"redis://x\"\ntimout = \"1s\"", "redis.timout: unknown key; did you mean `timeout`?"),
        ] {
            let errors = with_redis(keys).expect_err(keys);
            assert!(errors.contains(&format!("cache.{mistake}")) && !errors.contains("s3cret"), "{errors}");
        }
        let settings = read(&format!("{}[cache]\nttl = \"10years\"\n", minimal())).expect("right");
        assert!(settings.cache.ttl.is_some());
        let errors = read(&format!("{}[cache]\nttl = \"0s\"\n", minimal())).expect_err("wrong").join("\n");
        assert!(errors.contains("cache.ttl: must be 1ms"), "{errors}");
    }
}
