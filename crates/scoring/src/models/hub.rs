//! The Hugging Face Hub in its public HTTP API: the content of a repository, and the bytes of one file. The choice of files,
//! and where they go, is the business of [`super::pull`].
//! See <https://huggingface.co/docs/hub/api>.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use net::{
    connect::{Connector, connector},
    tls::ClientTls,
};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use serde::Deserialize;
use tokio::time::timeout;

use super::hash::hex;

/// The time without a byte after which a transfer counts as broken off.
const PATIENCE: Duration = Duration::from_mins(1);

/// The number of redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// A Hub, and how it is called.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The URL, without a slash at the end.
    pub endpoint: String,
    /// The token for gated and private repositories.
    pub token: Option<String>,
    /// True where nothing may be fetched.
    pub offline: bool,
}

/// The content of a repository at one commit.
#[derive(Debug, Deserialize)]
pub struct RepositoryInfo {
    /// The commit.
    pub sha: String,
    /// Its files.
    pub siblings: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, Deserialize)]
pub struct RemoteFile {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub path: String,
    /// In bytes.
    pub size: Option<u64>,
    /// The sha1 of the git blob; for a large file that of its pointer.
    #[serde(rename = "blobId")]
    pub blob_id: Option<String>,
    /// Stated for large files.
    pub lfs: Option<LargeFile>,
}

/// The Hub's description of a large file.
#[derive(Debug, Clone, Deserialize)]
pub struct LargeFile {
    /// In lower-case hex.
    pub sha256: String,
}

impl Hub {
    /// The Hub as `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` have it.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let home = variable("HF_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(Path::new(&variable("HOME")?).join(".cache/huggingface")));
        let stored = || std::fs::read_to_string(home?.join("token")).ok();
        let token = variable("HF_TOKEN").or_else(stored).map(|token| token.trim().to_owned());
        let offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "TRUE" | "YES" | "ON"));
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), token, offline }
    }

    /// The content of `repository` at `revision`: a branch, a tag or a commit.
    ///
    /// # Errors
    /// The Hub cannot be reached, or has no such thing for us.
    pub async fn info(&self, repository: &str, revision: &str) -> anyhow::Result<RepositoryInfo> {
        let url = format!("{}/api/models/{repository}/revision/{revision}?blobs=true", self.endpoint);
        let response = self.get(&url, 0).await?;
        let body = response.into_body().collect().await.with_context(|| format!("{url} broke off"))?.to_bytes();
        serde_json::from_slice(&body).with_context(|| format!("{url} is not what a Hub answers"))
    }

    /// Fetches `file` of a commit to `target`, by way of a `.part` file that a later call goes on with. Returns the
    /// sha256 in hex. `progress` is told how many bytes there are.
    ///
    /// # Errors
    /// The transfer broke off, the disk is full, or the bytes are not those that the Hub states.
    pub async fn download(
        &self,
        url: &str,
        file: &RemoteFile,
        target: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<String> {
        let stated = file.lfs.as_ref().map(|lfs| &lfs.sha256).or(file.blob_id.as_ref());
        // An earlier pull may have got this far.
        if let (true, Ok((sha256, None))) = (stated.is_some(), verify(target, file)) {
            return Ok(sha256);
        }
        let mark: String = stated.map_or("new", String::as_str).chars().take(12).collect();
        let mut part = target.as_os_str().to_owned();
        part.push(format!(".{mark}.part"));
        let part = PathBuf::from(part);
        let writing = || format!("cannot write {}", part.display());
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).with_context(writing)?;
        }
        let there = part.metadata().map_or(0, |metadata| metadata.len());
        if there == 0 || file.size != Some(there) {
            let response = self.get(url, there).await?;
            let goes_on = response.status() == StatusCode::PARTIAL_CONTENT;
            let mut length = if goes_on { there } else { 0 };
            let mut out = OpenOptions::new().create(true).write(true).append(goes_on).truncate(!goes_on).open(&part);
            let out = out.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", writing()))?;
            let mut body = response.into_body();
            let broken = || format!("{url} broke off; run the same command again to go on where it stopped");
            while let Some(frame) = timeout(PATIENCE, body.frame()).await.with_context(broken)? {
                let Ok(data) = frame.with_context(broken)?.into_data() else { continue };
                out.write_all(&data).with_context(writing)?;
                length += data.len() as u64;
                progress(length);
            }
            out.sync_all().with_context(writing)?;
        }
        let (sha256, problem) = verify(&part, file).with_context(writing)?;
        if let Some(problem) = problem {
            std::fs::remove_file(&part).with_context(writing)?;
            bail!(
                "{url}: {problem}; what came was thrown away: pull again, and if it stays so, do not trust the source"
            );
        }
        std::fs::rename(&part, target).with_context(|| format!("cannot write {}", target.display()))?;
        Ok(sha256)
    }

    async fn get(&self, url: &str, from: u64) -> anyhow::Result<Response<Incoming>> {
        ensure!(!self.offline, "offline (HF_HUB_OFFLINE or --offline): {url} is not fetched");
        let client = client()?;
        let own: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
        let mut uri = own.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::get(&uri).header(header::USER_AGENT, "rerank-proxy");
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            // The token is for the Hub alone, not for the storage that it sends us to.
            if let Some(token) = self.token.as_ref().filter(|_| uri.authority() == own.authority()) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let answer = timeout(PATIENCE, client.request(request.body(Empty::new())?)).await;
            let unreachable = || format!("cannot reach {uri} (HF_ENDPOINT names another Hub)");
            let response = answer.with_context(unreachable)?.with_context(unreachable)?;
            if !response.status().is_redirection() {
                refuse(url, response.status(), self.token.is_some())?;
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.with_context(|| format!("{uri} redirects nowhere"))?;
            uri = if location.starts_with('/') {
                format!("{}://{}{location}", uri.scheme_str().unwrap_or("https"), uri.authority().context("no host")?)
            } else {
                location.to_owned()
            }
            .parse()
            .with_context(|| format!("{url} redirects to {location}"))?;
            ensure!(own.scheme_str() != Some("https") || uri.scheme_str() == Some("https"), "{url} leaves https");
        }
        bail!("{url} redirects without end")
    }
}

