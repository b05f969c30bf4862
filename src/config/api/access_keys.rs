//! The keys of the rerank API: `keys` and `keys_env`. Owns that only digests of keys are kept, and that no message shows one.

use ring::digest;

use crate::config::reading::section::Section;

/// The clients that may use the rerank API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Those who have one of the keys of which these are the digests.
    Held(Vec<Vec<u8>>),
    /// Anyone: the operator says so.
    NotNeeded,
    /// The operator says nothing: everyone, on a listener that only this machine reaches; else nobody.
    Unsaid,
}

/// The digest of a key, which is all that is kept of it.
pub(crate) fn digest_of(key: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, key.as_bytes()).as_ref().to_vec()
}

impl Keys {
    pub(super) fn read(section: &Section) -> Self {
        let env: Option<String> = section.optional("keys_env");
        let keys: Option<String> = section.optional("keys");
        if keys.as_ref().is_some_and(|keys| keys != "none") {
            let message =
                "must be \"none\": keys themselves are read from the environment variable that `keys_env` names";
            section.error("keys", message);
        }
        if keys.is_some() && env.is_some() {
            section.error("keys", "contradicts `keys_env`: leave out one or the other");
        }
        match (env, keys) {
            (Some(name), _) => Self::Held(held(section, section.variable(&name))),
            (None, Some(_)) => Self::NotNeeded,
            (None, None) => Self::Unsaid,
        }
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
