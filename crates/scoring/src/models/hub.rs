//! The Hugging Face Hub in its public HTTP API: the content of a repository, where its files are, and what its refusals mean. The
//! choice of files, and where they go, is the business of [`super::pull`].
//! See <https://huggingface.co/docs/hub/api>.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use http::{HeaderMap, StatusCode};
use net::proxy::Proxies;
use serde::Deserialize;
use url::Url;

use super::{
    offer::{Access, Offer, Place, RemoteFile, Stated},
    web::{Ask, Web, bearer, holds_credentials, refuse},
};

/// The most bytes that the description of a repository may have.
const MAX_DESCRIPTION: usize = 16 << 20;

/// A Hub, and how it is called.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The URL; a mirror may lie below a path.
    pub endpoint: String,
    /// The token for gated and private repositories.
    pub token: Option<String>,
    /// How it, and the other sources, are reached.
    pub web: Web,
}

/// The content of a repository at one commit, as the Hub tells it.
#[derive(Debug, Deserialize)]
struct Description {
    sha: String,
    siblings: Vec<Sibling>,
}

/// A file of a repository.
#[derive(Debug, Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    path: String,
    size: Option<u64>,
    /// The sha1 of the git blob; for a large file that of its pointer.
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    /// Stated for large files.
    lfs: Option<LargeFile>,
}

/// The Hub's description of a large file.
#[derive(Debug, Deserialize)]
struct LargeFile {
    sha256: String,
}

impl Hub {
    /// The Hub as `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` have it, by way of the proxies of the environment.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let home = variable("HF_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(Path::new(&variable("HOME")?).join(".cache/huggingface")));
        let stored = || std::fs::read_to_string(home?.join("token")).ok();
        let token = variable("HF_TOKEN").or_else(stored).map(|token| token.trim().to_owned());
        let offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "TRUE" | "YES" | "ON"));
        let web = Web { proxies: Proxies::from_environment(), offline, ..Web::default() };
        Self { endpoint, token, web }
    }

    /// The content of `repository` at `revision`: a branch, a tag or a commit.
    ///
    /// # Errors
    /// The Hub cannot be reached, or has no such thing for us.
    pub(super) async fn offer(&self, repository: &str, revision: &str) -> anyhow::Result<Offer> {
        let authorization = self.token.as_deref().map(bearer).transpose().context("HF_TOKEN is no token")?;
        let access = Access { authorization, explain };
        let endpoint = self.endpoint.trim_end_matches('/');
        let base = Url::parse(endpoint).ok().filter(Url::has_host);
        let base = base
            .with_context(|| format!("HF_ENDPOINT `{endpoint}` is no URL: give one such as https://huggingface.co"))?;
        ensure!(!holds_credentials(&base), "HF_ENDPOINT must hold no user and password: they would end up in logs");
        let url = |path: String| Url::parse(&format!("{endpoint}/{path}")).context("a name that is no path");
        // A branch may have a slash in its name.
        let revision = revision.replace('/', "%2F");
        let about = url(format!("api/models/{repository}/revision/{revision}?blobs=true"))?;
        let ask = Ask {
            url: &about,
            authorization: access.authorization.as_ref(),
            accept: "application/json",
            explain: access.explain,
        };
        let page = self.web.read(&ask, MAX_DESCRIPTION).await;
        let page = page.with_context(|| format!("the Hub at {endpoint} (HF_ENDPOINT names another)"))?;
        refuse(&ask, page.status, &page.headers)?;
        let description: Description = serde_json::from_slice(&page.body).with_context(|| {
            format!("{endpoint}/api/models/{repository} is not what a Hub answers (HF_ENDPOINT names another)")
        })?;
        let is_commit = description.sha.len() >= 7 && description.sha.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ensure!(is_commit, "{endpoint} says that {repository} is at `{}`, which is no commit", description.sha);
        let file = |sibling: Sibling| {
            let mut place = url(format!("{repository}/resolve/{}", description.sha))?;
            // As segments, so that no name ends the path.
            place.path_segments_mut().ok().context("no path")?.extend(sibling.path.split('/'));
            let large = sibling.lfs.map(|large| Stated::Sha256(large.sha256));
            Ok(RemoteFile {
                hash: large.or(sibling.blob_id.map(Stated::GitBlob)),
                path: sibling.path,
                place: Place::Url(place),
                size: sibling.size,
            })
        };
        let files = description.siblings.into_iter().map(file).collect::<anyhow::Result<_>>()?;
        Ok(Offer { revision: description.sha, files, access })
    }
}

/// What a refusal of the Hub means: its error code says more than its status, which is 401 for what is not there, too.
fn explain(status: StatusCode, headers: &HeaderMap, has_token: bool) -> Option<&'static str> {
    let code = headers.get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
    Some(match (code, status.as_u16()) {
        ("GatedRepo", _) if has_token => {
            "the token may not read it: accept the model's terms on its page, or use another HF_TOKEN"
        }
        ("GatedRepo", _) => "the model is gated: accept its terms on its page, make a token there, and set HF_TOKEN",
        ("RevisionNotFound", _) => "the repository has no such revision: check what follows the @",
        ("EntryNotFound", _) => "the repository has no such file at this revision",
        ("RepoNotFound", _) if has_token => "no such repository, or none that the token may read: check the name",
        ("RepoNotFound", _) => "no such repository, or a private one: check the name, or set HF_TOKEN",
        ("DisabledRepo", _) => "the Hub has disabled this repository",
        (_, 401 | 403) if has_token => {
            "the token may not read it, or is none: accept the model's terms on its page, or use another HF_TOKEN"
        }
        (_, 401 | 403) => "no such repository, or one that is gated or private: check the name, or set HF_TOKEN",
        (_, 404) => "no such repository, revision or file: check the name and what follows the @",
        (_, 429) if has_token => "too many requests: wait",
        (_, 429) => "too many requests: wait, or set HF_TOKEN, which gets more of them",
        _ => return None,
    })
}