fn client() -> anyhow::Result<Client<Connector, Empty<Bytes>>> {
    let connector = connector(PATIENCE, &ClientTls::default()).context("no trusted certificates on this machine")?;
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

fn refuse(url: &str, status: StatusCode, has_token: bool) -> anyhow::Result<()> {
    let hint = match status.as_u16() {
        _ if status.is_success() => return Ok(()),
        401 | 403 if has_token => {
            "the token may not read it: accept the model's terms on its page, or use another HF_TOKEN"
        }
        401 | 403 => "no such repository, or one that is gated or private: check the name, or set HF_TOKEN",
        404 => "no such repository, revision or file: check the name and what follows the @",
        416 => "what was fetched before does not fit: delete the .part file and pull again",
        429 => "too many requests: wait, or set HF_TOKEN",
        _ => "try again later",
    };
    bail!("{url} answered {status}: {hint}")
}

/// The file's sha256, and how it differs from what the Hub states.
fn verify(path: &Path, stated: &RemoteFile) -> std::io::Result<(String, Option<String>)> {
    let size = path.metadata()?.len();
    let mut blob = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    blob.update(format!("blob {size}\0").as_bytes());
    let mut whole = Context::new(&SHA256);
    let (mut reader, mut buffer) = (File::open(path)?, vec![0; 1 << 18]);
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        whole.update(&buffer[..read]);
        blob.update(&buffer[..read]);
    }
    let (sha256, blob) = (hex(whole.finish().as_ref()), hex(blob.finish().as_ref()));
    let problem = match (stated.size, &stated.lfs, &stated.blob_id) {
        (Some(expected), ..) if expected != size => Some(format!("{size} bytes came, {expected} were stated")),
        (_, Some(lfs), _) if lfs.sha256 != sha256 => Some(format!("sha256 is {sha256}, {} was stated", lfs.sha256)),
        (_, None, Some(id)) if *id != blob => Some(format!("git blob id is {blob}, {id} was stated")),
        _ => None,
    };
    Ok((sha256, problem))
}
