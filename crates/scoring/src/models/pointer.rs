//! Pointers that stand in git where large files are: those of Git LFS and of Xet. Where one is in the place of a model's file, nothing
//! can be loaded, and the error should say why.
//! See <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.

use std::{fmt, fs::File, io::Read, path::Path};

/// Pointers are shorter than this, in bytes, as the specification of Git LFS has it.
const LONGEST: u64 = 1024;

/// The kind of a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    /// Of Git LFS.
    Lfs,
    /// Of Xet.
    Xet,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lfs => "a pointer of Git LFS",
            Self::Xet => "a pointer of Xet",
        })
    }
}

impl Pointer {
    /// The kind of pointer that the file at `path` is, if it is one.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        if file.metadata().ok()?.len() >= LONGEST {
            return None;
        }
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        Self::of(&text)
    }

    fn of(text: &[u8]) -> Option<Self> {
        let begins = |beginning: &str| text.starts_with(beginning.as_bytes());
        if begins("version https://git-lfs.github.com/spec/") || begins("version https://hawser.github.com/spec/") {
            return Some(Self::Lfs);
        }
        begins("# xet version ").then_some(Self::Xet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_content() {
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert_eq!(Pointer::of(lfs), Some(Pointer::Lfs));
        assert_eq!(Pointer::of(b"# xet version 0\nfilesize = 12345\nhash = '4d7a'\n"), Some(Pointer::Xet));
        assert_eq!(Pointer::of(b"{\"version\": \"1.0\"}"), None);
        assert_eq!(Pointer::of(b""), None);
    }
}
