//! A model in a registry of containers, by the distribution API: what an image holds, and where its blobs are. A file of a model is a
//! layer with a title, as `oras push` makes it, or lies in a layer that is an archive, as image builders make it. Only registries
//! that let anybody read.
//! See <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use url::Url;

use super::{
    hash::hex,
    offer::{Access, Place, RemoteFile, Stated},
    web::{Ask, Page, Web, bearer, holds_credentials, refuse},
};

/// The most bytes that a manifest or the answer with a token may have: registries allow manifests 4 MiB.
const MAX_MANIFEST: usize = 4 << 20;

/// The manifests that are understood.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json";

/// Layers of these types are archives.
const ARCHIVES: [&str; 4] = [".tar", "tar+gzip", ".tar.gzip", "tar+zstd"];

/// An image in a registry: `HOST/NAME`, with `:TAG` or `@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: String,
    name: String,
    /// A tag or a digest, where one was given.
    version: Option<String>,
}

/// What an image holds.
#[derive(Debug)]
pub(super) struct Image {
    /// The digest of its manifest, or of the index that names it.
    pub(super) digest: String,
    /// Layers that are files of a model.
    pub(super) files: Vec<RemoteFile>,
    /// Layers that are archives, lowest first.
    pub(super) archives: Vec<RemoteFile>,
    /// What they are asked for with.
    pub(super) access: Access,
}

/// A manifest or an index.
#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
    #[serde(default)]
    manifests: Vec<Choice>,
}

/// A layer of a manifest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A manifest of an index.
#[derive(Debug, Deserialize)]
struct Choice {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

/// What a manifest is for. Attestations say that they are for an unknown system.
#[derive(Debug, Deserialize)]
struct Platform {
    os: String,
}

/// The answer of the server that gives tokens; both names are in use.
#[derive(Debug, Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Reference {
    /// Reads what follows `oci://`.
    ///
    /// # Errors
    /// It is no such reference.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || format!("`oci://{text}` is no image: give oci://HOST/NAME, with :TAG or @sha256:DIGEST");
        let (host, rest) = text.split_once('/').with_context(wrong)?;
        let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
        let (name, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
        let is_part = |part: &str| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        let is_tag = |tag: &str| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        ensure!(!host.is_empty() && name.split('/').all(is_part) && tag.is_none_or(is_tag), wrong());
        ensure!(digest.is_none_or(|digest| sha256_of(digest).is_ok()), wrong());
        let version = digest.or(tag).map(str::to_owned);
        let reference = Self { host: host.to_owned(), name: name.to_owned(), version };
        reference.url("manifests", "latest").with_context(wrong)?;
        Ok(reference)
    }

    /// The last part of its name.
    pub(super) fn name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The image, whatever its version.
    pub(super) fn repository(&self) -> String {
        format!("oci://{}/{}", self.host, self.name)
    }

    /// As with Docker, a registry on this machine needs no TLS.
    fn url(&self, what: &str, version: &str) -> anyhow::Result<Url> {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        let is_here = name == "localhost" || name.starts_with("127.") || name == "[::1]";
        let scheme = if is_here { "http" } else { "https" };
        let url = Url::parse(&format!("{scheme}://{}/v2/{}/{what}/{version}", self.host, self.name))?;
        ensure!(!holds_credentials(&url), "a password has no place there");
        Ok(url)
    }
}

impl Image {
    /// What is at `reference`; where that names no version, at the digest `locked`, or else at the tag `latest`.
    ///
    /// # Errors
    /// The registry cannot be reached, has no such image for everybody, or it holds no model.
    pub(super) async fn at(web: &Web, reference: &Reference, locked: Option<&str>) -> anyhow::Result<Self> {
        let version = reference.version.as_deref().or(locked).unwrap_or("latest");
        let mut access = Access { authorization: None, explain };
        let page = manifest(web, reference, version, &mut access).await?;
        let digest = checked(&page, version)?;
        let mut manifest_of = read(&page, reference)?;
        if let Some(chosen) = chosen(&manifest_of) {
            let page = manifest(web, reference, &chosen, &mut access).await?;
            checked(&page, &chosen)?;
            manifest_of = read(&page, reference)?;
        }
        let mut image = Self { digest, files: Vec::new(), archives: Vec::new(), access };
        for layer in manifest_of.layers {
            image.add(layer, reference)?;
        }
        let holds_any = !image.files.is_empty() || !image.archives.is_empty();
        ensure!(holds_any, "{} holds neither files with a title nor archives", reference.repository());
        Ok(image)
    }

    fn add(&mut self, layer: Layer, reference: &Reference) -> anyhow::Result<()> {
        let note = |name: &str| layer.annotations.get(name).cloned();
        let is_archive = ARCHIVES.iter().any(|ending| layer.media_type.ends_with(ending));
        let is_packed_folder = note("io.deis.oras.content.unpack").is_some_and(|unpack| unpack == "true");
        let title = note("org.opencontainers.image.title").filter(|_| !is_packed_folder);
        let file = |path: String| {
            anyhow::Ok(RemoteFile {
                path,
                place: Place::Url(reference.url("blobs", &layer.digest)?),
                size: Some(layer.size),
                hash: Some(Stated::Sha256(sha256_of(&layer.digest)?.to_owned())),
            })
        };
        // A title says file, whatever the type: `oras push` calls a file an archive where it is told nothing else.
        match title.or_else(|| note("org.cncf.model.filepath").filter(|_| !is_archive)) {
            Some(path) => self.files.push(file(path)?),
            None if is_archive || is_packed_folder => {
                self.archives.push(file(format!("layer-{}", self.archives.len()))?);
            }
            // A configuration, a signature: nothing of a model.
            None => {}
        }
        Ok(())
    }
}

