//! A table of a model on a rerank server. Owns its keys, and that no key of the server is shown in a message.

use std::time::Duration;

use http::{HeaderValue, Uri, uri::Scheme};
use scoring::remote::{Api, RemoteModel};

use crate::config::reading::section::{Section, chosen, names};

/// Texts a call: what TEI takes by default.
const BATCH: usize = 32;
const CONCURRENCY: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(2);

/// The keys that a model in a folder does not have.
pub(super) const ONLY_REMOTE: [&str; 6] = ["api", "remote_model", "api_key_env", "batch", "concurrency", "timeout"];

/// Reads the keys, so that they are known; the model, where one is `wanted` and there is no mistake in them.
pub(super) fn read(section: &Section, wanted: bool) -> Option<RemoteModel> {
    let url: Option<String> = section.optional("url");
    let api: Option<String> = section.optional("api");
    let model: Option<String> = section.optional("remote_model");
    let key: Option<String> = section.optional("api_key_env");
    let batch = section.or("batch", BATCH);
    let concurrency = section.or("concurrency", CONCURRENCY);
    let timeout = section.or("timeout", TIMEOUT);
    if !wanted {
        return None;
    }
    for (name, number) in [("batch", batch), ("concurrency", concurrency)] {
        if number == 0 {
            section.error(name, "must be 1 or more");
        }
    }
    if timeout.is_zero() {
        section.error("timeout", "must be more than nothing");
    }
    let api = api.and_then(|api| chosen(&api, &Api::NAMES));
    if api.is_none() {
        section.error("api", format!("must say what the server speaks: {}", names(&Api::NAMES)));
    }
    if api.is_some_and(Api::needs_model) && model.is_none() {
        section.error("remote_model", "is missing: this API must be told which of its models to use");
    }
    if api.is_some_and(|api| !api.takes_model()) && model.is_some() {
        section.error("remote_model", "has no place in this API: the server has one model");
    }
    let authorization = key.map(|name| bearer(section.variable(&name)));
    if let Some(Err(message)) = &authorization {
        section.error("api_key_env", message);
    }
    let (api, url) = (api?, url?);
    let url = parse_url(&url, api).map_err(|message| section.error("url", message)).ok()?;
    let authorization = authorization.transpose().ok()?;
    let is_right = batch > 0 && concurrency > 0;
    is_right.then_some(RemoteModel { url, api, model, authorization, batch, concurrency, timeout })
}

/// The header that carries the key. No message shows it.
fn bearer(key: Option<String>) -> Result<HeaderValue, String> {
    // An operator who wrote the key itself in place of the variable's name should not find it in a log.
    let Some(key) = key.filter(|key| !key.trim().is_empty()) else {
        return Err("there is no such environment variable, or it is empty; it holds the key".to_owned());
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| "the variable holds characters that no HTTP header can".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL with a path is taken as it is; without one, the API's own path is added.
fn parse_url(url: &str, api: Api) -> Result<Uri, String> {
    let example = "must be a URL such as \"http://localhost:8080\"";
    let uri: Uri = url.parse().map_err(|error| format!("{example}: {error}"))?;
    let mut parts = uri.into_parts();
    let is_http = parts.scheme.as_ref().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let Some(authority) = parts.authority.as_ref().filter(|_| is_http) else { return Err(example.to_owned()) };
    if authority.as_str().contains('@') {
        return Err("must hold no user and password: a key goes into the variable that `api_key_env` names".to_owned());
    }
    match &parts.path_and_query {
        Some(path) if path.query().is_some() => return Err(format!("{example}, without a query")),
        Some(path) if path != "/" => {}
        _ => parts.path_and_query = api.path().parse().ok(),
    }
    Uri::from_parts(parts).map_err(|error| format!("{example}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        ModelConfig,
        testing::{MODEL, minimal, read},
    };

    fn with_remote(keys: &str) -> Result<RemoteModel, Vec<String>> {
        let text = minimal().replace(&format!("path = \"{MODEL}\""), keys);
        read(&text).map(|settings| match &settings.models["m"] {
            ModelConfig::Remote(remote) => remote.clone(),
            ModelConfig::Local(_) => panic!("a folder"),
        })
    }

    #[test]
    fn a_model_with_a_url_is_on_a_rerank_server_at_the_path_of_its_api() {
        let remote = with_remote("url = \"http://tei:8080\"\napi = \"tei\"").expect("right");
        assert_eq!(remote.url, "http://tei:8080/rerank");
        assert_eq!((remote.batch, remote.concurrency, remote.timeout), (32, 4, Duration::from_secs(2)));
        let keys = "url = \"https://gateway/models/x/rerank\"\napi = \"jina\"\nremote_model = \"x\"\nbatch = 8";
        let remote = with_remote(keys).expect("right");
        assert_eq!((remote.url.to_string().as_str(), remote.batch), ("https://gateway/models/x/rerank", 8));
    }

    #[test]
    fn a_key_comes_from_the_environment_and_is_not_shown() {
        let keys = "url = \"http://x\"\napi = \"tei\"\napi_key_env = \"TEST_KEY\"";
        let remote = with_remote(keys).expect("right");
        assert_eq!(remote.authorization.as_ref().expect("a key"), "Bearer s3cret");
        assert!(!format!("{remote:?}").contains("s3cret"));
        let errors = with_remote(&keys.replace("TEST_KEY", "sk-123")).expect_err("wrong").join("\n");
        assert!(errors.contains("models.m.api_key_env: there is no such environment variable"), "{errors}");
        assert!(!errors.contains("sk-123"), "a key that was put in the wrong place is not shown: {errors}");
    }

    #[test]
    fn what_does_not_go_together_in_a_model_is_a_mistake() {
        for (keys, mistake) in [
            ("url = \"http://x\"", "api: must say what the server speaks: tei, cohere-v1, "),
            ("url = \"http://x\"\napi = \"cohere\"", "api: must say what the server speaks: tei, cohere-v1, "),
            ("url = \"http://x\"\napi = \"cohere-v2\"", "remote_model: is missing"),
            ("url = \"http://x\"\napi = \"tei\"\nremote_model = \"x\"", "remote_model: has no place"),
            ("url = \"http://x\"\napi = \"tei\"\npath = \"x\"", "path: belongs to a model in a folder"),
            ("url = \"http://x\"\napi = \"tei\"\nbatch = 0", "batch: must be 1 or more"),
            ("url = \"http://x\"\napi = \"tei\"\ntimeout = \"0s\"", "timeout: must be more than nothing"),
            ("url = \"tei:8080\"\napi = \"tei\"", "url: must be a URL such as"),
            (
                "url = \"http://x?y=z\"\napi = \"tei\"",
                "url: must be a URL such as \"http://localhost:8080\", without a query",
            ),
            ("url = \"http://me:s3cret@x\"\napi = \"tei\"", "url: must hold no user and password"),
            ("batch = 4", "name: give one of `name`, `path` and `url`"),
            ("name = \"x\"\nbatch = 4", "batch: belongs to a model with a `url`"),
        ] {
            let errors = with_remote(keys).expect_err(keys).join("\n");
            assert!(errors.contains(&format!("models.m.{mistake}")) && !errors.contains("s3cret"), "{errors}");
        }
    }
}
