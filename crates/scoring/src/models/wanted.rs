//! A model as it was asked for: from where, and the name that it gets here. Looks nothing up.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use url::Url;

use super::{oci::Reference, short_names::KNOWN};

/// The endings of archives that are unpacked.
const ARCHIVES: [&str; 3] = [".tar", ".tar.gz", ".tgz"];

/// A model as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name of its folder.
    pub name: String,
    /// Where it is from.
    pub source: Source,
}

/// Where a model is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The Hub.
    Hub {
        /// `organisation/repository`.
        repository: String,
        /// A branch, a tag or a commit, where one was given.
        revision: Option<String>,
    },
    /// A folder or an archive on this machine.
    Local(PathBuf),
    /// An archive on a server.
    Archive {
        /// Where it is.
        url: Url,
        /// What it has to hash to, where that was given, in lower-case hex.
        sha256: Option<String>,
    },
    /// A registry of containers.
    Oci(Reference),
}

impl Source {
    /// The source as the lock file has it: the same wherever it is pulled, and nothing secret.
    pub fn repository(&self) -> String {
        match self {
            Self::Hub { repository, .. } => repository.clone(),
            Self::Local(path) => format!("file:{}", last_part(path)),
            Self::Archive { url, .. } => super::web::shown(url),
            Self::Oci(reference) => reference.repository(),
        }
    }

    /// True where nothing has to be asked for over a network.
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Local(_))
    }
}

impl Wanted {
    /// Reads `NAME` or `organisation/repository`, either with `@revision`; the path of a folder or an archive, which begins with `/`
    /// or `.`, or ends as archives do; `https://…`; `oci://…`. `name` is that of the folder that it goes to, where it is to be
    /// another; `sha256` is what an archive has to hash to.
    ///
    /// # Errors
    /// An unknown short name, or what is none of these.
    pub fn parse(text: &str, name: Option<&str>, sha256: Option<&str>) -> anyhow::Result<Self> {
        let sha256 = sha256.map(checksum).transpose()?;
        let (own_name, source) = read(text, sha256)?;
        let name = name.map_or(own_name, str::to_owned);
        ensure!(is_plain(&name), "`{name}` cannot be the name of a model's folder: give one with --name");
        Ok(Self { name, source })
    }
}

fn read(text: &str, sha256: Option<String>) -> anyhow::Result<(String, Source)> {
    if let Some(reference) = text.strip_prefix("oci://") {
        ensure!(sha256.is_none(), "--sha256 is for archives: pin an image by its digest, NAME@sha256:…");
        let reference = Reference::parse(reference)?;
        return Ok((reference.name().to_owned(), Source::Oci(reference)));
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        let url = Url::parse(text).with_context(|| "what was given is no URL")?;
        ensure!(
            !super::web::holds_credentials(&url),
            "the URL must hold no user and password: they would end up in logs"
        );
        let name = url.path().rsplit('/').next().unwrap_or_default().to_owned();
        ensure!(
            ARCHIVES.iter().any(|ending| name.ends_with(ending)),
            "{} is no archive whose name ends in {}",
            super::web::shown(&url),
            ARCHIVES.join(", ")
        );
        return Ok((without_ending(&name).to_owned(), Source::Archive { url, sha256 }));
    }
    let is_path = text.starts_with(['/', '.', '~']) || ARCHIVES.iter().any(|ending| text.ends_with(ending));
    let is_zip = Path::new(text).extension().is_some_and(|ending| ending == "zip");
    if is_path || is_zip {
        ensure!(!is_zip, "{text}: zip is not unpacked here: unpack it, and pull the folder");
        ensure!(
            !text.starts_with('~'),
            "{text}: the shell puts the home in the place of ~ only where it is not quoted"
        );
        let path = PathBuf::from(text);
        let name = without_ending(&last_part(&path)).to_owned();
        ensure!(sha256.is_none(), "--sha256 is for archives from a server; of this one the lock file gets the hash");
        return Ok((name, Source::Local(path)));
    }
    ensure!(sha256.is_none(), "--sha256 is for archives from a server; the Hub states the hashes of its files");
    of_hub(text)
}

fn of_hub(text: &str) -> anyhow::Result<(String, Source)> {
    let (what, revision) = text.split_once('@').map_or((text, None), |(what, at)| (what, Some(at.to_owned())));
    let is_revision = |text: &String| !text.is_empty() && text.split('/').all(is_plain);
    ensure!(revision.as_ref().is_none_or(is_revision), "`{text}`: what follows the @ is no revision");
    if let Some(known) = KNOWN.iter().find(|known| known.name == what || known.repository == what) {
        let repository = known.repository.to_owned();
        return Ok((known.name.to_owned(), Source::Hub { repository, revision }));
    }
    let Some((organisation, name)) = what.split_once('/') else {
        bail!(
            "no model goes by the short name `{what}`: `rerank-proxy models list` has them; or give ORG/REPOSITORY, a path \
             (./{what}), https://… or oci://…"
        )
    };
    ensure!(is_plain(organisation) && is_plain(name), "`{what}` is no repository: give ORG/REPOSITORY");
    Ok((name.to_owned(), Source::Hub { repository: what.to_owned(), revision }))
}

/// True for what can be a folder's name, and is no way out of where that lies.
fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
}

fn checksum(text: &str) -> anyhow::Result<String> {
    let digits = text.trim_start_matches("sha256:").to_ascii_lowercase();
    let is_hash = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(is_hash, "--sha256 takes the 64 hexadecimal digits that `sha256sum` prints");
    Ok(digits)
}

fn last_part(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn without_ending(name: &str) -> &str {
    ARCHIVES.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let wanted = Wanted::parse(text, None, None).unwrap();
        (wanted.name, wanted.source.repository())
    }

    fn refused(text: &str, sha256: Option<&str>) -> String {
        Wanted::parse(text, None, sha256).unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_source_is_told_by_how_it_is_written() {
        for (text, name, repository) in [
            ("mxbai-rerank-xsmall-v1@main", "mxbai-rerank-xsmall-v1", "mixedbread-ai/mxbai-rerank-xsmall-v1"),
            ("acme/tiny@refs/pr/1", "tiny", "acme/tiny"),
            ("./models/tiny", "tiny", "file:tiny"),
            ("/backup/tiny.tar.gz", "tiny", "file:tiny.tar.gz"),
            ("tiny.tar", "tiny", "file:tiny.tar"),
            ("https://acme.example/a/tiny.tgz?signature=s3cret", "tiny", "https://acme.example/a/tiny.tgz"),
            ("oci://registry.example:5000/team/tiny:v1", "tiny", "oci://registry.example:5000/team/tiny"),
        ] {
            assert_eq!(parsed(text), (name.to_owned(), repository.to_owned()), "{text}");
        }
        let named = Wanted::parse("./out", Some("ours"), None).unwrap();
        assert_eq!(named.name, "ours");
    }

    #[test]
    fn what_is_none_of_them_is_explained() {
        assert!(refused("no-such-name", None).contains("models list"));
        assert!(refused("acme/tiny@../x", None).contains("no revision"));
        assert!(refused("acme/../etc", None).contains("no repository"));
        assert!(refused("..", None).contains("--name"));
        assert!(refused("./model.zip", None).contains("unpack it"));
        assert!(refused("https://me:s3cret@acme.example/tiny.tar", None).contains("no user and password"));
        assert!(refused("https://acme.example/tiny", None).contains("no archive"));
        assert!(refused("https://acme.example/tiny.tar", Some("abc")).contains("64 hexadecimal digits"));
        assert!(Wanted::parse("./tiny", Some("../tiny"), None).is_err());
    }
}