/// A manifest, with a token for everybody where the registry wants one.
async fn manifest(web: &Web, reference: &Reference, version: &str, access: &mut Access) -> anyhow::Result<Page> {
    let url = reference.url("manifests", version)?;
    let ask = |access: &Access| {
        let (authorization, explain) = (access.authorization.clone(), access.explain);
        let url = &url;
        async move {
            let ask = Ask { url, authorization: authorization.as_ref(), accept: MANIFESTS, explain };
            let page = web.read(&ask, MAX_MANIFEST).await?;
            let wants_token = page.status == StatusCode::UNAUTHORIZED && authorization.is_none();
            if !wants_token {
                refuse(&ask, page.status, &page.headers)?;
            }
            anyhow::Ok(page)
        }
    };
    let page = ask(access).await?;
    if page.status.is_success() {
        return Ok(page);
    }
    access.authorization = Some(token(web, &url, &page.headers).await?);
    ask(access).await
}

/// A token for everybody, from where the registry says.
async fn token(web: &Web, registry: &Url, headers: &HeaderMap) -> anyhow::Result<HeaderValue> {
    let challenge = headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(parameters) = challenge.strip_prefix("Bearer ") else {
        bail!("{registry} wants a user and a password, which are not sent: use a registry that lets anybody read")
    };
    let parameter = |name: &str| {
        let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0)
    };
    let realm = parameter("realm").and_then(|realm| Url::parse(realm).ok());
    let mut url = realm.with_context(|| format!("{registry} wants a token and does not say from where"))?;
    let is_safe = url.scheme() == "https" || registry.scheme() == "http" && url.scheme() == "http";
    ensure!(is_safe, "{registry} wants a token from {url}, which is not https");
    for name in ["service", "scope"] {
        if let Some(value) = parameter(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let ask = Ask { url: &url, authorization: None, accept: "application/json", explain };
    let page = web.read(&ask, MAX_MANIFEST).await?;
    refuse(&ask, page.status, &page.headers)?;
    let token: Option<Token> = serde_json::from_slice(&page.body).ok();
    let token = token.and_then(|token| token.token.or(token.access_token));
    let token = token.with_context(|| format!("{} gave no token", super::web::shown(&url)))?;
    bearer(&token).context("the registry's token is none")
}

/// The digest of a manifest, which is that it was asked for by, where it was.
fn checked(page: &Page, version: &str) -> anyhow::Result<String> {
    let found = format!("sha256:{}", hex(digest(&SHA256, &page.body).as_ref()));
    ensure!(!version.starts_with("sha256:") || found == version, "the registry sent {found} in place of {version}");
    Ok(found)
}

fn read(page: &Page, reference: &Reference) -> anyhow::Result<Manifest> {
    let read = serde_json::from_slice(&page.body);
    read.with_context(|| format!("the manifest of {} is none that is understood", reference.repository()))
}

/// The manifest of an index that is taken: the first of some system. A model is the same on each.
fn chosen(index: &Manifest) -> Option<String> {
    let is_image = |choice: &&Choice| choice.platform.as_ref().is_none_or(|platform| platform.os != "unknown");
    index.manifests.iter().find(is_image).map(|choice| choice.digest.clone())
}

/// The digits of a digest.
fn sha256_of(digest: &str) -> anyhow::Result<&str> {
    let digits = digest.strip_prefix("sha256:");
    let is_hash = |digits: &&str| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.filter(is_hash).with_context(|| format!("`{digest}` is no sha256 digest"))
}

/// What a refusal of a registry means.
fn explain(status: StatusCode, _: &HeaderMap, _: bool) -> Option<&'static str> {
    Some(match status.as_u16() {
        401 | 403 => "the registry does not let anybody read it, and no password is sent: use one that does",
        404 => "the registry has no such image or tag",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_a_registry_on_this_machine_needs_no_tls() {
        let reference = Reference::parse("localhost:5000/team/tiny:v1").unwrap();
        assert_eq!((reference.name(), reference.version.as_deref()), ("tiny", Some("v1")));
        assert_eq!(reference.url("blobs", "x").unwrap().as_str(), "http://localhost:5000/v2/team/tiny/blobs/x");
        let pinned = format!("registry.example/tiny:v1@sha256:{}", "0".repeat(64));
        let reference = Reference::parse(&pinned).unwrap();
        assert!(reference.version.as_ref().unwrap().starts_with("sha256:"));
        assert_eq!(reference.url("blobs", "x").unwrap().scheme(), "https");
        for wrong in ["tiny", "host/", "host/Tiny", "host/../tiny", "host/tiny@sha256:12", "me:s3cret@host/tiny"] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
