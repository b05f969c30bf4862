//! What a source has of a model: its files, and where each is. Who found them, and which of them are taken, is the business of
//! others.

use std::path::PathBuf;

use http::HeaderValue;
use url::Url;

use super::web::Explain;

/// A model as its source has it.
#[derive(Debug)]
pub(super) struct Offer {
    /// The revision: a commit, or a digest of the whole.
    pub(super) revision: String,
    /// Its files.
    pub(super) files: Vec<RemoteFile>,
    /// What the requests for files are sent with.
    pub(super) access: Access,
}

/// How files of an offer are asked for.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// The value of `Authorization`, which goes to the host of the URL and to no other.
    pub(super) authorization: Option<HeaderValue>,
    /// What a refusal means.
    pub(super) explain: Explain,
}

impl Access {
    /// For what needs none.
    pub(super) const NONE: Self = Self { authorization: None, explain: |_, _, _| None };
}

/// A file of a model.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    /// Its path in the model's folder.
    pub(super) path: String,
    /// Where it is.
    pub(super) place: Place,
    /// In bytes, where that is stated.
    pub(super) size: Option<u64>,
    /// The hash that its source states.
    pub(super) hash: Option<Stated>,
}

/// A hash as a source states it, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stated {
    /// Of the bytes.
    Sha256(String),
    /// The sha1 of the git blob.
    GitBlob(String),
}

/// Where a file is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// On a server.
    Url(Url),
    /// On this machine; it stays there.
    Path(PathBuf),
    /// On this machine, where an archive was unpacked; it can be taken.
    Unpacked(PathBuf),
}

impl Stated {
    /// The hash as an entity tag of the Hub has it: 64 digits of a large file, 40 of a small one. Other servers put other
    /// things there.
    pub(super) fn from_etag(tag: &str) -> Option<Self> {
        let digits = tag.trim_start_matches("W/").trim_matches('"');
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match digits.len() {
            64 if is_hex => Some(Self::Sha256(digits.to_owned())),
            40 if is_hex => Some(Self::GitBlob(digits.to_owned())),
            _ => None,
        }
    }

    /// The digits.
    pub(super) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }
}
